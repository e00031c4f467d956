//! Attention of single queries over rows that decoding keeps: each query reads a list of rows, so that hypotheses with a common past
//! share its rows and none is ever copied.

use half::bf16;

#[cfg(target_arch = "x86_64")]
use crate::attention::cached512;
use crate::attention::fast::softmax;
use crate::backend::AttentionShape;
use crate::check;
use crate::cpu::{Cpu, Supported};
use crate::real::Real;
use crate::scratch::{Scratch, SharedMut};
use crate::simd::{multiversion, narrow, round_to_bf16, sum2, widen_bf16};

/// Rows of keys or of values that decoding keeps from step to step.
#[derive(Debug, Clone)]
pub enum KeptRows<R> {
    /// In the computation's own type.
    Real(Vec<R>),
    /// Rounded to bfloat16: half the memory, and half the time to read it.
    Bf16(Vec<bf16>),
}

impl<R: Real> KeptRows<R> {
    /// No rows yet, in bfloat16 or not.
    #[must_use]
    pub fn new(in_bf16: bool) -> Self {
        match in_bf16 {
            true => KeptRows::Bf16(Vec::new()),
            false => KeptRows::Real(Vec::new()),
        }
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            KeptRows::Real(values) => values.len(),
            KeptRows::Bf16(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets addresses aside for `len` values in all, where the system has them; memory is taken as [`grow`](Self::grow) reaches it.
    pub fn reserve(&mut self, len: usize) {
        let more = len.saturating_sub(self.len());
        // A refusal costs speed alone.
        let _ = match self {
            KeptRows::Real(values) => values.try_reserve_exact(more),
            KeptRows::Bf16(values) => values.try_reserve_exact(more),
        };
    }

    /// Holds `len` values in all; new ones are zero.
    pub fn grow(&mut self, len: usize) {
        self.reserve(len);
        match self {
            KeptRows::Real(values) => values.resize(len, R::zero()),
            KeptRows::Bf16(values) => values.resize(len, bf16::ZERO),
        }
    }

    /// Overwrites rows, each as long as the others; rounded where they are kept in bfloat16.
    ///
    /// # Panics
    /// If there is no such row, or if `values` aren't as many rows.
    pub fn write(&mut self, rows: &[u32], values: &[R]) {
        self.write_rounded(rows, values, |values, kept| {
            for (kept, x) in kept.iter_mut().zip(values) {
                *kept = bf16::from_f32(x.f64() as f32);
            }
        });
    }

    /// The same, with what rounds a row.
    fn write_rounded(&mut self, rows: &[u32], values: &[R], round: impl Fn(&[R], &mut [bf16])) {
        let width = check::kept_rows(rows, values);
        for (&row, values) in rows.iter().zip(values.chunks_exact(width)) {
            let to = row as usize * width..(row as usize + 1) * width;
            match self {
                KeptRows::Real(kept) => kept[to].copy_from_slice(values),
                KeptRows::Bf16(kept) => round(values, &mut kept[to]),
            }
        }
    }

    /// Value `at`, widened.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn at(&self, at: usize) -> R {
        match self {
            KeptRows::Real(values) => values[at],
            KeptRows::Bf16(values) => R::of(values[at].to_f32()),
        }
    }
}

/// For each query the rows that it sees.
#[derive(Debug, Clone, Copy)]
pub struct RowLists<'a> {
    /// One list after the other.
    pub rows: &'a [u32],
    /// Where each query's list ends; it starts where the one before ends. No list is empty.
    pub ends: &'a [usize],
}

impl<'a> RowLists<'a> {
    /// The list of query `i`.
    pub(crate) fn of(&self, i: usize) -> &'a [u32] {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.rows[start..self.ends[i]]
    }
}

/// [`crate::Backend::keep`] for [`Cpu`].
pub(crate) fn keep(cpu: &Cpu, rows: &[u32], values: &[f32], kept: &mut KeptRows<f32>) {
    kept.write_rounded(rows, values, |values, kept| {
        narrow(cpu.supported(), values, bytemuck::cast_slice_mut(kept));
    });
}

/// [`crate::Backend::cached_attention`] for [`Cpu`].
pub(crate) fn forward(
    cpu: &Cpu,
    shape: AttentionShape,
    q: &[f32],
    keys: &KeptRows<f32>,
    values: &KeptRows<f32>,
    lists: RowLists<'_>,
    out: &mut [f32],
) {
    check::cached_attention(shape, q, keys, values, lists, out);
    let width = shape.heads * shape.head_dim;
    let out = SharedMut::new(out);
    let work = 4 * lists.rows.len() * width;
    cpu.run(lists.ends.len(), work, |i| {
        let (path, rows) = (cpu.supported(), lists.of(i));
        // SAFETY: the checks saw that `out` has a row for each list, and each task has its own.
        let out = unsafe { out.slice(i * width, width) };
        // `(heads, rows)`.
        let mut scores = Scratch::take(shape.heads * rows.len());
        let query = &q[i * width..(i + 1) * width];
        match keys {
            KeptRows::Real(keys) => scores_of(path, query, keys, rows, shape, &mut scores),
            KeptRows::Bf16(keys) => scores_of_bf16(path, query, keys, rows, shape, &mut scores),
        }
        for scores in scores.chunks_exact_mut(rows.len()) {
            softmax(path, scores, None);
        }
        match values {
            KeptRows::Real(values) => sums_of(path, &scores, values, rows, shape, out),
            KeptRows::Bf16(values) => sums_of_bf16(path, &scores, values, rows, shape, out),
        }
    });
}

/// Scores against rows in bfloat16; the query is rounded to it as well.
fn scores_of_bf16(
    path: Supported,
    query: &[f32],
    keys: &[bf16],
    rows: &[u32],
    shape: AttentionShape,
    scores: &mut [f32],
) {
    #[cfg(target_arch = "x86_64")]
    if cached512::scores(path, query, keys, rows, shape, scores) {
        return;
    }
    let mut rounded = Scratch::take(query.len());
    for (to, &x) in rounded.iter_mut().zip(query) {
        *to = f32::from_bits(round_to_bf16(x));
    }
    scores_widened(
        path,
        &rounded,
        bytemuck::cast_slice(keys),
        rows,
        shape,
        scores,
    );
}

fn sums_of_bf16(
    path: Supported,
    weights: &[f32],
    values: &[bf16],
    rows: &[u32],
    shape: AttentionShape,
    sums: &mut [f32],
) {
    #[cfg(target_arch = "x86_64")]
    if cached512::sums(path, weights, values, rows, shape, sums) {
        return;
    }
    sums_widened(
        path,
        weights,
        bytemuck::cast_slice(values),
        rows,
        shape,
        sums,
    );
}

/// The loops of a score, by what widens a kept value.
macro_rules! scores_loop {
    ($query:ident, $keys:ident, $rows:ident, $shape:ident, $scores:ident, $widen:expr) => {{
        let (dim, width, count) = ($shape.head_dim, $query.len(), $rows.len());
        for (j, &row) in $rows.iter().enumerate() {
            let key = &$keys[row as usize * width..][..width];
            let heads = $query.chunks_exact(dim).zip(key.chunks_exact(dim));
            for (head, (q, k)) in heads.enumerate() {
                $scores[head * count + j] = $shape.scale * sum2(q, k, |q, k| q * $widen(k));
            }
        }
    }};
}

/// The loops of the sums, by what widens a kept value.
macro_rules! sums_loop {
    ($weights:ident, $values:ident, $rows:ident, $shape:ident, $sums:ident, $widen:expr) => {{
        let (dim, width, count) = ($shape.head_dim, $sums.len(), $rows.len());
        $sums.fill(0.0);
        for (head, sums) in $sums.chunks_exact_mut(dim).enumerate() {
            let weights = &$weights[head * count..][..count];
            for (&row, &weight) in $rows.iter().zip(weights) {
                let value = &$values[row as usize * width + head * dim..][..dim];
                for (sum, &v) in sums.iter_mut().zip(value) {
                    *sum += weight * $widen(v);
                }
            }
        }
    }};
}

multiversion! {
    fn scores_of(query: &[f32], keys: &[f32], rows: &[u32], shape: AttentionShape, scores: &mut [f32]) {
        scores_loop!(query, keys, rows, shape, scores, |x: f32| x);
    }
}

multiversion! {
    fn scores_widened(query: &[f32], keys: &[u16], rows: &[u32], shape: AttentionShape, scores: &mut [f32]) {
        scores_loop!(query, keys, rows, shape, scores, widen_bf16);
    }
}

multiversion! {
    fn sums_of(weights: &[f32], values: &[f32], rows: &[u32], shape: AttentionShape, sums: &mut [f32]) {
        sums_loop!(weights, values, rows, shape, sums, |x: f32| x);
    }
}

multiversion! {
    fn sums_widened(weights: &[f32], values: &[u16], rows: &[u32], shape: AttentionShape, sums: &mut [f32]) {
        sums_loop!(weights, values, rows, shape, sums, widen_bf16);
    }
}
