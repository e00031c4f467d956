use isogloss_kernels::{Backend, Buffer, Epilogue, Mat, MatData, MatMut, Real};

use crate::adapter::LowRank;
use crate::batch::Packed;
use crate::graph::Site;
use crate::model::context::{Context, Grads};
use crate::model::weight::{Vector, Weight};

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
        let terms = self.site.and_then(|site| cx.adapters.bank(site));
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
        if let Some(bank) = terms {
            for (update, rows) in bank.terms(rows) {
                let x = &x[rows.start * inputs..rows.end * inputs];
                let y = &mut y[rows.start * outputs..rows.end * outputs];
                add_update(cx, update, (x, inputs), (y, outputs));
            }
            if relu {
                cx.backend.relu(&mut y);
            }
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
        for (update, rows) in bank.terms(rows) {
            let x = &x[rows.start * inputs..rows.end * inputs];
            let dy = &dy[rows.start * outputs..rows.end * outputs];
            let dx = dx
                .as_deref_mut()
                .map(|dx| &mut dx[rows.start * inputs..rows.end * inputs]);
            update_backward(cx, update, (x, inputs), (dy, outputs), dx, grads);
        }
    }
}

/// The columns of `x` that an update reads or writes.
fn columns<'a, R: Real>(x: &'a [R], width: usize, columns: &std::ops::Range<usize>) -> Mat<'a, R> {
    let n = x.len() / width;
    Mat::strided(MatData::Real(&x[columns.start..]), n, columns.len(), width)
}

fn columns_mut<'a, R: Real>(
    x: &'a mut [R],
    width: usize,
    columns: &std::ops::Range<usize>,
) -> MatMut<'a, R> {
    let n = x.len() / width;
    MatMut::strided(&mut x[columns.start..], n, columns.len(), width)
}

/// `y[output] += scale * B A x[input]` for rows that all belong to one update.
fn add_update<B: Backend>(
    cx: &Context<'_, B>,
    update: &LowRank,
    (x, inputs): (&[B::Real], usize),
    (y, outputs): (&mut [B::Real], usize),
) {
    let n = x.len() / inputs;
    let a = Mat::new(cx.store.get(update.a), update.rank, update.input.len());
    let b = Mat::new(cx.store.get(update.b), update.output.len(), update.rank);
    let mut down = Buffer::unset(n * update.rank);
    cx.backend.matmul(
        columns(x, inputs, &update.input),
        a.t(),
        Epilogue::default(),
        MatMut::new(&mut down, n, update.rank),
    );
    let epilogue = Epilogue {
        alpha: B::Real::of(update.scale),
        ..Epilogue::accumulate()
    };
    let down = Mat::new(&down, n, update.rank);
    cx.backend.matmul(
        down,
        b.t(),
        epilogue,
        columns_mut(y, outputs, &update.output),
    );
}

/// Backward of [`add_update`].
fn update_backward<B: Backend>(
    cx: &Context<'_, B>,
    update: &LowRank,
    (x, inputs): (&[B::Real], usize),
    (dy, outputs): (&[B::Real], usize),
    dx: Option<&mut [B::Real]>,
    grads: Grads<'_, B>,
) {
    let (n, rank) = (x.len() / inputs, update.rank);
    let a = Mat::new(cx.store.get(update.a), rank, update.input.len());
    let b = Mat::new(cx.store.get(update.b), update.output.len(), rank);
    let x = columns(x, inputs, &update.input);
    let dy = columns(dy, outputs, &update.output);
    let mut down = Buffer::unset(n * rank);
    let to_down = MatMut::new(&mut down, n, rank);
    cx.backend.matmul(x, a.t(), Epilogue::default(), to_down);
    let mut ddown = Buffer::unset(n * rank);
    let scaled = Epilogue {
        alpha: B::Real::of(update.scale),
        ..Epilogue::default()
    };
    cx.backend
        .matmul(dy, b, scaled, MatMut::new(&mut ddown, n, rank));
    let (da, db) = grads.of_two(cx.store, update.a, update.b);
    let ddown = Mat::new(&ddown, n, rank);
    let da = MatMut::new(da, rank, update.input.len());
    cx.backend.matmul(ddown.t(), x, Epilogue::accumulate(), da);
    let accumulate = Epilogue {
        accumulate: true,
        ..scaled
    };
    let db = MatMut::new(db, update.output.len(), rank);
    cx.backend
        .matmul(dy.t(), Mat::new(&down, n, rank), accumulate, db);
    if let Some(dx) = dx {
        let dx = columns_mut(dx, inputs, &update.input);
        cx.backend.matmul(ddown, a, Epilogue::accumulate(), dx);
    }
}
