use isogloss_kernels::{Backend, Buffer, Real};

use crate::batch::Packed;
use crate::model::attention::{AttentionBlock, AttentionSaved};
use crate::model::context::{Context, Grads};
use crate::model::feed_forward::{FeedForward, FeedForwardSaved};
use crate::model::norm::LayerNorm;

/// Self-attention and feed-forward.
#[derive(Debug, Clone)]
pub(crate) struct EncoderLayer<R> {
    pub attention: AttentionBlock<R>,
    pub feed_forward: FeedForward<R>,
}

/// The encoder, from embeddings to normalised states.
#[derive(Debug, Clone)]
pub(crate) struct Encoder<R> {
    pub layers: Vec<EncoderLayer<R>>,
    pub norm: LayerNorm<R>,
}

/// What the backward pass of a layer needs.
type LayerSaved<R> = (AttentionSaved<R>, FeedForwardSaved<R>);

/// What the backward pass needs.
#[derive(Debug)]
pub(crate) struct EncoderSaved<R: Real> {
    /// The layer that the pass started at.
    first: usize,
    layers: Vec<LayerSaved<R>>,
    x: Buffer<R>,
    stats: Buffer<R>,
}

impl<R: Real> Encoder<R> {
    /// The lowest layer that has parameters to train, if any has.
    pub fn lowest_trained<B: Backend<Real = R>>(&self, cx: &Context<'_, B>) -> Option<usize> {
        self.layers
            .iter()
            .position(|layer| layer.attention.trains(cx) || layer.feed_forward.trains(cx))
    }

    /// What comes out of the lowest `layers` layers `(N, D)`, from embeddings `x (N, D)`.
    pub fn below<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        mut x: Buffer<R>,
        layers: usize,
    ) -> Buffer<R> {
        through(&self.layers[..layers], cx, rows, &mut x, |_| ());
        x
    }

    /// States `(N, D)` from the input `x (N, D)` of layer `first`: embeddings where that is 0. With `save`, also what the backward
    /// pass needs.
    pub fn forward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        mut x: Buffer<R>,
        first: usize,
        save: bool,
    ) -> (Buffer<R>, Option<EncoderSaved<R>>) {
        let mut layers = Vec::with_capacity(if save { self.layers.len() - first } else { 0 });
        through(&self.layers[first..], cx, rows, &mut x, |saved| {
            if save {
                layers.push(saved);
            }
        });
        let (states, stats) = self.norm.forward(cx, &x);
        let saved = save.then_some(EncoderSaved {
            first,
            layers,
            x,
            stats,
        });
        (states, saved)
    }

    /// The gradient of layer `lowest`'s input, from that of the states. The pass that was saved started there or below.
    pub fn backward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        saved: &EncoderSaved<R>,
        dstates: &[R],
        lowest: usize,
        grads: Grads<'_, B>,
    ) -> Buffer<R> {
        let mut dx = Buffer::zeroed(dstates.len());
        self.norm
            .backward(cx, &saved.x, &saved.stats, dstates, &mut dx, grads);
        let layers = self.layers.iter().skip(saved.first).zip(&saved.layers);
        let layers = layers.skip(lowest - saved.first);
        for (layer, (attention, feed_forward)) in layers.rev() {
            layer
                .feed_forward
                .backward(cx, rows, feed_forward, &mut dx, grads);
            let spans = &rows.spans;
            layer
                .attention
                .backward(cx, rows, spans, None, attention, &mut dx, None, grads);
        }
        dx
    }
}

/// Brings `x (N, D)` through some layers; `done` takes what the backward pass of each needs.
fn through<B: Backend>(
    layers: &[EncoderLayer<B::Real>],
    cx: &Context<'_, B>,
    rows: &Packed,
    x: &mut [B::Real],
    mut done: impl FnMut(LayerSaved<B::Real>),
) {
    for layer in layers {
        let attention = layer.attention.forward(cx, rows, &rows.spans, None, x);
        let feed_forward = layer.feed_forward.forward(cx, rows, x);
        done((attention, feed_forward));
    }
}
