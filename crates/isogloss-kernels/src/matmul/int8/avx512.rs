//! 14 x 32 with `VPDPBUSD`: 28 of the 32 registers for sums. A word of a row is four bytes, broadcast to both vectors of `b`.

use std::arch::x86_64::*;

use crate::matmul::avx512::{F32, LANES, by_size, store_rows, tile_sums};
use crate::matmul::kernel::{MicroKernel, Tile};

pub(in crate::matmul) static VNNI: MicroKernel = MicroKernel {
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
    // SAFETY: the caller's promise.
    let columns = unsafe { columns_of::<V>(tile) };
    // Only this short loop touches the sums, see the kernels for floating point.
    let mut product = [[_mm512_setzero_ps(); V]; M];
    for (i, (product, sums)) in product.iter_mut().zip(&sums).enumerate() {
        // SAFETY: the tile has `M` rows, and a factor for each.
        let row = unsafe { *tile.dequantize.rows.add(i) };
        for v in 0..V {
            product[v] = dequantized(sums[v], row, &columns[v], tile.alpha);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { store_rows::<V>(tile, product.as_flattened()) }
}

/// Factors and offsets of sixteen columns.
#[derive(Clone, Copy)]
struct Columns {
    factors: __m512,
    offsets: __m512i,
}

/// # Safety
/// The tile has `16 V` columns, and factors and offsets for those that exist.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn columns_of<const V: usize>(tile: &Tile) -> [Columns; V] {
    let mut columns = [Columns {
        factors: _mm512_setzero_ps(),
        offsets: _mm512_setzero_si512(),
    }; V];
    for (v, columns) in columns.iter_mut().enumerate() {
        let at = v * LANES;
        let cols = tile.cols.saturating_sub(at).min(LANES);
        let mask = ((1u32 << cols) - 1) as __mmask16;
        // SAFETY: the mask keeps to the tile's columns, and the factors are as many.
        unsafe {
            columns.factors = _mm512_maskz_loadu_ps(mask, tile.dequantize.cols.wrapping_add(at));
            columns.offsets =
                _mm512_maskz_loadu_epi32(mask, tile.dequantize.offsets.wrapping_add(at));
        }
    }
    columns
}

/// What sums of a row are worth whose factor is `row`, before the rest of the epilogue.
#[inline]
#[target_feature(enable = "avx512f")]
fn dequantized(sums: __m512i, row: f32, columns: &Columns, alpha: f32) -> __m512 {
    let value = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, columns.offsets));
    let factors = _mm512_mul_ps(_mm512_set1_ps(row), columns.factors);
    _mm512_mul_ps(_mm512_set1_ps(alpha), _mm512_mul_ps(value, factors))
}

/// Brings the rows and columns of `sums` that exist into `c`, with all of the epilogue; `sums` are used up.
///
/// # Safety
/// As [`MicroKernel::run`], with AVX512F; `sums` holds `tile.rows` rows of `tile.width` at a 64-byte boundary.
#[target_feature(enable = "avx512f")]
pub(in crate::matmul) unsafe fn finish(tile: &Tile, sums: *mut i32) {
    // SAFETY: the caller's promise.
    unsafe {
        match tile.width / LANES {
            1 => finish_rows::<1>(tile, sums),
            _ => finish_rows::<2>(tile, sums),
        }
    }
}

/// # Safety
/// As [`finish`]; the tile is `V` vectors wide.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn finish_rows<const V: usize>(tile: &Tile, sums: *mut i32) {
    // SAFETY: the caller's promise, for the sums and the factors. Vectors of integers and of numbers are 64 bytes of any bits, and each
    // is read as what it was last written as.
    unsafe {
        let columns = columns_of::<V>(tile);
        for i in 0..tile.rows {
            let row = *tile.dequantize.rows.add(i);
            for (v, columns) in columns.iter().enumerate() {
                let at = sums.add((i * V + v) * LANES);
                let value = dequantized(at.cast::<__m512i>().read(), row, columns, tile.alpha);
                at.cast::<__m512>().write(value);
            }
        }
        let product = std::slice::from_raw_parts(sums.cast::<__m512>(), tile.rows * V);
        store_rows::<V>(tile, product);
    }
}
