//! One step of the sentences in translation through the model.

use isogloss_kernels::{Backend, Real};

use crate::decode::active::Active;
use crate::decode::candidates::{Candidate, ban_repeats, keep_best, push_best};
use crate::decode::search::Search;
use crate::decode::{DecodeError, DecodeOptions, Heads};
use crate::model::{Context, DecoderCache, Head, Model};

/// Rows whose logits are held at a time: enough to reuse the embedding, little beside the caches.
const LOGIT_ROWS: usize = 64;

/// What stays the same from step to step.
pub(super) struct Run<'a, B: Backend> {
    pub model: &'a Model<B::Real>,
    /// Without dropout.
    pub cx: Context<'a, B>,
    pub options: &'a DecodeOptions,
    /// Parts of the head, for target languages that have one.
    pub heads: Option<&'a Heads<B::Real>>,
}

impl<B: Backend> Clone for Run<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Run<'_, B> {}

impl<'a, B: Backend> Run<'a, B> {
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
        let width = self.model.config().d_model;
        let heads: Vec<Option<&Head<B::Real>>> = active.iter().map(|s| self.head(s)).collect();
        let mut candidates = vec![Vec::new(); active.len()];
        let (mut owners, mut states) = (owners, states);
        while let Some(&(first, _)) = owners.first() {
            // Rows of a language lie together, so that those of a head do.
            let head = heads[first];
            let same = |&&(place, _): &&(usize, usize)| {
                heads[place].map(std::ptr::from_ref) == head.map(std::ptr::from_ref)
            };
            let rows = owners.iter().take(LOGIT_ROWS).take_while(same).count();
            let (now, later) = owners.split_at(rows);
            let (now_states, later_states) = states.split_at(rows * width);
            self.score(active, head, now, now_states, &mut candidates)?;
            (owners, states) = (later, later_states);
        }
        Ok(candidates)
    }

    /// Adds the candidates of some hypotheses with the same head.
    fn score(
        &self,
        active: &[Active<'_>],
        head: Option<&Head<B::Real>>,
        owners: &[(usize, usize)],
        states: &[B::Real],
        candidates: &mut [Vec<Candidate>],
    ) -> Result<(), DecodeError> {
        let (columns, mut logits) = match head {
            Some(head) => {
                let logits = self.model.logits_over(&self.cx, states, head);
                (head.len(), logits)
            }
            None => {
                let logits = self.model.logits(&self.cx, states);
                (self.model.config().vocab_size, logits)
            }
        };
        // In a row that isn't finite, log-softmax may hide it.
        for (row, &(place, _)) in logits.chunks_exact(columns).zip(owners) {
            check_finite(row, &active[place])?;
        }
        self.cx.backend.log_softmax(columns, &mut logits);
        for (row, &(place, hypothesis)) in logits.chunks_exact_mut(columns).zip(owners) {
            let (search, found) = (&active[place].search, &mut candidates[place]);
            let before = found.len();
            self.candidates(row, head, search, hypothesis, found);
            if let Some(head) = head {
                found[before..]
                    .iter_mut()
                    .for_each(|c| c.token = head.id(c.token));
            }
        }
        Ok(())
    }

    /// The part of the head that a sentence's pieces are chosen from, if not all.
    fn head(&self, sentence: &Active<'_>) -> Option<&'a Head<B::Real>> {
        let language = sentence.request.target_language;
        self.heads?.get(self.model, &self.cx, language)
    }

    /// The best continuations of one hypothesis from its row of log-probabilities; their tokens are columns.
    fn candidates(
        &self,
        row: &mut [B::Real],
        head: Option<&Head<B::Real>>,
        search: &Search,
        hypothesis: usize,
        candidates: &mut Vec<Candidate>,
    ) {
        use num_traits::Float;
        let (live, config) = (&search.live[hypothesis], self.model.config());
        let mut ban = |id: u32| {
            if let Some(column) = head.map_or(Some(id as usize), |head| head.column(id)) {
                row[column] = B::Real::neg_infinity();
            }
        };
        ban(config.pad_token_id);
        // The tag is among the ids, so their number is that of the next piece.
        if live.ids.len() < self.options.min_length {
            ban(config.eos_token_id);
        }
        if self.options.no_repeat_ngram > 0 {
            let ids: Vec<u32> = std::iter::once(config.decoder_start_token_id)
                .chain(live.ids.iter().copied())
                .collect();
            ban_repeats(&ids, self.options.no_repeat_ngram, ban);
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
