//! What a run takes in memory, predicted before it starts.

use crate::config::TrainingConfig;
use crate::model::ModelConfig;
use crate::train::PrefixReuse;

/// The program with nothing loaded: its code, as far as it is used, its tables and its threads. Measured on Linux, x86-64.
const PROGRAM: usize = 14 << 20;

/// Logits of a block of the vocabulary and packed panels: buffers that the kernels keep. Measured with AVX2 and two threads, which takes
/// the most.
const SCRATCH: usize = 22 << 20;

/// What buffers take more than what lies in them: they come in sizes an eighth of a power of two apart.
const ROUNDED: f64 = 1.06;

/// How full both sides of a batch are on average.
const FILLED: f64 = 0.9;

/// What a run's memory depends on.
pub(super) struct Footprint<'a> {
    pub model: &'a ModelConfig,
    pub training: &'a TrainingConfig,
    /// Bytes of what is held frozen: the base's weights, as they lie in their files or packed, and adapters that are added to.
    pub base: usize,
    /// Parameters of the store, frozen ones included: all have a gradient and moments.
    pub stored: usize,
    /// Bytes of the text.
    pub text: usize,
    /// Tokens of an average side of all pairs of an epoch.
    pub tokens_per_epoch: f64,
    /// Encoder states that are kept from epoch to epoch.
    pub reuse: Option<&'a PrefixReuse>,
}

impl Footprint<'_> {
    /// The most that the run will hold at a time, in bytes.
    pub fn peak(&self) -> usize {
        // Values, gradients and two moments. Saving takes no copy, and resuming reads values and moments before there are gradients.
        let optimiser = 16 * self.stored;
        let kept = self.reuse.map_or(0, |reuse| reuse.kept);
        PROGRAM + self.base + optimiser + self.text + self.activations() + kept + SCRATCH
    }

    /// Bytes of what a batch keeps for its backward pass, and of the largest buffers beside it.
    fn activations(&self) -> usize {
        let (model, d) = (self.model, self.model.d_model);
        // Encoder layer: x, h, q, k, v, attended, x, h and the inner rows; a decoder layer holds cross-attention beside.
        // There is no backward pass through layers whose output is reused.
        let reused = self.reuse.map_or(0, |reuse| reuse.layers);
        let encoder = (model.encoder_layers - reused) * (8 * d + model.encoder_ffn_dim);
        let decoder = model.decoder_layers * (14 * d + model.decoder_ffn_dim);
        let beside = 12 * d + 2 * model.encoder_ffn_dim.max(model.decoder_ffn_dim);
        let values = self.batch_tokens() * (encoder + decoder + beside) as f64;
        (4.0 * ROUNDED * values) as usize
    }

    /// Tokens of an average side of a full batch. A sentence counts its longer side, so the sides have fewer than the limit; a small
    /// text doesn't fill a batch at all.
    fn batch_tokens(&self) -> f64 {
        (FILLED * self.training.batch_tokens as f64).min(self.tokens_per_epoch)
    }
}
