//! Attention over kept rows in bfloat16 with AVX512-BF16: a score takes two instructions for 64 values, and sixteen scores are reduced
//! together.

use std::arch::x86_64::*;

use half::bf16;

use crate::backend::AttentionShape;
use crate::cpu::Supported;
use crate::scratch::Scratch;
use crate::simd512::{LANES, PAIRS, fetch, multiplies_bf16, narrow, pairs, reduce};

/// Rows are fetched while the row so many before is read.
const AHEAD: usize = 4;

/// Whether the path has the instructions for heads of `dim` values.
fn is_for(path: Supported, dim: usize) -> bool {
    multiplies_bf16(path) && matches!(dim, 32 | 64 | 96 | 128)
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
    let mut short = Scratch::take(query.len().div_ceil(2));
    // SAFETY: `Supported` is made only of a path whose instructions the machine has.
    unsafe {
        narrow(query, bytemuck::cast_slice_mut(&mut short));
        let short: &[bf16] = bytemuck::cast_slice(&short);
        match (shape.head_dim, shape.heads.is_multiple_of(4)) {
            (32, true) => scores_by_tiles::<4, 4, 1>(short, keys, rows, shape.scale, scores),
            (64, true) => scores_by_tiles::<4, 4, 2>(short, keys, rows, shape.scale, scores),
            (32, false) => scores_by_tiles::<1, 16, 1>(short, keys, rows, shape.scale, scores),
            (64, false) => scores_by_tiles::<1, 16, 2>(short, keys, rows, shape.scale, scores),
            (96, _) => scores_by_tiles::<1, 16, 3>(short, keys, rows, shape.scale, scores),
            _ => scores_by_tiles::<1, 16, 4>(short, keys, rows, shape.scale, scores),
        }
    }
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
        match shape.head_dim {
            64 if shape.heads.is_multiple_of(4) => {
                sums_by_columns::<4, 4>(weights, values, rows, 64, sums);
            }
            dim if dim.is_multiple_of(4 * LANES) => {
                sums_by_columns::<4, 1>(weights, values, rows, dim, sums);
            }
            dim => sums_by_columns::<2, 1>(weights, values, rows, dim, sums),
        }
    }
    true
}

/// The scores of all heads, `H` heads by `ROWS` rows at a time, which are sixteen; a head is `PARTS` vectors.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn scores_by_tiles<const H: usize, const ROWS: usize, const PARTS: usize>(
    query: &[bf16],
    keys: &[bf16],
    rows: &[u32],
    scale: f32,
    scores: &mut [f32],
) {
    let (width, count, some_heads) = (query.len(), rows.len(), H * PARTS * PAIRS);
    let scale = _mm512_set1_ps(scale);
    for (part, query) in query.chunks_exact(some_heads).enumerate() {
        let q: [[__m512bh; PARTS]; H] =
            std::array::from_fn(|h| std::array::from_fn(|i| vector(query, h * PARTS + i)));
        let key = |row: u32| &keys[row as usize * width + part * some_heads..][..some_heads];
        for (tile, some) in rows.chunks(ROWS).enumerate() {
            let mut sums = [[_mm512_setzero_ps(); ROWS]; H];
            for j in 0..ROWS {
                if let Some(&row) = rows.get(tile * ROWS + j + AHEAD) {
                    fetch::<_MM_HINT_T0, _>(key(row));
                }
                // What lies behind the last row repeats it.
                let key = key(some[j.min(some.len() - 1)]);
                for (h, q) in q.iter().enumerate() {
                    for (i, &q) in q.iter().enumerate() {
                        sums[h][j] = _mm512_dpbf16_ps(sums[h][j], q, vector(key, h * PARTS + i));
                    }
                }
            }
            let mut found = [[0.0f32; ROWS]; H];
            let mut flat = [_mm512_setzero_ps(); LANES];
            flat.copy_from_slice(sums.as_flattened());
            let scaled = _mm512_mul_ps(scale, reduce(&flat));
            // SAFETY: it holds `H` times `ROWS` values, which are 16.
            unsafe { _mm512_storeu_ps(found.as_mut_ptr().cast(), scaled) };
            for (h, found) in found.iter().enumerate() {
                let at = (part * H + h) * count + tile * ROWS;
                scores[at..at + some.len()].copy_from_slice(&found[..some.len()]);
            }
        }
    }
}

/// Vector `i` of a slice.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn vector(values: &[bf16], i: usize) -> __m512bh {
    let values = &values[i * PAIRS..][..PAIRS];
    // SAFETY: it holds 32 values.
    pairs(unsafe { _mm512_loadu_epi32(values.as_ptr().cast()) })
}

/// `V` vectors of columns at a time of `H` heads of `dim` columns each; of one, it may be part.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn sums_by_columns<const V: usize, const H: usize>(
    weights: &[f32],
    values: &[bf16],
    rows: &[u32],
    dim: usize,
    sums: &mut [f32],
) {
    let (width, count) = (sums.len(), rows.len());
    for (part, to) in sums.chunks_exact_mut(H * V * LANES).enumerate() {
        let first = part * H * V * LANES;
        let weights = &weights[first / dim * count..][..H * count];
        let mut sums = [[_mm512_setzero_ps(); V]; H];
        for (j, &row) in rows.iter().enumerate() {
            let value = &values[row as usize * width + first..][..H * V * LANES];
            if let Some(&row) = rows.get(j + AHEAD) {
                fetch::<_MM_HINT_T0, _>(&values[row as usize * width + first..][..H * V * LANES]);
            }
            for (h, sums) in sums.iter_mut().enumerate() {
                let weight = _mm512_set1_ps(weights[h * count + j]);
                for (i, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: the part holds `H` times `V` vectors of 16 values.
                    let bits = unsafe {
                        _mm256_loadu_epi16(value.as_ptr().add((h * V + i) * LANES).cast())
                    };
                    let wide = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits));
                    *sum = _mm512_fmadd_ps(weight, _mm512_castsi512_ps(wide), *sum);
                }
            }
        }
        for (i, &sum) in sums.as_flattened().iter().enumerate() {
            // SAFETY: it holds `H` times `V` vectors of 16 values.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr().add(i * LANES), sum) };
        }
    }
}
