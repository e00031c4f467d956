//! What a trainer changes, and what of it is told.

use std::path::Path;

use crate::model::PrefixCache;
use crate::optim::Adam;
use crate::params::{Gradients, ParamStore};
use crate::prune::Pruner;
use crate::train::{Event, Observer, RunDir, TrainError, TrainState, state};

/// What changes while a model is trained.
pub(super) struct Parts<'a> {
    pub store: &'a mut ParamStore<f32>,
    pub grads: Gradients<f32>,
    pub adam: Adam<f32>,
    pub pruner: Option<Pruner>,
    pub prefix: Option<PrefixCache<f32>>,
    /// Updates without a finite gradient in a row, over epochs.
    pub skipped: u64,
}

impl Parts<'_> {
    pub fn load(&mut self, path: &Path) -> Result<TrainState, TrainError> {
        state::load(path, self.store, &mut self.adam, self.pruner.as_mut())
    }

    pub fn save(
        &self,
        run: &RunDir,
        state: &TrainState,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let pruner = self.pruner.as_ref();
        state::save(&run.last(), state, self.store, &self.adam, pruner)?;
        observer.event(&Event::Saved {
            update: state.update,
        });
        Ok(())
    }

    /// Prunes what is due at the start of the epoch. Validations so far were of larger updates: the best is then looked for anew.
    pub fn prune(&mut self, run: &mut RunDir, state: &mut TrainState, observer: &mut dyn Observer) {
        let Some(pruner) = &mut self.pruner else {
            return;
        };
        let epoch = state.epoch + 1;
        let (first, second, _) = self.adam.state_mut();
        let pruned = pruner.advance(epoch, self.store, |at| {
            first[at] = 0.0;
            second[at] = 0.0;
        });
        if pruned {
            (state.best, state.best_nll, state.since_best) = (None, None, 0);
            let (pruned, entries) = pruner.counts();
            let event = Event::Pruned {
                update: state.update,
                epoch,
                pruned,
                entries,
            };
            report(run, observer, &event);
        }
    }
}

/// Writes an event to the run's log and tells the observer.
pub(super) fn report(run: &mut RunDir, observer: &mut dyn Observer, event: &Event) {
    run.log(event);
    observer.event(event);
}
