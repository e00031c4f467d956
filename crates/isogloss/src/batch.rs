//! Packed batches: the tokens of all sentences end to end, no padding, ordered so that a language's tokens lie together.

use std::ops::Range;

use isogloss_kernels::Span;

/// Index of a language in a run's list of languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LanguageId(pub u16);

/// One sentence pair, as ids.
#[derive(Debug, Clone, Copy)]
pub struct Sentence<'a> {
    /// Encoder input, language tag and `</s>` included.
    pub source: &'a [u32],
    /// Labels, language tag and `</s>` included.
    pub target: &'a [u32],
    /// Language of the source.
    pub source_language: LanguageId,
    /// Language of the target.
    pub target_language: LanguageId,
    /// Key of the sentence for dropout: the same sentence in the same update draws the same masks, whatever the batch.
    pub key: u64,
}

/// Consecutive rows of one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The rows.
    pub rows: Range<usize>,
    /// Their language.
    pub language: LanguageId,
}

/// One stack's side of a batch.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    /// Token ids, `N`.
    pub ids: Vec<u32>,
    /// Row of the position table for each token.
    pub position_ids: Vec<u32>,
    /// Key of each token for dropout.
    pub row_keys: Vec<u64>,
    /// Self-attention, a span a sentence, in packed order.
    pub spans: Vec<Span>,
    /// Rows by source language.
    pub by_source: Vec<Segment>,
    /// Rows by target language.
    pub by_target: Vec<Segment>,
}

impl Packed {
    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no tokens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Appends a sentence; `first_position` is the position row of its first token.
    pub fn push(
        &mut self,
        ids: impl ExactSizeIterator<Item = u32>,
        first_position: u32,
        source: LanguageId,
        target: LanguageId,
        key: u64,
    ) {
        let (start, len) = (self.ids.len(), ids.len());
        self.ids.extend(ids);
        for i in 0..len as u32 {
            self.position_ids.push(first_position + i);
            self.row_keys
                .push(isogloss_kernels::dropout::mix(key, u64::from(i)));
        }
        self.spans.push(Span {
            q_start: start,
            q_len: len,
            k_start: start,
            k_len: len,
            key,
        });
        extend(&mut self.by_source, start..start + len, source);
        extend(&mut self.by_target, start..start + len, target);
    }
}

fn extend(segments: &mut Vec<Segment>, rows: Range<usize>, language: LanguageId) {
    if rows.is_empty() {
        return;
    }
    match segments.last_mut() {
        Some(last) if last.language == language && last.rows.end == rows.start => {
            last.rows.end = rows.end;
        }
        _ => segments.push(Segment { rows, language }),
    }
}

/// A batch for training or scoring.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The encoder's tokens, ordered by source language, then target language.
    pub encoder: Packed,
    /// The decoder's input tokens, ordered by target language, then source language.
    pub decoder: Packed,
    /// What the decoder shall predict, as long as its input.
    pub labels: Vec<u32>,
    /// Cross-attention: the decoder's rows of a sentence over the encoder's.
    pub cross: Vec<Span>,
    /// For each sentence given, its place among the decoder's spans.
    pub decoder_place: Vec<usize>,
    /// For each sentence given, its place among the encoder's spans.
    pub encoder_place: Vec<usize>,
}

/// The ids that the layout of a batch depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// What the decoder's input starts with; the labels follow, shifted.
    pub decoder_start: u32,
    /// Position row of a sentence's first token (`pad_token_id + 1`).
    pub first_position: u32,
}

impl Batch {
    /// Packs sentences; order within the batch doesn't change any sentence's result.
    #[must_use]
    pub fn new(sentences: &[Sentence<'_>], layout: Layout) -> Self {
        let order = |key: &dyn Fn(&Sentence<'_>) -> (LanguageId, LanguageId)| {
            let mut order: Vec<usize> = (0..sentences.len()).collect();
            order.sort_by_key(|&i| key(&sentences[i]));
            order
        };
        let mut batch = Batch {
            decoder_place: vec![0; sentences.len()],
            encoder_place: vec![0; sentences.len()],
            ..Batch::default()
        };
        for (place, i) in order(&|s| (s.source_language, s.target_language))
            .into_iter()
            .enumerate()
        {
            let s = &sentences[i];
            batch.encoder.push(
                s.source.iter().copied(),
                layout.first_position,
                s.source_language,
                s.target_language,
                s.key,
            );
            batch.encoder_place[i] = place;
        }
        for (place, i) in order(&|s| (s.target_language, s.source_language))
            .into_iter()
            .enumerate()
        {
            let s = &sentences[i];
            let input = (0..s.target.len()).map(|j| match j {
                0 => layout.decoder_start,
                _ => s.target[j - 1],
            });
            batch.decoder.push(
                input,
                layout.first_position,
                s.source_language,
                s.target_language,
                s.key,
            );
            batch.labels.extend_from_slice(s.target);
            batch.decoder_place[i] = place;
            let (queries, keys) = (
                batch.decoder.spans[place],
                batch.encoder.spans[batch.encoder_place[i]],
            );
            batch.cross.push(Span {
                k_start: keys.k_start,
                k_len: keys.k_len,
                ..queries
            });
        }
        batch
    }

    /// Number of target tokens, tag and `</s>` included.
    #[must_use]
    pub fn target_tokens(&self) -> usize {
        self.labels.len()
    }
}
