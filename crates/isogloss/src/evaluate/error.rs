//! Why a score could not be computed.

use std::path::PathBuf;

/// What stands in the way of a score.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// There is nothing to score.
    #[error("no hypotheses: expected at least one line")]
    NoHypotheses,
    /// No reference stream was given.
    #[error("no references: expected at least one reference for the {hypotheses} hypotheses")]
    NoReferences {
        /// Number of hypotheses.
        hypotheses: usize,
    },
    /// A reference stream has no line at all.
    #[error(
        "reference stream {stream} is empty: expected {hypotheses} lines, one for each hypothesis"
    )]
    EmptyReferences {
        /// Which stream, counted from 1.
        stream: usize,
        /// Number of hypotheses.
        hypotheses: usize,
    },
    /// A reference stream is longer or shorter than the hypotheses.
    #[error(
        "reference stream {stream} has {references} lines, the hypotheses have {hypotheses}: they must be parallel"
    )]
    LineCounts {
        /// Which stream, counted from 1.
        stream: usize,
        /// Its lines.
        references: usize,
        /// Number of hypotheses.
        hypotheses: usize,
    },
    /// Not the name of a metric.
    #[error("unknown metric `{name}`: expected bleu, spbleu, chrf, chrf+, chrf++ or ter")]
    UnknownMetric {
        /// What was given.
        name: String,
    },
    /// Not the name of a tokenizer.
    #[error(
        "unknown tokenizer `{name}`: expected 13a, intl, char, zh or none (or spm with a SentencePiece model)"
    )]
    UnknownTokenizer {
        /// What was given.
        name: String,
    },
    /// A tokenizer that needs MeCab and its dictionary, which are not part of this program.
    #[error(
        "tokenizer `{name}` needs MeCab and its dictionary, which Isogloss does not carry: use chrF++, \
         spBLEU with a SentencePiece model, or the tokenizer `char`"
    )]
    NeedsMecab {
        /// `ja-mecab` or `ko-mecab`.
        name: String,
    },
    /// spBLEU without its SentencePiece model.
    #[error(
        "`{name}` needs a SentencePiece model: give its file, such as flores200_sacrebleu_tokenizer_spm.model"
    )]
    NeedsSentencePiece {
        /// The metric or tokenizer asked for.
        name: String,
    },
    /// A SentencePiece model that cannot be used.
    #[error("{}: {reason}", path.display())]
    SentencePiece {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Not a smoothing of BLEU.
    #[error("unknown smoothing `{name}`: expected exp, floor, add-k or none")]
    UnknownSmoothing {
        /// What was given.
        name: String,
    },
    /// A smoothing value that is negative or no number.
    #[error("smoothing value {value}: expected a finite number of at least 0")]
    SmoothingValue {
        /// What was given.
        value: f64,
    },
    /// A setting outside its range.
    #[error("{setting} of chrF is {found}: expected {lowest} to {highest}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What was given.
        found: usize,
        /// The least value allowed.
        lowest: usize,
        /// The greatest value allowed.
        highest: usize,
    },
    /// A test without resamples.
    #[error("no resamples: expected at least one, usually 1000")]
    NoResamples,
    /// Systems that translated different numbers of sentences.
    #[error(
        "system {system} has {found} lines, the baseline has {expected}: they must be parallel"
    )]
    Systems {
        /// Which system, counted from 1; the baseline is the first.
        system: usize,
        /// Its lines.
        found: usize,
        /// Lines of the baseline.
        expected: usize,
    },
    /// Statistics that are not of this metric.
    #[error(
        "{found} statistics where {metric} has {expected}: were they summed from another metric?"
    )]
    Statistics {
        /// The metric asked.
        metric: String,
        /// Numbers it has for a sentence.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
}
