//! A head of a span, and where it reads and writes.

use crate::backend::{AttentionShape, Dropout, Epilogue, Span};
use crate::cpu::{Precision, Supported};
use crate::dropout::{mix, threshold};
use crate::matmul::{Mat, MatData, MatMut, serial};
use crate::scratch::SharedMut;

/// A head of a span.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) path: Supported,
    pub(super) shape: AttentionShape,
    pub(super) span: Span,
    pub(super) head: usize,
    pub(super) dropout: Option<Dropout>,
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
}

/// The dropout of a row of attention weights: key, draws that are dropped, factor of what is kept.
pub(super) type RowDropout = Option<(u64, u32, f32)>;

impl<'a> Task<'a> {
    pub(super) fn width(&self) -> usize {
        self.shape.heads * self.shape.head_dim
    }

    /// The index of the head's first value in a row.
    pub(super) fn at(&self, row: usize) -> usize {
        row * self.width() + self.head * self.shape.head_dim
    }

    /// The head's columns of `rows` rows of `x`.
    pub(super) fn head_of(&self, x: &'a [f32], row: usize, rows: usize) -> Mat<'a, f32> {
        // An empty part may start past the end.
        let x = if rows == 0 { &[] } else { &x[self.at(row)..] };
        Mat::strided(MatData::Real(x), rows, self.shape.head_dim, self.width())
    }

    /// The head's columns of `rows` rows to write to.
    ///
    /// # Safety
    /// The rows are within the slice that `x` was made of, and no other reference to the head's columns of them is alive.
    pub(super) unsafe fn head_of_mut<'b>(
        &self,
        x: SharedMut<f32>,
        row: usize,
        rows: usize,
    ) -> HeadMut<'b> {
        let at = if rows == 0 { 0 } else { self.at(row) };
        // SAFETY: the caller's promise.
        let first = unsafe { x.at(at) };
        HeadMut {
            first,
            rows,
            dim: self.shape.head_dim,
            stride: self.width(),
            borrow: std::marker::PhantomData,
        }
    }

    /// How many keys query `i` sees.
    pub(super) fn visible(&self, i: usize) -> usize {
        let span = &self.span;
        if self.shape.causal {
            (i + 1 + span.k_len)
                .saturating_sub(span.q_len)
                .min(span.k_len)
        } else {
            span.k_len
        }
    }

    pub(super) fn row_dropout(&self, i: usize) -> RowDropout {
        self.dropout.map(|d| {
            let head = mix(mix(d.key, self.span.key), self.head as u64);
            (mix(head, i as u64), threshold(d.rate), 1.0 / (1.0 - d.rate))
        })
    }

    /// `c = alpha a b`, in `f32` whatever the backend's precision: scores go through an exponential, and this is a small part of
    /// the work.
    pub(super) fn product(
        &self,
        a: Mat<'_, f32>,
        b: Mat<'_, f32>,
        epilogue: Epilogue<'_, f32>,
        c: MatMut<'_, f32>,
    ) {
        serial(self.path, Precision::F32, a, b, epilogue, c);
    }
}

/// A head's columns of some rows, packed on the way in and out: other tasks write to the columns beside them, so no slice of whole
/// rows may exist.
pub(super) struct HeadMut<'b> {
    first: *mut f32,
    rows: usize,
    dim: usize,
    stride: usize,
    borrow: std::marker::PhantomData<&'b mut f32>,
}

impl HeadMut<'_> {
    /// Overwrites the columns by packed rows.
    pub(super) fn store(&mut self, packed: &[f32]) {
        for (i, row) in packed.chunks_exact(self.dim).take(self.rows).enumerate() {
            // SAFETY: row `i` exists and its columns are this task's alone, as `head_of_mut` was promised.
            let to = unsafe {
                std::slice::from_raw_parts_mut(self.first.add(i * self.stride), self.dim)
            };
            to.copy_from_slice(row);
        }
    }
}

/// Multiply-adds of one product of scores over all spans and heads.
pub(super) fn work(shape: AttentionShape, spans: &[Span]) -> usize {
    let pairs: usize = spans.iter().map(|span| span.q_len * span.k_len).sum();
    pairs * shape.heads * shape.head_dim
}
