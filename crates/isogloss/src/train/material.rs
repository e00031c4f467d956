use isogloss_kernels::Backend;

use crate::adapter::Adapters;
use crate::config::{PretrainConfig, TrainConfig, TrainingConfig, ValidationConfig};
use crate::corpus::{Corpus, Sampler};
use crate::language::Language;
use crate::model::Model;
use crate::prune::Pruner;
use crate::tokenize::Tokenizer;
use crate::train::data::{Examples, LanguageIds};
use crate::train::{HeldOut, TrainError, Trainer};

/// What runs of every kind configure alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    pub training: &'a TrainingConfig,
    pub validation: &'a ValidationConfig,
    pub seed: u64,
    /// Most bytes for encoder states that are kept.
    pub reuse_prefix: usize,
    /// Whether there is something to improve on.
    pub validate_before: bool,
}

impl<'a> From<&'a TrainConfig> for Plan<'a> {
    fn from(config: &'a TrainConfig) -> Self {
        Plan {
            training: &config.training,
            validation: &config.validation,
            seed: config.seed,
            reuse_prefix: config.compute.reuse_prefix(),
            validate_before: true,
        }
    }
}

impl<'a> From<&'a PretrainConfig> for Plan<'a> {
    fn from(config: &'a PretrainConfig) -> Self {
        Plan {
            training: &config.training,
            validation: &config.validation,
            seed: config.seed,
            reuse_prefix: config.compute.reuse_prefix(),
            validate_before: config.initial.is_some(),
        }
    }
}

/// A run's text: examples in the order in which they are trained on, and what is held out.
#[derive(Debug)]
pub(super) struct Material<'a> {
    plan: Plan<'a>,
    examples: Examples<'a>,
    sampler: Sampler,
    held_out: HeldOut<'a>,
}

impl<'a> Material<'a> {
    /// The text of a run whose languages are numbered in the order given, for a model of so many positions.
    ///
    /// # Errors
    /// If the tokenizer doesn't know a language, if no held-out sentence is short enough, or if the directions can't be sampled as
    /// configured.
    pub fn new(
        plan: Plan<'a>,
        training: &'a Corpus,
        validation: &Corpus,
        tokenizer: &'a Tokenizer,
        languages: &[Language],
        positions: usize,
    ) -> Result<Self, TrainError> {
        let ids = LanguageIds::new(languages);
        let config = plan.training;
        let max_tokens = config.max_tokens.min(positions);
        let examples = Examples::new(training, tokenizer, &ids, max_tokens, config.concatenate)?;
        let held_out = HeldOut::new(
            validation,
            tokenizer,
            &ids,
            plan.validation.sentences,
            plan.validation.translate,
            max_tokens,
            config.batch_tokens,
        )?;
        let sampler = Sampler::new(training.directions(), &config.sample, plan.seed)?;
        Ok(Material {
            plan,
            examples,
            sampler,
            held_out,
        })
    }

    /// What measures a model on the held-out text.
    pub fn held_out(&self) -> &HeldOut<'a> {
        &self.held_out
    }

    /// Trains a model on the text.
    pub fn trainer<'t, B: Backend<Real = f32>>(
        &'t self,
        backend: &'t B,
        model: &'t Model<f32>,
        adapters: &'t Adapters,
        pruner: Option<&'t Pruner>,
    ) -> Trainer<'t, B> {
        Trainer {
            backend,
            model,
            adapters,
            pruner,
            config: self.plan.training,
            seed: self.plan.seed,
            examples: &self.examples,
            sampler: &self.sampler,
            validator: &self.held_out,
            validate_before: self.plan.validate_before,
            reuse_prefix: self.plan.reuse_prefix,
            every_epochs: self.plan.validation.every_epochs,
            patience: self.plan.validation.patience,
        }
    }
}
