//! Low-rank updates, one product after the other.

use std::ops::Range;

use num_traits::Zero;

use crate::backend::{Backend, Epilogue};
use crate::check;
use crate::low_rank::LowRankTerm;
use crate::matmul::{Mat, MatData, MatMut};
use crate::real::Real;

/// Some columns of some rows of `x`, whose rows are `width` long.
pub(super) fn part<'a, R: Real>(
    (x, width): (&'a [R], usize),
    rows: &Range<usize>,
    cols: &Range<usize>,
) -> Mat<'a, R> {
    let x = &x[rows.start * width + cols.start..];
    Mat::strided(MatData::Real(x), rows.len(), cols.len(), width)
}

pub(super) fn part_mut<'a, R: Real>(
    (x, width): (&'a mut [R], usize),
    rows: &Range<usize>,
    cols: &Range<usize>,
) -> MatMut<'a, R> {
    let x = &mut x[rows.start * width + cols.start..];
    MatMut::strided(x, rows.len(), cols.len(), width)
}

/// See [`Backend::low_rank`]. Products are those of `backend`.
///
/// # Panics
/// If a length doesn't agree with the others, or if a term asks for rows, columns or parameters that don't exist.
pub fn low_rank<B: Backend + ?Sized>(
    backend: &B,
    terms: &[LowRankTerm],
    parameters: &[B::Real],
    (x, inputs): (&[B::Real], usize),
    (y, outputs): (&mut [B::Real], usize),
    relu: bool,
) {
    check::low_rank(terms, &parameters.into(), (x, inputs), (y, outputs));
    for term in terms.iter().filter(|term| !term.rows.is_empty()) {
        let (n, rank) = (term.rows.len(), term.rank);
        let (a, b) = (term.a_of(parameters), term.b_of(parameters));
        let mut down = vec![B::Real::zero(); n * rank];
        let x = part((x, inputs), &term.rows, &term.input);
        let to = MatMut::new(&mut down, n, rank);
        backend.matmul(x, a.t(), Epilogue::default(), to);
        let scaled = Epilogue {
            alpha: B::Real::of(term.scale),
            ..Epilogue::accumulate()
        };
        let y = part_mut((y, outputs), &term.rows, &term.output);
        backend.matmul(Mat::new(&down, n, rank), b.t(), scaled, y);
    }
    if relu {
        backend.relu(y);
    }
}

/// See [`Backend::low_rank_backward`]. Products are those of `backend`.
///
/// # Panics
/// If a length doesn't agree with the others, or if a term asks for rows, columns or parameters that don't exist.
pub fn low_rank_backward<B: Backend + ?Sized>(
    backend: &B,
    terms: &[LowRankTerm],
    parameters: &[B::Real],
    (x, inputs): (&[B::Real], usize),
    (dy, outputs): (&[B::Real], usize),
    mut dx: Option<&mut [B::Real]>,
    gradients: &mut [B::Real],
) {
    check::low_rank_backward(
        terms,
        parameters,
        (x, inputs),
        (dy, outputs),
        dx.as_deref(),
        gradients,
    );
    for term in terms.iter().filter(|term| !term.rows.is_empty()) {
        let (n, rank) = (term.rows.len(), term.rank);
        let (a, b) = (term.a_of(parameters), term.b_of(parameters));
        let x = part((x, inputs), &term.rows, &term.input);
        let dy = part((dy, outputs), &term.rows, &term.output);
        let (mut down, mut ddown) = (
            vec![B::Real::zero(); n * rank],
            vec![B::Real::zero(); n * rank],
        );
        let to = MatMut::new(&mut down, n, rank);
        backend.matmul(x, a.t(), Epilogue::default(), to);
        let scaled = Epilogue {
            alpha: B::Real::of(term.scale),
            ..Epilogue::default()
        };
        backend.matmul(dy, b, scaled, MatMut::new(&mut ddown, n, rank));
        let (down, ddown) = (Mat::new(&down, n, rank), Mat::new(&ddown, n, rank));
        let da = MatMut::new(&mut gradients[term.a_range()], rank, term.input.len());
        backend.matmul(ddown.t(), x, Epilogue::accumulate(), da);
        let accumulate = Epilogue {
            accumulate: true,
            ..scaled
        };
        let db = MatMut::new(&mut gradients[term.b_range()], term.output.len(), rank);
        backend.matmul(dy.t(), down, accumulate, db);
        if let Some(dx) = dx.as_deref_mut() {
            let dx = part_mut((dx, inputs), &term.rows, &term.input);
            backend.matmul(ddown, a, Epilogue::accumulate(), dx);
        }
    }
}
