//! Attention as small matrix products: a task is a head of a span, and holds the scores of a block of queries at a time.

use crate::attention::task::{RowDropout, Task, work};
use crate::backend::{AttentionShape, Dropout, Epilogue, Span};
use crate::check;
use crate::cpu::Cpu;
use crate::dropout::draw;
use crate::matmul::{Mat, MatMut};
use crate::scratch::{Scratch, SharedMut};
use crate::simd::{exp, map_sum, max, multiversion, sum2};

/// Queries whose scores are held at a time.
const QUERIES: usize = 64;

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
    check::attention(shape, q, k, v, spans, out, lse);
    let (out, lse) = (SharedMut::new(out), SharedMut::new(lse));
    // Scores and their weighted sum, and packing for them.
    let work = 4 * work(shape, spans);
    cpu.run(spans.len() * shape.heads, work, |task| {
        let task = Task {
            path: cpu.supported(),
            shape,
            span: spans[task / shape.heads],
            head: task % shape.heads,
            dropout,
            q,
            k,
            v,
        };
        // SAFETY: the checks saw that the span's rows exist and that spans don't share queries, so each task has its own rows and
        // columns of `out` and its own elements of `lse`.
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
    pub(super) fn softmax(row: &mut [f32], dropout: RowDropout) -> f32 {
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
    check::attention_backward(shape, q, k, v, out, lse, dout, spans, [dq, dk, dv]);
    let gradients = [dq, dk, dv].map(SharedMut::new);
    let work = 8 * work(shape, spans);
    cpu.run(spans.len() * shape.heads, work, |task| {
        let task = Task {
            path: cpu.supported(),
            shape,
            span: spans[task / shape.heads],
            head: task % shape.heads,
            dropout,
            q,
            k,
            v,
        };
        // SAFETY: the checks saw that the span's rows exist and that spans share neither queries nor keys, so each task has
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
