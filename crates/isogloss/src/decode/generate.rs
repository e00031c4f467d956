//! One step of the sentences in translation through the model.

use isogloss_kernels::{Backend, Real};

use crate::decode::active::Active;
use crate::decode::candidates::{Candidate, ban_repeats, keep_best};
use crate::decode::search::Search;
use crate::decode::{DecodeError, DecodeOptions, Heads};
use crate::model::{Context, DecoderCache, Head, Model};

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
        active
            .iter_mut()
            .for_each(|sentence| sentence.extend(cache));
        let (going, starting) = active.split_at(started);
        let (mut rows, mut owners) = (Vec::new(), Vec::new());
        for (place, sentence) in going.iter().enumerate() {
            for (hypothesis, live) in sentence.search.live.iter().enumerate() {
                let last = live.ids.last().copied().unwrap_or_default();
                rows.push(sentence.row(last, hypothesis));
                owners.push((place, hypothesis));
            }
        }
        let starts = starting.iter();
        rows.extend(starts.map(|sentence| sentence.row(config.decoder_start_token_id, 0)));
        let states = self.model.decode_step(&self.cx, cache, &rows);
        let candidates = self.best(going, &owners, &states)?;
        for (sentence, mut candidates) in active.iter_mut().zip(candidates) {
            keep_best(&mut candidates, sentence.search.candidates());
            let parents = sentence.search.advance(&candidates);
            sentence.follow(&parents);
        }
        active[started..].iter_mut().for_each(|s| s.started = true);
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
            let rows = owners.iter().take_while(same).count();
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
        let columns = head.map_or(self.model.config().vocab_size, Head::len);
        let banned: Vec<Vec<u32>> = owners
            .iter()
            .map(|&(place, hypothesis)| self.banned(&active[place].search, hypothesis))
            .collect();
        // What is ruled out may be among the best.
        let wanted = owners.iter().zip(&banned);
        let count = wanted
            .map(|(&(place, _), banned)| active[place].search.candidates() + banned.len())
            .max();
        let count = count.unwrap_or(1).min(columns);
        let mut best = vec![(B::Real::default(), 0); owners.len() * count];
        let mut lse = vec![B::Real::default(); owners.len()];
        self.model
            .best(&self.cx, states, head, count, &mut best, &mut lse);
        let rows = best.chunks_exact(count).zip(&lse).zip(&banned);
        for (((best, &lse), banned), &(place, hypothesis)) in rows.zip(owners) {
            let sentence = &active[place];
            check_finite(lse, sentence)?;
            let score = sentence.search.live[hypothesis].score;
            let tokens = best.iter().map(|&(logit, column)| Candidate {
                parent: hypothesis,
                token: head.map_or(column, |head| head.id(column)),
                score: score + (logit - lse).f64(),
            });
            let allowed = tokens.filter(|c| !banned.contains(&c.token));
            candidates[place].extend(allowed.take(sentence.search.candidates()));
        }
        Ok(())
    }

    /// The part of the head that a sentence's pieces are chosen from, if not all.
    fn head(&self, sentence: &Active<'_>) -> Option<&'a Head<B::Real>> {
        let language = sentence.request.target_language;
        self.heads?.get(self.model, &self.cx, language)
    }

    /// What may not come next.
    fn banned(&self, search: &Search, hypothesis: usize) -> Vec<u32> {
        let (live, config) = (&search.live[hypothesis], self.model.config());
        let mut banned = vec![config.pad_token_id];
        // The tag is among the ids, so their number is that of the next piece.
        if live.ids.len() < self.options.min_length {
            banned.push(config.eos_token_id);
        }
        if self.options.no_repeat_ngram > 0 {
            let ids: Vec<u32> = std::iter::once(config.decoder_start_token_id)
                .chain(live.ids.iter().copied())
                .collect();
            ban_repeats(&ids, self.options.no_repeat_ngram, |id| banned.push(id));
        }
        banned
    }
}

fn check_finite<R: Real>(lse: R, sentence: &Active<'_>) -> Result<(), DecodeError> {
    if lse.is_finite() {
        return Ok(());
    }
    Err(DecodeError::NotFinite {
        sentence: sentence.index + 1,
        piece: sentence.search.live[0].ids.len(),
    })
}
