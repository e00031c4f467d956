//! What a pilot found: `pilot.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::evaluate::{ChangeOfMean, Comparison};
use crate::files;
use crate::language::{Direction, Language};
use crate::pilot::{Chosen, Judged, PilotError, Share, Stop, Whole};

/// A size that was trained and scored on the text that decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SizeRow {
    /// Its name.
    pub size: String,
    /// The configured ranks times 2 to this power.
    pub power: i32,
    /// Parameters that act in the direction that needs most.
    pub active: usize,
    /// Mean change against the base.
    pub change: ChangeOfMean,
    /// Mean change against the best size; none of that itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_best: Option<ChangeOfMean>,
    /// Directions that are significantly worse than with the best size.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub loses: Vec<Direction>,
    /// Whether it is significantly better than the base in the mean.
    pub gains: bool,
    /// Whether it is significantly worse than the best size, in the mean or in a direction.
    pub worse: bool,
    /// Updates of its training.
    pub updates: u64,
    /// Seconds of its training.
    pub seconds: f64,
    /// Whether the time limit ended its training.
    pub cut: bool,
}

impl SizeRow {
    /// What the next size follows from.
    pub(super) fn judged(&self) -> Judged {
        Judged {
            power: self.power,
            gains: self.gains,
            worse: self.worse,
        }
    }
}

/// What a pilot found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PilotResults {
    /// The limit in seconds.
    pub limit_seconds: f64,
    /// Seconds that the pilot took, all tries together.
    pub seconds: f64,
    /// Directions, and what they stand for.
    pub directions: Vec<Chosen>,
    /// Languages that were trained.
    pub languages: Vec<Language>,
    /// Whether the text that reports is the second half of the validation text.
    pub halves: bool,
    /// How much of everything was done.
    pub share: Share,
    /// Sentences of a direction, at most, on which was decided.
    pub deciding_sentences: usize,
    /// Sentences of a direction, at most, on which is reported.
    pub reporting_sentences: usize,
    /// The sizes in the order in which they were tried.
    pub sizes: Vec<SizeRow>,
    /// The size with the highest mean.
    pub best: String,
    /// The smallest size that gains and isn't significantly worse than the best; none if no size gains.
    pub chosen: Option<String>,
    /// Why no further size was tried.
    pub stopped: Stop,
    /// The chosen size, or where none is chosen the best, against the base, on the text that reports; none if the time was up.
    pub gain: Option<Comparison>,
    /// What the whole configuration takes in that size.
    pub whole: Whole,
    /// What there was no time for.
    pub left_out: Vec<String>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

impl PilotResults {
    /// Writes `pilot.json` and `pilot.md`.
    pub(super) fn write(&self, run: &Path) -> Result<(), PilotError> {
        files::write_json(&run.join("pilot.json"), self)?;
        let text = self.markdown();
        Ok(files::write_atomic(&run.join("pilot.md"), |file| {
            file.write_all(text.as_bytes())
        })?)
    }

    /// The size that the report is about.
    #[must_use]
    pub fn reported(&self) -> &str {
        self.chosen.as_deref().unwrap_or(&self.best)
    }

    /// Whether the gain holds on the text that reports: the interval of the mean lies above 0.
    #[must_use]
    pub fn confirmed(&self) -> bool {
        let gain = self.gain.as_ref();
        self.chosen.is_some() && gain.is_some_and(|gain| gain.mean.interval[0] > 0.0)
    }
}
