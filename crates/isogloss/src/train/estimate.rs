//! What a run will take, before it starts.

use std::path::Path;

use isogloss_kernels::Cpu;

use crate::adapter::{AdapterSet, Adapters};
use crate::config::{Method, TrainConfig};
use crate::corpus::{Corpus, Sampler};
use crate::params::ParamStore;
use crate::prune::Pruner;
use crate::tokenize::Tokenizer;
use crate::train::adapt::adapter_set;
use crate::train::memory::Footprint;
use crate::train::opened::Opened;
use crate::train::setup::{self, Estimate};
use crate::train::{DirectionShare, PrefixReuse, TrainError};

impl TrainConfig {
    /// What the run will take.
    ///
    /// # Errors
    /// [`TrainError`]: base, text or configuration.
    pub fn estimate(&self, config_dir: &Path) -> Result<Estimate, TrainError> {
        self.estimate_opened(&Opened::new(self, config_dir)?, config_dir)
    }

    pub(super) fn estimate_opened(
        &self,
        opened: &Opened,
        config_dir: &Path,
    ) -> Result<Estimate, TrainError> {
        let (corpus, _) = opened.training_text(self, config_dir)?;
        opened.validation_text(self, config_dir, &corpus)?;
        self.estimate_for(opened, &corpus, &self.compute.backend()?)
    }

    /// Each direction's part of an epoch.
    ///
    /// # Errors
    /// [`TrainError`]: base, text or configuration.
    pub fn shares(&self, config_dir: &Path) -> Result<Vec<DirectionShare>, TrainError> {
        let opened = Opened::new(self, config_dir)?;
        let (corpus, _) = opened.training_text(self, config_dir)?;
        let sampler = Sampler::new(corpus.directions(), &self.training.sample, self.seed)?;
        Ok(setup::shares(&corpus, &sampler))
    }

    pub(super) fn estimate_for(
        &self,
        opened: &Opened,
        corpus: &Corpus,
        backend: &Cpu,
    ) -> Result<Estimate, TrainError> {
        let shape = &opened.checkpoint.config;
        let full = self.method == Method::Full;
        let base_parameters = shape.parameters();
        let mut reuse = None;
        let mut pruned = 0;
        // What is added to is held beside, once as it was read.
        let (mut stored, mut beside) = (base_parameters, 0);
        let (by_update, trainable, active) = if full {
            (Vec::new(), base_parameters, base_parameters)
        } else {
            let mut store = ParamStore::new();
            let mut set = adapter_set(self, opened, &mut store)?;
            opened.note_trained(&mut set, corpus);
            pruned = self
                .pruner(&set, &store)?
                .map_or(0, |pruner| pruner.target());
            stored = store.values().len();
            beside = opened
                .extended
                .as_ref()
                .map_or(0, |e| size_of_val(e.store.values()));
            reuse = self.prefix_reuse(opened, &set.adapters, corpus)?;
            let counts = set.counts();
            let names = set.updates.iter().map(|u| u.name.clone());
            let mut by_update: Vec<(String, usize)> = names.zip(counts.by_update).collect();
            if opened.extended.is_some() {
                let added = |name: &str| opened.added.iter().any(|(l, _)| l.code() == name);
                by_update.retain(|(name, _)| added(name));
            }
            (by_update, store.trainable(), counts.active)
        };
        let sampler = Sampler::new(corpus.directions(), &self.training.sample, self.seed)?;
        let tokens_per_epoch =
            tokens_per_pair(corpus, &opened.tokenizer)? * sampler.pairs_per_epoch() as f64;
        let base = match full {
            // Its values are parameters.
            true => 0,
            false => setup::frozen_bytes(shape, &opened.checkpoint.tensors, backend),
        };
        let footprint = Footprint {
            model: shape,
            training: &self.training,
            base: base + beside,
            stored,
            text: corpus.memory(),
            tokens_per_epoch,
            reuse: reuse.as_ref(),
        };
        Ok(Estimate {
            base_parameters,
            by_update,
            trainable,
            active,
            after_compaction: trainable - pruned,
            pairs_per_epoch: sampler.pairs_per_epoch(),
            directions: setup::shares(corpus, &sampler),
            memory: footprint.peak(),
            operations: tokens_per_epoch
                * self.training.epochs as f64
                * setup::operations_per_token(shape, full),
            reuse,
        })
    }

    /// What prunes the updates, if anything shall.
    pub(super) fn pruner(
        &self,
        set: &AdapterSet,
        store: &ParamStore<f32>,
    ) -> Result<Option<Pruner>, TrainError> {
        let pruner = |config| Pruner::new(config, set, store);
        Ok(self.pruning.as_ref().map(pruner).transpose()?)
    }

    /// What keeping encoder states means for the run, if it shall.
    fn prefix_reuse(
        &self,
        opened: &Opened,
        adapters: &Adapters,
        corpus: &Corpus,
    ) -> Result<Option<PrefixReuse>, TrainError> {
        let limit = self.compute.reuse_prefix();
        if limit == 0 {
            return Ok(None);
        }
        let (shape, tokenizer) = (&opened.checkpoint.config, &opened.tokenizer);
        let concatenates = self.training.concatenate > 0.0;
        let reuse = PrefixReuse::new(shape, adapters, corpus, tokenizer, limit, concatenates)?;
        if reuse.layers == 0 {
            tracing::warn!(
                "`compute.reuse_prefix_mb` has nothing to reuse: the lowest layer of the encoder is adapted; it saves something with \
                 `adapter.sites` of cross-attention alone"
            );
        }
        Ok(Some(reuse))
    }
}

/// Tokens of a pair's average side, measured on the first pairs of each direction.
fn tokens_per_pair(corpus: &Corpus, tokenizer: &Tokenizer) -> Result<f64, TrainError> {
    let (mut tokens, mut sides) = (0, 0);
    for (direction, _) in corpus.directions() {
        for (source, target) in corpus.pairs(direction).take(20) {
            tokens += tokenizer.source_ids(source, &direction.source)?.len();
            tokens += tokenizer.target_ids(target, &direction.target)?.len();
            sides += 2;
        }
    }
    Ok(tokens as f64 / f64::from(sides.max(1)))
}
