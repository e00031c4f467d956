use std::path::PathBuf;

use crate::compare::CompareError;
use crate::config::ConfigError;
use crate::corpus::CorpusError;
use crate::evaluate::{ComparisonError, EvaluateError};
use crate::files::FileError;
use crate::language::Direction;
use crate::train::TrainError;

/// Why there is no pilot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PilotError {
    /// Another method.
    #[error(
        "a pilot is about language-specific updates, but `method` is \"{method}\"; set `method = \"lslo\"`, or use `isogloss compare` to \
         see methods beside each other"
    )]
    Method {
        /// What is configured.
        method: String,
    },
    /// A direction that can't be chosen.
    #[error(
        "{direction} can't take part: {reason}; choose among the configuration's directions, such as {example}"
    )]
    Direction {
        /// The direction.
        direction: Direction,
        /// Why not.
        reason: &'static str,
        /// One that can.
        example: String,
    },
    /// Nothing to choose from.
    #[error(
        "no direction has training text and at least {least} sentences of validation text; add validation text to the configuration"
    )]
    NoDirection {
        /// Sentences that are needed.
        least: usize,
    },
    /// It doesn't fit.
    #[error(
        "the smallest pilot takes about {least_minutes:.1} minutes here, more than {minutes:.1}; raise --time-limit, or name fewer --directions"
    )]
    Limit {
        /// The limit.
        minutes: f64,
        /// What it takes at least.
        least_minutes: f64,
    },
    /// The base wasn't scored, or nothing trained, when time was up.
    #[error(
        "the time was up before anything could be compared: this machine was slower than measured; go on with --fresh and a longer --time-limit"
    )]
    TimeUp,
    /// It was started otherwise.
    #[error(
        "{} holds a pilot with --time-limit {before}, now it is {now}; the same limit goes on with it, --fresh starts over", path.display()
    )]
    OtherLimit {
        /// Its folder.
        path: PathBuf,
        /// As it was started.
        before: String,
        /// As it is asked for now.
        now: String,
    },
    /// What is compared: base, texts, cells.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// Training, or a folder that another process or configuration holds.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Text.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// Comparing scores.
    #[error(transparent)]
    Comparison(#[from] ComparisonError),
    /// Scoring.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// A file that can't be written.
    #[error(transparent)]
    File(#[from] FileError),
}
