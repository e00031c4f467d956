//! What runs of every kind are put together from.

use std::path::{Path, PathBuf};

use isogloss_kernels::{Backend, Cpu};
use serde::Serialize;

use crate::config::{Directions, ValidationConfig};
use crate::corpus::{Corpus, DataConfig, DirectionFilter, FilterConfig, FilterReport, Sampler};
use crate::language::{Direction, Language};
use crate::model::{DType, Model, ModelConfig, PackFor, Packing, Storage, Tensor};
use crate::train::{PrefixReuse, TrainError};

/// Most bytes for weights packed ahead in training beside the weights themselves: a small model trains faster by them, of a large one they
/// would double the memory.
fn budget(backend: &Cpu) -> usize {
    match backend.packing_replaces(true) {
        // Second copies alone, which save turning the first around.
        true => 128 << 20,
        false => 512 << 20,
    }
}

/// Bytes of a frozen base in memory while it is trained beside: what stays as it is stored, and what is packed.
pub(super) fn frozen_bytes(model: &ModelConfig, tensors: &[Tensor], backend: &Cpu) -> usize {
    let linears = || {
        model
            .tensor_shapes()
            .into_iter()
            .filter(|(name, shape)| shape.len() == 2 && name != "shared.weight")
    };
    let shapes = linears().map(|(_, shape)| (shape[0], shape[1]));
    let mut packing = Packing::new(backend, PackFor::Training, budget(backend), shapes);
    let mut bytes: usize = tensors.iter().map(|t| t.storage.size()).sum();
    for (name, shape) in linears() {
        let stored = of_name(tensors, &name);
        match packing.choose(shape[0], shape[1], false) {
            Some(choice) => {
                bytes += choice.bytes;
                bytes -= stored.filter(|_| choice.replace).map_or(0, Storage::size);
            }
            None => bytes += widening(stored),
        }
    }
    let embedding = of_name(tensors, "shared.weight");
    if backend.rounds_to_bf16() {
        bytes -= embedding.map_or(0, Storage::size);
        bytes += 2 * model.vocab_size * model.d_model;
    } else {
        bytes += widening(embedding);
    }
    bytes
}

fn of_name<'a>(tensors: &'a [Tensor], name: &str) -> Option<&'a Storage> {
    let tensor = tensors.iter().find(|tensor| tensor.name == name);
    tensor.map(|tensor| &tensor.storage)
}

/// What values that are stored in bytes take more in `f32`.
fn widening(stored: Option<&Storage>) -> usize {
    let bytes = stored.filter(|storage| storage.dtype() == DType::Int8);
    bytes.map_or(0, |storage| 4 * storage.len() - storage.size())
}

/// Packs a frozen base ahead for training.
pub fn pack_for_training(model: &mut Model<f32>, backend: &Cpu) {
    model.pack(backend, PackFor::Training, budget(backend));
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
    let before: Vec<Language> = corpus.languages().into_iter().cloned().collect();
    let report = corpus.filter(filter)?;
    let left = corpus.languages();
    let lost = before.into_iter().find(|language| !left.contains(language));
    if let Some(language) = lost {
        let row = report.of(&language);
        if let Some(reason) = row.main_reason() {
            return Err(TrainError::FilteredOut {
                language,
                read: row.read,
                reason,
            });
        }
    }
    Ok((corpus, report))
}

/// Validation text of the directions that are validated: those of the section, or what the text holds of the run's.
pub(super) fn validation_text(
    config: &ValidationConfig,
    base: &Path,
    run: &Directions,
    languages: &[Language],
) -> Result<Corpus, TrainError> {
    let text = match &config.directions {
        Some(directions) => Corpus::load(&config.data, base, &directions.filter(languages))?,
        None => Corpus::load_held(&config.data, base, &run.filter(languages))?,
    };
    Ok(text.without_blank())
}

/// Says so where held-out text, of validation or of a test, is training text: what is measured on it tells nothing of new text.
pub(crate) fn warn_of_overlap(what: &str, held_out: &Corpus, training: &Corpus) {
    let shared = held_out.shared_with(training);
    let (pairs, of) = shared.iter().fold((0, 0), |(pairs, of), &(_, some, all)| {
        (pairs + some, of + all)
    });
    if let Some((worst, some, all)) = shared.iter().max_by_key(|(_, some, _)| *some) {
        tracing::warn!(
            "{pairs} of {of} {what} pairs in {} directions are training pairs as well, {some} of {all} in {worst}: what is measured on \
             them says little about new text; hold out sentences that don't occur in training",
            shared.len()
        );
    }
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
    /// Trainable parameters left when the entries that pruning takes are gone.
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
    /// States that are kept from epoch to epoch, where the configuration asks for it; part of `memory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse: Option<PrefixReuse>,
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
