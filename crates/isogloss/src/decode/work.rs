//! What the workers of a translation share: the sentences that wait, and what is done.

use std::sync::{Mutex, MutexGuard, PoisonError};

use isogloss_kernels::Backend;

use crate::decode::pool::{Pool, Waiting};
use crate::decode::{DecodeError, Hypothesis, Progress, Request};

/// The sentences of a translation.
pub(super) struct Work<'a, 'p> {
    requests: &'a [Request],
    waiting: &'a [Waiting<'a>],
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
    /// Nothing done yet. `progress` is told whenever sentences of `every` more tokens are done, and at the end.
    pub fn new(
        requests: &'a [Request],
        waiting: &'a [Waiting<'a>],
        every: usize,
        progress: &'p mut (dyn FnMut(Progress) + Send),
    ) -> Self {
        Work {
            requests,
            waiting,
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

    /// Hands out sentences that wait, as many as a pool has room for.
    pub fn next<B: Backend>(&mut self, pool: &Pool<'a, B>) -> &'a [Waiting<'a>] {
        pool.choose(&mut self.waiting)
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
