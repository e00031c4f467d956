use isogloss_kernels::Real;

use crate::decode::Request;
use crate::decode::pool::Waiting;
use crate::decode::search::Search;
use crate::model::{CacheKey, DecoderCache, StepRow};

/// A sentence that is being translated.
pub(super) struct Active<'a> {
    /// Its place among all requests.
    pub index: usize,
    pub request: &'a Request,
    /// What it counts of the budget.
    pub cost: usize,
    pub search: Search,
    key: CacheKey,
    /// The slots that it owns, as many as the beam; the first ones belong to the live hypotheses, in their order.
    slots: Vec<usize>,
    /// Whether its start token has been through the decoder.
    pub started: bool,
}

impl<'a> Active<'a> {
    /// A sentence that was just taken into the cache.
    pub fn new(waiting: Waiting<'a>, search: Search, key: CacheKey, beam: usize) -> Self {
        Active {
            index: waiting.index,
            request: waiting.request,
            cost: waiting.cost,
            search,
            key,
            slots: (0..beam).collect(),
            started: false,
        }
    }

    /// Its place in the cache.
    pub fn key(&self) -> CacheKey {
        self.key
    }

    /// The next token of one of its hypotheses.
    pub fn row(&self, id: u32, hypothesis: usize) -> StepRow {
        StepRow {
            id,
            key: self.key,
            slot: self.slots[hypothesis],
            source: self.request.source_language,
            target: self.request.target_language,
        }
    }

    /// Gives each new hypothesis a slot that holds its parent's rows: the parent's own, or a copy in a slot that no parent of a
    /// live hypothesis holds.
    pub fn assign_slots<R: Real>(&mut self, parents: &[usize], cache: &mut DecoderCache<R>) {
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
                    cache.copy_slot(self.key, own, copy);
                    slots.push(copy);
                }
                None => slots.push(own),
            }
        }
        slots.append(&mut free);
        self.slots = slots;
    }
}
