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

/// Span `first` together with those after it whose queries follow and see the same keys (beams of one sentence), so that the keys are
/// read once; none if it's together with the one before. A query's result doesn't depend on its neighbours.
fn joined(
    mut shape: AttentionShape,
    spans: &[Span],
    first: usize,
    dropout: Option<Dropout>,
) -> Option<(AttentionShape, Span)> {
    let joins = |a: &Span, b: &Span| {
        let same_keys = (a.k_start, a.k_len) == (b.k_start, b.k_len);
        // A single query sees all keys, causal or not.
        let all_keys = !shape.causal || (a.q_len == 1 && b.q_len == 1);
        dropout.is_none() && same_keys && all_keys && b.q_start == a.q_start + a.q_len
    };
    if first > 0 && joins(&spans[first - 1], &spans[first]) {
        return None;
    }
    let more = spans[first..]
        .windows(2)
        .take_while(|pair| joins(&pair[0], &pair[1]))
        .count();
    let mut span = spans[first];
    if more > 0 {
        let last = spans[first + more];
        span.q_len = last.q_start + last.q_len - span.q_start;
        shape.causal = false;
    }
    Some((shape, span))
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
    check::attention(shape, q, k, v, spans, out, lse);
    let (out, lse) = (SharedMut::new(out), SharedMut::new(lse));
    // Scores and their weighted sum, and packing for them.
    let work = 4 * work(shape, spans);
    let task = |first: usize, head: usize| {
        let (shape, span) = joined(shape, spans, first, dropout)?;
        Some(Task {
            path: cpu.supported(),
            shape,
            span,
            head,
            dropout,
            q,
            k,
            v,
        })
    };
    cpu.run(spans.len() * shape.heads, work, |i| {
        let (first, head) = (i / shape.heads, i % shape.heads);
        // Cached decoding: a product would pack the keys for the sake of one row. Keys are read row by row, all heads of a row
        // together, as they lie in memory. The span's own length decides, not what it is joined with.
        let singly = spans[first].q_len == 1 && dropout.is_none();
        if singly && head > 0 {
            return;
        }
        let Some(task) = task(first, head) else {
            return;
        };
        // SAFETY: the checks saw that the span's rows exist and that spans don't share queries, so each task has its own rows and
        // columns of `out` and its own elements of `lse`; that of a single query has all heads'.
        unsafe {
            match singly {
                true => forward_singly(&task, out, lse),
                false => forward_head(&task, out, lse),
            }
        }
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

/// [`forward_head`] for all heads of queries that see all keys, without products.
///
/// # Safety
/// As [`forward_head`], for all heads.
unsafe fn forward_singly(task: &Task<'_>, out: SharedMut<f32>, lse: SharedMut<f32>) {
    let (span, heads, width) = (task.span, task.shape.heads, task.width());
    let keys = &task.k[span.k_start * width..][..span.k_len * width];
    let values = &task.v[span.k_start * width..][..span.k_len * width];
    let queries = &task.q[span.q_start * width..][..span.q_len * width];
    // `(queries, heads, keys)`.
    let mut scores = Scratch::take(span.q_len * heads * span.k_len);
    scores_by_key(task.path, queries, keys, task.shape, &mut scores);
    for (i, row) in scores.chunks_exact_mut(span.k_len.max(1)).enumerate() {
        let total = softmax(task.path, row, None);
        // SAFETY: the caller's promise.
        unsafe { lse.at(span.q_start * heads + i).write(total) };
    }
    // SAFETY: the caller's promise: the span's rows, all heads.
    let out = unsafe { out.slice(span.q_start * width, queries.len()) };
    sums_by_value(task.path, &scores, values, task.shape, out);
}

multiversion! {
    /// Scaled scores `(queries, heads, keys)` of whole rows of queries against whole rows of keys.
    fn scores_by_key(queries: &[f32], keys: &[f32], shape: AttentionShape, scores: &mut [f32]) {
        let (dim, width) = (shape.head_dim, shape.heads * shape.head_dim);
        let count = keys.len() / width.max(1);
        for (j, key) in keys.chunks_exact(width.max(1)).enumerate() {
            let by_query = queries.chunks_exact(width).zip(scores.chunks_exact_mut(shape.heads * count));
            for (query, scores) in by_query {
                let heads = query.chunks_exact(dim).zip(key.chunks_exact(dim));
                for (head, (q, k)) in heads.enumerate() {
                    scores[head * count + j] = shape.scale * sum2(q, k, |q, k| q * k);
                }
            }
        }
    }
}

multiversion! {
    /// Sums of whole rows of values by the weights `(queries, heads, values)`.
    fn sums_by_value(weights: &[f32], values: &[f32], shape: AttentionShape, sums: &mut [f32]) {
        let (dim, width) = (shape.head_dim, shape.heads * shape.head_dim);
        let count = values.len() / width.max(1);
        sums.fill(0.0);
        for (j, value) in values.chunks_exact(width.max(1)).enumerate() {
            let by_query = sums.chunks_exact_mut(width).zip(weights.chunks_exact(shape.heads * count));
            for (sums, weights) in by_query {
                let heads = sums.chunks_exact_mut(dim).zip(value.chunks_exact(dim));
                for (head, (sums, value)) in heads.enumerate() {
                    let weight = weights[head * count + j];
                    for (sum, &v) in sums.iter_mut().zip(value) {
                        *sum += weight * v;
                    }
                }
            }
        }
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
