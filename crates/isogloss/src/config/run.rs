use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use isogloss_kernels::{LabelSmoothing, SmoothingKind};
use serde::{Deserialize, Serialize};

use crate::adapter::AdapterConfig;
use crate::config::ConfigError;
use crate::corpus::{DataConfig, DirectionFilter, FilterConfig, SampleConfig};
use crate::language::{Direction, Language, Resource};
use crate::model::ModelConfig;
use crate::optim::{AdamOptions, Schedule};

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
    /// Seed of everything random. Default 1.
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
    /// What is trained beside the frozen base.
    #[serde(default)]
    pub adapter: AdapterConfig,
    /// How it is trained.
    #[serde(default)]
    pub training: TrainingConfig,
    /// The machine's share. May change between a run and its resumption.
    #[serde(default)]
    pub compute: Compute,
}

/// `isogloss pretrain CONFIG.toml`. Relative paths start at the folder of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// Folder of the run; made if need be. The base is written to its folder `model`.
    pub run: PathBuf,
    /// Seed of everything random. Default 1.
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

/// `[vocabulary]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VocabularyConfig {
    /// Pieces, without the language tags. Default 16000.
    pub size: usize,
    /// Most lines of a language that it is trained on. Default 60000.
    pub lines: usize,
    /// Share of the characters of the text that get a piece of their own, 0.9 to 1. Default 0.9998.
    pub character_coverage: f64,
}

impl Default for VocabularyConfig {
    fn default() -> Self {
        VocabularyConfig {
            size: 16_000,
            lines: 60_000,
            character_coverage: 0.9998,
        }
    }
}

/// `[shape]`: hyper-parameters of a model that is trained from scratch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShapeConfig {
    /// `D`. Default 256.
    pub d_model: usize,
    /// Default 6.
    pub encoder_layers: usize,
    /// Default 3.
    pub decoder_layers: usize,
    /// Heads of every attention. Default 4.
    pub attention_heads: usize,
    /// `F`. Default 1024.
    pub ffn_dim: usize,
    /// Longest sentence in tokens. Default 512.
    pub max_position_embeddings: usize,
}

impl Default for ShapeConfig {
    fn default() -> Self {
        ShapeConfig {
            d_model: 256,
            encoder_layers: 6,
            decoder_layers: 3,
            attention_heads: 4,
            ffn_dim: 1024,
            max_position_embeddings: 512,
        }
    }
}

impl ShapeConfig {
    /// Checks ranges that types don't.
    ///
    /// # Errors
    /// Names the key, what it may be and what it is.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let counts = [
            ("shape.d_model", self.d_model),
            ("shape.encoder_layers", self.encoder_layers),
            ("shape.decoder_layers", self.decoder_layers),
            ("shape.attention_heads", self.attention_heads),
            ("shape.ffn_dim", self.ffn_dim),
            (
                "shape.max_position_embeddings",
                self.max_position_embeddings,
            ),
        ];
        for (key, count) in counts {
            if count == 0 {
                return value(key, "is 0; it must be at least 1".to_owned());
            }
        }
        if !self.d_model.is_multiple_of(2 * self.attention_heads) {
            let (d, heads) = (self.d_model, self.attention_heads);
            return value(
                "shape.d_model",
                format!("is {d}; it must be a multiple of twice the {heads} attention heads"),
            );
        }
        Ok(())
    }

    /// The model's configuration, for a vocabulary of `vocab_size` rows.
    #[must_use]
    pub fn model(&self, vocab_size: usize, dropout: f32, attention_dropout: f32) -> ModelConfig {
        ModelConfig {
            d_model: self.d_model,
            encoder_layers: self.encoder_layers,
            decoder_layers: self.decoder_layers,
            encoder_attention_heads: self.attention_heads,
            decoder_attention_heads: self.attention_heads,
            encoder_ffn_dim: self.ffn_dim,
            decoder_ffn_dim: self.ffn_dim,
            vocab_size,
            max_position_embeddings: self.max_position_embeddings,
            scale_embedding: true,
            dropout,
            attention_dropout,
            activation_dropout: 0.0,
            init_std: 0.02,
            bos_token_id: 0,
            pad_token_id: 1,
            eos_token_id: 2,
            decoder_start_token_id: 2,
        }
    }
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
    /// Validate after every so many epochs, and after the last. Default 1.
    #[serde(default = "one")]
    pub every_epochs: u64,
    /// Stop after so many validations without an improvement; 0 never stops. Default 0.
    #[serde(default)]
    pub patience: u64,
}

/// `[training]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Epochs. Default 15.
    pub epochs: u64,
    /// Most tokens of a batch; a sentence counts its longer side. Default 4000.
    pub batch_tokens: usize,
    /// Batches of an update. Default 1.
    pub accumulate: usize,
    /// Longest side of a sentence in tokens; longer ones are left out and counted. Default 256.
    pub max_tokens: usize,
    /// Share of training examples that are made of two to four pairs of a direction, one after the other: short text then
    /// teaches longer sentences. Default 0.
    pub concatenate: f64,
    /// Peak of the learning rate. Default 0.003.
    pub learning_rate: f32,
    /// Course of the learning rate. Default `"inverse-sqrt"`.
    pub schedule: Schedule,
    /// Updates of warm-up. Default 1.
    pub warmup: u64,
    /// Mass that label smoothing takes from the target. Default 0.2.
    pub label_smoothing: f32,
    /// `"uniform"` (default, as `PyTorch`) or `"fairseq"`.
    pub smoothing_kind: SmoothingName,
    /// Dropout of embeddings and of the outputs of blocks. Default 0.1.
    pub dropout: f32,
    /// Dropout of attention weights. Default 0.
    pub attention_dropout: f32,
    /// How directions share an epoch.
    pub sample: SampleConfig,
    /// The optimiser.
    pub adam: AdamOptions,
    /// Save the state for resumption after so many minutes, beside every epoch's end. Default 10.
    pub save_minutes: f64,
}

/// Name of a [`SmoothingKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmoothingName {
    /// `eps / V` to every class.
    #[default]
    Uniform,
    /// `eps / (V - 1)` to every class but the target.
    Fairseq,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        TrainingConfig {
            epochs: 15,
            batch_tokens: 4000,
            accumulate: 1,
            max_tokens: 256,
            concatenate: 0.0,
            learning_rate: 3e-3,
            schedule: Schedule::InverseSqrt,
            warmup: 1,
            label_smoothing: 0.2,
            smoothing_kind: SmoothingName::Uniform,
            dropout: 0.1,
            attention_dropout: 0.0,
            sample: SampleConfig::default(),
            adam: AdamOptions::default(),
            save_minutes: 10.0,
        }
    }
}

impl TrainingConfig {
    /// The loss.
    #[must_use]
    pub fn smoothing(&self) -> LabelSmoothing {
        LabelSmoothing {
            eps: self.label_smoothing,
            kind: match self.smoothing_kind {
                SmoothingName::Uniform => SmoothingKind::Uniform,
                SmoothingName::Fairseq => SmoothingKind::Fairseq,
            },
        }
    }

    /// Checks ranges that types don't.
    ///
    /// # Errors
    /// Names the key, what it may be and what it is.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let share = |key, x: f32| match (0.0..1.0).contains(&x) {
            true => Ok(()),
            false => value(key, format!("is {x}; it must be at least 0 and below 1")),
        };
        share("training.dropout", self.dropout)?;
        share("training.attention_dropout", self.attention_dropout)?;
        share("training.label_smoothing", self.label_smoothing)?;
        if !(0.0..=1.0).contains(&self.concatenate) {
            return value(
                "training.concatenate",
                format!("is {}; it must be from 0 to 1", self.concatenate),
            );
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return value(
                "training.learning_rate",
                format!("is {}; it must be positive", self.learning_rate),
            );
        }
        let counts = [
            ("training.epochs", self.epochs),
            ("training.batch_tokens", self.batch_tokens as u64),
            ("training.accumulate", self.accumulate as u64),
            ("training.max_tokens", self.max_tokens as u64),
        ];
        for (key, count) in counts {
            if count == 0 {
                return value(key, "is 0; it must be at least 1".to_owned());
            }
        }
        if self.max_tokens > self.batch_tokens {
            return value(
                "training.max_tokens",
                format!(
                    "is {}, more than a batch holds (batch_tokens = {})",
                    self.max_tokens, self.batch_tokens
                ),
            );
        }
        Ok(())
    }
}

fn value<T>(key: &'static str, reason: String) -> Result<T, ConfigError> {
    Err(ConfigError::Value { key, reason })
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

fn one() -> u64 {
    1
}

fn hundred() -> usize {
    100
}
