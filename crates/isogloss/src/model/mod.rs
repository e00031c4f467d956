//! The encoder-decoder of the M2M-100 family: forward and backward side by side, block by block.
//!
//! The base is frozen unless its tensors were put into a [`ParamStore`](crate::params::ParamStore); updates of
//! [`Adapters`](crate::adapter::Adapters) are added at their sites. The same code runs on every
//! [`Backend`], in `f64` for finite differences.

mod attention;
mod build;
mod cache;
mod context;
mod decoder;
mod encoder;
mod feed_forward;
mod head;
mod incremental;
mod init;
mod linear;
mod norm;
mod pack;
mod positions;
mod prefix;
mod tensor;
mod weight;

use isogloss_kernels::{Backend, Buffer, Epilogue, LabelSmoothing, Mat, MatMut, Real};

use crate::batch::{Batch, Layout, Packed};
use crate::graph::Stack;
use crate::model::decoder::Decoder;
use crate::model::encoder::Encoder;
use crate::model::weight::Weight;

pub use crate::graph::ModelConfig;
pub use build::ModelError;
pub(crate) use cache::{CachedSentence, DecoderCache};
pub use context::{Context, Grads};
pub(crate) use head::Head;
pub(crate) use incremental::StepRow;
pub use init::initial_tensors;
pub use pack::PackFor;
pub(crate) use pack::Packing;
pub use prefix::PrefixCache;
pub use tensor::{DType, Storage, Tensor, tensors_of};

/// A model; immutable, and shared freely between threads.
#[derive(Debug, Clone)]
pub struct Model<R> {
    config: ModelConfig,
    /// Tied: embedding of both stacks and head, `(V, D)`.
    embedding: Weight<R>,
    positions: Vec<R>,
    encoder: Encoder<R>,
    decoder: Decoder<R>,
}

/// Loss of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchLoss {
    /// Sum of the label-smoothed loss over target tokens, in nats.
    pub loss: f64,
    /// Sum of the negative log-likelihood over target tokens, in nats.
    pub nll: f64,
    /// Target tokens.
    pub tokens: usize,
    /// Negative log-likelihood of each label, in the batch's order.
    pub token_nll: Vec<f32>,
}

impl<R: Real> Model<R> {
    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What packing a batch for this model needs.
    #[must_use]
    pub fn layout(&self) -> Layout {
        Layout {
            decoder_start: self.config.decoder_start_token_id,
            first_position: self.config.pad_token_id + 1,
        }
    }

    /// Encoder states `(N, D)`, in packed order.
    ///
    /// # Panics
    /// If an id lies outside the vocabulary or a position outside the table, or if the context's store or updates are another model's.
    #[must_use]
    pub fn encode<B: Backend<Real = R>>(&self, cx: &Context<'_, B>, rows: &Packed) -> Buffer<R> {
        let x = self.encode_below(cx, rows, 0);
        self.encode_above(cx, rows, x, 0)
    }

    /// What comes out of the lowest `layers` encoder layers `(N, D)`, in packed order.
    pub(crate) fn encode_below<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        layers: usize,
    ) -> Buffer<R> {
        let x = self.embed(cx, rows, Stack::Encoder);
        self.encoder.below(cx, rows, x, layers)
    }

    /// Encoder states `(N, D)` from what came out of the lowest `layers` layers, `x (N, D)`.
    pub(crate) fn encode_above<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        x: Buffer<R>,
        layers: usize,
    ) -> Buffer<R> {
        self.encoder.forward(cx, rows, x, layers, false).0
    }

    /// Decoder states `(N, D)` under the batch's own targets, in packed order.
    ///
    /// # Panics
    /// If an id lies outside the vocabulary or a position outside the table, or if the context's store or updates are another model's.
    #[must_use]
    pub fn decode<B: Backend<Real = R>>(&self, cx: &Context<'_, B>, batch: &Batch) -> Buffer<R> {
        let memory = self.encode(cx, &batch.encoder);
        let x = self.embed(cx, &batch.decoder, Stack::Decoder);
        self.decoder.forward(cx, batch, &memory, x, false).0
    }

    /// Logits `(N, V)` of decoder states `(N, D)`.
    ///
    /// # Panics
    /// If `states` are no whole rows, or if the store is another model's.
    #[must_use]
    pub fn logits<B: Backend<Real = R>>(&self, cx: &Context<'_, B>, states: &[R]) -> Buffer<R> {
        let (d, v) = (self.config.d_model, self.config.vocab_size);
        let n = states.len() / d;
        let mut logits = Buffer::unset(n * v);
        cx.backend.matmul(
            Mat::new(states, n, d),
            self.embedding.mat(cx.store).t(),
            Epilogue::default(),
            MatMut::new(&mut logits, n, v),
        );
        logits
    }

    /// Loss of a batch.
    ///
    /// # Panics
    /// If an id lies outside the vocabulary or a position outside the table, or if the context's store or updates are another model's.
    #[must_use]
    pub fn loss<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        batch: &Batch,
        smoothing: LabelSmoothing,
    ) -> BatchLoss {
        let states = self.decode(cx, batch);
        self.head_loss(cx, batch, &states, smoothing, None, None)
    }

    /// Loss of a batch; adds the gradient of its sum to `grads`.
    ///
    /// # Panics
    /// If an id lies outside the vocabulary or a position outside the table, or if the context's store, its updates or `grads` are another model's.
    #[must_use]
    pub fn loss_and_gradients<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        batch: &Batch,
        smoothing: LabelSmoothing,
        grads: Grads<'_, B>,
    ) -> BatchLoss {
        self.loss_and_gradients_reusing(cx, batch, smoothing, None, grads)
    }

    /// As [`loss_and_gradients`](Self::loss_and_gradients), to the bit, with the encoder's states below the lowest trained layer from
    /// a cache, which keeps those of new sentences. A cache belongs to one model, backend and precision.
    ///
    /// # Panics
    /// As [`loss_and_gradients`](Self::loss_and_gradients); if a layer of the cache, or the embedding, is trained or subject to
    /// dropout.
    #[must_use]
    pub fn loss_and_gradients_reusing<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        batch: &Batch,
        smoothing: LabelSmoothing,
        prefix: Option<&mut PrefixCache<R>>,
        grads: Grads<'_, B>,
    ) -> BatchLoss {
        // Nothing below the lowest trained layer needs a gradient; the embedding lies below all.
        let lowest = |trained: Option<usize>| self.embedding.param().map_or(trained, |_| Some(0));
        let in_encoder = lowest(self.encoder.lowest_trained(cx));
        let rows = &batch.encoder;
        let (first, x) = match prefix {
            None => (0, self.embed(cx, rows, Stack::Encoder)),
            Some(cache) => (cache.layers(), self.reuse(cx, rows, cache)),
        };
        assert!(
            in_encoder.is_none_or(|lowest| first <= lowest),
            "states of layers that are trained can't be kept"
        );
        let (memory, encoder) = self.encoder.forward(cx, rows, x, first, true);
        let x = self.embed(cx, &batch.decoder, Stack::Decoder);
        let (states, decoder) = self.decoder.forward(cx, batch, &memory, x, true);
        let (Some(encoder), Some(decoder)) = (encoder, decoder) else {
            unreachable!("asked to save");
        };
        let mut dstates = Buffer::zeroed(states.len());
        let dtable = self.embedding.param().map(|id| grads.of(cx.store, id));
        let loss = self.head_loss(cx, batch, &states, smoothing, Some(&mut dstates), dtable);

        let in_decoder = match in_encoder {
            Some(_) => Some(0),
            None => lowest(self.decoder.lowest_trained(cx)),
        };
        let Some(in_decoder) = in_decoder else {
            return loss;
        };
        let mut dmemory = in_encoder.map(|_| Buffer::zeroed(memory.len()));
        let dx = self.decoder.backward(
            cx,
            batch,
            &memory,
            &decoder,
            &dstates,
            in_decoder,
            dmemory.as_deref_mut(),
            grads,
        );
        self.embed_backward(cx, &batch.decoder, Stack::Decoder, dx, grads);
        if let (Some(lowest), Some(dmemory)) = (in_encoder, dmemory) {
            let dx = self
                .encoder
                .backward(cx, rows, &encoder, &dmemory, lowest, grads);
            self.embed_backward(cx, rows, Stack::Encoder, dx, grads);
        }
        loss
    }

    fn embedding_scale(&self) -> f32 {
        match self.config.scale_embedding {
            true => (self.config.d_model as f32).sqrt(),
            false => 1.0,
        }
    }

    fn embed<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        stack: Stack,
    ) -> Buffer<R> {
        let d = self.config.d_model;
        let mut x = Buffer::unset(rows.len() * d);
        cx.backend.embed(
            &rows.ids,
            self.embedding.mat(cx.store),
            self.embedding_scale(),
            &rows.position_ids,
            &self.positions,
            &mut x,
        );
        if let Some(dropout) = cx.dropout_at(self.config.dropout, build::embedding_place(stack)) {
            cx.backend.dropout(dropout, &rows.row_keys, d, &mut x);
        }
        x
    }

    fn embed_backward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        stack: Stack,
        mut dx: Buffer<R>,
        grads: Grads<'_, B>,
    ) {
        let Some(id) = self.embedding.param() else {
            return;
        };
        let d = self.config.d_model;
        if let Some(dropout) = cx.dropout_at(self.config.dropout, build::embedding_place(stack)) {
            cx.backend.dropout(dropout, &rows.row_keys, d, &mut dx);
        }
        let dtable = grads.of(cx.store, id);
        cx.backend
            .embed_backward(&rows.ids, self.embedding_scale(), d, &dx, dtable);
    }

    fn head_loss<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        batch: &Batch,
        states: &[R],
        smoothing: LabelSmoothing,
        dstates: Option<&mut [R]>,
        dtable: Option<&mut [R]>,
    ) -> BatchLoss {
        let n = batch.labels.len();
        let (mut loss, mut nll) = (Buffer::unset(n), Buffer::unset(n));
        let unpacked = self.embedding.unpacked();
        let table = unpacked.as_ref().unwrap_or(&self.embedding).mat(cx.store);
        let labels = &batch.labels;
        let backend = cx.backend;
        backend.head_loss(
            states, table, labels, smoothing, &mut loss, &mut nll, dstates, dtable,
        );
        BatchLoss {
            loss: loss.iter().map(|x| x.f64()).sum(),
            nll: nll.iter().map(|x| x.f64()).sum(),
            tokens: n,
            token_nll: nll.iter().map(|x| x.f64() as f32).collect(),
        }
    }
}
