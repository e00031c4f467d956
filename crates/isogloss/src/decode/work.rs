//! What the workers of a translation share: the sentences that wait, and what is done.

use std::sync::{Mutex, MutexGuard, PoisonError};

use isogloss_kernels::Backend;

use crate::decode::pool::{Pool, Waiting};
use crate::decode::{DecodeError, Hypothesis, Progress, Request};

/// A worker takes at most one in so many of the sentences that are its share of those that wait.
const SHARES: usize = 2;

/// The sentences of a translation.
pub(super) struct Work<'a, 'p> {
    requests: &'a [Request],
    waiting: &'a [Waiting<'a>],
    /// Cost of those that wait.
    cost: usize,
    workers: usize,
    found: Vec<Vec<Hypothesis>>,
    failed: Option<DecodeError>,
    state: Progress,
    /// Tokens that were done when progress was last told, and after how many it is told again.
    told: usize,
    every: usize,
    progress: &'p mut (dyn FnMut(Progress) + Send),
}

/// The work, whatever happened to another thread: a panic ends the translation.
pub(super) fn lock<T>(work: &Mutex<T>) -> MutexGuard<'_, T> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a, 'p> Work<'a, 'p> {
    /// Nothing done yet, and so many to do it. `progress` is told whenever sentences of `every` more tokens are done, and at the end.
    pub fn new(
        requests: &'a [Request],
        waiting: &'a [Waiting<'a>],
        workers: usize,
        every: usize,
        progress: &'p mut (dyn FnMut(Progress) + Send),
    ) -> Self {
        Work {
            requests,
            waiting,
            cost: waiting.iter().map(|w| w.cost).sum(),
            workers,
            found: vec![Vec::new(); requests.len()],
            failed: None,
            state: Progress {
                sentences: requests.len() - waiting.len(),
                of_sentences: requests.len(),
                tokens: 0,
                of_tokens: requests.iter().map(|r| r.source_ids.len()).sum(),
            },
            told: 0,
            every,
            progress,
        }
    }

    /// Hands out sentences that wait, if a pool has room for others: as many as share the sources that fit, since each source is encoded
    /// once; but no more than leaves something for the other workers.
    pub fn next<B: Backend>(&mut self, pool: &Pool<'a, B>) -> &'a [Waiting<'a>] {
        let Some(room) = pool.wants() else {
            return &[];
        };
        let fair = room.max(self.cost / (SHARES * self.workers));
        let (mut sources, mut total) = (0, 0);
        let mut before: Option<&'a Request> = None;
        let fits = |w: &&Waiting<'a>| {
            if !before.is_some_and(|b| w.request.has_source_of(b)) {
                sources += w.cost;
            }
            before = Some(w.request);
            total += w.cost;
            total == w.cost || (sources <= room && total <= fair)
        };
        let count = self.waiting.iter().take_while(fits).count();
        let (taken, rest) = self.waiting.split_at(count);
        self.waiting = rest;
        self.cost -= taken.iter().map(|w| w.cost).sum::<usize>();
        taken
    }

    /// Takes what a step has done. False if there's nothing more to do, because a worker failed.
    pub fn take(&mut self, done: Result<Vec<(usize, Vec<Hypothesis>)>, DecodeError>) -> bool {
        match done {
            Err(error) => {
                self.failed.get_or_insert(error);
            }
            Ok(done) => {
                for (i, hypotheses) in done {
                    self.found[i] = hypotheses;
                    self.state.sentences += 1;
                    self.state.tokens += self.requests[i].source_ids.len();
                }
                let over = self.state.sentences == self.state.of_sentences;
                if self.state.tokens > self.told + self.every
                    || (over && self.told < self.state.tokens)
                {
                    self.told = self.state.tokens;
                    (self.progress)(self.state);
                }
            }
        }
        self.failed.is_none()
    }

    /// The hypotheses of each request.
    pub fn into_found(self) -> Result<Vec<Vec<Hypothesis>>, DecodeError> {
        self.failed.map_or(Ok(self.found), Err)
    }
}
