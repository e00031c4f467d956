use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use isogloss_kernels::{Cpu, CpuError, Precision};
use serde::{Deserialize, Serialize};

use crate::adapter::AdapterConfig;
use crate::config::{
    ConfigError, ExploreConfig, ShapeConfig, TrainingConfig, VocabularyConfig, value,
};
use crate::corpus::{DataConfig, DirectionFilter, FilterConfig};
use crate::language::{Direction, Language, Resource};
use crate::prune::PruningConfig;

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A low-rank update for each language, the base frozen (LSLo).
    #[default]
    Lslo,
    /// One low-rank update that all languages share, the base frozen.
    Lora,
    /// Every weight of the base.
    Full,
}

/// Which directions take part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Directions {
    /// Every ordered pair of the run's languages.
    #[default]
    All,
    /// `{ pivot = "eng_Latn" }`: from and to this language.
    #[serde(untagged)]
    Pivot(Pivot),
    /// These.
    #[serde(untagged)]
    Only(Vec<Direction>),
}

/// The language that every direction has on one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pivot {
    /// The language.
    pub pivot: Language,
}

impl Directions {
    /// Checks that the directions are of the run's languages.
    ///
    /// # Errors
    /// Names a language that isn't.
    pub(crate) fn check<'a>(
        &self,
        languages: impl Iterator<Item = &'a Language>,
    ) -> Result<(), ConfigError> {
        let known: BTreeSet<&Language> = languages.collect();
        let named: Vec<&Language> = match self {
            Directions::All => Vec::new(),
            Directions::Pivot(Pivot { pivot }) => vec![pivot],
            Directions::Only(list) => list.iter().flat_map(|d| [&d.source, &d.target]).collect(),
        };
        match named.into_iter().find(|language| !known.contains(language)) {
            Some(language) => value(
                "directions",
                format!(
                    "names {language}, which is no language of the run; add it to its class in `[languages]`"
                ),
            ),
            None => Ok(()),
        }
    }

    /// As a filter of a corpus.
    #[must_use]
    pub fn filter(&self, languages: &[Language]) -> DirectionFilter {
        match self {
            Directions::All => DirectionFilter::Among(languages.iter().cloned().collect()),
            Directions::Pivot(Pivot { pivot }) => {
                let others = languages.iter().filter(|&l| l != pivot);
                let both = others.flat_map(|other| {
                    let into = Direction::new(other.clone(), pivot.clone());
                    [into.reversed(), into]
                });
                DirectionFilter::Only(both.collect())
            }
            Directions::Only(list) => DirectionFilter::Only(list.iter().cloned().collect()),
        }
    }
}

/// `isogloss train CONFIG.toml`. Relative paths start at the folder of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Folder of the run; made if need be.
    pub run: PathBuf,
    /// Folder of the base model.
    pub model: PathBuf,
    /// `"lslo"` (default), `"lora"` or `"full"`.
    #[serde(default)]
    pub method: Method,
    /// Seed of everything random, below 2^63. Default 1.
    #[serde(default = "one")]
    pub seed: u64,
    /// Languages by class: `high = ["eng_Latn", …]`, `medium`, `low`. Together they are the run's languages.
    pub languages: BTreeMap<Resource, Vec<Language>>,
    /// `"all"` (default) ordered pairs, or a list such as `["deu_Latn-eng_Latn"]`.
    #[serde(default)]
    pub directions: Directions,
    /// Training text.
    pub data: Vec<DataConfig>,
    /// Cleaning of the training text.
    #[serde(default)]
    pub filter: FilterConfig,
    /// Validation.
    pub validation: ValidationConfig,
    /// Folder of adapters of an earlier run, to which languages are added: the updates there act and stay as they are, the run's languages
    /// that have none there get one, and only their directions are trained. Sites and sides are those of the folder. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<PathBuf>,
    /// What is trained beside the frozen base.
    #[serde(default)]
    pub adapter: AdapterConfig,
    /// How it is trained.
    #[serde(default)]
    pub training: TrainingConfig,
    /// Gradual pruning of the updates. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruning: Option<PruningConfig>,
    /// How `isogloss explore` learns a plan; `isogloss train` doesn't read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explore: Option<ExploreConfig>,
    /// The machine's share. May change between a run and its resumption.
    #[serde(default)]
    pub compute: Compute,
}

impl TrainConfig {
    /// Checks that adapters can be extended by the method, if they shall be.
    ///
    /// # Errors
    /// Names the setting that contradicts.
    pub(crate) fn check_extends(&self) -> Result<(), ConfigError> {
        match (&self.extends, self.method) {
            (Some(_), Method::Lora | Method::Full) => value(
                "extends",
                "goes with method = \"lslo\": only where every language has an update of its own can one be added".to_owned(),
            ),
            _ => Ok(()),
        }
    }

    /// Checks that pruning, if there shall be any, has something to prune and comes to its end within the run.
    ///
    /// # Errors
    /// Names the setting that contradicts.
    pub(crate) fn check_pruning(&self) -> Result<(), ConfigError> {
        let Some(pruning) = &self.pruning else {
            return Ok(());
        };
        if self.method == Method::Full {
            let reason = "goes with low-rank updates, but `method` is \"full\"; remove the section, or use \"lslo\" or \"lora\"";
            return value("pruning", reason.to_owned());
        }
        Ok(pruning.validate(self.training.epochs)?)
    }
}

/// `isogloss pretrain CONFIG.toml`. Relative paths start at the folder of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// Folder of the run; made if need be. The base is written to its folder `model`.
    pub run: PathBuf,
    /// Seed of everything random, below 2^63. Default 1.
    #[serde(default = "one")]
    pub seed: u64,
    /// Languages by class.
    pub languages: BTreeMap<Resource, Vec<Language>>,
    /// `"all"` (default) ordered pairs that the data holds, or a list.
    #[serde(default)]
    pub directions: Directions,
    /// Training text.
    pub data: Vec<DataConfig>,
    /// Cleaning of the training text.
    #[serde(default)]
    pub filter: FilterConfig,
    /// Validation.
    pub validation: ValidationConfig,
    /// Folder of a model to start from: its weights, its vocabulary and its shape, so that `[vocabulary]` and `[shape]` count for
    /// nothing. Default: none, everything is made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<PathBuf>,
    /// The vocabulary, trained on the training text.
    #[serde(default)]
    pub vocabulary: VocabularyConfig,
    /// Size of the model.
    #[serde(default)]
    pub shape: ShapeConfig,
    /// How it is trained.
    #[serde(default)]
    pub training: TrainingConfig,
    /// The machine's share. May change between a run and its resumption.
    #[serde(default)]
    pub compute: Compute,
}

/// `[validation]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationConfig {
    /// Validation text.
    pub data: Vec<DataConfig>,
    /// Directions that are validated. Default: those of the run that the text holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directions: Option<Directions>,
    /// Most sentences of a direction for the loss. Default 100.
    #[serde(default = "hundred")]
    pub sentences: usize,
    /// Sentences of a direction that are translated greedily for chrF++; 0 measures the loss alone. Default 0.
    #[serde(default)]
    pub translate: usize,
    /// Validate after every so many epochs, at least 1, and after the last. Default 1.
    #[serde(default = "one")]
    pub every_epochs: u64,
    /// Stop after so many validations without an improvement; 0 never stops. Default 0.
    #[serde(default)]
    pub patience: u64,
}

/// Checks what runs of every kind have: their folder, their seed and how often they are validated.
///
/// # Errors
/// Names the setting that is out of range.
pub(crate) fn check_run(
    run: &Path,
    seed: u64,
    validation: &ValidationConfig,
) -> Result<(), ConfigError> {
    if run.as_os_str().is_empty() {
        return value("run", "is empty; name a folder for the run".to_owned());
    }
    // TOML has no larger integers, and the run keeps its configuration.
    if i64::try_from(seed).is_err() {
        let reason = format!("is {seed}; at most {}", i64::MAX);
        return value("seed", reason);
    }
    match validation.every_epochs {
        0 => value(
            "validation.every_epochs",
            "is 0; must be at least 1".to_owned(),
        ),
        _ => Ok(()),
    }
}

/// The run's languages with their classes, in the order of the file's classes.
///
/// # Errors
/// If there is none, or one stands twice.
pub(crate) fn languages(
    by_class: &BTreeMap<Resource, Vec<Language>>,
) -> Result<Vec<(Language, Resource)>, ConfigError> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for (&class, languages) in by_class {
        for language in languages {
            if !seen.insert(language) {
                return value("languages", format!("{language} stands twice"));
            }
            all.push((language.clone(), class));
        }
    }
    match all.len() {
        0 => value(
            "languages",
            "names no language; give `high`, `medium` or `low` a list".to_owned(),
        ),
        1..=65_535 => Ok(all),
        n => value(
            "languages",
            format!("names {n} languages; at most 65535 fit"),
        ),
    }
}

/// `[compute]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compute {
    /// Threads; 0 (default) takes as many as the machine has cores. Results don't depend on it.
    pub threads: usize,
    /// `"f32"` (default), or `"bf16"`: products of bfloat16 with sums in `f32`, faster where the machine has it.
    pub precision: ComputePrecision,
    /// Most megabytes for encoder states that are kept from epoch to epoch: those of source sentences below the lowest adapted layer,
    /// which stay the same without dropout. 0 (default) keeps none. Results don't depend on it.
    pub reuse_prefix_mb: usize,
}

impl Compute {
    /// Most bytes for encoder states that are kept.
    #[must_use]
    pub fn reuse_prefix(self) -> usize {
        self.reuse_prefix_mb.saturating_mul(1_000_000)
    }

    /// Checks that states below the adapted layers stay the same from epoch to epoch, if they shall be kept. `frozen` says whether the
    /// base does.
    ///
    /// # Errors
    /// Names the setting that contradicts.
    pub(crate) fn check_reuse(
        self,
        frozen: bool,
        training: &TrainingConfig,
    ) -> Result<(), ConfigError> {
        let key = "compute.reuse_prefix_mb";
        let megabytes = self.reuse_prefix_mb;
        if megabytes == 0 {
            return Ok(());
        }
        if !frozen {
            let reason = format!(
                "is {megabytes}, but all weights of the model are trained, so no state stays the same; set it to 0, or adapt a frozen \
                 base (method = \"lslo\" or \"lora\")"
            );
            return value(key, reason);
        }
        let rates = [
            ("training.dropout", training.dropout),
            ("training.attention_dropout", training.attention_dropout),
        ];
        match rates.into_iter().find(|&(_, rate)| rate > 0.0) {
            None => Ok(()),
            Some((name, rate)) => {
                let reason = format!(
                    "is {megabytes}, but `{name}` is {rate}, which changes every state in every epoch; set `{name}` to 0, or this to 0"
                );
                value(key, reason)
            }
        }
    }

    /// The backend that the configuration asks for.
    ///
    /// # Errors
    /// If `ISOGLOSS_KERNEL_PATH` names no path of this machine, or if no threads can be started.
    pub fn backend(self) -> Result<Cpu, CpuError> {
        Ok(Cpu::new(self.threads)?.with_precision(self.precision.into()))
    }
}

/// Precision of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComputePrecision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16 factors, single-precision sums.
    Bf16,
}

impl From<ComputePrecision> for Precision {
    fn from(precision: ComputePrecision) -> Self {
        match precision {
            ComputePrecision::F32 => Precision::F32,
            ComputePrecision::Bf16 => Precision::Bf16,
        }
    }
}

fn one() -> u64 {
    1
}

fn hundred() -> usize {
    100
}
