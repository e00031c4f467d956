use isogloss_kernels::dropout::mix;
use isogloss_kernels::{Cpu, LabelSmoothing, SmoothingKind};
use serde::Serialize;

use crate::adapter::{AdapterSet, Sites};
use crate::batch::{Batch, Sentence};
use crate::bench::{Amount, Repeat, Report, report, step_operations, updates};
use crate::checkpoint::Checkpoint;
use crate::language::Direction;
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
    /// Sentences of a step, at least 1; the last step has what is left. `None`: all are one step.
    pub batch: Option<usize>,
    /// Order the pairs by the characters of the target, then of the source, before they are cut into batches.
    pub sort: bool,
    /// Repetitions, of all steps.
    pub repeat: Repeat,
}

/// Times training steps over all `pairs`: forward, backward, Adam. Label smoothing is 0.1, dropout the model's own; nothing is reused
/// from step to step but the weights.
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
    let batches = batches(&model, tokenizer, pairs, bench)?;
    let source_tokens = batches.iter().map(|batch| batch.encoder.len()).sum();
    let target_tokens = batches.iter().map(Batch::target_tokens).sum();
    let amount = Amount {
        sentences: pairs.len(),
        source_tokens,
        target_tokens,
        trainable: store.values().len(),
        operations: step_operations(&config, source_tokens, target_tokens, bench.full),
    };
    let smoothing = LabelSmoothing {
        eps: 0.1,
        kind: SmoothingKind::Uniform,
    };
    let mut adam = Adam::new(AdamOptions::default(), &store);
    let mut grads = Gradients::new(&store);
    let mut update = 0;
    let mut step = |batch: &Batch| {
        grads.clear();
        let cx = Context {
            backend,
            store: &store,
            adapters: &set.adapters,
            dropout: Some(mix(1, update)),
        };
        let loss = model.loss_and_gradients(&cx, batch, smoothing, &mut grads);
        let scale = 1.0 / loss.tokens as f64;
        // Small enough that the weights stay those of the model, whatever the number of steps.
        let norm = adam.step(backend, &mut store, &grads, 1e-6, scale);
        update += 1;
        match norm.is_finite() {
            true => Ok(()),
            false => Err(TrainError::NotFinite { update }),
        }
    };
    let pass = || batches.iter().try_for_each(&mut step);
    let seconds = bench.repeat.time(pass, done)?;
    Ok(Report {
        batch: bench.batch,
        steps: Some(batches.len()),
        ..report(backend, amount, seconds)
    })
}

/// An update for each language of the bank, or none.
fn adapters(
    model: &ModelConfig,
    bench: &TrainBench,
    store: &mut ParamStore<f32>,
) -> Result<AdapterSet, TrainError> {
    let languages = bench.languages.max(bench.bank);
    if bench.full {
        return Ok(AdapterSet::none(updates::stand_ins(languages)));
    }
    let sites = match bench.sites {
        BenchSites::Fc => Sites::Fc,
        BenchSites::All => Sites::All,
    };
    Ok(updates::fresh(model, sites, bench.rank, languages, store)?)
}

/// The text of each step.
fn batches(
    model: &Model<f32>,
    tokenizer: &Tokenizer,
    pairs: &[(&str, &str)],
    bench: &TrainBench,
) -> Result<Vec<Batch>, TrainError> {
    let Direction { source, target } = &bench.direction;
    let mut pairs = pairs.to_vec();
    if bench.sort {
        pairs.sort_by_key(|(from, to)| (to.chars().count(), from.chars().count()));
    }
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
    let sentences: Vec<Sentence<'_>> = ids
        .iter()
        .enumerate()
        .map(|(i, (source, target))| {
            let (source_language, target_language) = updates::turn(i, bench.languages);
            Sentence {
                source,
                target,
                source_language,
                target_language,
                key: i as u64,
            }
        })
        .collect();
    let size = bench.batch.unwrap_or(sentences.len()).max(1);
    let parts = sentences.chunks(size);
    Ok(parts.map(|part| Batch::new(part, model.layout())).collect())
}
