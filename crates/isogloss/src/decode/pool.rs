//! The sentences that are translated together: those that are done leave, and others take their place.

use isogloss_kernels::Backend;

use crate::decode::active::Active;
use crate::decode::generate::Run;
use crate::decode::search::Search;
use crate::decode::sources::Sources;
use crate::decode::{DecodeError, Hypothesis, Request};
use crate::model::DecoderCache;

/// Sentences enter once one part of so many of the budget is free, so that the decoder's steps stay nearly full.
pub(super) const PARTS: usize = 4;

/// But not before so many tokens are free, or all: the encoder is slow with less at a time.
const LEAST: usize = 64;

/// What a pool can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Source tokens.
    pub tokens: usize,
    /// Whether nothing is being translated: then even a sentence that is longer gets in.
    pub empty: bool,
}

impl Room {
    /// Whether sentences that cost so much get in; `alone` is the first of them.
    pub fn holds(self, cost: usize, alone: bool) -> bool {
        cost <= self.tokens || (alone && self.empty)
    }
}

/// A sentence that has yet to be translated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting<'a> {
    /// Its place among all requests.
    pub index: usize,
    pub request: &'a Request,
    /// What it counts of the budget.
    pub cost: usize,
}

/// Sentences in translation, each at its own piece.
pub(super) struct Pool<'a, B: Backend> {
    run: Run<'a, B>,
    cache: DecoderCache<B::Real>,
    active: Vec<Active<'a>>,
    /// Sentences that were taken and wait for room, their sources encoded.
    sources: Sources<'a, B>,
    budget: usize,
}

impl<'a, B: Backend> Pool<'a, B> {
    /// An empty pool. At most `budget` tokens are translated at a time, unless they are one sentence's.
    pub fn new(run: Run<'a, B>, budget: usize) -> Self {
        let mut cache = run.model.cache(&run.cx);
        // Translations are about as long as their sources; a half more leaves room for those that aren't, and for partly filled blocks.
        let rows = budget + budget / 2;
        cache.reserve(rows, rows * run.options.beam);
        Pool {
            cache,
            run,
            active: Vec::new(),
            sources: Sources::none(),
            budget,
        }
    }

    /// Whether nothing is being translated, or waits for room.
    pub fn is_empty(&self) -> bool {
        self.active.is_empty() && self.sources.waiting().is_empty()
    }

    /// What is free, if it's enough for others to enter.
    fn room(&self) -> Option<Room> {
        let used: usize = self.active.iter().map(|s| s.cost).sum();
        let tokens = self.budget.saturating_sub(used);
        let empty = self.active.is_empty();
        let enough = (self.budget / PARTS).max(LEAST).min(self.budget);
        (empty || tokens >= enough).then_some(Room { tokens, empty })
    }

    /// What is free, if others than those that were taken can enter.
    pub fn wants(&self) -> Option<Room> {
        self.room().filter(|_| self.sources.waiting().is_empty())
    }

    /// Takes sentences, and lets them enter as far as there is room. Others are only taken when none of those before waits any more.
    pub fn enter(&mut self, taken: &'a [Waiting<'a>]) {
        if !taken.is_empty() {
            debug_assert!(self.sources.waiting().is_empty(), "they would be lost");
            self.sources = Sources::new(&self.run, taken);
        }
        let Some(room) = self.room() else {
            return;
        };
        let waiting = self.sources.waiting();
        let mut total = 0;
        let fits = |w: &&Waiting<'_>| {
            total += w.cost;
            room.holds(total, total == w.cost)
        };
        let count = waiting.iter().take_while(fits).count();
        if count > 0 {
            self.bring_in(count);
        }
    }

    /// Brings the next sentences into the cache.
    fn bring_in(&mut self, count: usize) {
        let Run {
            model, cx, options, ..
        } = self.run;
        let (entering, rows, memory) = self.sources.take(&self.run, count);
        let cached = model.cache_sources(&cx, &rows, &memory, &mut self.cache);
        let config = model.config();
        for (waiting, cached) in entering.into_iter().zip(cached) {
            let request = waiting.request;
            let longest = options.max_length.pieces(request.source_ids.len(), config);
            let search = Search::new(request.target_tag, config.eos_token_id, longest, options);
            self.active.push(Active::new(waiting, search, cached));
        }
    }

    /// One more token for every live hypothesis. Returns the sentences that are done, with their place among all requests.
    ///
    /// # Errors
    /// If the model computes no finite numbers.
    pub fn step(&mut self) -> Result<Vec<(usize, Vec<Hypothesis>)>, DecodeError> {
        // Rows of a language lie together; those of start tokens last, since no logits are asked of them.
        self.active.sort_by_key(|s| {
            let request = s.request;
            let starts = !s.started;
            (starts, request.target_language, request.source_language)
        });
        self.run.step(&mut self.active, &mut self.cache)?;
        let (over, on): (Vec<_>, Vec<_>) = std::mem::take(&mut self.active)
            .into_iter()
            .partition(|sentence| sentence.search.live.is_empty());
        self.active = on;
        let done = over.into_iter().map(|sentence| {
            let index = sentence.index;
            let (search, cached) = sentence.into_parts();
            self.cache.remove(cached);
            (index, search.into_best(self.run.options.n_best))
        });
        Ok(done.collect())
    }
}
