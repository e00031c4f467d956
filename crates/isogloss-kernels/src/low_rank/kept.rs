//! Factors prepared ahead for decoding, where a term has a row or two and packing its factors takes longer than multiplying by them.

use std::ops::Range;

use half::bf16;

use crate::cpu::{Cpu, Precision, Supported};
use crate::low_rank::LowRankTerm;
#[cfg(target_arch = "x86_64")]
use crate::low_rank::kept512;
use crate::scratch::Scratch;
use crate::simd::{self, multiversion, sum2, widen_bf16};

/// Outputs of a block of `B`.
pub(super) const BLOCK: usize = 64;

/// Factors of updates in bfloat16, each where it starts in the parameters that they were made of: `A` row by row; `B` in blocks of outputs, a
/// block by pairs of columns, `(rank / 2, outputs, 2)`, and the last column of an odd rank by itself.
#[derive(Debug, Clone)]
pub struct KeptFactors {
    values: Vec<bf16>,
}

/// The factors of a term, in bits of bfloat16.
#[derive(Clone, Copy)]
pub(super) struct TermFactors<'a> {
    /// `(rank, inputs)`.
    pub a: &'a [u16],
    /// `(outputs, rank)` in blocks.
    pub b: &'a [u16],
    pub inputs: usize,
    pub rank: usize,
    pub outputs: usize,
}

/// Where element `(output, column)` of `B` lies.
fn place_in_b(rank: usize, outputs: usize, output: usize, column: usize) -> usize {
    let (first, within) = (output - output % BLOCK, output % BLOCK);
    let width = BLOCK.min(outputs - first);
    let pair = first * rank + 2 * (column / 2) * width;
    match column + 1 == rank && rank % 2 == 1 {
        true => pair + within,
        false => pair + 2 * within + column % 2,
    }
}

impl KeptFactors {
    /// [`crate::Backend::keep_factors`] for [`Cpu`].
    pub(crate) fn new(cpu: &Cpu, terms: &[LowRankTerm], parameters: &[f32]) -> Option<Self> {
        if cpu.precision() == Precision::F32 {
            return None;
        }
        let mut values = vec![bf16::ZERO; parameters.len()];
        for term in terms {
            let (rank, outputs) = (term.rank, term.output.len());
            let a = bytemuck::cast_slice_mut(&mut values[term.a_range()]);
            simd::narrow(cpu.supported(), &parameters[term.a_range()], a);
            let (from, b) = (&parameters[term.b_range()], &mut values[term.b_range()]);
            for (output, row) in from.chunks_exact(rank.max(1)).enumerate() {
                for (column, &x) in row.iter().enumerate() {
                    b[place_in_b(rank, outputs, output, column)] = bf16::from_f32(x);
                }
            }
        }
        Some(KeptFactors { values })
    }

    /// Number of values, as many as there are parameters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn of(&self, term: &LowRankTerm) -> TermFactors<'_> {
        let of = |range| bytemuck::cast_slice(&self.values[range]);
        TermFactors {
            a: of(term.a_range()),
            b: of(term.b_range()),
            inputs: term.input.len(),
            rank: term.rank,
            outputs: term.output.len(),
        }
    }

    /// Adds a term that isn't empty to `y`, which holds these rows alone, and rectifies what it writes.
    pub(super) fn add(
        &self,
        path: Supported,
        term: &LowRankTerm,
        rows: &Range<usize>,
        (x, inputs): (&[f32], usize),
        (y, outputs): (&mut [f32], usize),
        relu: bool,
    ) {
        let factors = self.of(term);
        // Each row of `x`, and of `A x`, in whole words.
        let (words, pairs) = (factors.inputs.div_ceil(2), factors.rank.div_ceil(2));
        let mut short = Scratch::take(rows.len() * words);
        let mut sums = Scratch::take(rows.len() * factors.rank);
        let mut down = Scratch::take(rows.len() * pairs);
        for (row, to) in rows.clone().zip(short.chunks_exact_mut(words)) {
            let x = &x[row * inputs + term.input.start..][..factors.inputs];
            narrow(path, x, bytemuck::cast_slice_mut(to));
        }
        project_down(path, &factors, bytemuck::cast_slice(&short), &mut sums);
        for (to, from) in down
            .chunks_exact_mut(pairs)
            .zip(sums.chunks_exact(factors.rank))
        {
            narrow(path, from, bytemuck::cast_slice_mut(to));
        }
        let y = (&mut y[term.output.start..], outputs);
        let down = bytemuck::cast_slice(&down);
        project_up(path, &factors, down, term.scale, relu, y);
    }
}

/// `A x` for rows of `x` in bfloat16, each of an even number of values.
fn project_down(path: Supported, factors: &TermFactors<'_>, x: &[u16], sums: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if kept512::down(path, factors, x, sums) {
        return;
    }
    let width = factors.inputs.next_multiple_of(2);
    let mut wide = Scratch::take(factors.inputs);
    for (i, sums) in sums.chunks_exact_mut(factors.rank).enumerate() {
        widen(path, &x[i * width..][..factors.inputs], &mut wide);
        down_row(path, factors.a, &wide, sums);
    }
}

/// `y += scale * B down` for rows of `down` in bfloat16, each of an even number of values; then rectified if asked for.
fn project_up(
    path: Supported,
    factors: &TermFactors<'_>,
    down: &[u16],
    scale: f32,
    relu: bool,
    (y, stride): (&mut [f32], usize),
) {
    #[cfg(target_arch = "x86_64")]
    if kept512::up(path, factors, down, scale, relu, (&mut *y, stride)) {
        return;
    }
    let width = factors.rank.next_multiple_of(2);
    let mut product = Scratch::take(factors.outputs);
    for (i, down) in down.chunks_exact(width).enumerate() {
        product.fill(0.0);
        let down = &down[..factors.rank];
        for (product, b) in product
            .chunks_mut(BLOCK)
            .zip(factors.b.chunks(BLOCK * factors.rank))
        {
            up_block(path, b, down, product);
        }
        let y = &mut y[i * stride..][..factors.outputs];
        add_row(path, &product, scale, relu, y);
    }
}

/// Rounds a row; a place behind the last is cleared.
fn narrow(path: Supported, row: &[f32], to: &mut [u16]) {
    #[cfg(target_arch = "x86_64")]
    if kept512::narrow(path, row, to) {
        return;
    }
    to[row.len()..].fill(0);
    simd::narrow(path, row, to);
}

multiversion! {
    fn widen(row: &[u16], to: &mut [f32]) {
        for (to, &x) in to.iter_mut().zip(row) {
            *to = widen_bf16(x);
        }
    }
}

multiversion! {
    fn down_row(a: &[u16], x: &[f32], sums: &mut [f32]) {
        for (sum, a) in sums.iter_mut().zip(a.chunks_exact(x.len())) {
            *sum = sum2(x, a, |x, a| x * widen_bf16(a));
        }
    }
}

multiversion! {
    fn up_block(b: &[u16], down: &[u16], product: &mut [f32]) {
        let outputs = product.len();
        let (pairs, odd) = down.as_chunks::<2>();
        for (&[d0, d1], b) in pairs.iter().zip(b.chunks_exact(2 * outputs)) {
            let (d0, d1) = (widen_bf16(d0), widen_bf16(d1));
            for (y, &[b0, b1]) in product.iter_mut().zip(b.as_chunks().0) {
                *y += d0 * widen_bf16(b0) + d1 * widen_bf16(b1);
            }
        }
        for &d in odd {
            for (y, &b) in product.iter_mut().zip(&b[2 * pairs.len() * outputs..]) {
                *y += widen_bf16(d) * widen_bf16(b);
            }
        }
    }
}

multiversion! {
    fn add_row(product: &[f32], scale: f32, relu: bool, y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(product) {
            *y += scale * x;
        }
        if relu {
            // NaN stays.
            y.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
        }
    }
}
