//! How much of an experiment is done, and how long it takes: decided, and written down, before anything starts.

use serde::{Deserialize, Serialize};

use crate::compare::{Extent, Scored};

/// How long a comparison may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// So many hours: what doesn't fit is reduced.
    Hours(f64),
    /// Whatever it takes: nothing is reduced.
    Published,
}

/// Whether figures are those of the experiment as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// They are.
    Published,
    /// They are of less of it.
    Reduced,
}

impl Label {
    /// `published` or `reduced`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Label::Published => "published",
            Label::Reduced => "reduced",
        }
    }
}

/// What this machine does in a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Speeds {
    /// Floating-point operations of training every weight.
    pub full: f64,
    /// Floating-point operations of training beside a frozen base.
    pub frozen: f64,
    /// Source tokens translated as the test is.
    pub beam: f64,
    /// Source tokens translated greedily, as validation does.
    pub greedy: f64,
}

/// A cell with its predicted hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellPlan {
    /// Its folder.
    pub name: String,
    /// The method.
    pub method: String,
    /// The seed; none for what isn't trained.
    pub seed: Option<u64>,
    /// Learning rates that are tried.
    pub rates: usize,
    /// Which directions are scored.
    pub scored: Scored,
    /// Hours of training, validation included.
    pub training_hours: f64,
    /// Hours of translating.
    pub scoring_hours: f64,
}

/// How much of an experiment is done: the file `protocol.json` of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// Whether anything is reduced.
    pub label: Label,
    /// The budget; none for the whole experiment whatever it takes.
    pub budget_hours: Option<f64>,
    /// The whole experiment.
    pub whole: Extent,
    /// What of it is done.
    pub extent: Extent,
    /// Predicted hours of the whole experiment.
    pub whole_hours: f64,
    /// Predicted hours of what is done.
    pub hours: f64,
    /// What the predictions rest on.
    pub speeds: Speeds,
    /// The cells, in the order in which they are done.
    pub cells: Vec<CellPlan>,
}

impl Protocol {
    /// Whether it was made for a budget.
    pub(super) fn is_for(&self, budget: Budget) -> bool {
        match budget {
            Budget::Hours(hours) => self.budget_hours == Some(hours),
            Budget::Published => self.budget_hours.is_none(),
        }
    }
}
