//! The micro-kernel for AVX2 and FMA: 6 x 16, 12 of the 16 registers for sums.

use std::arch::x86_64::*;

use half::bf16;

use crate::matmul::kernel::{MicroKernel, Tile, Word};
use crate::matmul::pack::{Panel, Source, pack_generic};

pub(super) const LANES: usize = 8;

pub(super) static F32: MicroKernel = MicroKernel {
    rows: 6,
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

/// # Safety
/// As [`crate::matmul::pack::PackFn`], with AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn pack(panel: &Panel, out: *mut u32) {
    // SAFETY: the caller's promise.
    unsafe {
        match (panel.source, panel.word) {
            (Source::F32(p), Word::F32) => pack_with(panel, out, p, |p, n| load(p, n)),
            (Source::F32(p), Word::Rounded) => {
                pack_with(panel, out, p, |p, n| rounded(load(p, n)));
            }
            (Source::Bf16(p), Word::F32 | Word::Rounded) => {
                pack_with(panel, out, p, |p, n| widened(p, n));
            }
            (_, Word::Pair) => pack_generic(panel, out),
        }
    }
}

/// Packs values of one type, from `p` on: `load` reads so many, zeros beyond.
///
/// # Safety
/// As [`pack`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn pack_with<T>(
    panel: &Panel,
    out: *mut u32,
    p: *const T,
    load: impl Fn(*const T, usize) -> __m256,
) {
    // SAFETY: the caller's promise; `transpose` and `copy` ask for values of the part alone.
    unsafe {
        if panel.inner_stride == 1 {
            // The rows of the next panel follow these.
            let next = panel.count * panel.outer_stride;
            transpose(panel, out, |o, k, n| {
                let at = p.wrapping_add(o * panel.outer_stride + k);
                _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(next).cast());
                load(at, n)
            });
        } else if panel.outer_stride == 1 {
            copy(panel, out, |o, k, n| {
                let at = p.wrapping_add(o + k * panel.inner_stride);
                let next = at.wrapping_add(STEPS_AHEAD * panel.inner_stride);
                _mm_prefetch::<_MM_HINT_T0>(next.cast());
                load(at, n)
            });
        } else {
            pack_generic(panel, out);
        }
    }
}

/// Steps of the inner dimension by which packing reads ahead where they lie far apart, which the processor doesn't foresee.
const STEPS_AHEAD: usize = 16;

/// `n` values, zeros beyond.
///
/// # Safety
/// They are readable.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn load(p: *const f32, n: usize) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        if n >= LANES {
            _mm256_loadu_ps(p)
        } else {
            _mm256_maskload_ps(p, mask(n))
        }
    }
}

/// Packs steps that are contiguous along the outer dimension: `load(o, k, n)` gives `n` rows from row `o` on of step `k`, zeros beyond.
///
/// # Safety
/// `out` holds the panel.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn copy(panel: &Panel, out: *mut u32, load: impl Fn(usize, usize, usize) -> __m256) {
    for k in 0..panel.depth {
        for o in (0..panel.width).step_by(LANES) {
            let count = panel.count.saturating_sub(o).min(LANES);
            // SAFETY: word `k` of the panel has `width` columns.
            unsafe {
                let out = out.cast::<f32>().add(k * panel.width + o);
                store_some(out, panel.width - o, load(o, k, count));
            }
        }
    }
}

/// `n` bf16, zeros beyond.
///
/// # Safety
/// `n` values are readable.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn widened(p: *const bf16, n: usize) -> __m256 {
    let mut tail = [0u16; LANES];
    let from = if n < LANES {
        // SAFETY: the caller's promise; both are 16 bits.
        unsafe { std::ptr::copy_nonoverlapping(p.cast(), tail.as_mut_ptr(), n) };
        tail.as_ptr()
    } else {
        p.cast()
    };
    // SAFETY: 8 values are readable at either.
    let x = unsafe { _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())) };
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(x))
}

/// [`crate::simd::round_to_bf16`] of 8 values.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn rounded(x: __m256) -> __m256 {
    let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(x, x);
    let bits = _mm256_castps_si256(x);
    let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let up = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    let nearest = _mm256_castsi256_ps(_mm256_add_epi32(bits, up));
    let quiet = _mm256_or_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0x0040_0000)));
    let high = _mm256_castsi256_ps(_mm256_set1_epi32(0xffff_0000_u32 as i32));
    _mm256_and_ps(_mm256_blendv_ps(nearest, quiet, nan), high)
}

/// Packs rows that are contiguous along the inner dimension, by 8 x 8 transposes: `load(o, k, n)` gives `n` steps of row `o`, zeros
/// beyond.
///
/// # Safety
/// `out` holds the panel.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn transpose(panel: &Panel, out: *mut u32, load: impl Fn(usize, usize, usize) -> __m256) {
    for o in (0..panel.width).step_by(LANES) {
        let count = panel.count.saturating_sub(o).min(LANES);
        let stored = panel.width - o;
        for k in (0..panel.depth).step_by(LANES) {
            let n = (panel.depth - k).min(LANES);
            let mut rows = [_mm256_setzero_ps(); LANES];
            for (i, row) in rows.iter_mut().enumerate() {
                if i < count {
                    *row = load(o + i, k, n);
                }
            }
            let columns = transposed(rows);
            for (i, &column) in columns.iter().enumerate() {
                if i < n {
                    // SAFETY: word `k + i` of the panel has `width` columns.
                    unsafe {
                        let out = out.cast::<f32>().add((k + i) * panel.width + o);
                        store_some(out, stored, column);
                    }
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

/// Stores the first `n` of 8 values, or all. By parts rather than with a mask: a masked store takes AMD's processors a dozen cycles and more.
///
/// # Safety
/// As many values as are stored can be written at `p`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_some(p: *mut f32, n: usize, x: __m256) {
    // SAFETY: the caller's promise; the parts add up to `n`.
    unsafe {
        if n >= LANES {
            return _mm256_storeu_ps(p, x);
        }
        let (mut p, mut part) = (p, _mm256_castps256_ps128(x));
        if n & 4 != 0 {
            _mm_storeu_ps(p, part);
            (p, part) = (p.add(4), _mm256_extractf128_ps::<1>(x));
        }
        if n & 2 != 0 {
            // Of the two stores of 64 bits the one that asks for no alignment.
            _mm_storel_epi64(p.cast(), _mm_castps_si128(part));
            (p, part) = (p.add(2), _mm_movehl_ps(part, part));
        }
        if n & 1 != 0 {
            _mm_store_ss(p, part);
        }
    }
}

/// A mask of the first `n` lanes.
#[target_feature(enable = "avx2,fma")]
pub(super) fn mask(n: usize) -> __m256i {
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
// Iterators are calls here wherever the compiler doesn't inline them, which without optimisation over crates it doesn't.
#[allow(clippy::needless_range_loop)]
unsafe fn tile_of<const M: usize, const V: usize>(tile: &Tile) {
    // The sums are written, and often added to what is there, when all steps are done: until then it's here.
    for i in 0..M {
        let c = tile.c.wrapping_add(i * tile.c_stride);
        _mm_prefetch::<_MM_HINT_T0>(c.cast());
    }
    let mut sums = [[_mm256_setzero_ps(); V]; M];
    let mut a = tile.a.cast::<f32>();
    let mut b = tile.b.cast::<f32>();
    for _ in 0..tile.words {
        // SAFETY: the panels hold `words` times what is read here.
        unsafe {
            let mut values = [_mm256_setzero_ps(); V];
            for v in 0..V {
                values[v] = _mm256_loadu_ps(b.add(v * LANES));
            }
            for i in 0..M {
                let x = _mm256_set1_ps(*a.add(i));
                for v in 0..V {
                    sums[i][v] = _mm256_fmadd_ps(x, values[v], sums[i][v]);
                }
            }
            a = a.add(M);
            b = b.add(V * LANES);
        }
    }
    // Only this short loop touches the sums: were they read where it takes many instructions, the compiler would keep them in memory
    // all along.
    let alpha = _mm256_set1_ps(tile.alpha);
    let mut product = [[_mm256_setzero_ps(); V]; M];
    for (product, sums) in product.iter_mut().zip(&sums) {
        for (product, &sum) in product.iter_mut().zip(sums) {
            *product = _mm256_mul_ps(alpha, sum);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { store(tile, product.as_flattened()) }
}

/// The rest of the epilogue. `product` holds the rows of the tile, one or two vectors each.
///
/// # Safety
/// As [`run`].
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn store(tile: &Tile, product: &[__m256]) {
    let vectors = tile.width / LANES;
    for v in 0..vectors {
        let cols = tile.cols.saturating_sub(v * LANES);
        let mask = mask(cols);
        // SAFETY: mask and number keep to the tile's columns; the bias, if any, is as long.
        unsafe {
            let bias = if tile.bias.is_null() {
                _mm256_setzero_ps()
            } else {
                _mm256_maskload_ps(tile.bias.wrapping_add(v * LANES), mask)
            };
            for (i, row) in product.chunks_exact(vectors).enumerate() {
                let c = tile.c.wrapping_add(i * tile.c_stride + v * LANES);
                let mut x = _mm256_add_ps(row[v], bias);
                if tile.accumulate {
                    x = _mm256_add_ps(x, _mm256_maskload_ps(c, mask));
                }
                if tile.relu {
                    // The second operand is what NaN gives.
                    x = _mm256_max_ps(_mm256_setzero_ps(), x);
                }
                store_some(c, cols, x);
            }
        }
    }
}
