//! Short measurements, for predictions that come true on this machine.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::{self, TrainConfig};
use crate::language::Language;
use crate::train::adapt::{Subject, subject};
use crate::train::data::Epoch;
use crate::train::material::Material;
use crate::train::opened::Opened;
use crate::train::{TrainError, TrainState, setup};

/// Tokens of a measured batch: enough for the processor to be busy, few enough for a large model to be done with it soon.
const BATCH_TOKENS: usize = 1000;

/// Most updates that are measured.
const UPDATES: u64 = 20;

/// What one validation goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidationWork {
    /// Pairs whose loss is computed.
    pub pairs: usize,
    /// Sentences that are translated greedily.
    pub translated: usize,
    /// Validations of the run.
    pub times: u64,
}

impl TrainConfig {
    /// What the run's validations go through, if it isn't stopped early.
    ///
    /// # Errors
    /// [`TrainError`]: languages or text.
    pub fn validation_work(&self, config_dir: &Path) -> Result<ValidationWork, TrainError> {
        let languages = config::languages(&self.languages)?;
        let codes: Vec<Language> = languages
            .into_iter()
            .map(|(language, _)| language)
            .collect();
        let text = setup::validation_text(&self.validation, config_dir, &self.directions, &codes)?;
        let of = |limit: usize| text.directions().map(|(_, pairs)| pairs.min(limit)).sum();
        let every = self.validation.every_epochs.max(1);
        Ok(ValidationWork {
            pairs: of(self.validation.sentences),
            translated: of(self.validation.translate),
            // The first is before the first update.
            times: 1 + self.training.epochs.div_ceil(every),
        })
    }

    /// Floating-point operations a second that updates of this run reach here, as [`Estimate::seconds`](crate::train::Estimate::seconds)
    /// counts them, measured for about so long. Nothing is written.
    ///
    /// # Errors
    /// [`TrainError`]: base, text or configuration.
    pub fn measure_speed(&self, config_dir: &Path, time: Duration) -> Result<f64, TrainError> {
        let mut config = self.clone();
        let training = &mut config.training;
        training.accumulate = 1;
        training.batch_tokens = training
            .batch_tokens
            .min(BATCH_TOKENS.max(training.max_tokens));
        let opened = Opened::new(&config, config_dir)?;
        let (corpus, _) = opened.training_text(&config, config_dir)?;
        let backend = config.compute.backend()?;
        let estimate = config.estimate_for(&opened, &corpus, &backend)?;
        let Subject {
            mut model,
            set,
            mut store,
        } = subject(&config, &opened)?;
        let material = Material::new(
            (&config).into(),
            &corpus,
            &corpus,
            &opened.tokenizer,
            &set.languages,
            model.config().max_position_embeddings,
        )?;
        setup::pack_for_training(&mut model, &backend);
        let trainer = material.trainer(&backend, &model, &set.adapters, None);
        let mut parts = trainer.parts(&mut store);
        let mut state = TrainState::default();
        let mut epoch = Epoch::new(
            trainer.examples,
            trainer.sampler,
            config.seed,
            0,
            state.cursor,
        );
        let (mut pairs, mut taken) = (0, Duration::ZERO);
        while epoch.cursor < epoch.len() && state.update <= UPDATES && taken < time {
            let (before, started) = (epoch.cursor, Instant::now());
            trainer.update(&mut epoch, &state, &mut parts)?;
            // The first one touches everything for the first time, unless it is the only one.
            if state.update == 1 {
                (pairs, taken) = (0, Duration::ZERO);
            }
            pairs += epoch.cursor - before;
            taken += started.elapsed();
            state.update += 1;
        }
        let all = estimate.pairs_per_epoch as f64 * config.training.epochs as f64;
        let of_pair = estimate.operations / all.max(1.0);
        Ok(pairs.max(1) as f64 * of_pair / taken.as_secs_f64().max(1e-9))
    }
}
