use std::path::{Path, PathBuf};

use crate::files::FileError;

/// Why adapters could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterFileError {
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder of a run in place of that of its adapters.
    #[error("{} holds no adapters.json; did you mean {}?", path.display(), within.display())]
    Within {
        /// The folder given.
        path: PathBuf,
        /// The folder that holds adapters.
        within: PathBuf,
    },
    /// The description is no description.
    #[error("{}: {reason}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another base.
    #[error("{} belongs to the base {expected}, but the model given is {got}; adapters work only on the base that they were trained on", path.display())]
    OtherBase {
        /// The folder.
        path: PathBuf,
        /// Hash that it was trained on.
        expected: String,
        /// Hash of the model given.
        got: String,
    },
    /// The weights' file is damaged.
    #[error("{}: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The weights' file isn't the one that was saved.
    #[error(
        "{}: its CRC-32 is {got}, but adapters.json beside it says {expected}: the file is damaged, or of other adapters; copy the whole folder \
        anew from where it was trained",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the description says, in hexadecimal.
        expected: String,
        /// What it is.
        got: String,
    },
    /// A tensor is missing, or isn't what the description says.
    #[error("{}: tensor `{tensor}`: expected {expected}, got {got}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What the description says.
        expected: String,
        /// What is there.
        got: String,
    },
}

impl AdapterFileError {
    /// A file that can't be read.
    pub(crate) fn read(path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |source| AdapterFileError::Read {
            path: path.to_owned(),
            source,
        }
    }
}
