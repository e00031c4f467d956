//! The micro-kernels for AVX-512: 14 x 32, 28 of the 32 registers for sums. A word of `a` is broadcast to both vectors of `b`; a
//! word is an `f32` or a pair of bf16.

use std::arch::x86_64::*;

use crate::matmul::kernel::{MicroKernel, Tile, Word};
use crate::matmul::pack512::{pack, pack_pairs};

pub(super) const LANES: usize = 16;

pub(super) static F32: MicroKernel = MicroKernel {
    rows: 14,
    lanes: LANES,
    depth: 256,
    word: Word::F32,
    group: 1,
    run,
    pack,
    pack_rows: pack,
    session: None,
};

pub(super) static ROUNDED: MicroKernel = MicroKernel {
    word: Word::Rounded,
    ..F32
};

pub(super) static PAIR: MicroKernel = MicroKernel {
    depth: 512,
    word: Word::Pair,
    run: run_pairs,
    pack: pack_pairs,
    pack_rows: pack_pairs,
    ..F32
};

/// Calls `$tile_of::<rows, vectors>`.
macro_rules! by_size {
    ($tile:ident, $tile_of:ident, $($m:literal)*) => {
        if $tile.width == LANES {
            match $tile.rows {
                $($m => $tile_of::<$m, 1>($tile),)*
                _ => $tile_of::<14, 1>($tile),
            }
        } else {
            match $tile.rows {
                $($m => $tile_of::<$m, 2>($tile),)*
                _ => $tile_of::<14, 2>($tile),
            }
        }
    };
}

pub(super) use by_size;

/// # Safety
/// As [`MicroKernel::run`], with AVX512F.
#[target_feature(enable = "avx512f")]
unsafe fn run(tile: &Tile) {
    // SAFETY: the caller's promise; the constants are the tile's size.
    unsafe { by_size!(tile, tile_of, 1 2 3 4 5 6 7 8 9 10 11 12 13) }
}

/// # Safety
/// As [`MicroKernel::run`], with AVX512F and AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn run_pairs(tile: &Tile) {
    // SAFETY: the caller's promise; the constants are the tile's size.
    unsafe { by_size!(tile, tile_of_pairs, 1 2 3 4 5 6 7 8 9 10 11 12 13) }
}

/// The sums of a tile of `$m` rows and `16 $v` columns, from `$zero` on: `$step(sum, a, b)` adds a word's product, `$before(word)` is called
/// before. The panels must hold the tile's words.
macro_rules! tile_sums {
    ($tile:ident, $m:ident, $v:ident, $zero:expr, $step:expr, $before:expr) => {{
        let mut sums = [[$zero; $v]; $m];
        let mut a = $tile.a.cast::<i32>();
        let mut b = $tile.b.cast::<i32>();
        for word in 0..$tile.words {
            $before(word);
            // SAFETY: the panels hold `words` times what is read here.
            unsafe {
                let mut values = [_mm512_setzero_si512(); $v];
                for (v, value) in values.iter_mut().enumerate() {
                    *value = _mm512_loadu_epi32(b.add(v * LANES));
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let x = _mm512_set1_epi32(*a.add(i));
                    for (sum, &value) in sums.iter_mut().zip(&values) {
                        *sum = $step(*sum, x, value);
                    }
                }
                a = a.add($m);
                b = b.add($v * LANES);
            }
        }
        sums
    }};
}

pub(super) use tile_sums;

/// Defines the kernel of a tile of `M` rows and `16 V` columns: `$step(sum, a, b)` adds a word's product.
macro_rules! tile_kernel {
    ($name:ident, $features:literal, $step:expr) => {
        /// # Safety
        /// As [`MicroKernel::run`], with the features; the tile has `M` rows and `16 V` columns.
        #[target_feature(enable = $features)]
        unsafe fn $name<const M: usize, const V: usize>(tile: &Tile) {
            let sums = tile_sums!(tile, M, V, _mm512_setzero_ps(), $step, |_| ());
            // Only this short loop touches the sums: were they read where it takes many instructions, the compiler would keep them
            // in memory all along.
            let alpha = _mm512_set1_ps(tile.alpha);
            let mut product = [[_mm512_setzero_ps(); V]; M];
            for (product, sums) in product.iter_mut().zip(&sums) {
                for (product, &sum) in product.iter_mut().zip(sums) {
                    *product = _mm512_mul_ps(alpha, sum);
                }
            }
            // SAFETY: the caller's promise.
            unsafe { store(tile, product.as_flattened()) }
        }
    };
}

tile_kernel!(tile_of, "avx512f", |sum, a, b| _mm512_fmadd_ps(
    _mm512_castsi512_ps(a),
    _mm512_castsi512_ps(b),
    sum
));
tile_kernel!(tile_of_pairs, "avx512f,avx512bf16", |sum, a, b| {
    _mm512_dpbf16_ps(
        sum,
        std::mem::transmute::<__m512i, __m512bh>(a),
        std::mem::transmute::<__m512i, __m512bh>(b),
    )
});

/// The rest of the epilogue. `product` holds the rows of the tile, one or two vectors each.
///
/// # Safety
/// As [`MicroKernel::run`], with AVX512F.
#[inline(never)]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn store(tile: &Tile, product: &[__m512]) {
    match tile.width / LANES {
        // SAFETY: the caller's promise.
        1 => unsafe { store_rows::<1>(tile, product) },
        // SAFETY: as above.
        _ => unsafe { store_rows::<2>(tile, product) },
    }
}

/// # Safety
/// As [`store`]; the tile is `V` vectors wide.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn store_rows<const V: usize>(tile: &Tile, product: &[__m512]) {
    let (mut masks, mut bias) = ([0; V], [_mm512_setzero_ps(); V]);
    for v in 0..V {
        let cols = tile.cols.saturating_sub(v * LANES).min(LANES);
        masks[v] = ((1u32 << cols) - 1) as __mmask16;
        if !tile.bias.is_null() {
            // SAFETY: the mask keeps to the tile's columns, and the bias is as long.
            bias[v] = unsafe { _mm512_maskz_loadu_ps(masks[v], tile.bias.wrapping_add(v * LANES)) };
        }
    }
    for (i, row) in product.chunks_exact(V).enumerate() {
        for v in 0..V {
            let c = tile.c.wrapping_add(i * tile.c_stride + v * LANES);
            let mut x = _mm512_add_ps(row[v], bias[v]);
            // SAFETY: the mask keeps to the tile's columns.
            unsafe {
                if tile.accumulate {
                    x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(masks[v], c));
                }
                if tile.relu {
                    // The second operand is what NaN gives.
                    x = _mm512_max_ps(_mm512_setzero_ps(), x);
                }
                _mm512_mask_storeu_ps(c, masks[v], x);
            }
        }
    }
}
