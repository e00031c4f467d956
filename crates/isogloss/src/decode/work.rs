//! What the workers of a translation share: the sentences that wait, and what is done.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::decode::pool::{Room, Waiting};
use crate::decode::{DecodeError, Hypothesis, Progress, Request};

/// A worker takes at most one in so many of the sentences of its equal share of those that wait.
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
    pub fn next(&mut self, room: Option<Room>) -> &'a [Waiting<'a>] {
        let Some(room) = room else {
            return &[];
        };
        let fair = room.tokens.max(self.cost / (SHARES * self.workers));
        let (mut sources, mut total) = (0, 0);
        let mut before: Option<&'a Request> = None;
        let fits = |w: &&Waiting<'a>| {
            if !before.is_some_and(|b| w.request.has_source_of(b)) {
                sources += w.cost;
            }
            before = Some(w.request);
            total += w.cost;
            // Of a source that gets in although it's too long, all targets do.
            room.holds(sources, sources == w.cost) && (total <= fair || total == w.cost)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::LanguageId;

    /// Sentences into `targets` languages of sources with so many tokens, in their order.
    fn requests(sources: &[usize], targets: u16) -> Vec<Request> {
        let of = |(i, &tokens): (usize, &usize)| {
            (0..targets).map(move |target| Request {
                source_ids: vec![10 + i as u32; tokens],
                source_language: LanguageId(0),
                target_language: LanguageId(target),
                target_tag: 5,
            })
        };
        sources.iter().enumerate().flat_map(of).collect()
    }

    /// How many sentences are handed out each time, to pools with this room.
    fn taken(requests: &[Request], workers: usize, tokens: usize, empty: bool) -> Vec<usize> {
        let waiting: Vec<Waiting<'_>> = (0..)
            .zip(requests)
            .map(|(index, request)| Waiting {
                index,
                request,
                cost: request.cost(),
            })
            .collect();
        let mut progress = |_| ();
        let mut work = Work::new(requests, &waiting, workers, 1, &mut progress);
        assert!(work.next(None).is_empty(), "no room");
        let mut taken = Vec::new();
        let mut places = Vec::new();
        loop {
            let now = work.next(Some(Room { tokens, empty }));
            if now.is_empty() {
                break;
            }
            taken.push(now.len());
            places.extend(now.iter().map(|w| w.index));
        }
        assert!(places.iter().copied().eq(0..places.len()), "{places:?}");
        taken
    }

    #[test]
    fn sentences_of_a_source_are_taken_together() {
        // Two sources of 50 tokens fit, whatever the number of their targets.
        let many = requests(&[50; 40], 11);
        let found = taken(&many, 1, 100, true);
        assert_eq!(found[0], 22);
        assert_eq!(found.iter().sum::<usize>(), many.len());
        // With one target each, what fits is what was taken before.
        assert_eq!(taken(&requests(&[50; 7], 1), 1, 100, true), [2, 2, 2, 1]);
    }

    #[test]
    fn every_worker_gets_something() {
        // 22 sentences of 50 tokens for two workers: a quarter of what waits, and what fits at least.
        let found = taken(&requests(&[50; 2], 11), 2, 100, true);
        assert_eq!(found[0], 5);
        assert!(found.iter().all(|&n| n >= 1) && found.iter().sum::<usize>() == 22);
    }

    #[test]
    fn what_does_not_fit_stays_for_others() {
        let long = requests(&[90, 90], 3);
        assert!(taken(&long, 1, 76, false).is_empty());
        // Into an empty pool it gets, with its other targets as far as they are its share.
        assert_eq!(taken(&requests(&[90; 9], 3), 1, 76, true)[..3], [3, 3, 3]);
    }
}
