//! Planted truths: a random base, and languages whose true updates have known sides, layers and ranks. What exploring learns from their
//! outputs alone must be those sides and the order of those ranks.

use std::collections::BTreeMap;

use isogloss::adapter::{
    AdapterConfig, AdapterSet, Adapters, Demand, DemandConfig, DemandScore, PlaceWeights,
    PlacementConfig, PlacementSearch, Preset, Side, SitePlan, UpdatePlan,
};
use isogloss::batch::{Batch, LanguageId, Sentence};
use isogloss::language::{Language, Resource};
use isogloss::model::{Context, Model, ModelConfig, Storage, initial_tensors};
use isogloss::optim::{Adam, AdamOptions};
use isogloss::params::{Gradients, ParamStore};
use isogloss_kernels::{Cpu, LabelSmoothing};

use crate::tiny::{self, noise};

const LANGUAGES: [&str; 4] = ["deu_Latn", "fra_Latn", "ita_Latn", "lij_Latn"];

fn languages() -> Vec<(Language, Resource)> {
    let parsed = LANGUAGES.iter().map(|code| code.parse().unwrap());
    parsed.map(|language| (language, Resource::High)).collect()
}

fn codes() -> Vec<Language> {
    languages()
        .into_iter()
        .map(|(language, _)| language)
        .collect()
}

fn shape() -> ModelConfig {
    ModelConfig {
        d_model: 16,
        decoder_layers: 1,
        decoder_attention_heads: 2,
        encoder_ffn_dim: 32,
        decoder_ffn_dim: 32,
        vocab_size: 40,
        dropout: 0.0,
        attention_dropout: 0.0,
        activation_dropout: 0.0,
        ..tiny::config()
    }
}

/// A base whose outputs depend on its inputs: matrices of these gains (encoder, cross-attention, rest of the decoder), not of training's
/// small start.
fn base(shape: &ModelConfig, [encoder, cross, decoder]: [f32; 3]) -> Model<f32> {
    let mut tensors = initial_tensors(shape, 3);
    for (seed, tensor) in (0u64..).zip(&mut tensors) {
        if let [rows, cols] = tensor.shape[..] {
            let unit = (3.0 / cols as f32).sqrt();
            let gain = match &tensor.name {
                name if name == "shared.weight" => 0.5,
                name if name.contains("encoder_attn") => cross * unit,
                name if name.contains("decoder") => decoder * unit,
                _ => encoder * unit,
            };
            let values = noise(seed, rows * cols).map(|x| gain * x);
            tensor.storage = Storage::F32(values.collect());
        }
    }
    Model::new(shape, tensors, None).unwrap()
}

/// Updates with random values throughout, those of `lora_b` so large.
fn truth(
    sites: &[SitePlan],
    updates: Vec<UpdatePlan>,
    size: f32,
    store: &mut ParamStore<f32>,
) -> Adapters {
    let sites = sites.to_vec();
    let set = AdapterSet::new(codes(), Preset::Isogloss, sites, updates, 5, store).unwrap();
    for (seed, param) in (400u64..).zip(store.params().to_vec()) {
        if param.name.contains("lora_B") {
            let id = store.find(&param.name).unwrap();
            let values: Vec<f32> = noise(seed, param.range.len()).map(|x| size * x).collect();
            store.get_mut(id).copy_from_slice(&values);
        }
    }
    set.adapters
}

struct Teacher {
    model: Model<f32>,
    backend: Cpu,
    adapters: Adapters,
    store: ParamStore<f32>,
}

impl Teacher {
    /// Random sentences in all directions, labelled with what the teacher finds most likely at each position.
    fn batch(&self, update: u64) -> Batch {
        let word = |x: f32| 3 + ((x + 1.0) / 2.0 * 36.9) as u32;
        let ids = |seed| noise(seed, 7).map(word).collect::<Vec<u32>>();
        let mut sentences = Vec::new();
        for i in 0..24u64 {
            let (source, target) = ((i % 4) as u16, ((i + 1 + i / 4 % 3) % 4) as u16);
            let seed = 10_000 + 100 * update + 2 * i;
            sentences.push((ids(seed), ids(seed + 1), source, target));
        }
        let sentences: Vec<Sentence<'_>> = sentences
            .iter()
            .map(|(source, target, from, to)| Sentence {
                source,
                target,
                source_language: LanguageId(*from),
                target_language: LanguageId(*to),
                key: 0,
            })
            .collect();
        let mut batch = Batch::new(&sentences, self.model.layout());
        let cx = Context {
            backend: &self.backend,
            store: &self.store,
            adapters: &self.adapters,
            dropout: None,
        };
        let states = self.model.decode(&cx, &batch);
        let logits = self.model.logits(&cx, &states);
        for (label, logits) in batch.labels.iter_mut().zip(logits.chunks_exact(40)) {
            let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            *label = best.unwrap().0 as u32;
        }
        batch
    }

    /// Trains a student's updates on what the teacher says; the loss of the first updates and of the last.
    fn teach(&self, adapters: &Adapters, store: &mut ParamStore<f32>, updates: u64) -> [f64; 2] {
        let mut adam = Adam::new(AdamOptions::default(), store);
        let mut grads = Gradients::new(store);
        let mut losses = Vec::new();
        for update in 0..updates {
            let batch = self.batch(update);
            grads.clear();
            let cx = Context {
                backend: &self.backend,
                store,
                adapters,
                dropout: None,
            };
            let smoothing = LabelSmoothing::default();
            let loss = self
                .model
                .loss_and_gradients(&cx, &batch, smoothing, &mut grads);
            adapters.add_mixture_gradients(store, &mut grads);
            let scale = 1.0 / loss.tokens as f64;
            adam.step(&self.backend, store, &grads, 0.01, scale);
            losses.push(loss.loss * scale);
        }
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        [mean(&losses[..10]), mean(&losses[losses.len() - 10..])]
    }
}

fn adapter(text: &str) -> AdapterConfig {
    toml::from_str(text).unwrap()
}

#[test]
fn placement_finds_the_sides_of_true_updates() {
    let shape = shape();
    let search = adapter("rank = 2\nsites = \"fc\"\nsides = { \"decoder.layers.0\" = \"none\" }");
    for (first, second) in [(Side::Source, Side::Target), (Side::Target, Side::Source)] {
        let planted = AdapterConfig {
            sides: BTreeMap::from([
                ("encoder.layers.0".parse().unwrap(), first),
                ("encoder.layers.1".parse().unwrap(), second),
                ("decoder.layers.0".parse().unwrap(), Side::None),
            ]),
            ..search.clone()
        };
        let mut store = ParamStore::new();
        let sites = planted.sites(&shape).unwrap();
        let updates = planted.per_language(&languages()).unwrap();
        let adapters = truth(&sites, updates, 1.5, &mut store);
        let backend = Cpu::new(1).unwrap();
        let teacher = Teacher {
            // What the encoder says matters, that of its upper layer too.
            model: base(&shape, [1.0, 3.0, 0.5]),
            backend,
            adapters,
            store,
        };
        let mut store = ParamStore::new();
        let updates = search.per_language(&languages()).unwrap();
        let found = PlacementSearch::new(
            PlacementConfig::default(),
            &search,
            &shape,
            (&codes(), &updates),
            1,
            &mut store,
        )
        .unwrap();
        let even = found.weights(&store);
        assert!(
            even.iter()
                .all(|place| (place.source, place.target) == (0.5, 0.5))
        );
        let [before, after] = teacher.teach(&found.adapters, &mut store, 300);
        assert!(after < 0.9 * before, "{before} {after}");
        let weights = found.weights(&store);
        let sides: Vec<Side> = weights.iter().map(PlaceWeights::heaviest).collect();
        assert_eq!(sides, [first, second], "{weights:?}");
        assert!(
            weights.iter().all(|place| place.margin() > 0.1),
            "{weights:?}"
        );
    }
}

#[test]
fn demand_finds_the_order_of_true_ranks() {
    let shape = shape();
    let ranks = [8, 1, 4, 2];
    let mut planted = adapter("sites = \"fc\"");
    planted.language_ranks = codes().into_iter().zip(ranks).collect();
    let backend = Cpu::new(1).unwrap();
    let mut store = ParamStore::new();
    let sites = planted.sites(&shape).unwrap();
    let updates = planted.per_language(&languages()).unwrap();
    let adapters = truth(&sites, updates, 1.2, &mut store);
    let teacher = Teacher {
        model: base(&shape, [1.0; 3]),
        backend,
        adapters,
        store,
    };
    let student = adapter("rank = 8\nsites = \"fc\"");
    let mut store = ParamStore::new();
    let updates = student.per_language(&languages()).unwrap();
    let set = AdapterSet::new(codes(), Preset::Isogloss, sites, updates, 1, &mut store).unwrap();
    let nothing = Demand::new(DemandConfig::default(), &set, &store);
    assert!(
        nothing.overall.iter().all(|&kept| kept == 0.0),
        "lora_b is zero at the start"
    );
    let [before, after] = teacher.teach(&set.adapters, &mut store, 800);
    assert!(after < 0.95 * before, "{before} {after}");
    for score in [DemandScore::Magnitude, DemandScore::Contribution] {
        let config = DemandConfig {
            score,
            target_ratio: 0.7,
            ..DemandConfig::default()
        };
        let demand = Demand::new(config, &set, &store);
        let mut order: Vec<usize> = (0..4).collect();
        order.sort_by(|&a, &b| demand.overall[a].total_cmp(&demand.overall[b]));
        let ordered: Vec<usize> = order.iter().map(|&i| ranks[i]).collect();
        assert_eq!(ordered, [1, 2, 4, 8], "{score:?} {:?}", demand.overall);
        let mean = demand.overall.iter().sum::<f64>() / 4.0;
        assert!(
            (mean - 0.3).abs() < 0.01,
            "{mean} is left, not three tenths"
        );
        assert_eq!((demand.layers.len(), demand.share[0].len()), (3, 3));
    }
}
