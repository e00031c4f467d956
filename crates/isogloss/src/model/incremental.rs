//! Cached decoding: one new token for each live hypothesis a step, from the same blocks as training.
//!
//! The caches are the caller's. Keys and values of the encoder's output are computed once for a sentence and layer, and all
//! hypotheses of a sentence read the same rows. Keys and values of the target lie in slots of contiguous rows, a slot a
//! hypothesis; a hypothesis that lives on keeps its slot, so that only a second child of the same parent costs a copy.

use std::ops::Range;

use isogloss_kernels::{Backend, Buffer, Real, Span};

use crate::batch::{LanguageId, Packed};
use crate::graph::Stack;
use crate::model::Model;
use crate::model::attention::AttentionBlock;
use crate::model::context::Context;

/// Rows that a cache starts with, and the least that it grows by.
const ROWS: usize = 16;

/// Keys and values of one attention.
#[derive(Debug, Clone, Default)]
struct KeysValues<R: Real> {
    keys: Buffer<R>,
    values: Buffer<R>,
}

/// Keys and values that the cross-attention of each decoder layer sees, for all sentences of a batch, in the encoder's packed
/// order.
#[derive(Debug, Clone)]
pub(crate) struct CrossCache<R: Real> {
    layers: Vec<KeysValues<R>>,
}

/// Keys and values of the target tokens so far: `slots` runs of `capacity` rows, of which the first `len` are filled.
#[derive(Debug, Clone)]
pub(crate) struct TargetCache<R: Real> {
    layers: Vec<KeysValues<R>>,
    width: usize,
    slots: usize,
    capacity: usize,
    len: usize,
}

/// One new token.
#[derive(Debug, Clone)]
pub(crate) struct StepRow {
    /// The token.
    pub id: u32,
    /// The hypothesis' place in the [`TargetCache`].
    pub slot: usize,
    /// The sentence's rows in the encoder's packed order.
    pub memory: Range<usize>,
    /// Language of the source.
    pub source: LanguageId,
    /// Language of the target.
    pub target: LanguageId,
}

impl<R: Real> TargetCache<R> {
    /// An empty cache for `slots` hypotheses.
    pub fn new(model: &Model<R>, slots: usize) -> Self {
        let layer = KeysValues {
            keys: Buffer::default(),
            values: Buffer::default(),
        };
        TargetCache {
            layers: vec![layer; model.decoder.layers.len()],
            width: model.config.d_model,
            slots,
            capacity: 0,
            len: 0,
        }
    }

    /// Number of slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Copies what is filled of slot `from` to slot `to`.
    pub fn copy_slot(&mut self, from: usize, to: usize) {
        let (run, filled) = (self.capacity * self.width, self.len * self.width);
        for layer in &mut self.layers {
            for rows in [&mut layer.keys, &mut layer.values] {
                rows.copy_within(from * run..from * run + filled, to * run);
            }
        }
    }

    /// Keeps the slots of `kept` alone, renumbered in that order.
    pub fn keep_slots(&mut self, kept: &[usize]) {
        self.lay_out(kept, self.capacity);
    }

    fn lay_out(&mut self, kept: &[usize], capacity: usize) {
        let (old, new) = (self.capacity * self.width, capacity * self.width);
        let filled = self.len * self.width;
        for layer in &mut self.layers {
            for rows in [&mut layer.keys, &mut layer.values] {
                let mut moved = Buffer::zeroed(kept.len() * new);
                for (to, from) in kept.iter().enumerate() {
                    moved[to * new..to * new + filled]
                        .copy_from_slice(&rows[from * old..from * old + filled]);
                }
                *rows = moved;
            }
        }
        (self.slots, self.capacity) = (kept.len(), capacity);
    }

    /// Makes room for one more row in every slot.
    fn reserve(&mut self) {
        if self.len == self.capacity {
            let all: Vec<usize> = (0..self.slots).collect();
            // By half, so that little of the largest array of all lies idle.
            self.lay_out(&all, self.capacity + (self.capacity / 2).max(ROWS));
        }
    }
}

impl<R: Real> KeysValues<R> {
    fn write(&mut self, row: usize, width: usize, from: usize, keys: &[R], values: &[R]) {
        let (to, from) = (
            row * width..(row + 1) * width,
            from * width..(from + 1) * width,
        );
        self.keys[to.clone()].copy_from_slice(&keys[from.clone()]);
        self.values[to].copy_from_slice(&values[from]);
    }
}

impl<R: Real> AttentionBlock<R> {
    /// Adds the block to `x`, given all keys and values and each row's span of them; `q` are the queries of `norm x`.
    fn attend<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        q: &[R],
        cache: &KeysValues<R>,
        spans: &[Span],
        x: &mut [R],
    ) {
        let mut attended = Buffer::unset(q.len());
        let mut lse = Buffer::unset(rows.len() * self.shape.heads);
        cx.backend.attention(
            self.shape,
            q,
            &cache.keys,
            &cache.values,
            spans,
            None,
            &mut attended,
            &mut lse,
        );
        let y = self.out.forward(cx, rows, &attended, false);
        cx.backend.add(&y, x);
    }
}

impl<R: Real> Model<R> {
    /// The keys and values of all cross-attentions, from encoder states `memory (N, D)` of `rows`.
    pub(crate) fn cross_cache<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        memory: &[R],
    ) -> CrossCache<R> {
        let layers = self.decoder.layers.iter().map(|layer| KeysValues {
            keys: layer.cross.k.forward(cx, rows, memory, false),
            values: layer.cross.v.forward(cx, rows, memory, false),
        });
        CrossCache {
            layers: layers.collect(),
        }
    }

    /// Decoder states `(step.len(), D)` after one more token in each of the step's slots. Rows of a language should lie
    /// together. `cx` must not drop anything.
    pub(crate) fn decode_step<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        cross: &CrossCache<R>,
        target: &mut TargetCache<R>,
        step: &[StepRow],
    ) -> Buffer<R> {
        let width = self.config.d_model;
        target.reserve();
        let (mut rows, mut own, mut memory) = (Packed::default(), Vec::new(), Vec::new());
        let position = self.layout().first_position + target.len as u32;
        for (i, row) in step.iter().enumerate() {
            let id = std::iter::once(row.id);
            rows.push(id, position, row.source, row.target, 0);
            let span = |k_start, k_len| Span {
                q_start: i,
                q_len: 1,
                k_start,
                k_len,
                key: 0,
            };
            own.push(span(row.slot * target.capacity, target.len + 1));
            memory.push(span(row.memory.start, row.memory.len()));
        }
        let mut x = self.embed(cx, &rows, Stack::Decoder);
        let caches = cross.layers.iter().zip(&mut target.layers);
        for (layer, (cross, cache)) in self.decoder.layers.iter().zip(caches) {
            let block = &layer.attention;
            let (h, _) = block.norm.forward(cx, &x);
            let q = block.q.forward(cx, &rows, &h, false);
            let k = block.k.forward(cx, &rows, &h, false);
            let v = block.v.forward(cx, &rows, &h, false);
            for (i, row) in step.iter().enumerate() {
                let to = row.slot * target.capacity + target.len;
                cache.write(to, width, i, &k, &v);
            }
            block.attend(cx, &rows, &q, cache, &own, &mut x);

            let block = &layer.cross;
            let (h, _) = block.norm.forward(cx, &x);
            let q = block.q.forward(cx, &rows, &h, false);
            block.attend(cx, &rows, &q, cross, &memory, &mut x);

            let _ = layer.feed_forward.forward(cx, &rows, &mut x);
        }
        target.len += 1;
        self.decoder.norm.forward(cx, &x).0
    }
}
