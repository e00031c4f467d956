//! 4 x 16 with `VPMADDWD`: bytes are widened to 16 bits, even and odd ones apart, because `VPMADDUBSW` saturates.

use std::arch::x86_64::*;

use crate::matmul::avx2::{F32, LANES, mask, store};
use crate::matmul::kernel::{MicroKernel, Tile};

pub(super) static INT8: MicroKernel = MicroKernel {
    rows: 4,
    // Sums of integers stay in registers to the end: one block.
    depth: super::MAX_DEPTH,
    run,
    ..F32
};

/// # Safety
/// As [`MicroKernel::run`], with AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn run(tile: &Tile) {
    // SAFETY: the caller's promise; the constants are the tile's size.
    unsafe {
        if tile.width == LANES {
            match tile.rows {
                1 => tile_of::<1, 1>(tile),
                2 => tile_of::<2, 1>(tile),
                3 => tile_of::<3, 1>(tile),
                _ => tile_of::<4, 1>(tile),
            }
        } else {
            match tile.rows {
                1 => tile_of::<1, 2>(tile),
                2 => tile_of::<2, 2>(tile),
                3 => tile_of::<3, 2>(tile),
                _ => tile_of::<4, 2>(tile),
            }
        }
    }
}

/// # Safety
/// As [`run`]; the tile has `M` rows and `8 V` columns.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_of<const M: usize, const V: usize>(tile: &Tile) {
    let low = _mm256_set1_epi32(0x00ff_00ff);
    let mut sums = [[_mm256_setzero_si256(); V]; M];
    let mut a = tile.a.cast::<i32>();
    let mut b = tile.b.cast::<__m256i>();
    for _ in 0..tile.words {
        // SAFETY: the panels hold `words` times what is read here.
        unsafe {
            let mut values = [[_mm256_setzero_si256(); 2]; V];
            for (v, value) in values.iter_mut().enumerate() {
                let bytes = _mm256_loadu_si256(b.add(v));
                let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes));
                *value = [even, _mm256_srai_epi16::<8>(bytes)];
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let x = _mm256_set1_epi32(*a.add(i));
                let even = _mm256_and_si256(x, low);
                let odd = _mm256_srli_epi16::<8>(x);
                for (sum, value) in sums.iter_mut().zip(&values) {
                    let product = _mm256_madd_epi16(even, value[0]);
                    let product = _mm256_add_epi32(product, _mm256_madd_epi16(odd, value[1]));
                    *sum = _mm256_add_epi32(*sum, product);
                }
            }
            a = a.add(M);
            b = b.add(V);
        }
    }
    let (mut factors, mut offsets) = ([_mm256_setzero_ps(); V], [_mm256_setzero_si256(); V]);
    for v in 0..V {
        let mask = mask(tile.cols.saturating_sub(v * LANES));
        // SAFETY: the mask keeps to the tile's columns, and the factors are as many.
        unsafe {
            let at = v * LANES;
            factors[v] = _mm256_maskload_ps(tile.dequantize.cols.wrapping_add(at), mask);
            offsets[v] = _mm256_maskload_epi32(tile.dequantize.offsets.wrapping_add(at), mask);
        }
    }
    let alpha = _mm256_set1_ps(tile.alpha);
    let mut product = [[_mm256_setzero_ps(); V]; M];
    for (i, (product, sums)) in product.iter_mut().zip(&sums).enumerate() {
        // SAFETY: the tile has `M` rows, and a factor for each.
        let row = unsafe { _mm256_set1_ps(*tile.dequantize.rows.add(i)) };
        for v in 0..V {
            let value = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums[v], offsets[v]));
            let value = _mm256_mul_ps(value, _mm256_mul_ps(row, factors[v]));
            product[v] = _mm256_mul_ps(alpha, value);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { store(tile, product.as_flattened()) }
}
