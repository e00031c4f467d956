use isogloss_kernels::{Backend, Buffer, Epilogue, Mat, MatMut, Real};

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

    /// The column of an id, if the part has it.
    pub fn column(&self, id: u32) -> Option<usize> {
        self.ids.binary_search(&id).ok()
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

    /// Logits `(N, head.len())` of decoder states `(N, D)`, each the same as that of the whole head.
    pub(crate) fn logits_over<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        states: &[R],
        head: &Head<R>,
    ) -> Buffer<R> {
        let (d, columns) = (self.config.d_model, head.len());
        let n = states.len() / d;
        let mut logits = Buffer::unset(n * columns);
        cx.backend.matmul(
            Mat::new(states, n, d),
            head.table.mat(cx.store).t(),
            Epilogue::default(),
            MatMut::new(&mut logits, n, columns),
        );
        logits
    }
}
