use isogloss_kernels::{Backend, Buffer, Epilogue, LowRankTerm, Mat, MatMut, Real};

use smallvec::SmallVec;

use crate::adapter::{Acting, Bank, LowRank};
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
        self.weight.param().is_some() || self.site.is_some_and(|site| cx.adapters.acts_at(site))
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
        let acting = self.acting(cx);
        let terms = acting
            .iter()
            .map(|&(bank, weight)| terms_of(bank, weight, cx.store, rows));
        // Of languages whose updates don't act here none is left.
        let terms: SmallVec<[Terms; 2]> = terms.filter(|terms| !terms.is_empty()).collect();
        let epilogue = Epilogue {
            bias: Some(self.bias.get(cx.store)),
            // With updates the rectifier comes after them.
            relu: relu && terms.is_empty(),
            ..Epilogue::default()
        };
        cx.backend.matmul(
            Mat::new(x, n, inputs),
            self.weight.mat(cx.store).t(),
            epilogue,
            MatMut::new(&mut y, n, outputs),
        );
        for (i, of_bank) in terms.iter().enumerate() {
            let factors = cx.store.factors();
            let relu = relu && i + 1 == terms.len();
            cx.backend
                .low_rank(of_bank, factors, (x, inputs), (&mut y, outputs), relu);
        }
        y
    }

    /// The updates that act here.
    fn acting<'a, B: Backend<Real = R>>(&self, cx: &Context<'a, B>) -> Acting<'a> {
        let acting = self.site.map(|site| cx.adapters.acting(site, cx.store));
        acting.unwrap_or_default()
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
        for (bank, weight) in self.acting(cx) {
            let terms = terms_of(bank, weight, cx.store, rows);
            let used = bank
                .terms(rows)
                .flat_map(|(update, _)| [update.a, update.b]);
            let grads = grads.of_some(cx.store, used);
            let parameters = cx.store.values();
            let (x, dy) = ((x, inputs), (dy, outputs));
            cx.backend
                .low_rank_backward(&terms, parameters, x, dy, dx.as_deref_mut(), grads);
        }
    }
}

/// What a bank adds to a packed batch.
type Terms = SmallVec<[LowRankTerm; 32]>;

/// The updates of a bank that act on a packed batch, times `weight`, as the backend takes them.
fn terms_of<R: Real>(bank: &Bank, weight: f32, store: &ParamStore<R>, packed: &Packed) -> Terms {
    let of = |(update, rows): (&LowRank, _)| update.term(store, rows, weight);
    bank.terms(packed).map(of).collect()
}
