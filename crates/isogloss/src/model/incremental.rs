//! Cached decoding: one new token for each live hypothesis a step, from the same blocks as training.

use isogloss_kernels::{Backend, Buffer, Real, Span};

use crate::batch::{LanguageId, Packed};
use crate::graph::Stack;
use crate::model::Model;
use crate::model::attention::AttentionBlock;
use crate::model::cache::{CacheKey, DecoderCache, KeysValues};
use crate::model::context::Context;

/// One new token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepRow {
    /// The token.
    pub id: u32,
    /// The sentence.
    pub key: CacheKey,
    /// The hypothesis' slot among the sentence's.
    pub slot: usize,
    /// Language of the source.
    pub source: LanguageId,
    /// Language of the target.
    pub target: LanguageId,
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
    /// An empty cache for decoding with `slots` hypotheses a sentence.
    pub(crate) fn cache(&self, slots: usize) -> DecoderCache<R> {
        DecoderCache::new(self.decoder.layers.len(), self.config.d_model, slots)
    }

    /// Takes sentences into the cache, from encoder states `memory (N, D)` of `rows`: the keys and values of all cross-attentions.
    /// Returns the sentences' keys, in packed order.
    pub(crate) fn cache_sources<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        memory: &[R],
        cache: &mut DecoderCache<R>,
    ) -> Vec<CacheKey> {
        let width = self.config.d_model;
        let keys: Vec<CacheKey> = rows.spans.iter().map(|s| cache.insert(s.q_len)).collect();
        let places: Vec<usize> = keys.iter().map(|&k| cache.source_rows(k).start).collect();
        for (layer, cached) in self.decoder.layers.iter().zip(&mut cache.source.layers) {
            let k = layer.cross.k.forward(cx, rows, memory, false);
            let v = layer.cross.v.forward(cx, rows, memory, false);
            for (span, &place) in rows.spans.iter().zip(&places) {
                let from = span.q_start * width..(span.q_start + span.q_len) * width;
                cached.write(place, width, &k[from.clone()], &v[from]);
            }
        }
        keys
    }

    /// Decoder states `(step.len(), D)` after one more token in each of the step's slots. Of a sentence, all live hypotheses must be in
    /// the step; rows of a language should lie together. `cx` must not drop anything.
    pub(crate) fn decode_step<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        cache: &mut DecoderCache<R>,
        step: &[StepRow],
    ) -> Buffer<R> {
        let width = self.config.d_model;
        let mut keys: Vec<CacheKey> = step.iter().map(|row| row.key).collect();
        keys.sort_unstable();
        keys.dedup();
        // Growing one sentence's slots may move another's, so that places are asked for afterwards.
        keys.iter().for_each(|&key| cache.reserve(key));
        let (mut rows, mut own, mut memory) = (Packed::default(), Vec::new(), Vec::new());
        for (i, row) in step.iter().enumerate() {
            let len = cache.len(row.key);
            let position = self.layout().first_position + len as u32;
            rows.push(std::iter::once(row.id), position, row.source, row.target, 0);
            let span = |k_start, k_len| Span {
                q_start: i,
                q_len: 1,
                k_start,
                k_len,
                key: 0,
            };
            own.push(span(cache.slot_start(row.key, row.slot), len + 1));
            let source = cache.source_rows(row.key);
            memory.push(span(source.start, source.len()));
        }
        let mut x = self.embed(cx, &rows, Stack::Decoder);
        let caches = cache.source.layers.iter().zip(&mut cache.target.layers);
        for (layer, (source, target)) in self.decoder.layers.iter().zip(caches) {
            let block = &layer.attention;
            let (h, _) = block.norm.forward(cx, &x);
            let q = block.q.forward(cx, &rows, &h, false);
            let k = block.k.forward(cx, &rows, &h, false);
            let v = block.v.forward(cx, &rows, &h, false);
            let new = k.chunks_exact(width).zip(v.chunks_exact(width));
            for (span, (k, v)) in own.iter().zip(new) {
                target.write(span.k_start + span.k_len - 1, width, k, v);
            }
            block.attend(cx, &rows, &q, target, &own, &mut x);

            let block = &layer.cross;
            let (h, _) = block.norm.forward(cx, &x);
            let q = block.q.forward(cx, &rows, &h, false);
            block.attend(cx, &rows, &q, source, &memory, &mut x);

            let _ = layer.feed_forward.forward(cx, &rows, &mut x);
        }
        keys.iter().for_each(|&key| cache.advance(key));
        self.decoder.norm.forward(cx, &x).0
    }
}
