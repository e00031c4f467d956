//! Cached decoding: one new token for each live hypothesis a step, from the same blocks as training.

use isogloss_kernels::{Backend, Buffer, Real, RowLists};

use crate::batch::{LanguageId, Packed};
use crate::graph::Stack;
use crate::model::Model;
use crate::model::attention::AttentionBlock;
use crate::model::cache::{CachedSentence, DecoderCache, KeysValues};
use crate::model::context::Context;

/// One new token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepRow<'a> {
    /// The token.
    pub id: u32,
    /// Rows of the source in the cache.
    pub memory: &'a [u32],
    /// Rows of the target so far in the cache; the last one is the token's own, which is written now.
    pub past: &'a [u32],
    /// Language of the source.
    pub source: LanguageId,
    /// Language of the target.
    pub target: LanguageId,
}

/// The rows that each token of a step sees.
#[derive(Default)]
struct Lists {
    rows: Vec<u32>,
    ends: Vec<usize>,
}

impl Lists {
    fn push(&mut self, rows: &[u32]) {
        self.rows.extend_from_slice(rows);
        self.ends.push(self.rows.len());
    }

    fn view(&self) -> RowLists<'_> {
        RowLists {
            rows: &self.rows,
            ends: &self.ends,
        }
    }
}

impl<R: Real> AttentionBlock<R> {
    /// Adds the block to `x`, given all keys and values and the rows of them that each token sees; `q` are the queries of `norm x`.
    fn attend<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        q: &[R],
        cache: &KeysValues<R>,
        seen: &Lists,
        x: &mut [R],
    ) {
        let mut attended = Buffer::unset(q.len());
        let (keys, values) = (&cache.keys, &cache.values);
        cx.backend
            .cached_attention(self.shape, q, keys, values, seen.view(), &mut attended);
        let y = self.out.forward(cx, rows, &attended, false);
        cx.backend.add(&y, x);
    }
}

impl<R: Real> Model<R> {
    /// An empty cache for decoding.
    pub(crate) fn cache<B: Backend<Real = R>>(&self, cx: &Context<'_, B>) -> DecoderCache<R> {
        let layers = self.decoder.layers.len();
        DecoderCache::new(layers, self.config.d_model, cx.backend.keeps_bf16())
    }

    /// Takes sentences into the cache, from encoder states `memory (N, D)` of `rows`: the keys and values of all cross-attentions.
    /// Returns the sentences, in packed order.
    pub(crate) fn cache_sources<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        memory: &[R],
        cache: &mut DecoderCache<R>,
    ) -> Vec<CachedSentence> {
        let sentences: Vec<CachedSentence> =
            rows.spans.iter().map(|s| cache.insert(s.q_len)).collect();
        // Sentences lie end to end in `rows`.
        let places: Vec<u32> = sentences
            .iter()
            .flat_map(|s| s.source().iter().copied())
            .collect();
        for (layer, cached) in self.decoder.layers.iter().zip(&mut cache.source.layers) {
            let k = layer.cross.k.forward(cx, rows, memory, false);
            let v = layer.cross.v.forward(cx, rows, memory, false);
            cx.backend.keep(&places, &k, &mut cached.keys);
            cx.backend.keep(&places, &v, &mut cached.values);
        }
        sentences
    }

    /// Decoder states `(step.len(), D)` after one more token of each hypothesis. Rows of a language should lie together. `cx` must not
    /// drop anything.
    pub(crate) fn decode_step<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        cache: &mut DecoderCache<R>,
        step: &[StepRow<'_>],
    ) -> Buffer<R> {
        let (mut rows, mut past, mut memory) =
            (Packed::default(), Lists::default(), Lists::default());
        for row in step {
            let position = self.layout().first_position + row.past.len() as u32 - 1;
            rows.push(std::iter::once(row.id), position, row.source, row.target, 0);
            past.push(row.past);
            memory.push(row.memory);
        }
        let own: Vec<u32> = past.ends.iter().map(|&end| past.rows[end - 1]).collect();
        let mut x = self.embed(cx, &rows, Stack::Decoder);
        let caches = cache.source.layers.iter().zip(&mut cache.target.layers);
        for (layer, (source, target)) in self.decoder.layers.iter().zip(caches) {
            let block = &layer.attention;
            let (h, _) = block.norm.forward(cx, &x);
            let q = block.q.forward(cx, &rows, &h, false);
            let k = block.k.forward(cx, &rows, &h, false);
            let v = block.v.forward(cx, &rows, &h, false);
            cx.backend.keep(&own, &k, &mut target.keys);
            cx.backend.keep(&own, &v, &mut target.values);
            block.attend(cx, &rows, &q, target, &past, &mut x);

            let block = &layer.cross;
            let (h, _) = block.norm.forward(cx, &x);
            let q = block.q.forward(cx, &rows, &h, false);
            block.attend(cx, &rows, &q, source, &memory, &mut x);

            let _ = layer.feed_forward.forward(cx, &rows, &mut x);
        }
        self.decoder.norm.forward(cx, &x).0
    }
}
