//! Configuration files: TOML as typed, every key documented, unknown keys refused with their line.

mod explore;
mod run;
mod shape;
mod training;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use explore::ExploreConfig;
pub use run::{
    Compute, ComputePrecision, Directions, Method, Pivot, PretrainConfig, TrainConfig,
    ValidationConfig,
};
pub(crate) use run::{check_run, languages};
pub use shape::{ShapeConfig, VocabularyConfig};
pub use training::{SmoothingName, TrainingConfig};

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No TOML, or a key that is unknown, missing or of another type. The message carries line and column.
    #[error("{}: {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// Pruning that makes no sense.
    #[error(transparent)]
    Pruning(#[from] crate::prune::PruningError),
    /// A value that makes no sense.
    #[error("`{key}`: {reason}")]
    Value {
        /// The key, with its section.
        key: &'static str,
        /// What is wrong, and what was expected.
        reason: String,
    },
}

/// A value that makes no sense.
pub(crate) fn value<T>(key: &'static str, reason: String) -> Result<T, ConfigError> {
    Err(ConfigError::Value { key, reason })
}

/// Reads a configuration file.
///
/// # Errors
/// If it can't be read or parsed.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = crate::files::read_text(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|e| ConfigError::Parse {
        path: path.to_owned(),
        reason: e.to_string().trim_end().to_owned(),
    })
}
