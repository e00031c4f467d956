use isogloss_kernels::Real;

use crate::decode::Request;
use crate::decode::pool::Waiting;
use crate::decode::search::Search;
use crate::model::{CachedSentence, DecoderCache, StepRow};

/// A sentence that is being translated.
#[derive(Debug)]
pub(super) struct Active<'a> {
    /// Its place among all requests.
    pub index: usize,
    pub request: &'a Request,
    /// What it counts of the budget.
    pub cost: usize,
    pub search: Search,
    cached: CachedSentence,
    /// Rows of the target in the cache, of each live hypothesis.
    pasts: Vec<Vec<u32>>,
    /// Whether its start token has been through the decoder.
    pub started: bool,
}

impl<'a> Active<'a> {
    /// A sentence that was just taken into the cache.
    pub fn new(waiting: Waiting<'a>, search: Search, cached: CachedSentence) -> Self {
        Active {
            index: waiting.index,
            request: waiting.request,
            cost: waiting.cost,
            search,
            cached,
            pasts: vec![Vec::new()],
            started: false,
        }
    }

    /// Gives each live hypothesis a row for its next token.
    pub fn extend<R: Real>(&mut self, cache: &mut DecoderCache<R>) {
        for past in &mut self.pasts {
            past.push(cache.target_row(&mut self.cached));
        }
    }

    /// The next token of one of its hypotheses.
    pub fn row(&self, id: u32, hypothesis: usize) -> StepRow<'_> {
        StepRow {
            id,
            memory: self.cached.source(),
            past: &self.pasts[hypothesis],
            source: self.request.source_language,
            target: self.request.target_language,
        }
    }

    /// Goes on with the children of hypotheses.
    pub fn follow(&mut self, parents: &[usize]) {
        self.pasts = parents.iter().map(|&p| self.pasts[p].clone()).collect();
    }

    /// The search, and the rows in the cache to be given back.
    pub fn into_parts(self) -> (Search, CachedSentence) {
        (self.search, self.cached)
    }
}
