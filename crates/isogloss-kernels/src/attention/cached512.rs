//! Attention over kept rows in bfloat16 with AVX512-BF16: a score takes two instructions for 64 values, and sixteen scores are reduced
//! together.

use std::arch::x86_64::*;

use half::bf16;

use crate::backend::AttentionShape;
use crate::cpu::{KernelPath, Supported};
use crate::scratch::Scratch;

/// Values of a vector in bfloat16, and in `f32`.
const PAIRS: usize = 32;
const LANES: usize = 16;

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

/// The sums of the lanes of each vector, in their order.
#[target_feature(enable = "avx512f")]
fn reduce(v: &[__m512; LANES]) -> __m512 {
    // Each round adds halves, then quarters, ... of two vectors into one.
    let mut u = [_mm512_setzero_ps(); 8];
    for (i, u) in u.iter_mut().enumerate() {
        let (a, b) = (v[i], v[i + 8]);
        *u = _mm512_add_ps(
            _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b),
            _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b),
        );
    }
    let mut w = [_mm512_setzero_ps(); 4];
    for (i, w) in w.iter_mut().enumerate() {
        let (a, b) = (u[i], u[i + 4]);
        *w = _mm512_add_ps(
            _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b),
            _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b),
        );
    }
    let mut x = [_mm512_setzero_ps(); 2];
    for (i, x) in x.iter_mut().enumerate() {
        let (a, b) = (w[i], w[i + 2]);
        *x = _mm512_add_ps(
            _mm512_shuffle_ps::<0b01_00_01_00>(a, b),
            _mm512_shuffle_ps::<0b11_10_11_10>(a, b),
        );
    }
    let mixed = _mm512_add_ps(
        _mm512_shuffle_ps::<0b10_00_10_00>(x[0], x[1]),
        _mm512_shuffle_ps::<0b11_01_11_01>(x[0], x[1]),
    );
    // Vectors 0, 2, 1, 3 lie in the first quarter; the quarters are those from 0, 8, 4 and 12 on.
    let order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
    _mm512_permutexvar_ps(order, mixed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_vectors_are_reduced_in_their_order() {
        if !KernelPath::Avx512.is_available() {
            return;
        }
        #[target_feature(enable = "avx512f")]
        fn reduced() -> [f32; LANES] {
            let mut vectors = [_mm512_setzero_ps(); LANES];
            for (i, vector) in vectors.iter_mut().enumerate() {
                let values: [f32; LANES] =
                    std::array::from_fn(|lane| (100 * i + lane * lane) as f32);
                // SAFETY: 16 values.
                *vector = unsafe { _mm512_loadu_ps(values.as_ptr()) };
            }
            let mut sums = [0.0; LANES];
            // SAFETY: 16 values.
            unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), reduce(&vectors)) };
            sums
        }
        // SAFETY: the machine has the instructions.
        let sums = unsafe { reduced() };
        let squares: usize = (0..LANES).map(|lane| lane * lane).sum();
        for (i, sum) in sums.into_iter().enumerate() {
            assert_eq!(sum, (1600 * i + squares) as f32);
        }
    }
}
