//! Gradual pruning of updates while they are trained: single entries of `lora_b` or whole components, a share that rises from epoch to
//! epoch.

mod pool;
mod schedule;
#[cfg(test)]
mod tests;

use crate::adapter::{AdapterSet, LowRank};
use crate::params::ParamStore;
use pool::Pool;

pub use schedule::{PruningConfig, PruningError, PruningPool, PruningShape, PruningUnit};

/// Which entries of a store are pruned, and when more will be.
#[derive(Debug, Clone, PartialEq)]
pub struct Pruner {
    config: PruningConfig,
    pools: Vec<Pool>,
    /// One for each value of the store.
    pruned: Vec<bool>,
}

impl Pruner {
    /// Nothing is pruned yet. The store holds the values of the set's updates.
    ///
    /// # Errors
    /// If a language of `language_ratios` has no update of its own that is trained.
    pub fn new(
        config: &PruningConfig,
        set: &AdapterSet,
        store: &ParamStore<f32>,
    ) -> Result<Self, PruningError> {
        let mut ratios = config.language_ratios.clone();
        let mut pools = Vec::new();
        for update in &set.updates {
            let sites = set.sites.iter();
            let low_ranks = sites.filter_map(|plan| set.low_rank(update, plan.site));
            // What isn't trained any more stays as it is.
            let trained = low_ranks.filter(|update| store.group_of(update.b).rate != 0.0);
            let trained: Vec<&LowRank> = trained.collect();
            if trained.is_empty() {
                continue;
            }
            let language = ratios.keys().find(|l| l.code() == update.name).cloned();
            let own = language.and_then(|language| ratios.remove(&language));
            let target_ratio = own.unwrap_or(config.target_ratio);
            let pool = |updates: &[&LowRank]| Pool::new(config.unit, updates, target_ratio, store);
            match config.pool {
                PruningPool::Language => pools.push(pool(&trained)),
                PruningPool::Site => pools.extend(trained.iter().map(|&update| pool(&[update]))),
            }
        }
        if let Some((language, _)) = ratios.pop_first() {
            return Err(PruningError {
                key: "language_ratios",
                reason: format!(
                    "names {language}, of which no update of its own is trained in this run"
                ),
            });
        }
        Ok(Pruner {
            config: config.clone(),
            pools,
            pruned: vec![false; store.values().len()],
        })
    }

    /// Prunes what is due at the start of `epoch` (from 1): `round(share * entries)` of each pool in all (of components, as many as fit into
    /// that), those pruned before first, then what counts least, and of equals the first in the store. Returns whether anything new was
    /// pruned; `forget` is called with each new entry.
    pub fn advance(
        &mut self,
        epoch: u64,
        store: &mut ParamStore<f32>,
        mut forget: impl FnMut(usize),
    ) -> bool {
        let progress = self.config.progress(epoch);
        let mut any = false;
        for pool in &self.pools {
            let values = store.values_mut();
            for at in pool.smallest(pool.due(progress), values, &self.pruned) {
                any = true;
                self.pruned[at] = true;
                values[at] = 0.0;
                forget(at);
            }
        }
        any
    }

    /// Whether nothing will be pruned at the start of an epoch after `epoch` (from 1).
    #[must_use]
    pub fn is_complete(&self, epoch: u64) -> bool {
        epoch >= self.config.end_epoch()
    }

    /// Sets the gradients of pruned entries to zero, so that the entries stay as they are.
    pub fn mask(&self, gradients: &mut [f32]) {
        for (gradient, &pruned) in gradients.iter_mut().zip(&self.pruned) {
            if pruned {
                *gradient = 0.0;
            }
        }
    }

    /// Entries that are pruned, and entries that could be.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let pruned = self.pruned.iter().filter(|&&pruned| pruned).count();
        (pruned, self.pools.iter().map(|pool| pool.entries).sum())
    }

    /// Entries that will be pruned in the end; of components of several sizes at most so many.
    #[must_use]
    pub fn target(&self) -> usize {
        self.pools.iter().map(Pool::target).sum()
    }

    /// For each value of the store whether it is pruned, for a checkpoint.
    #[must_use]
    pub fn pruned(&self) -> &[bool] {
        &self.pruned
    }

    /// What [`pruned`](Self::pruned) gave, to be restored.
    pub(crate) fn pruned_mut(&mut self) -> &mut [bool] {
        &mut self.pruned
    }
}
