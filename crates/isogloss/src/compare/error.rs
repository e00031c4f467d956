use std::path::PathBuf;

use crate::compare::Kind;
use crate::config::ConfigError;
use crate::corpus::CorpusError;
use crate::decode::{DecodeError, LoadError};
use crate::evaluate::{
    ComparisonError, EvaluateError, EvaluationError, HypothesesError, ScoresFileError,
};
use crate::files::FileError;
use crate::plan::PlanError;
use crate::report::ReportError;
use crate::train::TrainError;

/// Why methods can't be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of the comparison that is no configuration of this kind.
    #[error("the training configuration of `{method}`: {reason}")]
    Method {
        /// The method.
        method: String,
        /// What is wrong.
        reason: String,
    },
    /// A method without a kind.
    #[error("`methods.{method}` is named after no kind of method; give it `kind`, one of {kinds}")]
    NoKind {
        /// The method.
        method: String,
        /// What there is.
        kinds: String,
    },
    /// A method whose updates can't be combined.
    #[error(
        "`methods.{method}.missing` is \"combine\", but `{}` has no updates of a source and a target to combine; leave the key out, or take a kind of LSLo or of a shared LoRA", kind.as_str()
    )]
    Combine {
        /// The method.
        method: String,
        /// Its kind.
        kind: Kind,
    },
    /// A name that can't be a folder's.
    #[error(
        "`{name}` can't be the name of a method or a test: expected letters, digits, `-`, `_` and `.`, and no name that the run's folder uses itself"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Too many directions for an update each.
    #[error(
        "`{method}` trains an update for each of {directions} directions, each a run of its own; at most {limit} directions are taken. Leave it out, or train fewer directions"
    )]
    TooManyDirections {
        /// The method.
        method: String,
        /// Directions of the training text.
        directions: usize,
        /// Most that are taken.
        limit: usize,
    },
    /// A line that is no direction.
    #[error("{}:{line}: {reason}", path.display())]
    DirectionsFile {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The test holds no text for a direction that is to be scored on fewer directions, or it is not among them.
    #[error("`test.fewer` names {direction}, which is not among `test.directions`")]
    NotAmong {
        /// The direction.
        direction: String,
    },
    /// Even the smallest experiment takes longer.
    #[error(
        "the smallest form of this experiment takes about {least:.2} hours here, more than {hours} hours; raise --budget-hours, lower `[least]`, or leave out methods"
    )]
    Budget {
        /// The budget.
        hours: f64,
        /// What it takes at least.
        least: f64,
    },
    /// No budget.
    #[error(
        "say how long it may take: --budget-hours N, or --published for the whole experiment whatever it takes"
    )]
    NoBudget,
    /// Another budget than that under which the comparison was started.
    #[error(
        "{} was started {before}, now it is to run {now}; choose another `run`, or remove the folder to start over", path.display()
    )]
    OtherBudget {
        /// The comparison's folder.
        path: PathBuf,
        /// As it was started.
        before: String,
        /// As it was asked for now.
        now: String,
    },
    /// A file of the comparison can't be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Text.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// A plan that can't be used.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Training, or a folder that another process or configuration holds.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A model that can't be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Translating.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Translating and scoring.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// Translations that lie in a cell's folder.
    #[error(transparent)]
    Hypotheses(#[from] HypothesesError),
    /// Comparing scores.
    #[error(transparent)]
    Comparison(#[from] ComparisonError),
    /// Scores that can't be read.
    #[error(transparent)]
    Scores(#[from] ScoresFileError),
    /// The page.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Scoring.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// A file that can't be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The processor.
    #[error(transparent)]
    Cpu(#[from] isogloss_kernels::CpuError),
}

impl CompareError {
    /// A file that can't be read.
    pub(super) fn read(path: &std::path::Path, reason: &impl ToString) -> Self {
        CompareError::Read {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}
