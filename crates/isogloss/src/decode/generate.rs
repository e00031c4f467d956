//! One batch through the model, step by step.

use std::ops::Range;

use isogloss_kernels::Backend;

use crate::batch::Packed;
use crate::decode::candidates::{Candidate, ban_repeats, keep_best, push_best};
use crate::decode::search::Search;
use crate::decode::{DecodeError, DecodeOptions, Hypothesis, Request};
use crate::model::{Context, CrossCache, Model, StepRow, TargetCache};

/// Rows whose logits are held at a time: enough to reuse the embedding, little beside the caches.
const LOGIT_ROWS: usize = 64;

/// A sentence that is being translated.
struct Active<'a> {
    /// Its place in the batch.
    index: usize,
    request: &'a Request,
    memory: Range<usize>,
    search: Search,
    /// The slots that it owns, as many as the beam; the first ones belong to the live hypotheses, in their order.
    slots: Vec<usize>,
}

/// Translates a batch. `numbers` are the sentences' numbers in errors.
pub(super) fn generate<B: Backend>(
    model: &Model<B::Real>,
    cx: Context<'_, B>,
    requests: &[&Request],
    numbers: &[usize],
    options: &DecodeOptions,
) -> Result<Vec<Vec<Hypothesis>>, DecodeError> {
    let cx = Context {
        dropout: None,
        ..cx
    };
    let mut found = vec![Vec::new(); requests.len()];
    let (rows, memory_of) = pack_sources(model, requests);
    let memory = model.encode(&cx, &rows);
    let run = Run {
        model,
        cx,
        options,
        numbers,
        cross: model.cross_cache(&cx, &rows, &memory),
    };
    drop(memory);

    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&i| (requests[i].target_language, requests[i].source_language));
    let config = model.config();
    let mut active: Vec<Active<'_>> = order
        .into_iter()
        .enumerate()
        .map(|(place, index)| {
            let request = requests[index];
            let longest = options.max_length.pieces(request.source_ids.len(), config);
            Active {
                index,
                request,
                memory: memory_of[index].clone(),
                search: Search::new(request.target_tag, config.eos_token_id, longest, options),
                slots: (place * options.beam..(place + 1) * options.beam).collect(),
            }
        })
        .collect();
    let mut cache = TargetCache::new(model, active.len() * options.beam);
    // What follows the start token is forced, so its states are of no interest.
    let start: Vec<StepRow> = active
        .iter()
        .map(|s| s.row(config.decoder_start_token_id, 0))
        .collect();
    let _ = model.decode_step(&cx, &run.cross, &mut cache, &start);
    while !active.is_empty() {
        run.step(&mut active, &mut cache)?;
        let (over, on): (Vec<_>, Vec<_>) = active
            .into_iter()
            .partition(|sentence| sentence.search.live.is_empty());
        active = on;
        for sentence in over {
            found[sentence.index] = sentence.search.into_best(options.n_best);
        }
        compact(&mut active, &mut cache);
    }
    Ok(found)
}

/// The encoder's input, by source language, then target language, and where each sentence lies in it.
fn pack_sources<R: isogloss_kernels::Real>(
    model: &Model<R>,
    requests: &[&Request],
) -> (Packed, Vec<Range<usize>>) {
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&i| (requests[i].source_language, requests[i].target_language));
    let (mut rows, mut places) = (Packed::default(), vec![0..0; requests.len()]);
    for i in order {
        let (request, start) = (requests[i], rows.len());
        rows.push(
            request.source_ids.iter().copied(),
            model.layout().first_position,
            request.source_language,
            request.target_language,
            0,
        );
        places[i] = start..rows.len();
    }
    (rows, places)
}

/// Gives back the slots of finished sentences once they are half of all.
fn compact<R: isogloss_kernels::Real>(active: &mut [Active<'_>], cache: &mut TargetCache<R>) {
    let kept: Vec<usize> = active.iter().flat_map(|s| s.slots.clone()).collect();
    if 2 * kept.len() > cache.slots() {
        return;
    }
    cache.keep_slots(&kept);
    for (new, slot) in active.iter_mut().flat_map(|s| &mut s.slots).enumerate() {
        *slot = new;
    }
}

impl Active<'_> {
    fn row(&self, id: u32, hypothesis: usize) -> StepRow {
        StepRow {
            id,
            slot: self.slots[hypothesis],
            memory: self.memory.clone(),
            source: self.request.source_language,
            target: self.request.target_language,
        }
    }

    /// Gives each new hypothesis a slot that holds its parent's rows: the parent's own, or a copy in a slot that no parent of a
    /// live hypothesis holds.
    fn assign_slots<R: isogloss_kernels::Real>(
        &mut self,
        parents: &[usize],
        cache: &mut TargetCache<R>,
    ) {
        let mut free: Vec<usize> = (0..self.slots.len())
            .filter(|i| !parents.contains(i))
            .map(|i| self.slots[i])
            .collect();
        let mut slots = Vec::with_capacity(self.slots.len());
        for (child, &parent) in parents.iter().enumerate() {
            let own = self.slots[parent];
            // There are as many slots as children at most, so a second child finds a free one.
            match free.pop_if(|_| parents[..child].contains(&parent)) {
                Some(copy) => {
                    cache.copy_slot(own, copy);
                    slots.push(copy);
                }
                None => slots.push(own),
            }
        }
        slots.append(&mut free);
        self.slots = slots;
    }
}

/// What stays the same during a batch.
struct Run<'a, B: Backend> {
    model: &'a Model<B::Real>,
    cx: Context<'a, B>,
    options: &'a DecodeOptions,
    numbers: &'a [usize],
    cross: CrossCache<B::Real>,
}

impl<B: Backend> Run<'_, B> {
    /// One more token for every live hypothesis.
    fn step(
        &self,
        active: &mut [Active<'_>],
        cache: &mut TargetCache<B::Real>,
    ) -> Result<(), DecodeError> {
        let (mut rows, mut owners) = (Vec::new(), Vec::new());
        for (place, sentence) in active.iter().enumerate() {
            for (hypothesis, live) in sentence.search.live.iter().enumerate() {
                let last = live.ids.last().copied().unwrap_or_default();
                rows.push(sentence.row(last, hypothesis));
                owners.push((place, hypothesis));
            }
        }
        let (model, cx) = (self.model, &self.cx);
        let states = model.decode_step(cx, &self.cross, cache, &rows);
        let mut candidates = vec![Vec::new(); active.len()];
        let config = model.config();
        for (states, owners) in states
            .chunks(LOGIT_ROWS * config.d_model)
            .zip(owners.chunks(LOGIT_ROWS))
        {
            let mut logits = model.logits(cx, states);
            // In a row that isn't finite, log-softmax may hide it.
            let rows = logits.chunks_exact(config.vocab_size).zip(owners);
            for (row, &(place, _)) in rows {
                self.check_finite(row, &active[place])?;
            }
            cx.backend.log_softmax(config.vocab_size, &mut logits);
            let rows = logits.chunks_exact_mut(config.vocab_size).zip(owners);
            for (row, &(place, hypothesis)) in rows {
                self.candidates(
                    row,
                    &active[place].search,
                    hypothesis,
                    &mut candidates[place],
                );
            }
        }
        for (sentence, mut candidates) in active.iter_mut().zip(candidates) {
            keep_best(&mut candidates, sentence.search.candidates());
            let parents = sentence.search.advance(&candidates);
            sentence.assign_slots(&parents, cache);
        }
        Ok(())
    }

    fn check_finite(&self, row: &[B::Real], sentence: &Active<'_>) -> Result<(), DecodeError> {
        use num_traits::Float;
        // No early exit, so that the loop is vectorised.
        if row.iter().fold(true, |finite, x| finite & x.is_finite()) {
            return Ok(());
        }
        Err(DecodeError::NotFinite {
            sentence: self.numbers[sentence.index],
            piece: sentence.search.live[0].ids.len(),
        })
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
