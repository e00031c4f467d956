//! What adapting everything will take, by what the pilot measured.

use serde::{Deserialize, Serialize};

use crate::compare::{CellResult, Speeds};
use crate::pilot::{Pilot, PilotError, Size};

/// Training all languages and directions of the configuration with updates of one size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Whole {
    /// The size.
    pub size: String,
    /// Languages.
    pub languages: usize,
    /// Directions.
    pub directions: usize,
    /// Parameters of the base.
    pub base_parameters: usize,
    /// Parameters of all updates.
    pub parameters: usize,
    /// Parameters that act in the direction that needs most.
    pub active: usize,
    /// Bytes of the updates on disk, in `f32`.
    pub disk_bytes: usize,
    /// Bytes of memory at the peak of training.
    pub memory_bytes: usize,
    /// Hours of training as configured, validations included, on this machine.
    pub training_hours: f64,
    /// Pairs of an epoch, as configured.
    pub pairs_per_epoch: usize,
    /// Epochs, as configured.
    pub epochs: u64,
    /// Sentences of the pilot's text that are translated in a second (greedily, in 8 bits), measured on the base.
    pub sentences_per_second: f64,
}

impl Pilot {
    /// The estimate for a size. A training that was finished says how fast this machine trains; otherwise the measurement before it.
    pub(super) fn whole(
        &self,
        size: &Size,
        (trained, pairs): (Option<&CellResult>, f64),
        speeds: &Speeds,
    ) -> Result<Whole, PilotError> {
        let mut config = self.config.clone();
        config.adapter = size.adapter.clone();
        config.pruning = None;
        let estimate = match config.adapter == self.config.adapter {
            true => self.whole.clone(),
            false => config.estimate(&self.dir)?,
        };
        let mut speeds = *speeds;
        let method = self.experiment.methods.iter().find(|m| m.name == size.name);
        if let (Some(trained), Some(method)) = (trained, method) {
            let operations = method.estimate.operations * pairs.min(1.0);
            speeds.frozen = operations / trained.seconds.max(1e-9);
        }
        let (training, validation) = self.experiment.work_of(&config, &estimate, &speeds)?;
        let set = &self.experiment.sets[0];
        let lengths = set.lengths(&self.experiment.tokenizer);
        let lengths = lengths.map_err(crate::train::TrainError::from)?;
        let tokens = set.tokens(&lengths, &set.directions, 1);
        Ok(Whole {
            size: size.name.clone(),
            languages: config.languages.values().map(Vec::len).sum(),
            directions: estimate.directions.len(),
            base_parameters: estimate.base_parameters,
            parameters: estimate.trainable,
            active: estimate.active,
            disk_bytes: 4 * estimate.trainable,
            memory_bytes: estimate.memory,
            training_hours: (training + validation) / 3600.0,
            pairs_per_epoch: estimate.pairs_per_epoch,
            epochs: config.training.epochs,
            sentences_per_second: set.directions.len() as f64 * speeds.beam / tokens.max(1e-9),
        })
    }
}
