//! Packing with AVX-512: whole vectors where the outer dimension is contiguous, 16 x 16 transposes of words where the inner one is.

use std::arch::x86_64::*;

use half::bf16;

use crate::matmul::avx512::LANES;
use crate::matmul::kernel::Word;
use crate::matmul::pack::{Panel, Source, pack_generic};

/// Packs `f32` words, rounded or not.
///
/// # Safety
/// As [`crate::matmul::pack::PackFn`], with AVX512 F and BW, VL.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn pack(panel: &Panel, out: *mut u32) {
    // SAFETY: the caller's promise; the closures read `n` values from where the loops point, inside the part.
    unsafe {
        match (panel.source, panel.word) {
            (Source::F32(p), Word::F32) => {
                let load = |p, n| _mm512_maskz_loadu_epi32(first(n), p);
                by_stride(panel, p.cast::<i32>(), out, load, load);
            }
            (Source::F32(p), Word::Rounded) => {
                let load = |p, n| round(_mm512_maskz_loadu_epi32(first(n), p));
                by_stride(panel, p.cast::<i32>(), out, load, load);
            }
            (Source::Bf16(p), Word::F32 | Word::Rounded) => {
                let load = |p, n| _mm512_slli_epi32::<16>(widened(p, n));
                by_stride(panel, p, out, load, load);
            }
            (_, Word::Pair) => pack_generic(panel, out),
        }
    }
}

/// # Safety
/// As [`pack`]; `row(p, n)` reads `n <= 16` values along the inner dimension, `line(p, n)` along the outer one.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn by_stride<T>(
    panel: &Panel,
    source: *const T,
    out: *mut u32,
    row: impl Fn(*const T, usize) -> __m512i,
    line: impl Fn(*const T, usize) -> __m512i,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if panel.outer_stride == 1 {
            lines(panel, out, |k, o, n| {
                line(source.add(k * panel.inner_stride + o), n)
            });
        } else if panel.inner_stride == 1 {
            transpose(panel, out, |o, k, n| {
                row(source.add(o * panel.outer_stride + k), n)
            });
        } else {
            pack_generic(panel, out);
        }
    }
}

/// Packs pairs of bf16.
///
/// # Safety
/// As [`crate::matmul::pack::PackFn`], with AVX512 F, BW, VL and BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn pack_pairs(panel: &Panel, out: *mut u32) {
    // SAFETY: the caller's promise; `lines` and `transpose` ask for what exists alone.
    unsafe {
        match panel.source {
            Source::F32(p) if panel.outer_stride == 1 => {
                lines(panel, out, |k, o, n| line_of_f32(panel, p, k, o, n));
            }
            Source::Bf16(p) if panel.outer_stride == 1 => {
                lines(panel, out, |k, o, n| line_of_bf16(panel, p, k, o, n));
            }
            Source::F32(p) if panel.inner_stride == 1 => {
                transpose(panel, out, |o, k, n| row_of_f32(panel, p, o, k, n));
            }
            Source::Bf16(p) if panel.inner_stride == 1 => {
                transpose(panel, out, |o, k, n| row_of_bf16(panel, p, o, k, n));
            }
            _ => pack_generic(panel, out),
        }
    }
}

/// Pairs of steps `k` and `k + 1` of `n <= 16` rows or columns from `o` on, whose stride is 1; zero beyond the last step.
///
/// # Safety
/// They are readable, but for step `k + 1` beyond the last.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn line_of_f32(
    panel: &Panel,
    p: *const f32,
    k: usize,
    o: usize,
    n: usize,
) -> __m512i {
    // SAFETY: the caller's promise; the second step is read where it exists alone.
    unsafe {
        let p = p.add(k * panel.inner_stride + o);
        let high = if k + 1 < panel.depth {
            narrowed(p.add(panel.inner_stride), n)
        } else {
            _mm512_setzero_si512()
        };
        _mm512_or_si512(narrowed(p, n), _mm512_slli_epi32::<16>(high))
    }
}

/// # Safety
/// As [`line_of_f32`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn line_of_bf16(
    panel: &Panel,
    p: *const bf16,
    k: usize,
    o: usize,
    n: usize,
) -> __m512i {
    // SAFETY: as in `line_of_f32`.
    unsafe {
        let p = p.add(k * panel.inner_stride + o);
        let high = if k + 1 < panel.depth {
            widened(p.add(panel.inner_stride), n)
        } else {
            _mm512_setzero_si512()
        };
        _mm512_or_si512(widened(p, n), _mm512_slli_epi32::<16>(high))
    }
}

/// Pairs of the `n <= 32` steps from `k` on of row or column `o`, where the stride of steps is 1; zeros beyond.
///
/// # Safety
/// The steps are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn row_of_f32(
    panel: &Panel,
    p: *const f32,
    o: usize,
    k: usize,
    n: usize,
) -> __m512i {
    // SAFETY: the caller's promise; the masks keep to the `n` values. Both types are 64 bytes of any bits.
    unsafe {
        let p = p.add(o * panel.outer_stride + k);
        let low = _mm512_maskz_loadu_ps(first(n), p);
        let high = if n > LANES {
            _mm512_maskz_loadu_ps(first(n - LANES), p.add(LANES))
        } else {
            _mm512_setzero_ps()
        };
        std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low))
    }
}

/// # Safety
/// As [`row_of_f32`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn row_of_bf16(
    panel: &Panel,
    p: *const bf16,
    o: usize,
    k: usize,
    n: usize,
) -> __m512i {
    let mask = ((1u64 << n) - 1) as __mmask32;
    // SAFETY: the caller's promise; the mask keeps to the `n` values.
    unsafe { _mm512_maskz_loadu_epi16(mask, p.add(o * panel.outer_stride + k).cast()) }
}

/// A mask of the first `n` of 16 lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn first(n: usize) -> __mmask16 {
    ((1u32 << n.min(LANES)) - 1) as __mmask16
}

/// `n` bf16 in the low halves of words.
///
/// # Safety
/// `n` values are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2")]
unsafe fn widened(p: *const bf16, n: usize) -> __m512i {
    // SAFETY: the mask keeps to `n` values.
    _mm512_cvtepu16_epi32(unsafe { _mm256_maskz_loadu_epi16(first(n), p.cast()) })
}

/// `n` values rounded to bf16, in the low halves of words.
///
/// # Safety
/// `n` values are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16,avx512vl,avx2")]
unsafe fn narrowed(p: *const f32, n: usize) -> __m512i {
    // SAFETY: the mask keeps to `n` values; both types are 32 bytes of any bits.
    unsafe {
        let x = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(first(n), p));
        _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(x))
    }
}

/// [`crate::simd::round_to_bf16`] of 16 values.
#[inline]
#[target_feature(enable = "avx512f")]
fn round(x: __m512i) -> __m512i {
    let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(x), _mm512_set1_epi32(1));
    let rounded = _mm512_add_epi32(x, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    let magnitude = _mm512_and_si512(x, _mm512_set1_epi32(0x7fff_ffff));
    let nan = _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(0x7f80_0000));
    let quiet = _mm512_or_si512(x, _mm512_set1_epi32(0x0040_0000));
    let result = _mm512_mask_blend_epi32(nan, rounded, quiet);
    _mm512_and_si512(result, _mm512_set1_epi32(0xffff_0000_u32 as i32))
}

/// Packs an operand whose outer dimension is contiguous: `load(k, o, n)` gives `n` words of step `k` from `o` on.
///
/// # Safety
/// `out` holds the panel.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn lines(panel: &Panel, out: *mut u32, load: impl Fn(usize, usize, usize) -> __m512i) {
    let step = panel.word.depth();
    for w in 0..panel.depth.div_ceil(step) {
        for o in (0..panel.width).step_by(LANES) {
            let count = panel.count.saturating_sub(o).min(LANES);
            let words = if count == 0 {
                _mm512_setzero_si512()
            } else {
                load(w * step, o, count)
            };
            // SAFETY: word `w` of the panel has `width` columns, and the mask keeps to them.
            unsafe {
                _mm512_mask_storeu_epi32(
                    out.add(w * panel.width + o).cast(),
                    first(panel.width - o),
                    words,
                );
            }
        }
    }
}

/// Packs an operand whose inner dimension is contiguous: `load(o, k, n)` gives the words of `n` steps from `k` on, zeros beyond.
///
/// # Safety
/// `out` holds the panel.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn transpose(panel: &Panel, out: *mut u32, load: impl Fn(usize, usize, usize) -> __m512i) {
    let step = panel.word.depth();
    let words = panel.depth.div_ceil(step);
    for o in (0..panel.width).step_by(LANES) {
        let count = panel.count.saturating_sub(o).min(LANES);
        let store = first(panel.width - o);
        for w in (0..words).step_by(LANES) {
            let k = w * step;
            let n = (panel.depth - k).min(LANES * step);
            let mut rows = [_mm512_setzero_si512(); LANES];
            for (i, row) in rows.iter_mut().enumerate() {
                if i < count {
                    *row = load(o + i, k, n);
                }
            }
            let columns = transposed(rows);
            for (i, &column) in columns.iter().enumerate() {
                if i < words - w {
                    // SAFETY: word `w + i` of the panel has `width` columns, and the mask keeps to them.
                    unsafe {
                        let out = out.add((w + i) * panel.width + o);
                        _mm512_mask_storeu_epi32(out.cast(), store, column);
                    }
                }
            }
        }
    }
}

/// Transposes 16 x 16 words.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transposed(r: [__m512i; LANES]) -> [__m512i; LANES] {
    let zero = _mm512_setzero_si512();
    // Within each quarter of 4 lanes: 4 x 4 transposes of rows 4g..4g + 4.
    let mut quarters = [zero; LANES];
    for g in 0..4 {
        let [a, b, c, d] = [r[4 * g], r[4 * g + 1], r[4 * g + 2], r[4 * g + 3]];
        let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        quarters[4 * g] = _mm512_unpacklo_epi64(ab_low, cd_low);
        quarters[4 * g + 1] = _mm512_unpackhi_epi64(ab_low, cd_low);
        quarters[4 * g + 2] = _mm512_unpacklo_epi64(ab_high, cd_high);
        quarters[4 * g + 3] = _mm512_unpackhi_epi64(ab_high, cd_high);
    }
    // Quarter q of `quarters[4g + j]` is column 4q + j of rows 4g..4g + 4: a 4 x 4 transpose of quarters for each j.
    let mut columns = [zero; LANES];
    for j in 0..4 {
        let [a, b, c, d] = [
            quarters[j],
            quarters[4 + j],
            quarters[8 + j],
            quarters[12 + j],
        ];
        let ab_even = _mm512_shuffle_i32x4::<0x88>(a, b);
        let ab_odd = _mm512_shuffle_i32x4::<0xdd>(a, b);
        let cd_even = _mm512_shuffle_i32x4::<0x88>(c, d);
        let cd_odd = _mm512_shuffle_i32x4::<0xdd>(c, d);
        columns[j] = _mm512_shuffle_i32x4::<0x88>(ab_even, cd_even);
        columns[4 + j] = _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd);
        columns[8 + j] = _mm512_shuffle_i32x4::<0xdd>(ab_even, cd_even);
        columns[12 + j] = _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd);
    }
    columns
}
