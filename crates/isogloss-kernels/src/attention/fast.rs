//! Attention as small matrix products: a task is a head of a span, and holds the scores of a block of queries at a time.

use crate::backend::{AttentionShape, Dropout, Epilogue, Span};
use crate::cpu::{Cpu, KernelPath, Precision};
use crate::dropout::{draw, mix, threshold};
use crate::matmul::{Mat, MatData, MatMut, serial};
use crate::scratch::{Scratch, SharedMut};
use crate::simd::{exp, map_sum, max, multiversion, sum2};

/// Queries whose scores are held at a time.
const QUERIES: usize = 64;

/// A head of a span.
#[derive(Clone, Copy)]
struct Task<'a> {
    path: KernelPath,
    shape: AttentionShape,
    span: Span,
    head: usize,
    dropout: Option<Dropout>,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
}

/// The dropout of a row of attention weights: key, draws that are dropped, factor of what is kept.
type RowDropout = Option<(u64, u32, f32)>;

impl<'a> Task<'a> {
    fn width(&self) -> usize {
        self.shape.heads * self.shape.head_dim
    }

    /// The index of the head's first value in a row.
    fn at(&self, row: usize) -> usize {
        row * self.width() + self.head * self.shape.head_dim
    }

    /// The head's columns of `rows` rows of `x`.
    fn head_of(&self, x: &'a [f32], row: usize, rows: usize) -> Mat<'a, f32> {
        // An empty part may start past the end.
        let x = if rows == 0 { &[] } else { &x[self.at(row)..] };
        Mat::strided(MatData::Real(x), rows, self.shape.head_dim, self.width())
    }

    /// The head's columns of `rows` rows to write to.
    ///
    /// # Safety
    /// The rows are within the slice that `x` was made of, and no other reference to the head's columns of them is alive.
    unsafe fn head_of_mut<'b>(&self, x: SharedMut<f32>, row: usize, rows: usize) -> HeadMut<'b> {
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
    fn visible(&self, i: usize) -> usize {
        let span = &self.span;
        if self.shape.causal {
            (i + 1 + span.k_len)
                .saturating_sub(span.q_len)
                .min(span.k_len)
        } else {
            span.k_len
        }
    }

    fn row_dropout(&self, i: usize) -> RowDropout {
        self.dropout.map(|d| {
            let head = mix(mix(d.key, self.span.key), self.head as u64);
            (mix(head, i as u64), threshold(d.rate), 1.0 / (1.0 - d.rate))
        })
    }

    /// `c = alpha a b`, in `f32` whatever the backend's precision: scores go through an exponential, and this is a small part of
    /// the work.
    fn product(
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
struct HeadMut<'b> {
    first: *mut f32,
    rows: usize,
    dim: usize,
    stride: usize,
    borrow: std::marker::PhantomData<&'b mut f32>,
}

impl HeadMut<'_> {
    /// Overwrites the columns by packed rows.
    fn store(&mut self, packed: &[f32]) {
        for (i, row) in packed.chunks_exact(self.dim).take(self.rows).enumerate() {
            // SAFETY: row `i` exists and its columns are this task's alone, as `head_of_mut` was promised.
            let to = unsafe {
                std::slice::from_raw_parts_mut(self.first.add(i * self.stride), self.dim)
            };
            to.copy_from_slice(row);
        }
    }
}

/// Checks that a span lies within the rows of queries and keys.
fn check(shape: AttentionShape, spans: &[Span], q: &[f32], k: &[f32], v: &[f32]) {
    let width = shape.heads * shape.head_dim;
    assert_eq!(k.len(), v.len(), "lengths of keys and values");
    for span in spans {
        assert!(
            (span.q_start + span.q_len) * width <= q.len()
                && (span.k_start + span.k_len) * width <= k.len(),
            "{span:?} in {} queries and {} keys of width {width}",
            q.len() / width.max(1),
            k.len() / width.max(1),
        );
    }
}

/// Multiply-adds of one product of scores over all spans and heads.
fn work(shape: AttentionShape, spans: &[Span]) -> usize {
    let pairs: usize = spans.iter().map(|span| span.q_len * span.k_len).sum();
    pairs * shape.heads * shape.head_dim
}

/// [`crate::Backend::attention`] for [`Cpu`].
pub(crate) fn forward(
    cpu: &Cpu,
    shape: AttentionShape,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    spans: &[Span],
    dropout: Option<Dropout>,
    out: &mut [f32],
    lse: &mut [f32],
) {
    check(shape, spans, q, k, v);
    assert!(
        out.len() == q.len() && lse.len() * shape.head_dim == q.len(),
        "lengths of an attention"
    );
    let (out, lse) = (SharedMut::new(out), SharedMut::new(lse));
    // Scores and their weighted sum, and packing for them.
    let work = 4 * work(shape, spans);
    cpu.run(spans.len() * shape.heads, work, |task| {
        let task = Task {
            path: cpu.path(),
            shape,
            span: spans[task / shape.heads],
            head: task % shape.heads,
            dropout,
            q,
            k,
            v,
        };
        // SAFETY: `check` and the assertion saw that the span's rows exist; spans don't share queries, so each task has its own rows
        // and columns of `out` and its own elements of `lse`.
        unsafe { forward_head(&task, out, lse) }
    });
}

/// # Safety
/// `out` and `lse` hold the span's queries, and no other thread touches the head's columns of them.
unsafe fn forward_head(task: &Task<'_>, out: SharedMut<f32>, lse: SharedMut<f32>) {
    let (span, dim) = (task.span, task.shape.head_dim);
    let block = QUERIES.min(span.q_len);
    let mut scores = Scratch::take(block * span.k_len);
    let mut sums = Scratch::take(block * dim);
    for first in (0..span.q_len).step_by(QUERIES) {
        let rows = QUERIES.min(span.q_len - first);
        let keys = task.visible(first + rows - 1);
        let scores = &mut scores[..rows * keys];
        task.product(
            task.head_of(task.q, span.q_start + first, rows),
            task.head_of(task.k, span.k_start, keys).t(),
            Epilogue {
                alpha: task.shape.scale,
                ..Epilogue::default()
            },
            MatMut::new(scores, rows, keys),
        );
        for i in 0..rows {
            let row = &mut scores[i * keys..(i + 1) * keys];
            let (seen, rest) = row.split_at_mut(task.visible(first + i));
            rest.fill(0.0);
            let total = softmax(task.path, seen, task.row_dropout(first + i));
            let at = (span.q_start + first + i) * task.shape.heads + task.head;
            // SAFETY: the caller's promise.
            unsafe { lse.at(at).write(total) };
        }
        let sums = &mut sums[..rows * dim];
        task.product(
            Mat::new(scores, rows, keys),
            task.head_of(task.v, span.k_start, keys),
            Epilogue::default(),
            MatMut::new(sums, rows, dim),
        );
        // SAFETY: the caller's promise.
        unsafe { task.head_of_mut(out, span.q_start + first, rows) }.store(sums);
    }
}

multiversion! {
    /// Softmax of a row in place, then dropout; returns the log of the sum of exponentials.
    fn softmax(row: &mut [f32], dropout: RowDropout) -> f32 {
        let max = max(row);
        let total = map_sum(row, |x| exp(x - max));
        let inverse = 1.0 / total;
        match dropout {
            None => {
                for x in row.iter_mut() {
                    *x *= inverse;
                }
            }
            Some((key, limit, scale)) => {
                for (j, x) in row.iter_mut().enumerate() {
                    let keep = if draw(key, j as u32) < limit { 0.0 } else { scale };
                    *x = *x * inverse * keep;
                }
            }
        }
        max + total.ln()
    }
}

/// [`crate::Backend::attention_backward`] for [`Cpu`].
pub(crate) fn backward(
    cpu: &Cpu,
    shape: AttentionShape,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    out: &[f32],
    lse: &[f32],
    dout: &[f32],
    spans: &[Span],
    dropout: Option<Dropout>,
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
) {
    check(shape, spans, q, k, v);
    assert!(
        out.len() == q.len()
            && dout.len() == q.len()
            && dq.len() == q.len()
            && dk.len() == k.len()
            && dv.len() == k.len()
            && lse.len() * shape.head_dim == q.len(),
        "lengths of an attention's backward"
    );
    let gradients = [dq, dk, dv].map(SharedMut::new);
    let work = 8 * work(shape, spans);
    cpu.run(spans.len() * shape.heads, work, |task| {
        let task = Task {
            path: cpu.path(),
            shape,
            span: spans[task / shape.heads],
            head: task % shape.heads,
            dropout,
            q,
            k,
            v,
        };
        // SAFETY: `check` and the assertion saw that the span's rows exist; spans share neither queries nor keys, so each task has
        // its own rows and columns of the gradients.
        unsafe { backward_head(&task, out, lse, dout, gradients) }
    });
}

/// # Safety
/// The gradients of queries, keys and values hold the span's rows, and no other thread touches the head's columns of them.
unsafe fn backward_head(
    task: &Task<'_>,
    out: &[f32],
    lse: &[f32],
    dout: &[f32],
    [dq, dk, dv]: [SharedMut<f32>; 3],
) {
    let (span, dim) = (task.span, task.shape.head_dim);
    let block = QUERIES.min(span.q_len);
    let mut scores = Scratch::take(block * span.k_len);
    let mut weights = Scratch::take(block * span.k_len);
    let mut query_sums = Scratch::take(block * dim);
    let mut key_sums = Scratch::take(span.k_len * dim);
    let mut value_sums = Scratch::take(span.k_len * dim);
    key_sums.fill(0.0);
    value_sums.fill(0.0);
    let task = Task { ..*task };
    for first in (0..span.q_len).step_by(QUERIES) {
        let rows = QUERIES.min(span.q_len - first);
        let keys = task.visible(first + rows - 1);
        let (scores, weights) = (&mut scores[..rows * keys], &mut weights[..rows * keys]);
        let row = span.q_start + first;
        let query = task.head_of(task.q, row, rows);
        let key = task.head_of(task.k, span.k_start, keys);
        let value = task.head_of(task.v, span.k_start, keys);
        let dout_rows = task.head_of(dout, row, rows);
        let scaled = Epilogue {
            alpha: task.shape.scale,
            ..Epilogue::default()
        };
        task.product(query, key.t(), scaled, MatMut::new(scores, rows, keys));
        task.product(
            dout_rows,
            value.t(),
            Epilogue::default(),
            MatMut::new(weights, rows, keys),
        );
        for i in 0..rows {
            let at = task.at(row + i);
            let correction = dot(task.path, &out[at..at + dim], &dout[at..at + dim]);
            let seen = task.visible(first + i);
            let (scores, scores_rest) = scores[i * keys..(i + 1) * keys].split_at_mut(seen);
            let (weights, weights_rest) = weights[i * keys..(i + 1) * keys].split_at_mut(seen);
            scores_rest.fill(0.0);
            weights_rest.fill(0.0);
            let lse = lse[(row + i) * task.shape.heads + task.head];
            let dropout = task.row_dropout(first + i);
            softmax_backward(
                task.path,
                scores,
                weights,
                lse,
                correction,
                task.shape.scale,
                dropout,
            );
        }
        // Now `scores` holds the gradient of the scores, scaled, and `weights` the attention weights after dropout.
        let (dscores, weights) = (Mat::new(scores, rows, keys), Mat::new(weights, rows, keys));
        let add = Epilogue::accumulate();
        let sums = &mut query_sums[..rows * dim];
        task.product(
            dscores,
            key,
            Epilogue::default(),
            MatMut::new(sums, rows, dim),
        );
        // SAFETY: the caller's promise.
        unsafe { task.head_of_mut(dq, row, rows) }.store(sums);
        let sums = &mut key_sums[..keys * dim];
        task.product(dscores.t(), query, add, MatMut::new(sums, keys, dim));
        let sums = &mut value_sums[..keys * dim];
        task.product(weights.t(), dout_rows, add, MatMut::new(sums, keys, dim));
    }
    // SAFETY: the caller's promise.
    unsafe {
        task.head_of_mut(dk, span.k_start, span.k_len)
            .store(&key_sums);
        task.head_of_mut(dv, span.k_start, span.k_len)
            .store(&value_sums);
    }
}

multiversion! {
    fn dot(x: &[f32], y: &[f32]) -> f32 {
        sum2(x, y, |x, y| x * y)
    }
}

multiversion! {
    /// Takes the scores and the gradient of the weights after dropout; leaves the gradient of the unscaled scores, and the
    /// weights after dropout.
    fn softmax_backward(
        scores: &mut [f32],
        weights: &mut [f32],
        lse: f32,
        correction: f32,
        scale: f32,
        dropout: RowDropout,
    ) {
        let cells = scores.iter_mut().zip(weights);
        match dropout {
            None => {
                for (score, weight) in cells {
                    let p = exp(*score - lse);
                    *score = scale * p * (*weight - correction);
                    *weight = p;
                }
            }
            Some((key, limit, factor)) => {
                for (j, (score, weight)) in cells.enumerate() {
                    let keep = if draw(key, j as u32) < limit { 0.0 } else { factor };
                    let p = exp(*score - lse);
                    *score = scale * p * (keep * *weight - correction);
                    *weight = p * keep;
                }
            }
        }
    }
}
