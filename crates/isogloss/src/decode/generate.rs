//! One step of the sentences in translation through the model.

use isogloss_kernels::{Backend, Real};

use crate::decode::active::Active;
use crate::decode::candidates::{Candidate, ban_repeats, keep_best, push_best};
use crate::decode::search::Search;
use crate::decode::{DecodeError, DecodeOptions};
use crate::model::{Context, DecoderCache, Model};

/// Rows whose logits are held at a time: enough to reuse the embedding, little beside the caches.
const LOGIT_ROWS: usize = 64;

/// What stays the same from step to step.
pub(super) struct Run<'a, B: Backend> {
    pub model: &'a Model<B::Real>,
    /// Without dropout.
    pub cx: Context<'a, B>,
    pub options: &'a DecodeOptions,
}

impl<B: Backend> Clone for Run<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Run<'_, B> {}

impl<B: Backend> Run<'_, B> {
    /// One more token for every live hypothesis. A sentence that hasn't started reads the start token: what follows it is forced, so
    /// its states are of no interest. Such sentences stand last.
    pub fn step(
        &self,
        active: &mut [Active<'_>],
        cache: &mut DecoderCache<B::Real>,
    ) -> Result<(), DecodeError> {
        let config = self.model.config();
        let started = active.partition_point(|sentence| sentence.started);
        let (going, starting) = active.split_at_mut(started);
        let (mut rows, mut owners) = (Vec::new(), Vec::new());
        for (place, sentence) in going.iter().enumerate() {
            for (hypothesis, live) in sentence.search.live.iter().enumerate() {
                let last = live.ids.last().copied().unwrap_or_default();
                rows.push(sentence.row(last, hypothesis));
                owners.push((place, hypothesis));
            }
        }
        for sentence in starting {
            rows.push(sentence.row(config.decoder_start_token_id, 0));
            sentence.started = true;
        }
        let states = self.model.decode_step(&self.cx, cache, &rows);
        let candidates = self.best(going, &owners, &states)?;
        for (sentence, mut candidates) in going.iter_mut().zip(candidates) {
            keep_best(&mut candidates, sentence.search.candidates());
            let parents = sentence.search.advance(&candidates);
            sentence.assign_slots(&parents, cache);
        }
        Ok(())
    }

    /// The candidates of each sentence. `owners` are sentence and hypothesis of each of the first rows of `states`.
    fn best(
        &self,
        active: &[Active<'_>],
        owners: &[(usize, usize)],
        states: &[B::Real],
    ) -> Result<Vec<Vec<Candidate>>, DecodeError> {
        let config = self.model.config();
        let mut candidates = vec![Vec::new(); active.len()];
        for (owners, states) in owners
            .chunks(LOGIT_ROWS)
            .zip(states.chunks(LOGIT_ROWS * config.d_model))
        {
            let states = &states[..owners.len() * config.d_model];
            let mut logits = self.model.logits(&self.cx, states);
            // In a row that isn't finite, log-softmax may hide it.
            let rows = logits.chunks_exact(config.vocab_size).zip(owners);
            for (row, &(place, _)) in rows {
                check_finite(row, &active[place])?;
            }
            self.cx.backend.log_softmax(config.vocab_size, &mut logits);
            let rows = logits.chunks_exact_mut(config.vocab_size).zip(owners);
            for (row, &(place, hypothesis)) in rows {
                let search = &active[place].search;
                self.candidates(row, search, hypothesis, &mut candidates[place]);
            }
        }
        Ok(candidates)
    }

    /// The best continuations of one hypothesis from its row of log-probabilities.
    fn candidates(
        &self,
        row: &mut [B::Real],
        search: &Search,
        hypothesis: usize,
        candidates: &mut Vec<Candidate>,
    ) {
        use num_traits::Float;
        let (live, config) = (&search.live[hypothesis], self.model.config());
        let never = B::Real::neg_infinity();
        row[config.pad_token_id as usize] = never;
        // The tag is among the ids, so their number is that of the next piece.
        if live.ids.len() < self.options.min_length {
            row[config.eos_token_id as usize] = never;
        }
        if self.options.no_repeat_ngram > 0 {
            let ids: Vec<u32> = std::iter::once(config.decoder_start_token_id)
                .chain(live.ids.iter().copied())
                .collect();
            ban_repeats(&ids, self.options.no_repeat_ngram, row);
        }
        push_best(row, search.candidates(), hypothesis, live.score, candidates);
    }
}

fn check_finite<R: Real>(row: &[R], sentence: &Active<'_>) -> Result<(), DecodeError> {
    // No early exit, so that the loop is vectorised.
    if row.iter().fold(true, |finite, x| finite & x.is_finite()) {
        return Ok(());
    }
    Err(DecodeError::NotFinite {
        sentence: sentence.index + 1,
        piece: sentence.search.live[0].ids.len(),
    })
}
