use isogloss_kernels::Cpu;

use crate::adapter::AdapterError;
use crate::batch::LanguageId;
use crate::bench::{Amount, MemoryLimit, Repeat, Report, decoding_operations, report, updates};
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
    let (model, mut store) = (&loaded.model, ParamStore::new());
    let set = match bench.updates {
        None => None,
        Some(BenchUpdates {
            languages,
            bank,
            rank,
        }) => {
            let count = languages.max(bank);
            let set = updates::random(model.config(), rank, count, &mut store)?;
            set.adapters.keep(backend, &mut store);
            Some(set)
        }
    };
    let cx = match &set {
        None => loaded.context(backend),
        Some(set) => Context {
            backend,
            store: &store,
            adapters: &set.adapters,
            dropout: None,
        },
    };
    let trainable = cx.store.values().len();
    let options = DecodeOptions {
        beam: bench.beam,
        max_length: MaxLength::Pieces(bench.exact_length),
        min_length: bench.exact_length,
        ..DecodeOptions::default()
    };
    let translator = Translator::new(model, cx).with_batch_tokens(batch_tokens(&requests, bench));
    // Who is alone is translated by a call of its own, whatever a translator does with several sentences.
    let together = match bench.batch {
        0 | 1 => 1,
        _ => requests.len().max(1),
    };
    let work = || {
        for requests in requests.chunks(together) {
            translator.translate_ids(requests, &options, &mut |_| ())?;
        }
        Ok::<(), DecodeError>(())
    };
    let seconds = bench.repeat.time(work, done)?;
    let source_tokens = requests.iter().map(|r| r.source_ids.len()).sum();
    let target_tokens = requests.len() * bench.exact_length;
    let amount = Amount {
        sentences: requests.len(),
        source_tokens,
        target_tokens,
        trainable,
        operations: decoding_operations(model.config(), source_tokens, target_tokens, bench.beam),
    };
    // First: what the measurement of the memory reads is no part of the work's.
    let report = report(backend, amount, seconds);
    let memory = MemoryLimit::measure(backend, model.decoder_step_bytes());
    Ok(Report {
        batch: Some(bench.batch),
        memory: Some(memory),
        ..report
    })
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
