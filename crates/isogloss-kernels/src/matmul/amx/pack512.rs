//! Packing for tiles with AVX-512. Rows whose values are contiguous are only converted; from others, words are transposed.

use std::arch::x86_64::*;

use crate::matmul::amx::{SIDE, plain};
use crate::matmul::kernel::Word;
use crate::matmul::pack::{Panel, Source};
use crate::matmul::pack512::{
    line_of_bf16, line_of_f32, pack, pack_pairs, row_of_bf16, row_of_f32, transposed,
};

/// Packs rows.
///
/// # Safety
/// As [`crate::matmul::pack::PackFn`], with AVX512 F, BW, DQ, VL and BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn pack_rows(panel: &Panel, out: *mut u32) {
    // SAFETY: the caller's promise; `along` and `across` ask for what exists alone.
    unsafe {
        match panel.source {
            Source::F32(p) if panel.inner_stride == 1 => {
                along(panel, out, |o, k, n| row_of_f32(panel, p, o, k, n));
            }
            Source::Bf16(p) if panel.inner_stride == 1 => {
                along(panel, out, |o, k, n| row_of_bf16(panel, p, o, k, n));
            }
            Source::F32(p) if panel.outer_stride == 1 => {
                across(panel, out, |k, o, n| line_of_f32(panel, p, k, o, n));
            }
            Source::Bf16(p) if panel.outer_stride == 1 => {
                across(panel, out, |k, o, n| line_of_bf16(panel, p, k, o, n));
            }
            _ => plain::pack_rows(panel, out),
        }
    }
}

/// Packs rows of words that are copied as they are.
///
/// # Safety
/// As [`pack_rows`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn pack_rows_of_words(panel: &Panel, out: *mut u32) {
    // SAFETY: the caller's promise; `along` asks for what exists alone.
    unsafe {
        match (panel.source, panel.word) {
            (Source::F32(p), Word::F32) if panel.inner_stride == 1 => {
                along(panel, out, |o, k, n| {
                    _mm512_maskz_loadu_epi32(
                        ((1u32 << n) - 1) as __mmask16,
                        p.add(o * panel.outer_stride + k).cast(),
                    )
                });
            }
            _ => plain::pack_rows(panel, out),
        }
    }
}

/// Packs columns of words that are copied as they are.
///
/// # Safety
/// As [`pack_rows`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn pack_columns_of_words(panel: &Panel, out: *mut u32) {
    // SAFETY: the caller's promise.
    unsafe {
        pack(panel, out);
        plain::fill_columns(panel, out);
    }
}

/// Packs columns.
///
/// # Safety
/// As [`pack_rows`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn pack_columns(panel: &Panel, out: *mut u32) {
    // SAFETY: the caller's promise.
    unsafe {
        pack_pairs(panel, out);
        plain::fill_columns(panel, out);
    }
}

/// Packs rows whose inner dimension is contiguous: `load(o, k, n)` gives the words of `n` steps from `k` on, zeros beyond.
///
/// # Safety
/// `out` holds the panel.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
unsafe fn along(panel: &Panel, out: *mut u32, load: impl Fn(usize, usize, usize) -> __m512i) {
    let (words, step) = (plain::words(panel), panel.word.depth());
    // Row by row, as the source lies in memory.
    for o in 0..panel.width {
        for w in (0..words).step_by(SIDE) {
            let line = if o < panel.count {
                load(o, step * w, (panel.depth - step * w).min(step * SIDE))
            } else {
                _mm512_setzero_si512()
            };
            // SAFETY: 16 words of a row that the panel has.
            unsafe { _mm512_storeu_si512(out.add(plain::at(w, o, panel.width)).cast(), line) }
        }
    }
}

/// Packs rows whose outer dimension is contiguous: `load(k, o, n)` gives the pairs of steps `k` and `k + 1` of `n` rows from `o` on,
/// zeros beyond.
///
/// # Safety
/// `out` holds the panel.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
unsafe fn across(panel: &Panel, out: *mut u32, load: impl Fn(usize, usize, usize) -> __m512i) {
    let words = plain::words(panel);
    for w in (0..words).step_by(SIDE) {
        for o in (0..panel.width).step_by(SIDE) {
            let count = panel.count.saturating_sub(o).min(SIDE);
            let mut lines = [_mm512_setzero_si512(); SIDE];
            for (i, line) in lines.iter_mut().enumerate() {
                let k = 2 * (w + i);
                if k < panel.depth && count > 0 {
                    *line = load(k, o, count);
                }
            }
            for (i, pairs) in transposed(lines).into_iter().enumerate() {
                // SAFETY: 16 words of a row that the panel has: its width is in sixteens.
                unsafe {
                    let out = out.add(plain::at(w, o + i, panel.width));
                    _mm512_storeu_si512(out.cast(), pairs);
                }
            }
        }
    }
}
