use isogloss_kernels::{Backend, Real};

use crate::model::weight::Weight;
use crate::model::{Context, Model};

/// The head over a part of the vocabulary: a copy of those rows of the embedding.
#[derive(Debug, Clone)]
pub(crate) struct Head<R> {
    /// The rows' ids, ascending.
    ids: Vec<u32>,
    table: Weight<R>,
}

impl<R: Real> Head<R> {
    /// The id that a column of the logits belongs to.
    pub fn id(&self, column: u32) -> u32 {
        self.ids[column as usize]
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.ids.len()
    }
}

impl<R: Real> Model<R> {
    /// The head over `ids`, which ascend and lie in the vocabulary, packed ahead for the context's backend.
    pub(crate) fn head<B: Backend<Real = R>>(&self, cx: &Context<'_, B>, ids: &[u32]) -> Head<R> {
        let mut table = self.embedding.gather(cx.store, ids);
        // Nothing but products reads it.
        table.pack(cx.backend, false, cx.backend.packing_replaces(false));
        Head {
            ids: ids.to_vec(),
            table,
        }
    }

    /// The `count` likeliest continuations of each row of decoder states `(N, D)`, as columns of `head` (of the whole vocabulary where
    /// there is none) with their logits, best first and the lower column first among equals, and the rows' log-sum-exp: see
    /// [`Backend::head_best`].
    pub(crate) fn best<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        states: &[R],
        head: Option<&Head<R>>,
        count: usize,
        best: &mut [(R, u32)],
        lse: &mut [R],
    ) {
        let table = head.map_or(&self.embedding, |head| &head.table);
        cx.backend
            .head_best(states, table.mat(cx.store), count, best, lse);
    }
}
