//! What can be done to the base.

use serde::{Deserialize, Serialize};

use crate::config::Method;
use crate::decode::MissingUpdates;

/// What is done to the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The source is handed back.
    Copy,
    /// Nothing.
    Base,
    /// Every weight is trained.
    Full,
    /// One update for all languages, of the rank that comes nearest to LSLo's parameters in all.
    LoraTotal,
    /// One update for all languages, of the rank that comes nearest to LSLo's parameters in one direction.
    LoraActive,
    /// An update for each direction, each trained alone, of the rank of [`LoraActive`](Kind::LoraActive).
    LoraDirection,
    /// An update for each language, as configured, without pruning.
    Lslo,
    /// The same, pruned while it is trained: as configured, or over two thirds of the epochs with the defaults of `[pruning]`.
    LsloPruned,
    /// LSLo with the sides of a plan, and ranks as configured.
    LsloPlacement,
    /// LSLo with the whole plan: sites, sides and ranks.
    LsloPlan,
    /// The same, pruned while it is trained.
    LsloPlanPruned,
}

impl Kind {
    /// Kinds that are trained, in the order of reports.
    pub const TRAINED: [Kind; 9] = [
        Kind::Full,
        Kind::LoraTotal,
        Kind::LoraActive,
        Kind::LoraDirection,
        Kind::Lslo,
        Kind::LsloPruned,
        Kind::LsloPlacement,
        Kind::LsloPlan,
        Kind::LsloPlanPruned,
    ];

    /// Kinds that are compared where no method is named: one update a direction takes a run a direction, and has to be asked for.
    pub(super) const DEFAULT: [Kind; 8] = [
        Kind::Full,
        Kind::LoraTotal,
        Kind::LoraActive,
        Kind::Lslo,
        Kind::LsloPruned,
        Kind::LsloPlacement,
        Kind::LsloPlan,
        Kind::LsloPlanPruned,
    ];

    /// `lora-total`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Copy => "copy",
            Kind::Base => "base",
            Kind::Full => "full",
            Kind::LoraTotal => "lora-total",
            Kind::LoraActive => "lora-active",
            Kind::LoraDirection => "lora-direction",
            Kind::Lslo => "lslo",
            Kind::LsloPruned => "lslo-pruned",
            Kind::LsloPlacement => "lslo-placement",
            Kind::LsloPlan => "lslo-plan",
            Kind::LsloPlanPruned => "lslo-plan-pruned",
        }
    }

    /// What training calls it.
    pub(super) fn method(self) -> Method {
        match self {
            Kind::Full => Method::Full,
            Kind::LoraTotal | Kind::LoraActive | Kind::LoraDirection => Method::Lora,
            _ => Method::Lslo,
        }
    }

    /// Whether its updates go by a plan.
    #[must_use]
    pub fn is_planned(self) -> bool {
        use Kind::{LsloPlacement, LsloPlan, LsloPlanPruned};
        matches!(self, LsloPlacement | LsloPlan | LsloPlanPruned)
    }

    pub(super) fn is_pruned(self) -> bool {
        matches!(self, Kind::LsloPruned | Kind::LsloPlanPruned)
    }

    /// Whether its updates can act where they weren't trained. Full fine-tuning knows no other way, and an update that was trained in one
    /// direction is no other's.
    pub(super) fn combines(self) -> bool {
        self != Kind::LoraDirection && self.method() != Method::Full
    }

    /// Whether its rank is chosen after LSLo's.
    pub(super) fn is_sized(self) -> bool {
        self.method() == Method::Lora
    }
}

/// What translates a direction that a method wasn't trained in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The base alone: nothing changes where nobody trained.
    #[default]
    Base,
    /// The updates of its source and its target, though nobody trained them together; a shared update as anywhere else.
    Combine,
}

impl Missing {
    /// `base` or `combine`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Missing::Base => "base",
            Missing::Combine => "combine",
        }
    }

    /// For keys that are left out where they say what holds anyway.
    pub(super) fn is_base(&self) -> bool {
        *self == Missing::Base
    }
}

impl From<Missing> for MissingUpdates {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Base => MissingUpdates::Base,
            Missing::Combine => MissingUpdates::Combine,
        }
    }
}
