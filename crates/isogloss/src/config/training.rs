use isogloss_kernels::{LabelSmoothing, SmoothingKind};
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, value};
use crate::corpus::SampleConfig;
use crate::language::Language;
use crate::optim::{AdamOptions, Schedule};

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
    #[serde(serialize_with = "crate::decimal::serialize")]
    pub learning_rate: f32,
    /// Course of the learning rate. Default `"inverse-sqrt"`.
    pub schedule: Schedule,
    /// Updates of warm-up. Default 1.
    pub warmup: u64,
    /// Mass that label smoothing takes from the target. Default 0.2.
    #[serde(serialize_with = "crate::decimal::serialize")]
    pub label_smoothing: f32,
    /// `"uniform"` (default, as `PyTorch`) or `"fairseq"`.
    pub smoothing_kind: SmoothingName,
    /// Dropout of embeddings and of the outputs of blocks. Default 0.1.
    #[serde(serialize_with = "crate::decimal::serialize")]
    pub dropout: f32,
    /// Dropout of attention weights. Default 0.
    #[serde(serialize_with = "crate::decimal::serialize")]
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
    /// Batches for a part of what would be trained together: a `share` of the tokens, so that what is trained gets as many updates, with as much
    /// of its own text in each, as it would get among the others. An update holds [`max_tokens`](Self::max_tokens) at least, so for a small share
    /// there are fewer, and warm-up shrinks with them.
    pub fn narrow(&mut self, share: f64) {
        let wanted = (self.batch_tokens * self.accumulate) as f64 * share;
        let batches = (wanted / self.batch_tokens as f64).ceil().max(1.0);
        self.accumulate = batches as usize;
        self.batch_tokens = ((wanted / batches).round() as usize).max(self.max_tokens);
        let updates = wanted / (self.batch_tokens * self.accumulate) as f64;
        self.shrink_warmup(updates.min(1.0));
    }

    /// Warm-up of a share of the updates: as large a part of them.
    pub(crate) fn shrink_warmup(&mut self, share: f64) {
        let warmup = self.warmup as f64 * share;
        self.warmup = (warmup.round() as u64).max(1);
    }

    /// Checks that the language whose directions get a share of their own is one of the run's.
    ///
    /// # Errors
    /// Names the language.
    pub(crate) fn check_pivot<'a>(
        &self,
        mut languages: impl Iterator<Item = &'a Language>,
    ) -> Result<(), ConfigError> {
        match &self.sample.pivot {
            Some(pivot) if languages.all(|language| *language != pivot.language) => value(
                "training.sample.pivot",
                format!(
                    "is {}, which is no language of the run; name one of `[languages]`",
                    pivot.language
                ),
            ),
            _ => Ok(()),
        }
    }

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
        let adam = &self.adam;
        share("training.adam.beta1", adam.beta1)?;
        share("training.adam.beta2", adam.beta2)?;
        // At 0 the very first update of `lora_a`, whose gradient is exactly zero, would divide zero by zero.
        if !(adam.eps.is_finite() && adam.eps > 0.0) {
            return value(
                "training.adam.eps",
                format!("is {}; it must be positive", adam.eps),
            );
        }
        let not_negative = [
            ("training.adam.weight_decay", f64::from(adam.weight_decay)),
            ("training.adam.clip_norm", f64::from(adam.clip_norm)),
            ("training.save_minutes", self.save_minutes),
        ];
        for (key, x) in not_negative {
            if x.is_nan() || x < 0.0 {
                return value(key, format!("is {x}; it must be 0 or more"));
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_gets_as_many_updates_of_as_much_of_its_text() {
        let narrowed = |batch_tokens, accumulate, share| {
            let mut training = TrainingConfig {
                batch_tokens,
                accumulate,
                max_tokens: 256,
                warmup: 100,
                ..TrainingConfig::default()
            };
            training.narrow(share);
            (training.batch_tokens, training.accumulate, training.warmup)
        };
        assert_eq!(narrowed(4000, 1, 1.0), (4000, 1, 100));
        assert_eq!(narrowed(4000, 1, 0.25), (1000, 1, 100));
        assert_eq!(narrowed(4000, 4, 0.5), (4000, 2, 100));
        assert_eq!(narrowed(4000, 4, 0.125), (2000, 1, 100));
        // The longest sentence must fit.
        assert_eq!(narrowed(2000, 1, 0.064), (256, 1, 50));
    }
}
