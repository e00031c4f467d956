//! The micro-kernel for AVX2 and FMA: 6 x 16, 12 of the 16 registers for sums.

use std::arch::x86_64::*;

use crate::matmul::kernel::{MicroKernel, Tile, Word};
use crate::matmul::pack::{Panel, Source, pack_generic};

const LANES: usize = 8;

pub(super) static F32: MicroKernel = MicroKernel {
    rows: 6,
    lanes: LANES,
    depth: 256,
    word: Word::F32,
    run,
    pack,
};

pub(super) static ROUNDED: MicroKernel = MicroKernel {
    word: Word::Rounded,
    ..F32
};

/// # Safety
/// As [`crate::matmul::pack::PackFn`], with AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn pack(panel: &Panel, out: *mut u32) {
    match panel.source {
        Source::F32(source) if panel.inner_stride == 1 && panel.word == Word::F32 => {
            // SAFETY: the caller's promise.
            unsafe { transpose(panel, source, out) }
        }
        // SAFETY: the caller's promise.
        _ => unsafe { pack_generic(panel, out) },
    }
}

/// Packs rows that are contiguous along the inner dimension, by 8 x 8 transposes.
///
/// # Safety
/// As [`pack`].
#[target_feature(enable = "avx2,fma")]
unsafe fn transpose(panel: &Panel, source: *const f32, out: *mut u32) {
    for o in (0..panel.width).step_by(LANES) {
        let count = panel.count.saturating_sub(o).min(LANES);
        let store = mask(panel.width - o);
        for k in (0..panel.depth).step_by(LANES) {
            let load = mask(panel.depth - k);
            let mut rows = [_mm256_setzero_ps(); LANES];
            for (i, row) in rows.iter_mut().enumerate().take(count) {
                // SAFETY: row `o + i` exists, and the mask keeps to its `depth` values.
                *row = unsafe {
                    _mm256_maskload_ps(source.add((o + i) * panel.outer_stride + k), load)
                };
            }
            let columns = transposed(rows);
            for (i, &column) in columns.iter().enumerate().take(panel.depth - k) {
                // SAFETY: word `k + i` of the panel has `width` columns, and the mask keeps to them.
                unsafe {
                    _mm256_maskstore_ps(
                        out.cast::<f32>().add((k + i) * panel.width + o),
                        store,
                        column,
                    );
                }
            }
        }
    }
}

/// Transposes 8 x 8 values.
#[target_feature(enable = "avx2,fma")]
fn transposed(r: [__m256; 8]) -> [__m256; 8] {
    let zip = |a, b| (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let (a0, a1) = zip(r[0], r[2]);
    let (a2, a3) = zip(r[1], r[3]);
    let (a4, a5) = zip(r[4], r[6]);
    let (a6, a7) = zip(r[5], r[7]);
    // Rows 0..4 and 4..8 of two columns in each half.
    let (b0, b1) = zip(a0, a2);
    let (b2, b3) = zip(a1, a3);
    let (b4, b5) = zip(a4, a6);
    let (b6, b7) = zip(a5, a7);
    let low = |a, b| _mm256_permute2f128_ps::<0x20>(a, b);
    let high = |a, b| _mm256_permute2f128_ps::<0x31>(a, b);
    [
        low(b0, b4),
        low(b1, b5),
        low(b2, b6),
        low(b3, b7),
        high(b0, b4),
        high(b1, b5),
        high(b2, b6),
        high(b3, b7),
    ]
}

/// A mask of the first `n` lanes.
#[target_feature(enable = "avx2,fma")]
fn mask(n: usize) -> __m256i {
    let n = _mm256_set1_epi32(n.min(LANES) as i32);
    _mm256_cmpgt_epi32(n, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

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
                4 => tile_of::<4, 1>(tile),
                5 => tile_of::<5, 1>(tile),
                _ => tile_of::<6, 1>(tile),
            }
        } else {
            match tile.rows {
                1 => tile_of::<1, 2>(tile),
                2 => tile_of::<2, 2>(tile),
                3 => tile_of::<3, 2>(tile),
                4 => tile_of::<4, 2>(tile),
                5 => tile_of::<5, 2>(tile),
                _ => tile_of::<6, 2>(tile),
            }
        }
    }
}

/// # Safety
/// As [`run`]; the tile has `M` rows and `8 V` columns.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_of<const M: usize, const V: usize>(tile: &Tile) {
    let mut sums = [[_mm256_setzero_ps(); V]; M];
    let mut a = tile.a.cast::<f32>();
    let mut b = tile.b.cast::<f32>();
    for _ in 0..tile.words {
        // SAFETY: the panels hold `words` times what is read here.
        unsafe {
            let mut values = [_mm256_setzero_ps(); V];
            for (v, value) in values.iter_mut().enumerate() {
                *value = _mm256_loadu_ps(b.add(v * LANES));
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let x = _mm256_set1_ps(*a.add(i));
                for (sum, &value) in sums.iter_mut().zip(&values) {
                    *sum = _mm256_fmadd_ps(x, value, *sum);
                }
            }
            a = a.add(M);
            b = b.add(V * LANES);
        }
    }
    let alpha = _mm256_set1_ps(tile.alpha);
    for v in 0..V {
        let cols = tile.cols.saturating_sub(v * LANES);
        if cols == 0 {
            break;
        }
        let mask = mask(cols);
        // SAFETY: the mask keeps to the tile's columns; the bias, if any, is as long.
        unsafe {
            let bias = if tile.bias.is_null() {
                None
            } else {
                Some(_mm256_maskload_ps(tile.bias.add(v * LANES), mask))
            };
            for (i, sums) in sums.iter().enumerate() {
                let c = tile.c.add(i * tile.c_stride + v * LANES);
                let mut x = _mm256_mul_ps(alpha, sums[v]);
                if let Some(bias) = bias {
                    x = _mm256_add_ps(x, bias);
                }
                if tile.accumulate {
                    x = _mm256_add_ps(x, _mm256_maskload_ps(c, mask));
                }
                if tile.relu {
                    // The second operand is what NaN gives.
                    x = _mm256_max_ps(_mm256_setzero_ps(), x);
                }
                _mm256_maskstore_ps(c, mask, x);
            }
        }
    }
}
