//! Attention over kept rows in bfloat16 with AVX512-BF16: a score takes two instructions for 64 values, and sixteen scores are reduced
//! together.

use std::arch::x86_64::*;

use half::bf16;

use crate::backend::AttentionShape;
use crate::cpu::{KernelPath, Supported};
use crate::scratch::Scratch;
use crate::simd512::{LANES, PAIRS, reduce};

/// Whether the path has the instructions for heads of `dim` values.
fn is_for(path: Supported, dim: usize) -> bool {
    matches!(path.path(), KernelPath::Avx512Bf16 | KernelPath::AmxBf16) && dim.is_multiple_of(PAIRS)
}

/// Scaled scores `(heads, rows)`. False, and nothing done, where it isn't for the path or the shape.
pub(super) fn scores(
    path: Supported,
    query: &[f32],
    keys: &[bf16],
    rows: &[u32],
    shape: AttentionShape,
    scores: &mut [f32],
) -> bool {
    if !is_for(path, shape.head_dim) {
        return false;
    }
    // SAFETY: `Supported` is made only of a path whose instructions the machine has.
    unsafe { scores_by_rows(query, keys, rows, shape, scores) }
    true
}

/// Sums of rows of values by weights `(heads, rows)`. False, and nothing done, where it isn't for the path or the shape.
pub(super) fn sums(
    path: Supported,
    weights: &[f32],
    values: &[bf16],
    rows: &[u32],
    shape: AttentionShape,
    sums: &mut [f32],
) -> bool {
    if !is_for(path, shape.head_dim) {
        return false;
    }
    // SAFETY: as in `scores`.
    unsafe {
        match shape.head_dim.is_multiple_of(4 * LANES) {
            true => sums_by_columns::<4>(weights, values, rows, shape.head_dim, sums),
            false => sums_by_columns::<2>(weights, values, rows, shape.head_dim, sums),
        }
    }
    true
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn scores_by_rows(
    query: &[f32],
    keys: &[bf16],
    rows: &[u32],
    shape: AttentionShape,
    scores: &mut [f32],
) {
    let (heads, width, count) = (shape.heads, query.len(), rows.len());
    let mut short = Scratch::take(width.div_ceil(2));
    let short: &mut [bf16] = bytemuck::cast_slice_mut(&mut short);
    for (to, from) in short.chunks_exact_mut(LANES).zip(query.chunks_exact(LANES)) {
        // SAFETY: both hold 16 values.
        unsafe {
            let rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(from.as_ptr()));
            to.as_mut_ptr().cast::<__m256bh>().write_unaligned(rounded);
        }
    }
    let per_head = shape.head_dim / PAIRS;
    // In the order of memory: all heads of a row, then the next row. Where each score belongs is kept beside it.
    let (mut found, mut places) = ([0.0f32; LANES], [0; LANES]);
    let (mut sums, mut filled) = ([_mm512_setzero_ps(); LANES], 0);
    for (j, &row) in rows.iter().enumerate() {
        let key = &keys[row as usize * width..][..width];
        let mut place = j;
        for (q, k) in short
            .chunks_exact(shape.head_dim)
            .zip(key.chunks_exact(shape.head_dim))
        {
            let mut sum = _mm512_setzero_ps();
            for part in 0..per_head {
                // SAFETY: the head holds `per_head` vectors; any bits are a vector of bfloat16.
                unsafe {
                    let q = _mm512_loadu_epi32(q.as_ptr().add(part * PAIRS).cast());
                    let k = _mm512_loadu_epi32(k.as_ptr().add(part * PAIRS).cast());
                    sum = _mm512_dpbf16_ps(
                        sum,
                        std::mem::transmute::<__m512i, __m512bh>(q),
                        std::mem::transmute::<__m512i, __m512bh>(k),
                    );
                }
            }
            (sums[filled], places[filled]) = (sum, place);
            place += count;
            filled += 1;
            if filled == LANES || place == j + heads * count && j + 1 == count {
                let scaled = _mm512_mul_ps(_mm512_set1_ps(shape.scale), reduce(&sums));
                // SAFETY: it holds 16 values.
                unsafe { _mm512_storeu_ps(found.as_mut_ptr(), scaled) };
                for (&score, &place) in found.iter().zip(&places).take(filled) {
                    scores[place] = score;
                }
                filled = 0;
            }
        }
    }
}

/// `V` vectors of columns at a time, of heads of `dim` columns.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn sums_by_columns<const V: usize>(
    weights: &[f32],
    values: &[bf16],
    rows: &[u32],
    dim: usize,
    sums: &mut [f32],
) {
    let (width, count) = (sums.len(), rows.len());
    for (part, to) in sums.chunks_exact_mut(V * LANES).enumerate() {
        let first = part * V * LANES;
        let weights = &weights[first / dim * count..][..count];
        let mut sums = [_mm512_setzero_ps(); V];
        for (&row, &weight) in rows.iter().zip(weights) {
            let value = &values[row as usize * width + first..][..V * LANES];
            let weight = _mm512_set1_ps(weight);
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the part holds `V` vectors of 16 values.
                let bits = unsafe { _mm256_loadu_epi16(value.as_ptr().add(i * LANES).cast()) };
                let wide = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits));
                *sum = _mm512_fmadd_ps(weight, _mm512_castsi512_ps(wide), *sum);
            }
        }
        for (i, sum) in sums.into_iter().enumerate() {
            // SAFETY: it holds `V` vectors of 16 values.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr().add(i * LANES), sum) };
        }
    }
}
