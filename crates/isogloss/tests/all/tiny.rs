//! A tiny model with random weights, sentences of three languages, and updates in any precision.

use isogloss::adapter::{AdapterConfig, Adapters, Bank, LowRank};
use isogloss::batch::{Batch, LanguageId, Sentence};
use isogloss::language::{Language, Resource};
use isogloss::model::{Model, ModelConfig, Storage, Tensor, initial_tensors};
use isogloss::params::ParamStore;
use isogloss_kernels::Real;
use isogloss_kernels::dropout::{draw, mix};

/// Every kind of dropout is on; a context without a key turns them all off.
pub fn config() -> ModelConfig {
    let json = serde_json::json!({
        "d_model": 8, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 12, "decoder_ffn_dim": 10, "vocab_size": 23,
        "max_position_embeddings": 32, "scale_embedding": true, "dropout": 0.2, "attention_dropout": 0.15,
        "activation_dropout": 0.1, "init_std": 0.02, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2,
        "decoder_start_token_id": 2,
    });
    serde_json::from_value(json).unwrap()
}

/// Values in -1..1.
pub fn noise(seed: u64, len: usize) -> impl Iterator<Item = f32> {
    let key = mix(seed, 0x7157);
    (0..len as u32).map(move |i| draw(key, i) as f32 / 2f32.powi(31) - 1.0)
}

/// Initial weights, with biases and norms that aren't zero and one.
pub fn tensors(config: &ModelConfig) -> Vec<Tensor> {
    let mut tensors = initial_tensors(config, 3);
    for (seed, tensor) in (0u64..).zip(&mut tensors) {
        if tensor.shape.len() == 1 {
            let mut values = tensor.storage.to_f32();
            let noise = noise(seed, values.len());
            values
                .iter_mut()
                .zip(noise)
                .for_each(|(x, n)| *x += 0.3 * n);
            tensor.storage = Storage::F32(values);
        }
    }
    tensors
}

/// A frozen base.
pub fn frozen<R: Real>(config: &ModelConfig) -> Model<R> {
    Model::new(config, tensors(config), None).unwrap()
}

/// Ids of a sentence pair with its languages.
pub struct Pair {
    source: Vec<u32>,
    target: Vec<u32>,
    languages: [u16; 2],
    key: u64,
}

impl Pair {
    pub fn sentence(&self) -> Sentence<'_> {
        Sentence {
            source: &self.source,
            target: &self.target,
            source_language: LanguageId(self.languages[0]),
            target_language: LanguageId(self.languages[1]),
            key: self.key,
        }
    }
}

/// Pairs of different lengths, of the directions given.
pub fn pairs(config: &ModelConfig, directions: &[[u16; 2]]) -> Vec<Pair> {
    let word = |x: f32| 3 + ((x + 1.0) / 2.0 * (config.vocab_size - 3) as f32) as u32;
    let ids = |seed, len| {
        let mut ids: Vec<u32> = noise(seed, len).map(word).collect();
        ids.push(2);
        ids
    };
    let pair = |(i, &languages): (u64, &[u16; 2])| Pair {
        source: ids(100 + i, 2 + (i as usize * 3) % 5),
        target: ids(200 + i, 2 + (i as usize * 2) % 5),
        languages,
        key: 50 + i,
    };
    (0..).zip(directions).map(pair).collect()
}

/// Three languages in a mixed order, to and fro.
pub const MIXED: [[u16; 2]; 7] = [[0, 1], [2, 0], [1, 0], [0, 2], [0, 1], [1, 2], [2, 1]];

pub fn batch<R: Real>(model: &Model<R>, pairs: &[Pair]) -> Batch {
    let sentences: Vec<Sentence<'_>> = pairs.iter().map(Pair::sentence).collect();
    Batch::new(&sentences, model.layout())
}

/// The languages of the updates; nobody speaks the fourth.
pub fn languages() -> Vec<(Language, Resource)> {
    let codes = ["eng_Latn", "deu_Latn", "oci_Latn", "fra_Latn"];
    let classes = [
        Resource::High,
        Resource::Medium,
        Resource::Low,
        Resource::High,
    ];
    let parsed = codes.iter().map(|code| code.parse().unwrap());
    parsed.zip(classes).collect()
}

/// Updates as a configuration lays them out, a group a language, with random values; `lora_b` times `b_scale`.
pub fn adapters<R: Real>(
    config: &AdapterConfig,
    model: &ModelConfig,
    b_scale: f32,
    store: &mut ParamStore<R>,
) -> Adapters {
    let sites = config.sites(model).unwrap();
    let languages = languages();
    let mut adapters = Adapters::default();
    for plan in &sites {
        let updates = vec![None; languages.len()];
        let side = plan.side;
        adapters.banks.insert(plan.site, Bank { side, updates });
    }
    let mut seed = 1000;
    for update in config.per_language(&languages).unwrap() {
        store.begin_group(&update.name);
        for plan in &sites {
            let mut push = |half: &str, shape: [usize; 2], scale: f32| {
                seed += 1;
                let values: Vec<R> = noise(seed, shape[0] * shape[1])
                    .map(|x| R::of(scale * x))
                    .collect();
                let name = format!("{}.{half}.{}", plan.site, update.name);
                store.push(name, &shape, &values)
            };
            let low_rank = LowRank {
                a: push("lora_A", [update.rank, plan.input.len()], 0.5),
                b: push("lora_B", [plan.output.len(), update.rank], b_scale),
                rank: update.rank,
                scale: update.alpha / update.rank as f32,
                input: plan.input.clone(),
                output: plan.output.clone(),
            };
            let bank = adapters.banks.get_mut(&plan.site).unwrap();
            for &language in &update.languages {
                bank.updates[usize::from(language)] = Some(low_rank.clone());
            }
        }
    }
    adapters
}
