//! Plans: where each language's update goes and how large it is, made by exploring, read and edited by people, consumed by training.

mod budget;
mod ranks;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::adapter::{Place, Projection, Side, Sites};
use crate::config::{ConfigError, Method, TrainConfig, read};
use crate::files::{self, FileError};
use crate::language::Language;
use crate::prune::PruningConfig;

pub use budget::{Budget, BudgetError};
pub use ranks::{RankPlan, allocate};

/// The content of a `plan.toml`. It takes the place of what the `[adapter]` section of a configuration says about sites, sides and ranks, and
/// of its `[pruning]` where it has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Hash of the base that it was made for. Empty: any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base: String,
    /// The projections that get updates.
    pub sites: BTreeSet<Projection>,
    /// Rank of each language; 0 leaves it on the base.
    #[serde(deserialize_with = "crate::unique::deserialize")]
    pub ranks: BTreeMap<Language, usize>,
    /// Which language selects, by layer or site. None: as the configuration says. Otherwise its `sides` and `encoder_target_from` count for
    /// nothing, and places that are not named go by the default.
    #[serde(
        default,
        deserialize_with = "crate::unique::deserialize",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub sides: BTreeMap<Place, Side>,
    /// Gradual pruning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruning: Option<PruningConfig>,
}

/// Why each part of a plan is as it is, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasons {
    /// How the plan came about.
    pub summary: Vec<String>,
    /// Of the choice of sites.
    pub sites: Vec<String>,
    /// Of each language's rank.
    pub ranks: BTreeMap<Language, String>,
    /// Of each place's side.
    pub sides: BTreeMap<Place, String>,
}

/// Why a plan can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// It can't be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It is for another base.
    #[error(
        "the plan was made for the base {plan}, but the configuration's model is {model}; explore again with this model, or remove `base` \
         from the plan to use it all the same"
    )]
    OtherBase {
        /// Hash in the plan.
        plan: String,
        /// Hash of the model.
        model: String,
    },
    /// The method has no use for a plan.
    #[error(
        "a plan gives every language an update of its own, but the configuration's `method` is another; set `method = \"lslo\"`, or leave \
         out the plan"
    )]
    Method,
    /// Its languages are others.
    #[error(
        "the plan {has} {language}, which the configuration {lacks}; explore with this configuration, or edit `[ranks]` of the plan"
    )]
    Languages {
        /// `names` or `does not name`.
        has: &'static str,
        /// The first one that stands on one side alone.
        language: Language,
        /// `does not name` or `names`.
        lacks: &'static str,
    },
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// If the file can't be read, or isn't a plan.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        Ok(read(path)?)
    }

    /// Puts the plan into a configuration. `base` is the hash of its model.
    ///
    /// # Errors
    /// If the plan is for another base or other languages, or the method isn't LSLo.
    pub fn apply(&self, config: &mut TrainConfig, base: &str) -> Result<(), PlanError> {
        if config.method != Method::Lslo {
            return Err(PlanError::Method);
        }
        if !self.base.is_empty() && self.base != base {
            return Err(PlanError::OtherBase {
                plan: self.base.clone(),
                model: base.to_owned(),
            });
        }
        let configured: BTreeSet<&Language> = config.languages.values().flatten().collect();
        let planned: BTreeSet<&Language> = self.ranks.keys().collect();
        let (names, lacks) = ("names", "does not name");
        if let Some(&language) = planned.difference(&configured).next() {
            let language = language.clone();
            return Err(PlanError::Languages {
                has: names,
                language,
                lacks,
            });
        }
        if let Some(&language) = configured.difference(&planned).next() {
            let language = language.clone();
            return Err(PlanError::Languages {
                has: lacks,
                language,
                lacks: names,
            });
        }
        let adapter = &mut config.adapter;
        adapter.sites = Sites::Projections(self.sites.clone());
        (adapter.rank, adapter.ranks) = (None, BTreeMap::new());
        adapter.language_ranks = self.ranks.clone();
        if !self.sides.is_empty() {
            adapter.encoder_target_from = None;
            adapter.sides = self.sides.clone();
        }
        if self.pruning.is_some() {
            config.pruning = self.pruning.clone();
        }
        Ok(())
    }

    /// Writes the plan with its reasons as comments, as a whole or not at all.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn write(&self, path: &Path, reasons: &Reasons) -> Result<(), FileError> {
        let text = self.to_toml(reasons);
        files::write_atomic(path, |w| w.write_all(text.as_bytes()))
    }

    /// The plan as TOML, with its reasons as comments.
    #[must_use]
    pub fn to_toml(&self, reasons: &Reasons) -> String {
        let mut text = String::new();
        let comment = |text: &mut String, lines: &[String]| {
            for line in lines {
                let _ = writeln!(text, "# {line}");
            }
        };
        comment(&mut text, &reasons.summary);
        if !self.base.is_empty() {
            let _ = writeln!(
                text,
                "\n# The model that it was made for.\nbase = \"{}\"",
                self.base
            );
        }
        text.push('\n');
        comment(&mut text, &reasons.sites);
        let sites: Vec<String> = self
            .sites
            .iter()
            .map(|p| format!("{:?}", p.name()))
            .collect();
        let _ = writeln!(text, "sites = [{}]", sites.join(", "));
        text.push_str("\n[ranks]\n");
        for (language, rank) in &self.ranks {
            let reason = reasons.ranks.get(language);
            let reason = reason.map_or_else(String::new, |reason| format!("  # {reason}"));
            let _ = writeln!(text, "{language} = {rank}{reason}");
        }
        if !self.sides.is_empty() {
            text.push_str("\n[sides]\n");
        }
        for (place, side) in &self.sides {
            let reason = reasons.sides.get(place);
            let reason = reason.map_or_else(String::new, |reason| format!("  # {reason}"));
            let _ = writeln!(text, "\"{place}\" = \"{}\"{reason}", side.name());
        }
        if let Some(pruning) = &self.pruning {
            let section = toml::to_string(pruning).unwrap_or_default();
            let _ = write!(text, "\n[pruning]\n{section}");
        }
        text
    }
}
