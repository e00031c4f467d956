use isogloss_kernels::dropout::mix;
use isogloss_kernels::{Cpu, LabelSmoothing, SmoothingKind};
use serde::Serialize;

use crate::adapter::{AdapterConfig, AdapterSet, Sites};
use crate::batch::{Batch, LanguageId, Sentence};
use crate::bench::{Amount, Repeat, Report, report, step_operations};
use crate::checkpoint::Checkpoint;
use crate::language::{Direction, Language, Resource};
use crate::model::{Context, Model, ModelConfig};
use crate::optim::{Adam, AdamOptions};
use crate::params::{Gradients, ParamStore};
use crate::tokenize::Tokenizer;
use crate::train::{TrainError, pack_for_training};

/// Which linear maps are adapted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BenchSites {
    /// Both maps of every feed-forward block.
    Fc,
    /// Every site of LSLo.
    All,
}

/// What a training step is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainBench {
    /// Direction of the text; it decides on the tags.
    pub direction: Direction,
    /// Adapted maps. Without effect when `full`.
    pub sites: BenchSites,
    /// Rank of every update.
    pub rank: usize,
    /// Every weight is trained, none adapted.
    pub full: bool,
    /// Over so many languages, each with its own update, the sentences are spread in turn; their text stays what it is. At least 1.
    pub languages: usize,
    /// Updates in the bank, if there are more than those that the batch uses.
    pub bank: usize,
    /// Repetitions.
    pub repeat: Repeat,
}

/// Times the training step of one batch that is made of all `pairs`: forward, backward, Adam. Label smoothing is 0.1, dropout the
/// model's own; nothing is reused from step to step but the weights.
///
/// # Errors
/// If the tokenizer doesn't know a language or doesn't fit the weights, or if there is no text.
pub fn train(
    backend: &Cpu,
    checkpoint: Checkpoint,
    tokenizer: &Tokenizer,
    pairs: &[(&str, &str)],
    bench: &TrainBench,
    done: &mut dyn FnMut(usize, usize),
) -> Result<Report, TrainError> {
    tokenizer.check_rows(checkpoint.config.vocab_size)?;
    let config = checkpoint.config.clone();
    let mut store = ParamStore::new();
    let set = adapters(&config, bench, &mut store)?;
    let trained = bench.full.then_some(&mut store);
    let mut model = Model::<f32>::new(&config, checkpoint.tensors, trained)?;
    pack_for_training(&mut model, backend);
    let batch = batch(&model, tokenizer, pairs, bench)?;
    let amount = Amount {
        sentences: pairs.len(),
        source_tokens: batch.encoder.len(),
        target_tokens: batch.target_tokens(),
        trainable: store.values().len(),
        operations: step_operations(
            &config,
            batch.encoder.len(),
            batch.target_tokens(),
            bench.full,
        ),
    };
    let smoothing = LabelSmoothing {
        eps: 0.1,
        kind: SmoothingKind::Uniform,
    };
    let mut adam = Adam::new(AdamOptions::default(), &store);
    let mut grads = Gradients::new(&store);
    let mut update = 0;
    let step = || {
        grads.clear();
        let cx = Context {
            backend,
            store: &store,
            adapters: &set.adapters,
            dropout: Some(mix(1, update)),
        };
        let loss = model.loss_and_gradients(&cx, &batch, smoothing, &mut grads);
        let scale = 1.0 / loss.tokens as f64;
        // Small enough that the weights stay those of the model, whatever the number of steps.
        let norm = adam.step(backend, &mut store, &grads, 1e-6, scale);
        update += 1;
        match norm.is_finite() {
            true => Ok(()),
            false => Err(TrainError::NotFinite { update }),
        }
    };
    let seconds = bench.repeat.time(step, done)?;
    Ok(report(backend, amount, seconds))
}

/// An update for each language of the bank, or none.
fn adapters(
    model: &ModelConfig,
    bench: &TrainBench,
    store: &mut ParamStore<f32>,
) -> Result<AdapterSet, TrainError> {
    let languages = stand_ins(bench.languages.max(bench.bank));
    if bench.full {
        return Ok(AdapterSet::none(languages));
    }
    let adapter = AdapterConfig {
        rank: Some(bench.rank),
        sites: match bench.sites {
            BenchSites::Fc => Sites::Fc,
            BenchSites::All => Sites::All,
        },
        ..AdapterConfig::default()
    };
    let classes: Vec<_> = languages
        .iter()
        .map(|language| (language.clone(), Resource::High))
        .collect();
    let updates = adapter.per_language(&classes)?;
    let (sites, preset) = (adapter.sites(model)?, adapter.preset);
    Ok(AdapterSet::new(
        languages, preset, sites, updates, 1, store,
    )?)
}

/// So many languages, of codes that ISO 639-3 keeps for private use.
fn stand_ins(count: usize) -> Vec<Language> {
    let letter = |i: usize| char::from(b'a' + (i % 26) as u8);
    let code = |i: usize| format!("q{}{}_{}", letter(i / 26), letter(i), script(i / 676));
    let parsed = (0..count.max(1)).filter_map(|i| code(i).parse().ok());
    parsed.collect()
}

fn script(i: usize) -> String {
    format!(
        "Qa{}{}",
        ["a", "b"][i / 26 % 2],
        char::from(b'a' + (i % 26) as u8)
    )
}

fn batch(
    model: &Model<f32>,
    tokenizer: &Tokenizer,
    pairs: &[(&str, &str)],
    bench: &TrainBench,
) -> Result<Batch, TrainError> {
    let Direction { source, target } = &bench.direction;
    let mut ids = Vec::with_capacity(pairs.len());
    for (from, to) in pairs {
        ids.push((
            tokenizer.source_ids(from, source)?,
            tokenizer.target_ids(to, target)?,
        ));
    }
    let positions = model.config().max_position_embeddings;
    if ids.is_empty() || ids.iter().any(|(s, t)| s.len().max(t.len()) > positions) {
        return Err(TrainError::AllTooLong {
            max_tokens: positions,
        });
    }
    // Source and target differ where there is more than one language.
    let language = |i: usize| LanguageId((i % bench.languages.max(1)) as u16);
    let sentences: Vec<Sentence<'_>> = ids
        .iter()
        .enumerate()
        .map(|(i, (source, target))| Sentence {
            source,
            target,
            source_language: language(i),
            target_language: language(i + 1),
            key: i as u64,
        })
        .collect();
    Ok(Batch::new(&sentences, model.layout()))
}
