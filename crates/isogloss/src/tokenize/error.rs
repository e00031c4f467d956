//! What can go wrong between a model folder and ids.

use std::fmt;
use std::path::PathBuf;

use crate::files::FileError;

use super::sentencepiece::SentencePieceError;

/// Why a tokenizer cannot be opened, used, trained or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizeError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or its directory cannot be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// A file that the layout needs is not there.
    #[error("{} lacks {what}", dir.display())]
    Missing {
        /// The model folder.
        dir: PathBuf,
        /// The file, and what would do instead.
        what: String,
    },
    /// A SentencePiece model is broken.
    #[error("{} is no usable SentencePiece model", path.display())]
    SentencePiece {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: SentencePieceError,
    },
    /// A JSON file does not parse.
    #[error("{} is not the JSON that is expected there", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A file says something that does not fit.
    #[error("{}{}: {reason}", path.display(), AtLine(*line))]
    Format {
        /// The file.
        path: PathBuf,
        /// The line, from 1, in files that have lines.
        line: Option<usize>,
        /// What is wrong.
        reason: String,
    },
    /// The model has no tag for a language.
    #[error("the model has no language `{language}`; {}", Allowed { near, all: *count, unmapped })]
    UnknownLanguage {
        /// What was asked for.
        language: String,
        /// Codes like it that the model has.
        near: Vec<String>,
        /// How many languages the model has.
        count: usize,
        /// Tags of the model that stand for no language known here.
        unmapped: Vec<String>,
    },
    /// The embedding has no row for some ids.
    #[error(
        "the tokenizer's ids need {needed} rows, but the embedding has {rows}: they belong to different models"
    )]
    Rows {
        /// One more than the highest id.
        needed: usize,
        /// Rows of the embedding.
        rows: usize,
    },
    /// A vocabulary cannot be trained.
    #[error("cannot train a vocabulary: {reason}")]
    Train {
        /// What is wrong, and what to change.
        reason: String,
    },
}

struct AtLine(Option<usize>);

impl fmt::Display for AtLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ", line {line}"))
    }
}

struct Allowed<'a> {
    near: &'a [String],
    all: usize,
    unmapped: &'a [String],
}

impl fmt::Display for Allowed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.near.len() == self.all {
            write!(f, "it has {}", self.near.join(", "))?;
        } else if self.near.is_empty() {
            write!(f, "it has {} languages, none like it", self.all)?;
        } else {
            write!(
                f,
                "it has {} languages, among them {}",
                self.all,
                self.near.join(", ")
            )?;
        }
        if !self.unmapped.is_empty() {
            write!(
                f,
                " (its tags {} stand for no language known here)",
                self.unmapped.join(", ")
            )?;
        }
        Ok(())
    }
}
