//! What serves each direction: its adaptation, the base, or the adaptation on trial.
//!
//! A [`Rollout`] is decided on the comparison of one scores file ([`plan`]), reported on another that took no part, and kept
//! as TOML with its reasons as comments. Translation obeys it line by line.

mod data;
mod decide;
mod render;

pub use data::shared_data;
pub use decide::{Decided, Plan, Reported, Rules, plan};

use crate::evaluate::MadeWith;
use crate::files::{FileError, write_atomic};
use crate::language::Direction;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What serves a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The adaptation.
    Adapted,
    /// The base alone.
    Base,
    /// The adaptation for a share of the lines, the base for the rest.
    Trial,
}

impl Choice {
    /// As in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Adapted => "adapted",
            Self::Base => "base",
            Self::Trial => "trial",
        }
    }
}

/// What serves each direction: the content of a `rollout.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Hash of the base.
    pub model_hash: String,
    /// Hash of the adapters' folder ([`hash_of_folder`](crate::adapter::hash_of_folder)).
    pub adapters_hash: String,
    /// Share of the lines that a trial gives to the adaptation, 0 to 1.
    pub trial_share: f64,
    /// What serves directions that aren't listed.
    #[serde(default = "base")]
    pub others: Choice,
    /// What the translations that decided were searched for with, and the precision; empty where nobody noted it.
    #[serde(default)]
    pub decided_with: MadeWith,
    /// By direction, as text.
    pub directions: BTreeMap<String, Choice>,
}

fn base() -> Choice {
    Choice::Base
}

/// Why a rollout cannot be made, read or obeyed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RolloutError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no rollout.
    #[error("{} is no rollout: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where it differs.
        reason: String,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// A rule outside its range.
    #[error("{rule} is {found}: expected {expected}")]
    Rule {
        /// Its name.
        rule: &'static str,
        /// What was given.
        found: f64,
        /// What is possible.
        expected: &'static str,
    },
    /// Scores without a comparison.
    #[error("{} compares nothing: expected scores of `isogloss evaluate --against base`", path.display())]
    NoComparison {
        /// The scores file.
        path: PathBuf,
    },
    /// Scores compared with something other than the base.
    #[error("{} compares with {against}: expected a comparison with the base, which is what serves otherwise", path.display())]
    NotTheBase {
        /// The scores file.
        path: PathBuf,
        /// What it compares with.
        against: String,
    },
    /// Scores of no adapters.
    #[error("{} scores no adapters, or is older than the hash of adapters in scores: evaluate anew", path.display())]
    NoAdapters {
        /// The scores file.
        path: PathBuf,
    },
    /// Scores of different systems.
    #[error("{} scores another {what} than {}", other.display(), path.display())]
    OtherSystem {
        /// The file that is decided on.
        path: PathBuf,
        /// The one that is reported on.
        other: PathBuf,
        /// `base` or `adapters`.
        what: &'static str,
    },
    /// What is decided on would be reported on.
    #[error("{} has the same data as {}: {reason}", other.display(), path.display())]
    SameData {
        /// The file that is decided on.
        path: PathBuf,
        /// The one that is reported on.
        other: PathBuf,
        /// How that is known.
        reason: String,
    },
}

impl Rollout {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, if it is no rollout, or if a direction or the share makes no sense.
    pub fn read(path: &Path) -> Result<Self, RolloutError> {
        let text = crate::files::read_text(path).map_err(|source| RolloutError::Read {
            path: path.to_owned(),
            source,
        })?;
        let wrong = |reason: String| RolloutError::Content {
            path: path.to_owned(),
            reason,
        };
        let found: Rollout = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if !(0.0..=1.0).contains(&found.trial_share) {
            let share = found.trial_share;
            return Err(wrong(format!("trial_share is {share}: expected 0 to 1")));
        }
        let mut directions = BTreeMap::new();
        for (name, choice) in found.directions {
            let direction: Direction = name.parse().map_err(|e| wrong(format!("{e}")))?;
            if directions.insert(direction.to_string(), choice).is_some() {
                return Err(wrong(format!("{direction} is listed twice")));
            }
        }
        Ok(Rollout {
            directions,
            ..found
        })
    }

    /// What serves a direction.
    #[must_use]
    pub fn choice(&self, direction: &Direction) -> Choice {
        let choice = self.directions.get(&direction.to_string());
        choice.copied().unwrap_or(self.others)
    }

    /// Whether the adaptation translates a line, not the base alone.
    ///
    /// On trial, the line itself decides: the first 8 bytes of the SHA-256 of its UTF-8, as a big-endian fraction of 2^64,
    /// lie below the share. So a line is always translated alike, a larger share keeps what a smaller one took, and any
    /// program can tell who translated what.
    ///
    /// ```
    /// use isogloss::rollout::{Choice, Rollout};
    ///
    /// let mut rollout = Rollout {
    ///     model_hash: String::new(),
    ///     adapters_hash: String::new(),
    ///     trial_share: 0.25,
    ///     others: Choice::Trial,
    ///     decided_with: Default::default(),
    ///     directions: [("eng_Latn-deu_Latn".to_owned(), Choice::Adapted)].into(),
    /// };
    /// let adapted = "eng_Latn-deu_Latn".parse()?;
    /// let trial = "deu_Latn-eng_Latn".parse()?;
    /// assert!(rollout.adapts(&adapted, "any line"));
    /// // printf 'any line' | sha256sum gives a691…: 0xa6 / 256 = 0.65.
    /// assert!(!rollout.adapts(&trial, "any line"));
    /// rollout.trial_share = 0.66;
    /// assert!(rollout.adapts(&trial, "any line"));
    /// # Ok::<(), isogloss::language::LanguageError>(())
    /// ```
    #[must_use]
    pub fn adapts(&self, direction: &Direction, line: &str) -> bool {
        match self.choice(direction) {
            Choice::Adapted => true,
            Choice::Base => false,
            Choice::Trial => {
                let digest = Sha256::digest(line);
                let mut first = [0; 8];
                first.copy_from_slice(&digest[..8]);
                let place = u64::from_be_bytes(first) as f64 / 2f64.powi(64);
                place < self.trial_share
            }
        }
    }
}

impl Plan {
    /// Writes the rollout with its reasons as comments, as a whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), RolloutError> {
        let text = self.to_toml();
        write_atomic(path, |file| file.write_all(text.as_bytes()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
