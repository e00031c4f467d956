use isogloss_kernels::{Backend, Buffer, Epilogue, LowRankTerm, Mat, MatMut, Real};

use smallvec::SmallVec;

use crate::adapter::{Bank, LowRank};
use crate::batch::Packed;
use crate::graph::Site;
use crate::model::context::{Context, Grads};
use crate::model::weight::{Vector, Weight};
use crate::params::ParamStore;

/// A linear map of the base with the language-specific updates at its site: `y = W x + b + scale B_l A_l x`.
#[derive(Debug, Clone)]
pub(crate) struct Linear<R> {
    pub weight: Weight<R>,
    pub bias: Vector<R>,
    /// Where updates are looked up; `None` is never adapted.
    pub site: Option<Site>,
}

impl<R: Real> Linear<R> {
    /// Whether the map has parameters to train.
    pub fn trains<B: Backend<Real = R>>(&self, cx: &Context<'_, B>) -> bool {
        self.weight.param().is_some()
            || self.site.is_some_and(|site| {
                let bank = cx.adapters.bank(site);
                bank.is_some_and(|bank| bank.updates.iter().any(Option::is_some))
            })
    }

    /// `y (N, out)` from `x (N, in)`; `rows` says which language each row belongs to.
    pub fn forward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        x: &[R],
        relu: bool,
    ) -> Buffer<R> {
        let (inputs, outputs) = (self.weight.cols(), self.weight.rows());
        let n = x.len() / inputs;
        let mut y = Buffer::unset(n * outputs);
        let bank = self.site.and_then(|site| cx.adapters.bank(site));
        let terms = bank.map(|bank| terms_of(bank, cx.store, rows));
        // Of languages whose updates don't act here none is left.
        let terms = terms.filter(|terms| !terms.is_empty());
        let epilogue = Epilogue {
            bias: Some(self.bias.get(cx.store)),
            // With updates the rectifier comes after them.
            relu: relu && terms.is_none(),
            ..Epilogue::default()
        };
        cx.backend.matmul(
            Mat::new(x, n, inputs),
            self.weight.mat(cx.store).t(),
            epilogue,
            MatMut::new(&mut y, n, outputs),
        );
        if let Some(terms) = terms {
            let factors = cx.store.factors();
            cx.backend
                .low_rank(&terms, factors, (x, inputs), (&mut y, outputs), relu);
        }
        y
    }

    /// Backward of [`forward`](Self::forward) without the rectifier: adds to the gradients of what is trained and, unless it isn't
    /// needed, to `dx`.
    pub fn backward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        x: &[R],
        dy: &[R],
        mut dx: Option<&mut [R]>,
        grads: Grads<'_, B>,
    ) {
        let (inputs, outputs) = (self.weight.cols(), self.weight.rows());
        let n = x.len() / inputs;
        if let Some(dx) = dx.as_deref_mut() {
            cx.backend.matmul(
                Mat::new(dy, n, outputs),
                self.weight.mat(cx.store),
                Epilogue::accumulate(),
                MatMut::new(dx, n, inputs),
            );
        }
        if let Some(id) = self.weight.param() {
            cx.backend.matmul(
                Mat::new(dy, n, outputs).t(),
                Mat::new(x, n, inputs),
                Epilogue::accumulate(),
                MatMut::new(grads.of(cx.store, id), outputs, inputs),
            );
        }
        if let Some(id) = self.bias.param() {
            cx.backend.add_column_sums(dy, grads.of(cx.store, id));
        }
        let Some(bank) = self.site.and_then(|site| cx.adapters.bank(site)) else {
            return;
        };
        let terms = terms_of(bank, cx.store, rows);
        let used = bank
            .terms(rows)
            .flat_map(|(update, _)| [update.a, update.b]);
        let grads = grads.of_some(cx.store, used);
        let parameters = cx.store.values();
        let (x, dy) = ((x, inputs), (dy, outputs));
        cx.backend
            .low_rank_backward(&terms, parameters, x, dy, dx, grads);
    }
}

/// The updates of a bank that act on a packed batch, as the backend takes them.
fn terms_of<R: Real>(
    bank: &Bank,
    store: &ParamStore<R>,
    packed: &Packed,
) -> SmallVec<[LowRankTerm; 32]> {
    let of = |(update, rows): (&LowRank, _)| update.term(store, rows);
    bank.terms(packed).map(of).collect()
}
