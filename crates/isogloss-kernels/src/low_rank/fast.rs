//! Low-rank updates in parallel: a task is some rows of a term, or part of a factor's gradient, however many terms there are.

use std::ops::Range;

use crate::backend::Epilogue;
use crate::check;
use crate::cpu::{Cpu, Precision, Supported};
use crate::dropout::fast::relu_chunk;
use crate::low_rank::plan::{Factor, Part, Parts, pieces, work};
use crate::low_rank::reference::{part, part_mut};
#[cfg(target_arch = "x86_64")]
use crate::low_rank::thin::{self, Rows, Thin};
use crate::low_rank::{Factors, KeptFactors, List, LowRankTerm};
use crate::matmul::{Mat, MatMut, serial};
use crate::scratch::{Scratch, SharedMut};

/// What tasks read.
#[derive(Clone, Copy)]
struct Site<'a> {
    path: Supported,
    precision: Precision,
    terms: &'a [LowRankTerm],
    parameters: &'a [f32],
    kept: Option<&'a KeptFactors>,
    inputs: usize,
    outputs: usize,
}

/// [`crate::Backend::low_rank`] for [`Cpu`].
pub(crate) fn forward(
    cpu: &Cpu,
    terms: &[LowRankTerm],
    factors: Factors<'_, f32>,
    (x, inputs): (&[f32], usize),
    (y, outputs): (&mut [f32], usize),
    relu: bool,
) {
    check::low_rank(terms, &factors, (x, inputs), (y, outputs));
    let site = Site::new(cpu, terms, factors, (inputs, outputs));
    let all = y.len() / outputs.max(1);
    let pieces = pieces(cpu, terms, relu.then_some(all));
    let y = SharedMut::new(y);
    cpu.run(pieces.len(), work(terms), |task| {
        let piece = &pieces[task];
        let (start, len) = (piece.rows.start * outputs, piece.rows.len() * outputs);
        // SAFETY: no two pieces share a row, and the rows exist; `y` is borrowed for all tasks.
        let y = unsafe { y.slice(start, len) };
        let mut rectified = false;
        if let Some(term) = piece.term {
            let term = &terms[term];
            rectified = relu && term.output == (0..outputs);
            site.add(term, &piece.rows, x, y, rectified);
        }
        if relu && !rectified {
            relu_chunk(site.path, y);
        }
    });
}

/// [`crate::Backend::low_rank_backward`] for [`Cpu`].
pub(crate) fn backward(
    cpu: &Cpu,
    terms: &[LowRankTerm],
    parameters: &[f32],
    (x, inputs): (&[f32], usize),
    (dy, outputs): (&[f32], usize),
    dx: Option<&mut [f32]>,
    gradients: &mut [f32],
) {
    let (x, dy) = ((x, inputs), (dy, outputs));
    check::low_rank_backward(terms, parameters, x, dy, dx.as_deref(), gradients);
    let site = Site::new(cpu, terms, parameters.into(), (inputs, outputs));
    // `A x` of each term's rows, then the gradient of it.
    let mut starts = List::with_capacity(terms.len());
    let mut len = 0;
    for term in terms {
        starts.push(len);
        len += 2 * term.rows.len() * term.rank;
    }
    let mut space = Scratch::take(len);
    let shared = SharedMut::new(&mut space);
    let dx = dx.map(SharedMut::new);
    let row_pieces = pieces(cpu, terms, None);
    cpu.run(row_pieces.len(), 2 * work(terms), |task| {
        let piece = &row_pieces[task];
        let Some(at) = piece.term else { return };
        let (term, rows) = (&terms[at], &piece.rows);
        let first = starts[at] + (rows.start - term.rows.start) * term.rank;
        let (len, gap) = (rows.len() * term.rank, term.rows.len() * term.rank);
        // SAFETY: no two pieces share a row, and the rows exist, in `dx` as in the space of their term; `space` and `dx` are
        // borrowed for all tasks.
        let (down, ddown, dx) = unsafe {
            (
                shared.slice(first, len),
                shared.slice(first + gap, len),
                dx.map(|dx| dx.slice(rows.start * inputs, rows.len() * inputs)),
            )
        };
        site.rows_backward(term, rows, (x.0, dy.0), (down, ddown), dx);
    });
    let plan = Parts::new(cpu, terms);
    let gradients = SharedMut::new(gradients);
    cpu.run(plan.parts.len(), work(terms), |task| {
        let part = &plan.parts[task];
        let sums = plan.order[part.terms.clone()].iter().map(|&at| {
            let len = terms[at].rows.len() * terms[at].rank;
            let (down, ddown) = space[starts[at]..][..2 * len].split_at(len);
            (&terms[at], down, ddown)
        });
        // SAFETY: the factor's gradient exists. Factors are the same or don't overlap, and the cuts of one don't either;
        // `gradients` is borrowed for all tasks.
        unsafe { site.part_backward(part, sums, (x.0, dy.0), gradients) }
    });
}

impl<'a> Site<'a> {
    fn new(
        cpu: &Cpu,
        terms: &'a [LowRankTerm],
        factors: Factors<'a, f32>,
        (inputs, outputs): (usize, usize),
    ) -> Self {
        Site {
            path: cpu.supported(),
            precision: cpu.precision(),
            terms,
            parameters: factors.parameters,
            kept: factors.kept,
            inputs,
            outputs,
        }
    }

    fn product(&self, a: Mat<'_, f32>, b: Mat<'_, f32>, e: Epilogue<'_, f32>, c: MatMut<'_, f32>) {
        serial(self.path, self.precision, a, b, e, c);
    }

    /// `B` of a term with its columns as rows.
    #[cfg(target_arch = "x86_64")]
    fn b_transposed(&self, term: &LowRankTerm) -> Scratch {
        let b = &self.parameters[term.b_range()];
        let mut to = Scratch::take(b.len());
        thin::transposed(b, term.rank, &mut to);
        to
    }

    /// Adds a term to `y`, which holds these rows alone.
    fn add(&self, term: &LowRankTerm, rows: &Range<usize>, x: &[f32], y: &mut [f32], relu: bool) {
        if let Some(kept) = self.kept.filter(|_| !term.is_empty()) {
            let (x, y) = ((x, self.inputs), (y, self.outputs));
            return kept.add(self.path, term, rows, x, y, relu);
        }
        let (n, rank) = (rows.len(), term.rank);
        let mut down = Scratch::take(n * rank);
        #[cfg(target_arch = "x86_64")]
        if let Some(thin) = Thin::of(self.path, rank) {
            let b = self.b_transposed(term);
            let x = Rows::new((x, self.inputs), rows, &term.input);
            thin.project(x, &self.parameters[term.a_range()], 1.0, &mut down);
            let to = (y, self.outputs);
            return thin.combine((&down, &b), term.scale, relu, to, &term.output);
        }
        self.product(
            part((x, self.inputs), rows, &term.input),
            term.a_of(self.parameters).t(),
            Epilogue::default(),
            MatMut::new(&mut down, n, rank),
        );
        let epilogue = Epilogue {
            alpha: term.scale,
            relu,
            ..Epilogue::accumulate()
        };
        let y = part_mut((y, self.outputs), &(0..n), &term.output);
        self.product(
            Mat::new(&down, n, rank),
            term.b_of(self.parameters).t(),
            epilogue,
            y,
        );
    }

    /// Computes `down = A x` and its gradient, and adds to `dx`; all three hold these rows alone.
    fn rows_backward(
        &self,
        term: &LowRankTerm,
        rows: &Range<usize>,
        (x, dy): (&[f32], &[f32]),
        (down, ddown): (&mut [f32], &mut [f32]),
        dx: Option<&mut [f32]>,
    ) {
        let (n, rank) = (rows.len(), term.rank);
        #[cfg(target_arch = "x86_64")]
        if let Some(thin) = Thin::of(self.path, rank) {
            let (a, b) = (&self.parameters[term.a_range()], self.b_transposed(term));
            let x = Rows::new((x, self.inputs), rows, &term.input);
            let dy = Rows::new((dy, self.outputs), rows, &term.output);
            thin.project(x, a, 1.0, down);
            thin.project(dy, &b, term.scale, ddown);
            if let Some(dx) = dx {
                thin.combine((ddown, a), 1.0, false, (dx, self.inputs), &term.input);
            }
            return;
        }
        self.product(
            part((x, self.inputs), rows, &term.input),
            term.a_of(self.parameters).t(),
            Epilogue::default(),
            MatMut::new(down, n, rank),
        );
        let scaled = Epilogue {
            alpha: term.scale,
            ..Epilogue::default()
        };
        self.product(
            part((dy, self.outputs), rows, &term.output),
            term.b_of(self.parameters),
            scaled,
            MatMut::new(ddown, n, rank),
        );
        if let Some(dx) = dx {
            let dx = part_mut((dx, self.inputs), &(0..n), &term.input);
            let ddown = Mat::new(ddown, n, rank);
            self.product(
                ddown,
                term.a_of(self.parameters),
                Epilogue::accumulate(),
                dx,
            );
        }
    }

    /// Adds to part of a factor's gradient what each of its terms `(term, down, gradient of down)` gives, in their order.
    ///
    /// # Safety
    /// `gradients` is as long as the parameters, its borrow is alive, and no other reference to the part is.
    unsafe fn part_backward<'t>(
        &self,
        part: &Part,
        terms: impl Iterator<Item = (&'t LowRankTerm, &'t [f32], &'t [f32])>,
        (x, dy): (&[f32], &[f32]),
        gradients: SharedMut<f32>,
    ) {
        let first = &self.terms[part.first];
        match part.factor {
            Factor::A => {
                let (rank, width) = (first.rank, first.input.len());
                // Other tasks add to the columns beside these.
                let row = |i: usize| {
                    // SAFETY: row `i` of the factor exists, and these columns of it are the caller's.
                    unsafe { gradients.slice(first.a + i * width + part.cut.start, part.cut.len()) }
                };
                let mut da = Scratch::take(rank * part.cut.len());
                for (i, da) in da.chunks_exact_mut(part.cut.len()).enumerate() {
                    da.copy_from_slice(row(i));
                }
                for (term, _, ddown) in terms {
                    #[cfg(target_arch = "x86_64")]
                    if let Some(thin) = Thin::of(self.path, rank) {
                        let cols = within(&term.input, &part.cut);
                        let x = Rows::new((x, self.inputs), &term.rows, &cols);
                        thin.gather(ddown, x, &mut da);
                        continue;
                    }
                    self.product(
                        Mat::new(ddown, term.rows.len(), rank).t(),
                        columns((x, self.inputs), &term.rows, &term.input, &part.cut),
                        Epilogue::accumulate(),
                        MatMut::new(&mut da, rank, part.cut.len()),
                    );
                }
                for (i, da) in da.chunks_exact(part.cut.len()).enumerate() {
                    row(i).copy_from_slice(da);
                }
            }
            Factor::B => {
                let (rank, cols) = (first.rank, part.cut.len());
                // SAFETY: these outputs of the factor exist and are the caller's.
                let db = unsafe { gradients.slice(first.b + part.cut.start * rank, cols * rank) };
                #[cfg(target_arch = "x86_64")]
                if let Some(thin) = Thin::of(self.path, rank) {
                    return self.b_backward(thin, (rank, &part.cut), terms, dy, db);
                }
                for (term, down, _) in terms {
                    let epilogue = Epilogue {
                        alpha: term.scale,
                        ..Epilogue::accumulate()
                    };
                    self.product(
                        columns((dy, self.outputs), &term.rows, &term.output, &part.cut).t(),
                        Mat::new(down, term.rows.len(), rank),
                        epilogue,
                        MatMut::new(db, cols, rank),
                    );
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Site<'_> {
    /// Adds to the gradient of outputs `cut` of a `B` of small rank.
    fn b_backward<'t>(
        &self,
        thin: Thin,
        (rank, cut): (usize, &Range<usize>),
        terms: impl Iterator<Item = (&'t LowRankTerm, &'t [f32], &'t [f32])>,
        dy: &[f32],
        db: &mut [f32],
    ) {
        let mut sums = Scratch::take(db.len());
        thin::transposed(db, rank, &mut sums);
        for (term, down, _) in terms {
            let mut scaled = Scratch::take(down.len());
            let pairs = scaled.iter_mut().zip(down);
            pairs.for_each(|(to, x)| *to = term.scale * x);
            let cols = within(&term.output, cut);
            thin.gather(
                &scaled,
                Rows::new((dy, self.outputs), &term.rows, &cols),
                &mut sums,
            );
        }
        thin::transposed(&sums, cut.len(), db);
    }
}

/// The part `cut` of the columns `of`.
fn within(of: &Range<usize>, cut: &Range<usize>) -> Range<usize> {
    of.start + cut.start..of.start + cut.end
}

/// The columns `cut` of the columns `of` of some rows.
fn columns<'a>(
    x: (&'a [f32], usize),
    rows: &Range<usize>,
    of: &Range<usize>,
    cut: &Range<usize>,
) -> Mat<'a, f32> {
    part(x, rows, &within(of, cut))
}
