use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::compare::{CompareError, DecodingConfig, InterferenceConfig, Kind, Missing};
use crate::config::{self, Directions, value};
use crate::corpus::{DataConfig, DirectionFilter, Lines};
use crate::evaluate::CompareOptions;
use crate::language::{Direction, Language};

/// `isogloss compare CONFIG.toml`. Relative paths start at the folder of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareConfig {
    /// Folder of the comparison; made if need be.
    pub run: PathBuf,
    /// What all methods share: a configuration of `isogloss train`, as a file (its relative paths start at its own folder) or as a
    /// table `[train]`. Its `run` and `method` count for nothing here.
    pub train: Shared,
    /// Keys of the training configuration that are different for this comparison, such as `overrides.training.epochs`.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub overrides: toml::Table,
    /// Seeds of every method. Default `[1]`.
    #[serde(default = "first_seed")]
    pub seeds: Vec<u64>,
    /// Learning rates that every method tries with its first seed; validation chooses. Default: that of the training configuration alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learning_rates: Vec<f64>,
    /// Metrics; the first one decides. Default `["chrf++", "bleu"]`.
    #[serde(default = "default_metrics")]
    pub metrics: Vec<String>,
    /// `SentencePiece` model for `spbleu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spm: Option<PathBuf>,
    /// How test text is translated.
    #[serde(default)]
    pub decoding: DecodingConfig,
    /// Test text in directions that are adapted.
    pub test: TestConfig,
    /// Further test text by name, to see what became of what nobody adapted: other directions, another domain.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub foreign: BTreeMap<String, ForeignConfig>,
    /// What is compared, beside the base and a copy of the source, by name. Default: every kind with nothing changed.
    #[serde(default)]
    pub methods: BTreeMap<String, MethodConfig>,
    /// What is trained alone as well, a language at a time. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interference: Option<InterferenceConfig>,
    /// The plan of methods that go by one.
    #[serde(default)]
    pub plan: PlanConfig,
    /// Resampling.
    #[serde(default)]
    pub significance: SignificanceConfig,
    /// How far a budget may reduce the experiment.
    #[serde(default)]
    pub least: LeastConfig,
}

/// The training configuration that methods share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Shared {
    /// In a file of its own.
    File(PathBuf),
    /// In place.
    Table(toml::Table),
}

/// `[test]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestConfig {
    /// Test text: `[[test.data]]` sections, as `[[data]]`. It isn't filtered.
    pub data: Vec<DataConfig>,
    /// Directions that are scored. Default: those that are trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directions: Option<ListedDirections>,
    /// Fewer directions, named beforehand: for methods and seeds that ask for them, and for a budget that is too small for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fewer: Option<ListedDirections>,
    /// What seeds after the first are scored on. Default `"all"`.
    #[serde(default)]
    pub later_seeds: Scored,
}

/// `[foreign.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignConfig {
    /// Text: `[[foreign.NAME.data]]` sections. Default: the test's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataConfig>,
    /// Directions that are scored.
    pub directions: ListedDirections,
}

/// Which of the test's directions are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scored {
    /// All of `test.directions`.
    #[default]
    All,
    /// Those of `test.fewer`.
    Fewer,
}

/// Directions in place, or a file that lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ListedDirections {
    /// As in a training configuration.
    Here(Directions),
    /// `{ file = "directions.txt" }`: a direction a line.
    File(DirectionsFile),
}

/// A file that lists directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectionsFile {
    /// Its path.
    pub file: PathBuf,
}

impl ListedDirections {
    /// As a filter of a corpus, among the run's languages.
    ///
    /// # Errors
    /// If the file can't be read, or holds something else.
    pub fn filter(
        &self,
        dir: &Path,
        languages: &[Language],
    ) -> Result<DirectionFilter, CompareError> {
        let file = match self {
            ListedDirections::Here(directions) => return Ok(directions.filter(languages)),
            ListedDirections::File(file) => dir.join(&file.file),
        };
        let mut lines = Lines::open(&file)?;
        let mut found = std::collections::BTreeSet::new();
        while let Some(line) = lines.next_line()?.map(str::to_owned) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let direction: Direction = line.parse().map_err(|e| CompareError::DirectionsFile {
                path: file.clone(),
                line: lines.line_number(),
                reason: format!("{e}"),
            })?;
            found.insert(direction);
        }
        Ok(DirectionFilter::Only(found))
    }
}

/// `[methods.NAME]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MethodConfig {
    /// What is trained. Default: the kind that the method is named after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Seeds. Default: those of the comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<u64>>,
    /// Learning rates to try. Default: those of the comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rates: Option<Vec<f64>>,
    /// Takes the learning rate that was chosen for this method, which stands before it in reports, instead of trying any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    /// What it is scored on. Default `"all"`.
    pub scored: Scored,
    /// What translates a direction that it isn't trained in: `"base"` (default) or `"combine"`, the updates of its source and its target.
    #[serde(skip_serializing_if = "Missing::is_base")]
    pub missing: Missing,
    /// Keys of the training configuration that are different for this method, such as `train.training.learning_rate`.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub train: toml::Table,
}

/// `[plan]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanConfig {
    /// A plan that is there. Default: one is made by exploring, with the first seed, as `[explore]` of the training configuration says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Parameters of all updates together, such as `"5%"` or `"500k"`. Default: as many as LSLo has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// One rank for all languages of a class. Default `false`.
    pub classes: bool,
}

/// `[significance]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignificanceConfig {
    /// Resamples. Default 20,000.
    pub resamples: u32,
    /// Confidence of intervals and bounds. Default 0.95.
    pub level: f64,
    /// A change above this is no harm, in points of the metric. Default -0.5.
    pub margin: f64,
}

impl Default for SignificanceConfig {
    fn default() -> Self {
        SignificanceConfig {
            resamples: 20_000,
            level: 0.95,
            margin: -0.5,
        }
    }
}

impl SignificanceConfig {
    /// As options of a comparison.
    #[must_use]
    pub fn options(&self) -> CompareOptions {
        CompareOptions {
            resamples: self.resamples,
            level: self.level,
            margin: self.margin,
            ..CompareOptions::default()
        }
    }
}

/// `[least]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeastConfig {
    /// Share of the pairs of an epoch, above 0 and up to 1. Default 0.1.
    pub pairs: f64,
    /// Seeds. Default 1.
    pub seeds: usize,
    /// Sentences scored in a direction. Default 100.
    pub sentences: usize,
}

impl Default for LeastConfig {
    fn default() -> Self {
        LeastConfig {
            pairs: 0.1,
            seeds: 1,
            sentences: 100,
        }
    }
}

fn first_seed() -> Vec<u64> {
    vec![1]
}

fn default_metrics() -> Vec<String> {
    vec!["chrf++".to_owned(), "bleu".to_owned()]
}

impl CompareConfig {
    /// Checks ranges that types don't.
    ///
    /// # Errors
    /// Names the key, what it may be and what it is.
    pub fn validate(&self) -> Result<(), CompareError> {
        let seeds = self.methods.values().filter_map(|m| m.seeds.as_ref());
        for seeds in seeds.chain([&self.seeds]) {
            let mut sorted = seeds.clone();
            sorted.sort_unstable();
            sorted.dedup();
            if seeds.is_empty() || sorted.len() != seeds.len() {
                value(
                    "seeds",
                    format!("is {seeds:?}; it must be a list of different numbers, such as [1, 2]"),
                )?;
            }
        }
        let rates = self.methods.values().flat_map(|m| &m.learning_rates);
        let rates = rates.flatten().chain(&self.learning_rates);
        if let Some(rate) = rates.into_iter().find(|r| !(r.is_finite() && **r > 0.0)) {
            value(
                "learning_rates",
                format!("holds {rate}; each must be positive"),
            )?;
        }
        if self.metrics.is_empty() {
            value(
                "metrics",
                "is empty; name one, such as \"chrf++\"".to_owned(),
            )?;
        }
        let share = self.least.pairs;
        if !(share > 0.0 && share <= 1.0) {
            value(
                "least.pairs",
                format!("is {share}; it must be above 0 and at most 1"),
            )?;
        }
        if self.least.seeds == 0 || self.least.sentences < 2 {
            value(
                "least",
                "must keep at least 1 of `seeds` and 2 `sentences`".to_owned(),
            )?;
        }
        let asks = self.methods.values().any(|m| m.scored == Scored::Fewer);
        if self.test.fewer.is_none() && (asks || self.test.later_seeds == Scored::Fewer) {
            value(
                "test.fewer",
                "is not set, but something is to be scored on fewer directions; list them, or score \"all\"".to_owned(),
            )?;
        }
        let plan = &self.plan;
        if plan.file.is_some() && (plan.budget.is_some() || plan.classes) {
            value(
                "plan.file",
                "is a plan that is there: `budget` and `classes`, by which one would be made, count for nothing beside it".to_owned(),
            )?;
        }
        for name in self.methods.keys().chain(self.foreign.keys()) {
            check_name(name)?;
        }
        self.decoding.validate()
    }

    /// The shared training configuration with the folder that its paths start at.
    pub(super) fn shared(&self, dir: &Path) -> Result<(toml::Table, PathBuf), CompareError> {
        let (mut table, folder) = match &self.train {
            Shared::Table(table) => (table.clone(), dir.to_owned()),
            Shared::File(file) => {
                let path = dir.join(file);
                let folder = path.parent().unwrap_or(dir).to_owned();
                (config::read(&path)?, folder)
            }
        };
        merge(&mut table, &self.overrides);
        Ok((table, folder))
    }
}

/// Puts `over` into `table`, key by key.
pub(super) fn merge(table: &mut toml::Table, over: &toml::Table) {
    for (key, value) in over {
        match (table.get_mut(key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(over)) => merge(inner, over),
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Names become folders.
fn check_name(name: &str) -> Result<(), CompareError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let taken = [
        "base",
        "copy",
        "tuning",
        "explore",
        "hypotheses",
        "test",
        "checkpoints",
        "model",
        "adapters",
    ];
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) || taken.contains(&name)
    {
        return Err(CompareError::Name {
            name: name.to_owned(),
        });
    }
    Ok(())
}
