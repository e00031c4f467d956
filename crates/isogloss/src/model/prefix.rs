use std::collections::HashMap;
use std::ops::Range;

use isogloss_kernels::{Backend, Buffer, Real, Span};

use crate::batch::{LanguageId, Packed};
use crate::model::{Context, Model};

/// Bytes that an entry takes beside its values: two fat pointers, its share of the table, the allocator's headers.
const ENTRY: usize = 96;

/// Encoder states of source sentences after the lowest layers, kept from one pass to the next: while nothing there is trained or
/// dropped, they stay the same. No language is part of the key, because nothing that low selects by language except the tag, which
/// is among the ids.
#[derive(Debug)]
pub struct PrefixCache<R> {
    layers: usize,
    limit: usize,
    bytes: usize,
    computed: u64,
    /// Source ids -> states `(N, D)`.
    states: HashMap<Box<[u32]>, Box<[R]>>,
}

impl<R: Real> PrefixCache<R> {
    /// An empty cache of the states after the lowest `layers` encoder layers, for at most `limit` bytes. What doesn't fit any more
    /// is computed anew each time.
    #[must_use]
    pub fn new(layers: usize, limit: usize) -> Self {
        PrefixCache {
            layers,
            limit,
            bytes: 0,
            computed: 0,
            states: HashMap::new(),
        }
    }

    /// Bytes that a sentence of so many tokens takes in a model of width `d_model`.
    #[must_use]
    pub fn sentence_bytes(tokens: usize, d_model: usize) -> usize {
        tokens * (d_model * size_of::<R>() + size_of::<u32>()) + ENTRY
    }

    /// Number of layers that a kept sentence doesn't go through again.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Number of sentences that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether no sentence is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Bytes that the kept sentences take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tokens that went through the layers so far, because their sentences were not kept.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.computed
    }

    /// Keeps a sentence, if there is room.
    fn insert(&mut self, ids: &[u32], states: &[R]) {
        let bytes = Self::sentence_bytes(ids.len(), states.len() / ids.len().max(1));
        if self.bytes + bytes <= self.limit {
            self.bytes += bytes;
            self.states.insert(ids.into(), states.into());
        }
    }
}

/// A sentence's rows.
fn rows_of(span: &Span) -> Range<usize> {
    span.q_start..span.q_start + span.q_len
}

impl<R: Real> Model<R> {
    /// States `(N, D)` after the cache's layers: kept ones from the cache, the others computed, each distinct sentence once.
    pub(super) fn reuse<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        cache: &mut PrefixCache<R>,
    ) -> Buffer<R> {
        assert!(
            cx.dropout.is_none() || !self.config.drops(),
            "states that dropout changes are not the same in the next pass"
        );
        let d = self.config.d_model;
        let ids_of = |span: &Span| &rows.ids[rows_of(span)];
        // No update acts on these layers, so the language of a row doesn't matter.
        let language = LanguageId(u16::MAX);
        let mut missing = Packed::default();
        let mut starts = HashMap::new();
        for span in &rows.spans {
            let ids = ids_of(span);
            if ids.is_empty() || cache.states.contains_key(ids) || starts.contains_key(ids) {
                continue;
            }
            starts.insert(ids, missing.len());
            let first_position = rows.position_ids[span.q_start];
            let ids = ids.iter().copied();
            missing.push(ids, first_position, language, language, span.key);
        }
        let mut computed = Buffer::default();
        if !missing.is_empty() {
            computed = self.encode_below(cx, &missing, cache.layers);
            cache.computed += missing.len() as u64;
        }
        let mut x = Buffer::unset(rows.len() * d);
        for span in &rows.spans {
            let (ids, at) = (ids_of(span), rows_of(span));
            let states = match (cache.states.get(ids), starts.get(ids)) {
                (Some(kept), _) => &kept[..],
                (None, Some(&start)) => &computed[start * d..(start + ids.len()) * d],
                (None, None) => &[],
            };
            x[at.start * d..at.end * d].copy_from_slice(states);
        }
        for at in missing.spans.iter().map(rows_of) {
            cache.insert(
                &missing.ids[at.clone()],
                &computed[at.start * d..at.end * d],
            );
        }
        x
    }
}
