use isogloss_kernels::Cpu;

use crate::adapter::{self, AdapterError, AdapterSet};
use crate::batch::LanguageId;
use crate::bench::{
    Amount, CompactedBench, MemoryLimit, Repeat, Report, decoding_operations, report, updates,
};
use crate::decode::{DecodeError, DecodeOptions, Loaded, MaxLength, Request, Translator};
use crate::language::Direction;
use crate::model::Context;
use crate::params::ParamStore;

/// What is decoded, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeBench {
    /// Direction of the text.
    pub direction: Direction,
    /// Updates that act in place of those that were loaded.
    pub updates: Option<BenchUpdates>,
    /// Hypotheses a sentence.
    pub beam: usize,
    /// Sentences translated together, if they are of the mean length; when some are done, others take their place. 1 translates each
    /// alone.
    pub batch: usize,
    /// Longest source in tokens, tag and `</s>` counted; longer ones are cut. `None` takes them as they are.
    pub source_limit: Option<usize>,
    /// Pieces of every translation: `</s>` is ruled out before. The tag isn't counted.
    pub exact_length: usize,
    /// Repetitions, of the whole text.
    pub repeat: Repeat,
}

/// Random updates at every site of LSLo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BenchUpdates {
    /// Over so many languages, each with its own update, the sentences are spread in turn; their text and tags stay what they are.
    /// At least 1.
    pub languages: usize,
    /// Updates in the bank, if there are more than those that the sentences use.
    pub bank: usize,
    /// Rank of every update.
    pub rank: usize,
    /// Of each update so many values in a hundred of `lora_B` are pruned, by magnitude in one pool over all sites; then translation with
    /// the updates as they are and compacted is timed in turn. Components of the rank differ in size, so that some die.
    pub pruned: Option<u8>,
}

/// Why decoding can't be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeBenchError {
    /// An option or a line doesn't fit the model.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The updates don't fit the model.
    #[error(transparent)]
    Updates(#[from] AdapterError),
}

/// Times translation of `lines`, encoder included, loading and tokenizing not.
///
/// # Errors
/// If an option or a line doesn't fit the model.
pub fn decode(
    backend: &Cpu,
    loaded: &Loaded,
    lines: &[&str],
    bench: &DecodeBench,
    done: &mut dyn FnMut(usize, usize),
) -> Result<Report, DecodeBenchError> {
    let requests = requests(loaded, lines, bench)?;
    let model = &loaded.model;
    let (updates, compacted) = match bench.updates {
        None => (None, None),
        Some(updates) => {
            let (first, second) = bench_updates(backend, loaded, updates)?;
            (Some(first), second)
        }
    };
    let contexts = [&updates, &compacted].map(|updates| match updates {
        None => loaded.context(backend),
        Some(updates) => updates.context(backend),
    });
    let trainable = contexts.each_ref().map(|cx| cx.store.values().len());
    let options = DecodeOptions {
        beam: bench.beam,
        max_length: MaxLength::Pieces(bench.exact_length),
        min_length: bench.exact_length,
        ..DecodeOptions::default()
    };
    let tokens = batch_tokens(&requests, bench);
    let translators = contexts.map(|cx| Translator::new(model, cx).with_batch_tokens(tokens));
    // Who is alone is translated by a call of its own, whatever a translator does with several sentences.
    let together = match bench.batch {
        0 | 1 => 1,
        _ => requests.len().max(1),
    };
    let work = |which: usize| {
        for requests in requests.chunks(together) {
            translators[which].translate_ids(requests, &options, &mut |_| ())?;
        }
        Ok::<(), DecodeError>(())
    };
    let seconds: Vec<Vec<f64>> = match &compacted {
        None => vec![bench.repeat.time(|| work(0), done)?],
        Some(_) => bench.repeat.time_in_turn::<_, 2>(work, done)?.into(),
    };
    let source_tokens = requests.iter().map(|r| r.source_ids.len()).sum();
    let target_tokens = requests.len() * bench.exact_length;
    let amount = Amount {
        sentences: requests.len(),
        source_tokens,
        target_tokens,
        trainable: trainable[0],
        operations: decoding_operations(model.config(), source_tokens, target_tokens, bench.beam),
    };
    // First: what the measurement of the memory reads is no part of the work's.
    let report = report(backend, amount, seconds[0].clone());
    let memory = MemoryLimit::measure(backend, model.decoder_step_bytes());
    let compacted = seconds.into_iter().nth(1);
    let compacted = compacted.map(|s| CompactedBench::new(s, trainable[1], &report));
    Ok(Report {
        batch: Some(bench.batch),
        memory: Some(memory),
        compacted,
        ..report
    })
}

/// Updates that act in place of those that were loaded.
struct Updates {
    set: AdapterSet,
    store: ParamStore<f32>,
}

impl Updates {
    fn context<'a>(&'a self, backend: &'a Cpu) -> Context<'a, Cpu> {
        Context {
            backend,
            store: &self.store,
            adapters: &self.set.adapters,
            dropout: None,
        }
    }
}

/// Random updates, and if they are pruned the same compacted; ready to translate.
fn bench_updates(
    backend: &Cpu,
    loaded: &Loaded,
    updates: BenchUpdates,
) -> Result<(Updates, Option<Updates>), AdapterError> {
    let mut store = ParamStore::new();
    let count = updates.languages.max(updates.bank);
    let set = updates::random(loaded.model.config(), updates.rank, count, &mut store)?;
    let keep = |set: AdapterSet, mut store| {
        set.adapters.keep(backend, &mut store);
        Updates { set, store }
    };
    let Some(percent) = updates.pruned else {
        return Ok((keep(set, store), None));
    };
    updates::prune(&set, percent, &mut store);
    let compacted = adapter::compact(&set, &store, 0.0);
    let compacted = keep(compacted.set, compacted.store);
    Ok((keep(set, store), Some(compacted)))
}

/// The budget of a batch: so many sentences of the mean cost.
fn batch_tokens(requests: &[Request], bench: &DecodeBench) -> usize {
    let all: usize = requests.iter().map(Request::cost).sum();
    (all * bench.batch).div_ceil(requests.len().max(1))
}

fn requests(
    loaded: &Loaded,
    lines: &[&str],
    bench: &DecodeBench,
) -> Result<Vec<Request>, DecodeError> {
    let Direction { source, target } = &bench.direction;
    let tokenizer = &loaded.tokenizer;
    let language = |language| {
        let id = loaded.set.language_id(language);
        id.unwrap_or(LanguageId(u16::MAX))
    };
    let mut requests = Vec::with_capacity(lines.len());
    for (i, line) in lines.iter().enumerate() {
        let mut source_ids = tokenizer.source_ids(line, source)?;
        if let Some(limit) = bench.source_limit
            && source_ids.len() > limit
        {
            // Tag and end stay; the text is cut.
            let end = source_ids.split_off(source_ids.len() - 1);
            source_ids.truncate(limit.saturating_sub(1));
            source_ids.extend(end);
        }
        let (source_language, target_language) = match bench.updates {
            Some(updates) => updates::turn(i, updates.languages),
            None => (language(source), language(target)),
        };
        requests.push(Request {
            source_ids,
            source_language,
            target_language,
            target_tag: tokenizer.language_id(target)?,
        });
    }
    Ok(requests)
}
