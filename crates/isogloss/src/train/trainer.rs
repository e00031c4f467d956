use std::time::Instant;

use isogloss_kernels::dropout::mix;
use isogloss_kernels::{Backend, Buffer};

use crate::adapter::Adapters;
use crate::batch::Batch;
use crate::config::TrainingConfig;
use crate::corpus::Sampler;
use crate::decode::DecodeError;
use crate::model::{BatchLoss, Context, Model, PrefixCache};
use crate::optim::Adam;
use crate::params::{Gradients, ParamStore};
use crate::prune::Pruner;
use crate::train::data::{Epoch, Examples, pack};
use crate::train::moving::{Parts, report};
use crate::train::validate::{Validate, Validation};
use crate::train::{Event, Observer, RunDir, TrainError, TrainState, state};

/// Updates without a finite gradient in a row after which training gives up.
const MAX_SKIPPED: u64 = 20;

/// Trains a model's parameters; everything it needs, put together by `adapt` or `pretrain`.
#[derive(Debug)]
pub struct Trainer<'a, B: Backend<Real = f32>> {
    /// Runs the operations.
    pub backend: &'a B,
    /// The model, its base frozen or in the store.
    pub model: &'a Model<f32>,
    /// Updates in the store.
    pub adapters: &'a Adapters,
    /// Prunes the updates from epoch to epoch; it starts with nothing pruned.
    pub pruner: Option<&'a Pruner>,
    /// Settings.
    pub config: &'a TrainingConfig,
    /// Seed of the run.
    pub seed: u64,
    /// Training examples.
    pub examples: &'a Examples<'a>,
    /// Order of the examples.
    pub sampler: &'a Sampler,
    /// Measures the model on held-out text.
    pub validator: &'a dyn Validate<B>,
    /// Measure it before the first update, too.
    pub validate_before: bool,
    /// Most bytes for encoder states below the lowest adapted layer, kept from epoch to epoch; 0 keeps none. Only beside a frozen base
    /// without dropout.
    pub reuse_prefix: usize,
    /// Validate after every so many epochs.
    pub every_epochs: u64,
    /// Stop after so many validations without improvement; 0 never.
    pub patience: u64,
}

/// How training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done, or it stopped improving.
    Finished,
    /// It was asked to stop; the same command goes on.
    Interrupted,
}

/// What training leaves beside the run's files.
#[derive(Debug, Clone)]
pub struct Trained {
    /// How it ended.
    pub outcome: Outcome,
    /// Where it ended.
    pub state: TrainState,
}

impl<B: Backend<Real = f32>> Trainer<'_, B> {
    /// Trains until the last epoch, early stopping or a request to stop, and resumes where the run's folder says. In the end the
    /// store holds the best values, or, when interrupted, the last.
    ///
    /// # Errors
    /// If the state can't be read or written, if no example fits, or if the loss diverges.
    pub fn train(
        &self,
        run: &mut RunDir,
        store: &mut ParamStore<f32>,
        observer: &mut dyn Observer,
    ) -> Result<Trained, TrainError> {
        let mut parts = self.parts(store);
        let mut state = TrainState::default();
        if run.last().exists() {
            state = parts.load(&run.last())?;
            if state.best.is_some() && !state.finished {
                // Now rather than when it is needed, hours later.
                state::check_values(&run.best(), parts.store)?;
            }
            tracing::info!(update = state.update, "resumed");
            if !state.finished {
                run.warn_of_precision();
            }
        }
        run.truncate_events(&state)?;
        if self.validate_before && state == TrainState::default() {
            self.begin(run, &mut state, parts.store, observer)?;
        }
        while !state.finished {
            parts.prune(run, &mut state, observer);
            if !self.epoch(run, &mut state, &mut parts, observer)? {
                return Ok(Trained {
                    outcome: Outcome::Interrupted,
                    state,
                });
            }
            state.epoch += 1;
            state.cursor = 0;
            self.end_epoch(run, &mut state, &parts, observer)?;
            parts.save(run, &state, observer)?;
        }
        if state.best.is_some() {
            state::load_values(&run.best(), parts.store)?;
        }
        warn_if_no_better(&state);
        Ok(Trained {
            outcome: Outcome::Finished,
            state,
        })
    }

    /// What training changes, before the first update.
    pub(super) fn parts<'s>(&self, store: &'s mut ParamStore<f32>) -> Parts<'s> {
        Parts {
            adam: Adam::new(self.config.adam, store),
            grads: Gradients::new(store),
            pruner: self.pruner.cloned(),
            prefix: self.prefix_cache(),
            skipped: 0,
            store,
        }
    }

    /// What is left of an epoch; whether it came to its end.
    fn epoch(
        &self,
        run: &mut RunDir,
        state: &mut TrainState,
        parts: &mut Parts<'_>,
        observer: &mut dyn Observer,
    ) -> Result<bool, TrainError> {
        let (seed, at) = (self.seed, state.cursor);
        let mut epoch = Epoch::new(self.examples, self.sampler, seed, state.epoch, at);
        let mut saved_at = Instant::now();
        while epoch.cursor < epoch.len() {
            let started = Instant::now();
            let (loss, norm) = self.update(&mut epoch, state, parts)?;
            if loss.tokens == 0 {
                break;
            }
            parts.skipped = match norm.is_finite() {
                true => 0,
                false => parts.skipped + 1,
            };
            let seconds = started.elapsed().as_secs_f64();
            let event = self.updated(state, &epoch, &loss, norm, seconds);
            if parts.skipped >= MAX_SKIPPED {
                return Err(TrainError::Diverged {
                    update: state.update,
                    updates: parts.skipped,
                });
            }
            report(run, observer, &event);
            if observer.stop() {
                parts.save(run, state, observer)?;
                return Ok(false);
            }
            if observer.enough() {
                break;
            }
            if saved_at.elapsed().as_secs_f64() > 60.0 * self.config.save_minutes {
                parts.save(run, state, observer)?;
                saved_at = Instant::now();
            }
        }
        let max_tokens = self.examples.max_tokens();
        if epoch.too_long == epoch.len() {
            return Err(TrainError::AllTooLong { max_tokens });
        }
        if epoch.too_long > 0 && state.epoch == 0 {
            let pairs = epoch.too_long;
            tracing::warn!(pairs, max_tokens, "left out: too long");
        }
        if let Some(kept) = &parts.prefix {
            let (sentences, bytes, computed) = (kept.len(), kept.bytes(), kept.computed());
            tracing::debug!(sentences, bytes, computed, "encoder states kept");
        }
        Ok(true)
    }

    /// Where encoder states are kept, if there is anything to keep.
    fn prefix_cache(&self) -> Option<PrefixCache<f32>> {
        let all = self.model.config().encoder_layers;
        let layers = self.adapters.encoder_layers_below(all);
        let useful = self.reuse_prefix > 0 && layers > 0;
        useful.then(|| PrefixCache::new(layers, self.reuse_prefix))
    }

    /// One update: the gradient of `accumulate` batches, over their target tokens.
    pub(super) fn update(
        &self,
        epoch: &mut Epoch<'_>,
        state: &TrainState,
        parts: &mut Parts<'_>,
    ) -> Result<(BatchLoss, f64), TrainError> {
        let rate = self.learning_rate(state, epoch.len());
        let (store, grads) = (&mut *parts.store, &mut parts.grads);
        grads.clear();
        let mut sum = BatchLoss::default();
        for _ in 0..self.config.accumulate {
            let examples = epoch.batch(self.config.batch_tokens)?;
            if examples.is_empty() {
                break;
            }
            let batch: Batch = pack(&examples, self.model.layout());
            let cx = Context {
                backend: self.backend,
                store,
                adapters: self.adapters,
                dropout: Some(mix(self.seed, state.update)),
            };
            let smoothing = self.config.smoothing();
            let prefix = parts.prefix.as_mut();
            let loss = self
                .model
                .loss_and_gradients_reusing(&cx, &batch, smoothing, prefix, grads);
            sum.loss += loss.loss;
            sum.nll += loss.nll;
            sum.tokens += loss.tokens;
        }
        // What is left of the epoch is too long: no update, lest old momentum makes one.
        if sum.tokens == 0 {
            return Ok((sum, 0.0));
        }
        self.adapters.add_mixture_gradients(store, grads);
        if let Some(pruner) = &parts.pruner {
            pruner.mask(grads.values_mut());
        }
        let scale = 1.0 / sum.tokens as f64;
        let adam = &mut parts.adam;
        let norm = adam.step(self.backend, store, grads, rate as f32, scale);
        Ok((sum, norm))
    }

    fn done(&self, state: &TrainState, samples: usize) -> f64 {
        (state.epoch as f64 + state.cursor as f64 / samples.max(1) as f64)
            / self.config.epochs as f64
    }

    fn learning_rate(&self, state: &TrainState, samples: usize) -> f64 {
        let done = self.done(state, samples);
        let factor = self
            .config
            .schedule
            .factor(state.update + 1, self.config.warmup, done);
        f64::from(self.config.learning_rate) * factor
    }

    /// Moves the state past an update.
    fn updated(
        &self,
        state: &mut TrainState,
        epoch: &Epoch<'_>,
        loss: &BatchLoss,
        norm: f64,
        seconds: f64,
    ) -> Event {
        let learning_rate = self.learning_rate(state, epoch.len());
        state.update += 1;
        state.cursor = epoch.cursor;
        state.total_tokens += loss.tokens as u64;
        state.seconds += seconds;
        let done = self.done(state, epoch.len());
        Event::Update {
            update: state.update,
            planned: (state.update as f64 / done).round() as u64,
            epoch: state.epoch + 1,
            learning_rate,
            loss: loss.loss / loss.tokens as f64,
            nll: loss.nll / loss.tokens as f64,
            norm,
            tokens: loss.tokens,
            total_tokens: state.total_tokens,
            seconds,
            done,
        }
    }

    /// Validates what training starts from.
    fn begin(
        &self,
        run: &mut RunDir,
        state: &mut TrainState,
        store: &ParamStore<f32>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let validation = self.validate(state, store)?;
        state.before = Some(validation);
        report(run, observer, &validated(state, validation, false));
        Ok(())
    }

    fn validate(
        &self,
        state: &TrainState,
        store: &ParamStore<f32>,
    ) -> Result<Validation, TrainError> {
        let cx = Context {
            backend: self.backend,
            store,
            adapters: self.adapters,
            dropout: None,
        };
        // Its batches are of other sizes than those of training.
        Buffer::<f32>::release_free();
        let validation = self.validator.validate(&cx, self.model);
        Buffer::<f32>::release_free();
        let update = state.update;
        match validation {
            Ok(validation) if validation.nll.is_finite() => Ok(validation),
            Ok(_) => Err(TrainError::NotFinite { update }),
            // What a translator takes for broken weights is, after updates, a training that ran away.
            Err(TrainError::Decode(DecodeError::NotFinite { .. })) if update > 0 => {
                Err(TrainError::NotFinite { update })
            }
            Err(error) => Err(error),
        }
    }

    /// Validates where it is due, keeps the best values, decides whether to go on.
    fn end_epoch(
        &self,
        run: &mut RunDir,
        state: &mut TrainState,
        parts: &Parts<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let store = &*parts.store;
        state.finished = state.epoch >= self.config.epochs || observer.enough();
        if !state.finished && !state.epoch.is_multiple_of(self.every_epochs.max(1)) {
            return Ok(());
        }
        let validation = self.validate(state, store)?;
        let best = state.best.is_none_or(|best| validation.score() > best);
        if best {
            state.best = Some(validation.score());
            state.best_nll = Some(validation.nll);
            state.since_best = 0;
            state::save_values(&run.best(), store)?;
        } else {
            state.since_best += 1;
            let pruner = parts.pruner.as_ref();
            let pruned = pruner.is_none_or(|pruner| pruner.is_complete(state.epoch));
            state.finished |= pruned && self.patience > 0 && state.since_best >= self.patience;
        }
        report(run, observer, &validated(state, validation, best));
        Ok(())
    }
}

fn validated(state: &TrainState, validation: Validation, best: bool) -> Event {
    Event::Validation {
        update: state.update,
        epoch: state.epoch,
        nll: validation.nll,
        chrf: validation.chrf,
        best,
    }
}

/// Training that made nothing better is a result that nobody should take for an improvement.
fn warn_if_no_better(state: &TrainState) {
    let (Some(before), Some(best)) = (state.before, state.best) else {
        return;
    };
    if best > before.score() {
        return;
    }
    let (what, sign) = match before.chrf {
        Some(_) => ("chrF++", 1.0),
        None => ("loss", -1.0),
    };
    tracing::warn!(
        "on the validation text no epoch is better than what training began with: {what} {:.4} at best, {:.4} before; try a lower \
         learning rate, less dropout and label smoothing, or more text",
        sign * best,
        sign * before.score()
    );
}
