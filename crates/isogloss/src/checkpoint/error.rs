use std::io;
use std::path::{Path, PathBuf};

use crate::files::FileError;

/// Why a model could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file could not be opened or mapped.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// There is nothing at the path.
    #[error(
        "there is no {}: give the path of a model's folder; a name on Hugging Face must be downloaded first", path.display()
    )]
    Nowhere {
        /// What was to be opened.
        path: PathBuf,
    },
    /// The path holds no model.
    #[error(
        "{} holds no model: expected {expected}; give a Hugging Face folder of model_type m2m_100 or a fairseq checkpoint",
        path.display()
    )]
    NoModel {
        /// What was to be opened.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// A file is cut short, damaged, or not of the kind that its name promises.
    #[error("{} is damaged or no {kind}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be.
        kind: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A file is of a kind that is known and not read.
    #[error("{}: {what} is not supported; {remedy}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What was met.
        what: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A pickle names something other than tensors. It was not loaded, and nothing was run.
    #[error(
        "{} was refused: it wants to load `{global}`, and only tensors are read from a pickle; \
         convert the model to safetensors in a place where you trust the file", path.display()
    )]
    UnsafePickle {
        /// The file.
        path: PathBuf,
        /// `module.name` of what it refers to.
        global: String,
    },
    /// A setting is missing, of the wrong kind, contradictory, or of another kind of model.
    #[error("{}: `{field}` should be {expected}, got {got}", path.display())]
    Config {
        /// The file that holds the setting.
        path: PathBuf,
        /// Its name there.
        field: String,
        /// What would be accepted.
        expected: String,
        /// What is there.
        got: String,
    },
    /// The configuration asks for a tensor that no file has.
    #[error("{}: tensor `{tensor}` of shape {expected:?} is missing", path.display())]
    MissingTensor {
        /// The model.
        path: PathBuf,
        /// Name without the prefix `model.`.
        tensor: String,
        /// Its shape, by the configuration.
        expected: Vec<usize>,
    },
    /// A file has a tensor that a model of this configuration does not consist of.
    #[error("{}: unexpected tensor `{tensor}` ({count} in all are unknown to this configuration)", path.display())]
    UnexpectedTensor {
        /// The file.
        path: PathBuf,
        /// Its name there.
        tensor: String,
        /// How many such tensors there are.
        count: usize,
    },
    /// Two tensors of the files have the same name, with and without the prefix `model.` or in two shards.
    #[error("{}: tensor `{tensor}` is there twice", path.display())]
    DuplicateTensor {
        /// The file of the second one.
        path: PathBuf,
        /// Name without the prefix `model.`.
        tensor: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("{}: tensor `{tensor}` should have shape {expected:?}, got {got:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape, by the configuration.
        expected: Vec<usize>,
        /// Its shape in the file.
        got: Vec<usize>,
    },
    /// A tensor has elements of a type that weights do not have.
    #[error("{}: tensor `{tensor}` should be F32, BF16, F16 or F64, got {got}", path.display())]
    DType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type in the file.
        got: String,
    },
    /// A weight is NaN or infinite.
    #[error("{}: tensor `{tensor}` should be finite, got {value} at index {index}; the training that wrote it diverged or the file is damaged", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Row-major index of the first such weight.
        index: usize,
        /// The weight.
        value: f32,
    },
    /// The embedding is stored under several names, and they differ.
    #[error(
        "{}: `{first}` and `{second}` should be the same tied embedding, and differ at index {index}; \
         models with untied embeddings are not supported", path.display()
    )]
    Untied {
        /// The model.
        path: PathBuf,
        /// The name that is used.
        first: String,
        /// The name that differs.
        second: String,
        /// Row-major index of the first difference.
        index: usize,
    },
}

impl CheckpointError {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
        |source| CheckpointError::Read {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn malformed(
        path: &Path,
        kind: &'static str,
        problem: impl Into<String>,
    ) -> CheckpointError {
        CheckpointError::Malformed {
            path: path.to_owned(),
            kind,
            problem: problem.into(),
        }
    }
}
