//! Kept factors with AVX512-BF16. Down, a tile is two rows by eight of the rank, whose sixteen sums are reduced together; up, it is
//! a row by a block.

use std::arch::x86_64::*;

use crate::cpu::Supported;
use crate::low_rank::kept::{BLOCK, TermFactors};
use crate::simd512::{self, LANES, PAIRS, fetch, multiplies_bf16, pairs, reduce};

/// Sums of a row in a tile.
const RANKS: usize = 8;

/// Vectors of columns in a tile, which is a block wide.
const COLS: usize = BLOCK / LANES;

/// Rounds a row; a place behind the last is cleared. False, and nothing done, where it isn't for the path.
pub(super) fn narrow(path: Supported, row: &[f32], to: &mut [u16]) -> bool {
    if !multiplies_bf16(path) {
        return false;
    }
    // SAFETY: `Supported` is made only of a path whose instructions the machine has.
    unsafe { simd512::narrow(row, to) }
    true
}

/// `A x` for rows of `x`, each of an even number of values. False, and nothing done, where it isn't for the path.
pub(super) fn down(
    path: Supported,
    factors: &TermFactors<'_>,
    x: &[u16],
    sums: &mut [f32],
) -> bool {
    if !multiplies_bf16(path) {
        return false;
    }
    let rank = factors.rank;
    let width = factors.inputs.next_multiple_of(2);
    let count = sums.len() / rank;
    assert!(x.len() == count * width && factors.a.len() == rank * factors.inputs);
    // They are read right after, and nobody has asked for them yet.
    // SAFETY: `Supported` is made only of a path whose instructions the machine has.
    unsafe { fetch::<_MM_HINT_T1, _>(factors.b) };
    for first in (0..rank).step_by(RANKS) {
        for i in (0..count).step_by(2) {
            // SAFETY: as above.
            let found = unsafe {
                match count - i {
                    1 => down_tile::<1>(factors, &x[i * width..], first),
                    _ => down_tile::<2>(factors, &x[i * width..], first),
                }
            };
            let some = RANKS.min(rank - first);
            for (row, found) in found.chunks_exact(RANKS).take(count - i).enumerate() {
                sums[(i + row) * rank + first..][..some].copy_from_slice(&found[..some]);
            }
        }
    }
    true
}

/// `ROWS` rows by [`RANKS`] rows of `A` from `first` on; what lies behind the last repeats it.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn down_tile<const ROWS: usize>(
    factors: &TermFactors<'_>,
    x: &[u16],
    first: usize,
) -> [f32; LANES] {
    let inputs = factors.inputs;
    let width = inputs.next_multiple_of(2);
    let rows: [&[u16]; ROWS] = std::array::from_fn(|i| &x[i * width..][..inputs]);
    let ranks: [&[u16]; RANKS] = std::array::from_fn(|i| {
        let rank = (first + i).min(factors.rank - 1);
        &factors.a[rank * inputs..][..inputs]
    });
    let mut sums = [_mm512_setzero_ps(); LANES];
    for at in (0..inputs).step_by(PAIRS) {
        let left = (inputs - at).min(PAIRS);
        let mask = (u64::MAX >> (64 - left)) as __mmask32;
        let load = |row: &[u16]| {
            // SAFETY: the mask keeps to the row's values.
            pairs(unsafe { _mm512_maskz_loadu_epi16(mask, row.as_ptr().add(at).cast()) })
        };
        let rows = rows.map(load);
        for (j, rank) in ranks.iter().enumerate() {
            let rank = load(rank);
            for (i, &row) in rows.iter().enumerate() {
                sums[i * RANKS + j] = _mm512_dpbf16_ps(sums[i * RANKS + j], row, rank);
            }
        }
    }
    let mut found = [0.0; LANES];
    // SAFETY: it holds 16 values.
    unsafe { _mm512_storeu_ps(found.as_mut_ptr(), reduce(&sums)) };
    found
}

/// `y += scale * B down` for rows of `down`, each of an even number of values; then rectified if asked for. False, and nothing done,
/// where it isn't for the path.
pub(super) fn up(
    path: Supported,
    factors: &TermFactors<'_>,
    down: &[u16],
    scale: f32,
    relu: bool,
    (y, stride): (&mut [f32], usize),
) -> bool {
    if !multiplies_bf16(path) {
        return false;
    }
    let rank = factors.rank;
    let width = rank.next_multiple_of(2);
    assert!(factors.b.len() == factors.outputs * rank);
    for (first, b) in factors.b.chunks(BLOCK * rank).enumerate() {
        for (i, down) in down.chunks_exact(width).enumerate() {
            let y = &mut y[i * stride + first * BLOCK..][..b.len() / rank];
            // SAFETY: `Supported` is made only of a path whose instructions the machine has.
            unsafe {
                match y.len() {
                    BLOCK => up_tile::<true>(b, rank, down, (scale, relu), y),
                    _ => up_tile::<false>(b, rank, down, (scale, relu), y),
                }
            }
        }
    }
    true
}

/// A row by a block of `B`, which is as wide as `y`; `FULL` if that is [`BLOCK`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn up_tile<const FULL: bool>(
    b: &[u16],
    rank: usize,
    down: &[u16],
    (scale, relu): (f32, bool),
    y: &mut [f32],
) {
    let width = if FULL { BLOCK } else { y.len() };
    assert!(y.len() == width && b.len() == width * rank && down.len() >= rank);
    let masks: [__mmask16; COLS] = std::array::from_fn(|v| {
        let cols = width.saturating_sub(v * LANES).min(LANES);
        ((1u32 << cols) - 1) as __mmask16
    });
    let mut sums = [_mm512_setzero_ps(); COLS];
    for (pair, down) in down.as_chunks::<2>().0.iter().enumerate() {
        let b = b[2 * pair * width..].as_ptr();
        let both = i32::from(down[0]) | i32::from(down[1]) << 16;
        let both = pairs(_mm512_set1_epi32(both));
        let odd = 2 * pair + 1 == rank;
        for (v, sum) in sums.iter_mut().enumerate() {
            let (col, mask) = (v * LANES, masks[v]);
            // SAFETY: the masks keep to the columns, of which the block has a pair each, or of the last of an odd rank one.
            let b = unsafe {
                match odd {
                    true => _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(
                        mask,
                        b.wrapping_add(col).cast(),
                    )),
                    false => _mm512_maskz_loadu_epi32(mask, b.wrapping_add(2 * col).cast()),
                }
            };
            *sum = _mm512_dpbf16_ps(*sum, both, pairs(b));
        }
    }
    let scale = _mm512_set1_ps(scale);
    for (v, sum) in sums.into_iter().enumerate() {
        let at = y.as_mut_ptr().wrapping_add(v * LANES);
        // SAFETY: the mask keeps to the row's columns.
        unsafe {
            let mut value = _mm512_fmadd_ps(scale, sum, _mm512_maskz_loadu_ps(masks[v], at));
            if relu {
                // The second operand is given back where one is NaN.
                value = _mm512_max_ps(_mm512_setzero_ps(), value);
            }
            _mm512_mask_storeu_ps(at, masks[v], value);
        }
    }
}
