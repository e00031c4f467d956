//! What runs of every kind are put together from.

use std::path::{Path, PathBuf};

use isogloss_kernels::{Backend, Cpu};
use serde::Serialize;

use crate::config::{Directions, ValidationConfig};
use crate::corpus::{Corpus, DataConfig, DirectionFilter, FilterConfig, FilterReport, Sampler};
use crate::language::{Direction, Language};
use crate::model::{Model, ModelConfig, PackFor};
use crate::train::TrainError;

/// Most bytes for weights packed ahead in training: a small model trains faster by them, of a large one they would double the memory.
const MAX_PACKED: usize = 512 << 20;

/// Bytes that a frozen base of this shape takes packed ahead for training on a backend.
pub(super) fn packed_bytes(model: &ModelConfig, backend: &Cpu) -> usize {
    let bytes = |(name, shape): (String, Vec<usize>)| match shape[..] {
        // The embedding isn't packed for training.
        [rows, cols] if name != "shared.weight" => backend.packed_bytes(rows, cols, true),
        _ => 0,
    };
    let all: usize = model.tensor_shapes().into_iter().map(bytes).sum();
    all.min(MAX_PACKED)
}

/// Packs a frozen base ahead for training, as much of it as fits in half a gibibyte.
pub fn pack_for_training(model: &mut Model<f32>, backend: &Cpu) {
    model.pack(backend, PackFor::Training, MAX_PACKED);
}

/// A path of a configuration file: relative ones start at the file's folder.
pub(super) fn resolve(base: &Path, path: &Path) -> PathBuf {
    base.join(path)
}

/// Training text, cleaned; and what was dropped.
pub(super) fn training_text(
    data: &[DataConfig],
    base: &Path,
    wanted: &DirectionFilter,
    filter: &FilterConfig,
) -> Result<(Corpus, FilterReport), TrainError> {
    let mut corpus = Corpus::load(data, base, wanted)?;
    let report = corpus.filter(filter)?;
    Ok((corpus, report))
}

/// Validation text of the directions that are validated: those of the section, or what the text holds of the run's.
pub(super) fn validation_text(
    config: &ValidationConfig,
    base: &Path,
    run: &Directions,
    languages: &[Language],
) -> Result<Corpus, TrainError> {
    Ok(match &config.directions {
        Some(directions) => Corpus::load(&config.data, base, &directions.filter(languages))?,
        None => Corpus::load_held(&config.data, base, &run.filter(languages))?,
    })
}

/// A direction's part of the training text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DirectionShare {
    /// The direction.
    pub direction: Direction,
    /// Its pairs, after cleaning.
    pub pairs: usize,
    /// How many of them an epoch takes.
    pub pairs_per_epoch: u32,
}

/// The shares of all directions.
pub(super) fn shares(corpus: &Corpus, sampler: &Sampler) -> Vec<DirectionShare> {
    let all = corpus.directions().zip(sampler.quotas());
    let share =
        |((direction, pairs), &pairs_per_epoch): ((&Direction, usize), &u32)| DirectionShare {
            direction: direction.clone(),
            pairs,
            pairs_per_epoch,
        };
    all.map(share).collect()
}

/// What a run will take, before it starts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Parameters of the base.
    pub base_parameters: usize,
    /// Trainable parameters of each update (a language's, or the shared one; empty for full fine-tuning).
    pub by_update: Vec<(String, usize)>,
    /// Trainable parameters in all.
    pub trainable: usize,
    /// Trainable parameters that act in the direction that needs most.
    pub active: usize,
    /// Trainable parameters left after compaction. Nothing is pruned yet, so all of them.
    pub after_compaction: usize,
    /// Sentence pairs of an epoch.
    pub pairs_per_epoch: usize,
    /// What each direction has, and what it gets.
    pub directions: Vec<DirectionShare>,
    /// Peak memory in bytes: program, weights, optimiser, activations of a batch, text. To be compared with
    /// [`peak_bytes`](crate::memory::peak_bytes).
    pub memory: usize,
    /// Floating-point operations of the run.
    pub operations: f64,
}

impl Estimate {
    /// Seconds, on a machine that computes so many floating-point operations a second.
    #[must_use]
    pub fn seconds(&self, operations_per_second: f64) -> f64 {
        self.operations / operations_per_second
    }
}

/// Floating-point operations for a pair of one source and one target token: twice the weights forward, twice that for the
/// gradient of activations, and again for the gradient of weights where they are trained.
pub(super) fn operations_per_token(model: &ModelConfig, full: bool) -> f64 {
    let weights = model.parameters() as f64;
    if full { 6.0 * weights } else { 4.0 * weights }
}
