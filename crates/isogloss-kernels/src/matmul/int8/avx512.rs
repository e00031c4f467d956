//! 14 x 32 with `VPDPBUSD`: 28 of the 32 registers for sums. A word of a row is four bytes, broadcast to both vectors of `b`.

use std::arch::x86_64::*;

use crate::matmul::avx512::{F32, LANES, by_size, store_rows, tile_sums};
use crate::matmul::kernel::{MicroKernel, Tile};

pub(super) static VNNI: MicroKernel = MicroKernel {
    // Sums of integers stay in registers to the end: one block.
    depth: super::MAX_DEPTH,
    run,
    ..F32
};

/// Whether this machine has AVX512-VNNI beside the paths' instructions.
pub(super) fn is_available() -> bool {
    std::is_x86_feature_detected!("avx512vnni")
}

/// # Safety
/// As [`MicroKernel::run`], with AVX512F and AVX512-VNNI.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn run(tile: &Tile) {
    // SAFETY: the caller's promise; the constants are the tile's size.
    unsafe { by_size!(tile, tile_of, 1 2 3 4 5 6 7 8 9 10 11 12 13) }
}

/// # Safety
/// As [`run`]; the tile has `M` rows and `16 V` columns.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn tile_of<const M: usize, const V: usize>(tile: &Tile) {
    let ahead = tile.ahead.start.cast::<i8>();
    let sums = tile_sums!(
        tile,
        M,
        V,
        _mm512_setzero_si512(),
        _mm512_dpbusd_epi32,
        |word| {
            let at = ahead.wrapping_add(word * tile.ahead.step);
            for v in 0..V {
                _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(64 * v));
            }
        }
    );
    let (mut factors, mut offsets) = ([_mm512_setzero_ps(); V], [_mm512_setzero_si512(); V]);
    for v in 0..V {
        let cols = tile.cols.saturating_sub(v * LANES).min(LANES);
        let mask = ((1u32 << cols) - 1) as __mmask16;
        // SAFETY: the mask keeps to the tile's columns, and the factors are as many.
        unsafe {
            let at = v * LANES;
            factors[v] = _mm512_maskz_loadu_ps(mask, tile.dequantize.cols.wrapping_add(at));
            offsets[v] = _mm512_maskz_loadu_epi32(mask, tile.dequantize.offsets.wrapping_add(at));
        }
    }
    // Only this short loop touches the sums, see the kernels for floating point.
    let alpha = _mm512_set1_ps(tile.alpha);
    let mut product = [[_mm512_setzero_ps(); V]; M];
    for (i, (product, sums)) in product.iter_mut().zip(&sums).enumerate() {
        // SAFETY: the tile has `M` rows, and a factor for each.
        let row = unsafe { _mm512_set1_ps(*tile.dequantize.rows.add(i)) };
        for v in 0..V {
            let value = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[v], offsets[v]));
            let value = _mm512_mul_ps(value, _mm512_mul_ps(row, factors[v]));
            product[v] = _mm512_mul_ps(alpha, value);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { store_rows::<V>(tile, product.as_flattened()) }
}
