use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::language::Language;

/// The `[pruning]` section: how updates are pruned while they are trained (Cao et al. 2024; the shape and the pools are those of their
/// released code, which prunes single entries). What counts least becomes zero and stays so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PruningConfig {
    /// Share of the entries of `lora_b`, or with `unit = "component"` of all parameters, that is pruned in the end, 0 to 1. Default 0.9.
    pub target_ratio: f64,
    /// The epoch, from 1, at whose start pruning sets in; the share is still 0 there and rises from the next on. Default 2.
    pub start_epoch: u64,
    /// Epochs from `start_epoch` until the target is reached. Default 10.
    pub duration: u64,
    /// How the share rises. Default `"cubic"`.
    pub shape: PruningShape,
    /// What is pruned as a whole. Default `"entry"`.
    pub unit: PruningUnit,
    /// What is ranked together. Default `"language"`.
    pub pool: PruningPool,
    /// Target of single languages, in place of `target_ratio`.
    #[serde(
        deserialize_with = "crate::unique::deserialize",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub language_ratios: BTreeMap<Language, f64>,
}

/// How the pruned share rises from 0 to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PruningShape {
    /// `1 - (1 - x)^3`: fast at first (Zhu & Gupta 2017, section 3).
    #[default]
    Cubic,
    /// `x`.
    Linear,
}

/// What is pruned as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PruningUnit {
    /// Single entries of `lora_b`, those of the smallest magnitudes first. `lora_a` stays whole.
    #[default]
    Entry,
    /// Components of rank one: a row of `lora_a` with its column of `lora_b`, first those whose product has the smallest Frobenius norm for
    /// its parameters. What is left is dense, of a lower rank where less is needed (as in `AdaLoRA`, Zhang et al. 2023, which ranks
    /// components by sensitivity and keeps them orthogonal).
    Component,
}

/// What is ranked together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PruningPool {
    /// All of a language's: sites may end up with different shares, or ranks.
    #[default]
    Language,
    /// A language's at each site: every site gets the same share.
    Site,
}

impl Default for PruningConfig {
    fn default() -> Self {
        PruningConfig {
            target_ratio: 0.9,
            start_epoch: 2,
            duration: 10,
            shape: PruningShape::Cubic,
            unit: PruningUnit::Entry,
            pool: PruningPool::Language,
            language_ratios: BTreeMap::new(),
        }
    }
}

/// Why updates can't be pruned as configured.
#[derive(Debug, thiserror::Error)]
#[error("`pruning.{key}`: {reason}")]
pub struct PruningError {
    pub(super) key: &'static str,
    pub(super) reason: String,
}

impl PruningConfig {
    /// Share of the target that is pruned from the start of `epoch` (from 1) on, 0 to 1; it never falls.
    #[must_use]
    pub fn progress(&self, epoch: u64) -> f64 {
        if epoch < self.start_epoch {
            return 0.0;
        }
        let x = match self.duration {
            0 => 1.0,
            duration => ((epoch - self.start_epoch) as f64 / duration as f64).min(1.0),
        };
        match self.shape {
            PruningShape::Cubic => 1.0 - (1.0 - x).powi(3),
            PruningShape::Linear => x,
        }
    }

    /// The epoch, from 1, at whose start the target is reached.
    #[must_use]
    pub fn end_epoch(&self) -> u64 {
        self.start_epoch.saturating_add(self.duration)
    }

    /// Checks ranges, and that the target is reached within the run.
    ///
    /// # Errors
    /// Names the key, what it may be and what it is.
    pub fn validate(&self, epochs: u64) -> Result<(), PruningError> {
        let wrong = |key, reason| Err(PruningError { key, reason });
        let ratios = self.language_ratios.values().copied();
        for (key, ratio) in std::iter::once(("target_ratio", self.target_ratio))
            .chain(ratios.map(|ratio| ("language_ratios", ratio)))
        {
            if !(0.0..=1.0).contains(&ratio) {
                return wrong(key, format!("is {ratio}; it must be from 0 to 1"));
            }
        }
        if self.start_epoch == 0 {
            let reason = "is 0; epochs are counted from 1, and before the first one `lora_b` is zero throughout";
            return wrong("start_epoch", reason.to_owned());
        }
        // At once, at the start of the first epoch: nothing would say which entries matter.
        if self.end_epoch() < 2 {
            let reason = "is 0 with `start_epoch` 1; pruning before the first epoch would choose among zeros";
            return wrong("duration", reason.to_owned());
        }
        if self.end_epoch() > epochs {
            let reason = format!(
                "is {}, so the target would be reached at epoch {} of {epochs}; lower it or `start_epoch`, or raise `training.epochs`",
                self.duration,
                self.end_epoch(),
            );
            return wrong("duration", reason);
        }
        Ok(())
    }
}
