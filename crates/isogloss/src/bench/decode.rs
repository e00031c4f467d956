use isogloss_kernels::Cpu;

use crate::bench::{Amount, Repeat, Report, decoding_operations, report};
use crate::decode::{DecodeError, DecodeOptions, Loaded, MaxLength, Request, Translator};
use crate::language::Direction;

/// What is decoded, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeBench {
    /// Direction of the text.
    pub direction: Direction,
    /// Hypotheses a sentence.
    pub beam: usize,
    /// Sentences translated together.
    pub batch: usize,
    /// Longest source in tokens, tag and `</s>` counted; longer ones are cut. `None` takes them as they are.
    pub source_limit: Option<usize>,
    /// Pieces of every translation: `</s>` is ruled out before. The tag isn't counted.
    pub exact_length: usize,
    /// Repetitions, of the whole text.
    pub repeat: Repeat,
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
) -> Result<Report, DecodeError> {
    let requests = requests(loaded, lines, bench)?;
    let config = loaded.model.config();
    let source_tokens = requests.iter().map(|r| r.source_ids.len()).sum();
    let target_tokens = requests.len() * bench.exact_length;
    let options = DecodeOptions {
        beam: bench.beam,
        max_length: MaxLength::Pieces(bench.exact_length),
        min_length: bench.exact_length,
        ..DecodeOptions::default()
    };
    let longest = requests.iter().map(|r| r.source_ids.len()).max();
    // A batch is so many sentences, not tokens: each call gets no more, and all of them fit.
    let translator = Translator::new(&loaded.model, loaded.context(backend))
        .with_batch_tokens(bench.batch * longest.unwrap_or(0).max(Translator::<Cpu>::SHORTEST));
    let work = || {
        for requests in requests.chunks(bench.batch.max(1)) {
            translator.translate_ids(requests, &options, &mut |_| ())?;
        }
        Ok::<(), DecodeError>(())
    };
    let seconds = bench.repeat.time(work, done)?;
    let amount = Amount {
        sentences: requests.len(),
        source_tokens,
        target_tokens,
        trainable: loaded.store.values().len(),
        operations: decoding_operations(config, source_tokens, target_tokens, bench.beam),
    };
    Ok(report(backend, amount, seconds))
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
        id.unwrap_or(crate::batch::LanguageId(u16::MAX))
    };
    let mut requests = Vec::with_capacity(lines.len());
    for line in lines {
        let mut source_ids = tokenizer.source_ids(line, source)?;
        if let Some(limit) = bench.source_limit
            && source_ids.len() > limit
        {
            // Tag and end stay; the text is cut.
            let end = source_ids.split_off(source_ids.len() - 1);
            source_ids.truncate(limit.saturating_sub(1));
            source_ids.extend(end);
        }
        requests.push(Request {
            source_ids,
            source_language: language(source),
            target_language: language(target),
            target_tag: tokenizer.language_id(target)?,
        });
    }
    Ok(requests)
}
