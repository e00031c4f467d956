use std::path::PathBuf;

use crate::files::FileError;

/// Why a report can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A folder that is no run.
    #[error("{} is no run: {reason}", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: &'static str,
    },
    /// A run is named twice.
    #[error("{} is named twice", path.display())]
    Twice {
        /// The folder.
        path: PathBuf,
    },
    /// A file can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds something else than its name says.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The price is no price.
    #[error("{what}")]
    Price {
        /// What is wrong with it.
        what: String,
    },
    /// A file can't be written.
    #[error(transparent)]
    Write(#[from] FileError),
}
