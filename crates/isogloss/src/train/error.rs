use std::path::PathBuf;

use isogloss_kernels::CpuError;

use crate::adapter::{AdapterError, AdapterFileError};
use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::corpus::{CorpusError, FilterError, Reason, SampleError};
use crate::decode::{DecodeError, LoadError, VocabularyError};
use crate::evaluate::EvaluateError;
use crate::files::FileError;
use crate::language::Language;
use crate::model::ModelError;
use crate::prune::PruningError;
use crate::tokenize::TokenizeError;

/// Why training could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The text.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The sampling of directions.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The tokenizer, or a language that it doesn't know.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    /// The base.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The base's tensors.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The updates.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// Their pruning.
    #[error(transparent)]
    Pruning(#[from] PruningError),
    /// The updates' files.
    #[error(transparent)]
    AdapterFile(#[from] AdapterFileError),
    /// The output vocabularies' file.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
    /// Loading what was saved.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Cleaning of the text.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A language of whose text nothing is left.
    #[error(
        "the filter dropped all {read} sentence pairs with {language}, most of them since {reason}; mend its text or its code, or set \
         the keys of `[filter]` (`keep_all = true` keeps everything)"
    )]
    FilteredOut {
        /// The language.
        language: Language,
        /// Its pairs before.
        read: usize,
        /// Why most of them were dropped.
        reason: Reason,
    },
    /// Translating held-out text.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Scoring it.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The processor.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// A file of the run.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of the run can't be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another process trains here.
    #[error("{} is in use by another process; wait for it or choose another `run`", path.display())]
    Busy {
        /// The run's folder.
        path: PathBuf,
    },
    /// The run was started with another configuration.
    #[error("{} was started with another configuration: {difference}; choose another `run`, or remove the folder to start over", path.display())]
    ConfigChanged {
        /// The run's folder.
        path: PathBuf,
        /// The first key that differs.
        difference: String,
    },
    /// The base or the text changed since the run was started.
    #[error("{} was started with another {what}; choose another `run`, or remove the folder to start over", path.display())]
    InputChanged {
        /// The run's folder.
        path: PathBuf,
        /// What changed.
        what: &'static str,
    },
    /// A file in the way of the one that the run keeps.
    #[error(
        "{} is no file of a run, and would be replaced; give `run` a folder of its own", path.display()
    )]
    ForeignConfig {
        /// The file.
        path: PathBuf,
    },
    /// A saved state isn't as it was saved.
    #[error(
        "{} is damaged: {reason}; restore it from a copy, or remove the run's folder to start over (keep its `adapters` or `model`, which stay usable)", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The saved state belongs to something else.
    #[error("{} does not fit this run: {reason}; remove the run's folder to start over", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Every sentence is longer than the limit.
    #[error(
        "no training pair has at most {max_tokens} tokens on both sides; raise `training.max_tokens`, as far as the model has positions"
    )]
    AllTooLong {
        /// The limit.
        max_tokens: usize,
    },
    /// The loss is no number any more.
    #[error(
        "the gradient was not finite in {updates} updates in a row (update {update}); lower `training.learning_rate`"
    )]
    Diverged {
        /// The last update.
        update: u64,
        /// Updates in a row.
        updates: u64,
    },
    /// The validation loss is no number any more.
    #[error(
        "the validation loss is not finite (update {update}); lower `training.learning_rate` and choose another `run`"
    )]
    NotFinite {
        /// The last update.
        update: u64,
    },
    /// No plan keeps to the budget.
    #[error(
        "a budget of {budget} parameters is too small: {languages} languages with a rank of 1 at the smallest kind of site take {least}; raise \
         `--budget`, or leave out languages"
    )]
    Budget {
        /// What was given.
        budget: usize,
        /// What the smallest plan takes.
        least: usize,
        /// Languages.
        languages: usize,
    },
    /// Every language has an update already.
    #[error(
        "the adapters that `extends` names have an update of every language that this run may add; name one that has none"
    )]
    NothingToAdd,
    /// Nothing to validate on.
    #[error(
        "there is no validation sentence of at most {max_tokens} tokens; check `validation.data` and raise `validation.sentences` or `training.max_tokens`"
    )]
    NoValidation {
        /// The limit.
        max_tokens: usize,
    },
    /// What was saved doesn't score as what was trained.
    #[error("{} scores {reloaded} after loading, but {trained} in training; the saved files are not what was trained", path.display())]
    Reload {
        /// The folder.
        path: PathBuf,
        /// Validation loss in training.
        trained: f64,
        /// Validation loss of the files.
        reloaded: f64,
    },
}
