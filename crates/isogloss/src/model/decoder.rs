use isogloss_kernels::{Backend, Buffer, Real};

use crate::batch::Batch;
use crate::model::attention::{AttentionBlock, AttentionSaved, Memory};
use crate::model::context::{Context, Grads};
use crate::model::feed_forward::{FeedForward, FeedForwardSaved};
use crate::model::norm::LayerNorm;

/// Causal self-attention, cross-attention and feed-forward.
#[derive(Debug, Clone)]
pub(crate) struct DecoderLayer<R> {
    pub attention: AttentionBlock<R>,
    pub cross: AttentionBlock<R>,
    pub feed_forward: FeedForward<R>,
}

/// The decoder, from embeddings to normalised states.
#[derive(Debug, Clone)]
pub(crate) struct Decoder<R> {
    pub layers: Vec<DecoderLayer<R>>,
    pub norm: LayerNorm<R>,
}

/// What the backward pass of a layer needs.
#[derive(Debug)]
struct LayerSaved<R: Real> {
    attention: AttentionSaved<R>,
    cross: AttentionSaved<R>,
    feed_forward: FeedForwardSaved<R>,
}

/// What the backward pass needs.
#[derive(Debug)]
pub(crate) struct DecoderSaved<R: Real> {
    layers: Vec<LayerSaved<R>>,
    x: Buffer<R>,
    stats: Buffer<R>,
}

impl<R: Real> Decoder<R> {
    /// The lowest layer that has parameters to train, if any has.
    pub fn lowest_trained<B: Backend<Real = R>>(&self, cx: &Context<'_, B>) -> Option<usize> {
        self.layers.iter().position(|layer| {
            layer.attention.trains(cx) || layer.cross.trains(cx) || layer.feed_forward.trains(cx)
        })
    }

    /// States `(N, D)` from embeddings `x (N, D)` and the encoder's states. With `save`, also what the backward pass needs.
    pub fn forward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        batch: &Batch,
        memory: &[R],
        mut x: Buffer<R>,
        save: bool,
    ) -> (Buffer<R>, Option<DecoderSaved<R>>) {
        let rows = &batch.decoder;
        let memory = Memory {
            states: memory,
            rows: &batch.encoder,
        };
        let mut layers = Vec::with_capacity(if save { self.layers.len() } else { 0 });
        for layer in &self.layers {
            let attention = layer.attention.forward(cx, rows, &rows.spans, None, &mut x);
            let cross = layer
                .cross
                .forward(cx, rows, &batch.cross, Some(memory), &mut x);
            let feed_forward = layer.feed_forward.forward(cx, rows, &mut x);
            if save {
                layers.push(LayerSaved {
                    attention,
                    cross,
                    feed_forward,
                });
            }
        }
        let (states, stats) = self.norm.forward(cx, &x);
        let saved = save.then_some(DecoderSaved { layers, x, stats });
        (states, saved)
    }

    /// The gradient of layer `lowest`'s input, from that of the states. `dmemory`, unless it isn't needed, is added to.
    pub fn backward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        batch: &Batch,
        memory: &[R],
        saved: &DecoderSaved<R>,
        dstates: &[R],
        lowest: usize,
        mut dmemory: Option<&mut [R]>,
        grads: Grads<'_, B>,
    ) -> Buffer<R> {
        let rows = &batch.decoder;
        let memory = Memory {
            states: memory,
            rows: &batch.encoder,
        };
        let mut dx = Buffer::zeroed(dstates.len());
        self.norm
            .backward(cx, &saved.x, &saved.stats, dstates, &mut dx, grads);
        for (layer, saved) in self.layers.iter().zip(&saved.layers).skip(lowest).rev() {
            layer
                .feed_forward
                .backward(cx, rows, &saved.feed_forward, &mut dx, grads);
            layer.cross.backward(
                cx,
                rows,
                &batch.cross,
                Some(memory),
                &saved.cross,
                &mut dx,
                dmemory.as_deref_mut(),
                grads,
            );
            let spans = &rows.spans;
            layer.attention.backward(
                cx,
                rows,
                spans,
                None,
                &saved.attention,
                &mut dx,
                None,
                grads,
            );
        }
        dx
    }
}
