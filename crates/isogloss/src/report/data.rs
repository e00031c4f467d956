//! What a report says, before it is put into words: serialised as it stands, it is the report as JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::evaluate::Verdict;
use crate::language::{Direction, Language};

/// Everything that a report says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Version of this layout.
    pub format: u32,
    /// Version of the program.
    pub program: String,
    /// When the report was made, as `2026-11-27`; left out where it shall not depend on the day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// What an hour of this machine costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// The runs, in the order in which they were named.
    pub runs: Vec<Run>,
    /// The run that the first screen speaks of, as an index into `runs`.
    pub lead: usize,
    /// What follows for that run.
    pub conclusion: super::Conclusion,
    /// Quality against size, for runs that can be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trade_off: Option<super::TradeOff>,
}

/// What an hour of a machine costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Price {
    /// Units of the currency for an hour.
    pub per_hour: f64,
    /// ISO 4217 code, such as `EUR`.
    pub currency: String,
}

impl Price {
    /// What so many seconds cost.
    #[must_use]
    pub fn of(&self, seconds: f64) -> f64 {
        seconds / 3600.0 * self.per_hour
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Run {
    /// Its name in this report: the last parts of its path that tell it from the others.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// `lslo`, `lora`, `full`; `pretrain` for a base from scratch.
    pub method: Option<String>,
    /// Where its defaults come from.
    pub preset: Option<String>,
    /// Its seed.
    pub seed: Option<u64>,
    /// Hash of the base's weights.
    pub base: Option<String>,
    /// Its languages.
    pub languages: Vec<RunLanguage>,
    /// Directions of its training text.
    pub trained: Vec<Direction>,
    /// How large it is.
    pub parameters: Parameters,
    /// What lies in its folder, in bytes.
    pub disk: Vec<Piece>,
    /// What it took.
    pub cost: Option<Cost>,
    /// What it would take with more languages.
    pub projection: Vec<Projected>,
    /// How it learnt.
    pub curve: Curve,
    /// How well it translates.
    pub quality: Option<Quality>,
    /// Translations beside each other.
    pub examples: Vec<Example>,
    /// Which language each layer goes by.
    pub placement: Option<Vec<LayerPlacement>>,
    /// How much of each layer a language takes.
    pub demand: Option<Demand>,
    /// Its configuration as training wrote it.
    pub config: Option<String>,
    /// Fingerprints of what it was made from.
    pub hashes: BTreeMap<String, String>,
    /// The commands that make it anew.
    pub commands: Vec<String>,
    /// What is missing.
    pub gaps: Vec<Gap>,
}

/// A language of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunLanguage {
    /// The language.
    pub language: Language,
    /// `high`, `medium` or `low`.
    pub class: Option<String>,
    /// Trainable parameters that are its own.
    pub parameters: Option<u64>,
}

/// The counts of a run's parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Parameters {
    /// Of the base.
    pub base: Option<u64>,
    /// Trained.
    pub trainable: Option<u64>,
    /// Trained ones that act in the direction that needs most.
    pub active: Option<u64>,
}

/// A part of a run's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// Its name within the folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Whether it is needed to translate, beside the base.
    pub needed: bool,
}

/// What training took: the content of `cost.json`. Every field may be missing in a file of another version.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// Seconds of training.
    pub seconds: Option<f64>,
    /// The most memory it held, in bytes.
    pub peak_memory: Option<u64>,
    /// What was predicted of it.
    pub predicted_memory: Option<u64>,
    /// Target tokens trained on.
    pub target_tokens: Option<u64>,
    /// Parameters of the base.
    pub base_parameters: Option<u64>,
    /// Trainable parameters.
    pub trainable: Option<u64>,
    /// Trainable parameters that act in the direction that needs most.
    pub active: Option<u64>,
    /// Name of the processor.
    pub processor: Option<String>,
    /// Threads.
    pub threads: Option<usize>,
    /// The command as it was typed.
    pub command: Option<String>,
}

/// What a run would take with so many languages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Projected {
    /// Languages.
    pub languages: usize,
    /// Directions.
    pub directions: usize,
    /// Trainable parameters.
    pub trainable: Option<u64>,
    /// Bytes of the result on disk.
    pub disk: Option<u64>,
    /// Seconds of training.
    pub seconds: Option<f64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
}

/// How a run learnt: points of (update, nats for each target token).
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Curve {
    /// Negative log-likelihood in training, averaged over neighbouring updates.
    pub training: Vec<(f64, f64)>,
    /// Negative log-likelihood in validation.
    pub validation: Vec<(f64, f64)>,
    /// Update of the best validation.
    pub best: Option<f64>,
}

/// How well a run translates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    /// The metric that the report goes by.
    pub metric: String,
    /// How it was computed.
    pub signature: String,
    /// Whether a greater score is a better one.
    pub higher_is_better: bool,
    /// Means of all metrics, with their signatures.
    pub metrics: Vec<MetricMean>,
    /// What else decides on the scores.
    pub options: BTreeMap<String, serde_json::Value>,
    /// Every direction that was scored.
    pub directions: Vec<DirectionChange>,
    /// Trained directions that were not.
    pub missing: Vec<Direction>,
    /// The mean change over directions that have one.
    pub mean: Option<MeanChange>,
    /// Means by class of source and target.
    pub classes: Vec<ClassChange>,
    /// How the changes were tested; none if they were not.
    pub test: Option<Test>,
    /// Directions that are proven worse.
    pub harmed: Vec<Direction>,
    /// Directions whose harm is not ruled out.
    pub unproven: Vec<Direction>,
}

/// A metric's mean over all directions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricMean {
    /// Its name.
    pub metric: String,
    /// The mean score.
    pub score: f64,
    /// How it was computed.
    pub signature: String,
}

/// A direction's score, and its change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DirectionChange {
    /// The direction.
    pub direction: Direction,
    /// Sentences.
    pub sentences: usize,
    /// Score of the run.
    pub score: f64,
    /// Score of what it is compared with.
    pub base: Option<f64>,
    /// The difference.
    pub change: Option<f64>,
    /// Its confidence interval.
    pub interval: Option<[f64; 2]>,
    /// What the change exceeds, in all directions at once.
    pub lower_bound: Option<f64>,
    /// Of this direction alone.
    pub p: Option<f64>,
    /// Corrected for the number of directions.
    pub p_adjusted: Option<f64>,
    /// What is proven.
    pub verdict: Option<Verdict>,
}

/// A mean change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeanChange {
    /// The mean.
    pub change: f64,
    /// Its confidence interval.
    pub interval: Option<[f64; 2]>,
    /// Over how many directions.
    pub directions: usize,
}

/// Means over directions from a class to a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassChange {
    /// Class of the source.
    pub source: String,
    /// Class of the target.
    pub target: String,
    /// Mean score of the run.
    pub score: f64,
    /// The mean change, where there is one.
    pub change: Option<MeanChange>,
    /// Over how many directions.
    pub directions: usize,
}

/// How changes were tested.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Test {
    /// What the run is compared with.
    pub against: String,
    /// Samples that were drawn.
    pub resamples: u64,
    /// Their seed.
    pub seed: u64,
    /// Confidence of intervals, bounds and verdicts, such as 0.95.
    pub level: f64,
    /// A change above this is no harm, in points of the metric: -0.5 unless set.
    pub margin: f64,
    /// How p-values are corrected.
    pub correction: String,
}

/// A sentence with the translation before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// The direction.
    pub direction: Direction,
    /// Number of the sentence in its direction, from 1.
    pub sentence: usize,
    /// The sentence, if the text is there.
    pub source: Option<String>,
    /// What a person wrote, if the text is there.
    pub reference: Option<String>,
    /// Translation of what the run is compared with.
    pub before: String,
    /// Translation of the run.
    pub after: String,
    /// Change of the sentence's chrF++, if the text is there.
    pub change: Option<f64>,
}

/// What a layer goes by: shares that add up to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerPlacement {
    /// The layer, from 0.
    pub layer: usize,
    /// The place by its name, such as `encoder.layers.0` or one of its sites; the encoder's layer without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The language of the input.
    pub source: f64,
    /// The language of the output.
    pub target: f64,
    /// No language.
    #[serde(default)]
    pub none: f64,
}

/// How much of its updates' parameters a language keeps when all are pruned together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// The languages: rows of `share`.
    pub languages: Vec<Language>,
    /// Names of layers, such as `encoder.layers.0`: columns of `share`.
    pub layers: Vec<String>,
    /// 0 to 1, by language and layer.
    pub share: Vec<Vec<f64>>,
    /// Over all layers, by language; the mean of the layers stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overall: Option<Vec<f64>>,
}

/// Something that a report would say, were it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// What is missing.
    pub what: Missing,
    /// The command that fills it.
    pub command: String,
}

/// What may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Missing {
    /// Training is not finished: there is no result.
    Result,
    /// No scores.
    Scores,
    /// Scores, but no comparison with the base.
    Comparison,
    /// Scores of some trained directions.
    Directions,
    /// Scores of the run as it is now; those that are there are of another base, of other adapters, or of the base alone.
    Own,
    /// No translations to show.
    Translations,
    /// The sentences that were translated.
    Text,
    /// What training took.
    Cost,
    /// How it learnt.
    Curve,
    /// Demand and placement.
    Exploration,
}

impl Run {
    /// Bytes of what translating needs beside the base.
    #[must_use]
    pub fn bytes_to_translate(&self) -> u64 {
        let needed = self.disk.iter().filter(|piece| piece.needed);
        needed.map(|piece| piece.bytes).sum()
    }

    /// Whether training has left something to translate with.
    #[must_use]
    pub fn has_result(&self) -> bool {
        self.disk.iter().any(|piece| piece.needed)
    }
}

impl Quality {
    /// Whether a test found no direction that is worse.
    #[must_use]
    pub fn harmless(&self) -> bool {
        self.test.is_some() && self.harmed.is_empty()
    }
}
