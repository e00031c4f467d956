//! Plain attention: one span, one head, one query at a time.

use crate::attention::cached::{KeptRows, RowLists};
use crate::backend::{AttentionShape, Dropout, Span};
use crate::check;
use crate::dropout::{draw, mix, threshold};
use crate::real::Real;

/// Where one head of one query reads and writes.
struct Head {
    width: usize,
    cols: std::ops::Range<usize>,
}

impl Head {
    fn of<'a, R>(&self, x: &'a [R], row: usize) -> &'a [R] {
        &x[row * self.width + self.cols.start..row * self.width + self.cols.end]
    }

    fn of_mut<'a, R>(&self, x: &'a mut [R], row: usize) -> &'a mut [R] {
        &mut x[row * self.width + self.cols.start..row * self.width + self.cols.end]
    }
}

fn heads(shape: AttentionShape) -> impl Iterator<Item = (usize, Head)> {
    (0..shape.heads).map(move |h| {
        let head = Head {
            width: shape.heads * shape.head_dim,
            cols: h * shape.head_dim..(h + 1) * shape.head_dim,
        };
        (h, head)
    })
}

fn visible(shape: AttentionShape, span: &Span, query: usize) -> usize {
    if shape.causal {
        query + span.k_len + 1 - span.q_len
    } else {
        span.k_len
    }
}

fn dot<R: Real>(a: &[R], b: &[R]) -> R {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

fn axpy<R: Real>(factor: R, x: &[R], y: &mut [R]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

/// Factor of each attention weight: 1 without dropout, otherwise 0 or `1 / (1 - rate)`.
fn keep<R: Real>(
    dropout: Option<Dropout>,
    span: &Span,
    head: usize,
    query: usize,
    key: usize,
) -> R {
    let Some(dropout) = dropout else {
        return R::one();
    };
    let row = mix(mix(mix(dropout.key, span.key), head as u64), query as u64);
    if draw(row, key as u32) < threshold(dropout.rate) {
        R::zero()
    } else {
        R::of(1.0 / (1.0 - dropout.rate))
    }
}

/// See [`crate::Backend::attention`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn attention<R: Real>(
    shape: AttentionShape,
    q: &[R],
    k: &[R],
    v: &[R],
    spans: &[Span],
    dropout: Option<Dropout>,
    out: &mut [R],
    lse: &mut [R],
) {
    check::attention(shape, q, k, v, spans, out, lse);
    let scale = R::of(shape.scale);
    for span in spans {
        for (h, head) in heads(shape) {
            for i in 0..span.q_len {
                let query = head.of(q, span.q_start + i);
                let scores: Vec<R> = (0..visible(shape, span, i))
                    .map(|j| scale * dot(query, head.of(k, span.k_start + j)))
                    .collect();
                let max = scores.iter().copied().fold(R::neg_infinity(), R::max);
                let total = scores.iter().map(|&s| (s - max).exp()).sum::<R>();
                lse[(span.q_start + i) * shape.heads + h] = max + total.ln();
                let out = head.of_mut(out, span.q_start + i);
                out.fill(R::zero());
                for (j, &s) in scores.iter().enumerate() {
                    let p = (s - max).exp() / total * keep(dropout, span, h, i, j);
                    axpy(p, head.of(v, span.k_start + j), out);
                }
            }
        }
    }
}

/// See [`crate::Backend::attention_backward`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn attention_backward<R: Real>(
    shape: AttentionShape,
    q: &[R],
    k: &[R],
    v: &[R],
    out: &[R],
    lse: &[R],
    dout: &[R],
    spans: &[Span],
    dropout: Option<Dropout>,
    dq: &mut [R],
    dk: &mut [R],
    dv: &mut [R],
) {
    check::attention_backward(shape, q, k, v, out, lse, dout, spans, [dq, dk, dv]);
    let scale = R::of(shape.scale);
    for span in spans {
        for (h, head) in heads(shape) {
            for j in 0..span.k_len {
                head.of_mut(dk, span.k_start + j).fill(R::zero());
                head.of_mut(dv, span.k_start + j).fill(R::zero());
            }
            for i in 0..span.q_len {
                let row = span.q_start + i;
                let (query, dout) = (head.of(q, row), head.of(dout, row));
                // The softmax's own correction: sum over j of p_j dp_j equals out . dout, dropout included.
                let correction = dot(head.of(out, row), dout);
                head.of_mut(dq, row).fill(R::zero());
                for j in 0..visible(shape, span, i) {
                    let at = span.k_start + j;
                    let p = (scale * dot(query, head.of(k, at)) - lse[row * shape.heads + h]).exp();
                    let keep = keep(dropout, span, h, i, j);
                    axpy(p * keep, dout, head.of_mut(dv, at));
                    let ds = scale * p * (keep * dot(dout, head.of(v, at)) - correction);
                    axpy(ds, head.of(k, at), head.of_mut(dq, row));
                    axpy(ds, query, head.of_mut(dk, at));
                }
            }
        }
    }
}

/// See [`crate::Backend::cached_attention`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn cached_attention<R: Real>(
    shape: AttentionShape,
    q: &[R],
    keys: &KeptRows<R>,
    values: &KeptRows<R>,
    lists: RowLists<'_>,
    out: &mut [R],
) {
    check::cached_attention(shape, q, keys, values, lists, out);
    let scale = R::of(shape.scale);
    for i in 0..lists.ends.len() {
        for (_, head) in heads(shape) {
            let kept = |rows: &KeptRows<R>, row: u32| -> Vec<R> {
                let start = row as usize * head.width;
                head.cols.clone().map(|c| rows.at(start + c)).collect()
            };
            let query = head.of(q, i);
            let scores: Vec<R> = lists
                .of(i)
                .iter()
                .map(|&row| scale * dot(query, &kept(keys, row)))
                .collect();
            let max = scores.iter().copied().fold(R::neg_infinity(), R::max);
            let total = scores.iter().map(|&s| (s - max).exp()).sum::<R>();
            let sums = head.of_mut(out, i);
            sums.fill(R::zero());
            for (&row, &score) in lists.of(i).iter().zip(&scores) {
                axpy((score - max).exp() / total, &kept(values, row), sums);
            }
        }
    }
}
