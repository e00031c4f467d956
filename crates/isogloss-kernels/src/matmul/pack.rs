//! Packing: an operand is copied into panels in which the values of one step of the inner dimension lie side by side.
//!
//! Both operands are seen as `outer x inner`: `a` by rows, `b` by columns. A panel is `words x width`, word by word of the inner
//! dimension, filled up with zeros beyond the operand.

use half::bf16;

use crate::matmul::kernel::Word;
use crate::matmul::transposed::ForwardPanels;
use crate::matmul::{Mat, MatData};
use crate::simd::round_to_bf16;

/// An operand as packing sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operand<'a> {
    data: MatData<'a, f32>,
    outer: usize,
    inner: usize,
    pub(super) outer_stride: usize,
    pub(super) inner_stride: usize,
    /// Of a weight that is there only as panels for the other product.
    pub(super) panels: Option<ForwardPanels<'a>>,
}

impl<'a> Operand<'a> {
    /// The rows of `a`.
    pub(super) fn rows_of(a: Mat<'a, f32>) -> Self {
        Operand {
            data: a.data(),
            outer: a.rows(),
            inner: a.cols(),
            outer_stride: a.row_stride(),
            inner_stride: a.col_stride(),
            panels: None,
        }
    }

    /// The columns of `b`.
    pub(super) fn cols_of(b: Mat<'a, f32>) -> Self {
        Self::rows_of(b.t())
    }
}

/// A part of an operand: `outer..outer + count`, `inner..inner + depth`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub outer: usize,
    pub count: usize,
    pub inner: usize,
    pub depth: usize,
}

/// Where a panel's values start in memory.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    F32(*const f32),
    Bf16(*const bf16),
}

/// Packs a panel: `(source, outer stride, inner stride, outer count, inner depth, word, panel width, panel)`.
///
/// # Safety
/// The machine has the instructions, every element of the part is readable, and the panel holds
/// `depth.div_ceil(word.depth()) * width` words, rounded up to whole groups of the kernel.
pub(super) type PackFn = unsafe fn(&Panel, *mut u32);

/// A panel to pack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    pub source: Source,
    pub outer_stride: usize,
    pub inner_stride: usize,
    pub count: usize,
    pub depth: usize,
    pub word: Word,
    /// At least `count`; words beyond are zero.
    pub width: usize,
}

impl Operand<'_> {
    /// Describes a panel.
    ///
    /// # Panics
    /// If the part lies outside the operand: what follows reads through pointers.
    pub(super) fn panel(&self, part: Part, word: Word, width: usize) -> Panel {
        assert!(
            part.outer + part.count <= self.outer
                && part.inner + part.depth <= self.inner
                && part.count <= width,
            "part of an operand"
        );
        let at = part.outer * self.outer_stride + part.inner * self.inner_stride;
        let empty = part.count == 0 || part.depth == 0;
        Panel {
            // An empty part may start past the end, so no pointer is made from its start.
            source: match self.data {
                MatData::Real(d) if empty => Source::F32(d.as_ptr()),
                MatData::Bf16(d) if empty => Source::Bf16(d.as_ptr()),
                MatData::Real(d) => Source::F32(d[at..].as_ptr()),
                MatData::Bf16(d) => Source::Bf16(d[at..].as_ptr()),
                MatData::Int8 { .. } | MatData::Packed => {
                    unreachable!("values are widened before they are packed")
                }
            },
            outer_stride: self.outer_stride,
            inner_stride: self.inner_stride,
            count: part.count,
            depth: part.depth,
            word,
            width,
        }
    }
}

/// Packing in plain loops: the portable path, and the cases that SIMD packing leaves.
///
/// # Safety
/// As [`PackFn`]; no instructions are asked for.
#[inline(always)]
pub(super) unsafe fn pack_generic(panel: &Panel, out: *mut u32) {
    // SAFETY: the caller's promise.
    unsafe { pack_at(panel, out, |w, o| w * panel.width + o) }
}

/// The same where word `w` of row or column `o` lies at `at(w, o)`.
///
/// # Safety
/// As [`PackFn`]; `at` stays inside the panel.
#[inline(always)]
pub(super) unsafe fn pack_at(panel: &Panel, out: *mut u32, at: impl Fn(usize, usize) -> usize) {
    let put = |w, o, x| {
        // SAFETY: `fill` asks for words of the panel alone, and `at` stays inside.
        unsafe { out.add(at(w, o)).write(x) }
    };
    // SAFETY: elements `(o, k)` of the part are readable, and `fill` asks for those alone, with a pair's second step guarded.
    let f32_at = |p: *const f32, o: usize, k: usize| unsafe {
        p.add(o * panel.outer_stride + k * panel.inner_stride)
            .read()
            .to_bits()
    };
    // SAFETY: as above.
    let bf16_at = |p: *const bf16, o: usize, k: usize| unsafe {
        let x = p
            .add(o * panel.outer_stride + k * panel.inner_stride)
            .read();
        u32::from(x.to_bits()) << 16
    };
    let pair = |low: u32, high: u32| (low >> 16) | high;
    match (panel.source, panel.word) {
        (Source::F32(p), Word::F32) => fill(panel, put, |o, k| f32_at(p, o, k)),
        (Source::F32(p), Word::Rounded) => {
            fill(panel, put, |o, k| {
                round_to_bf16(f32::from_bits(f32_at(p, o, k)))
            });
        }
        (Source::Bf16(p), Word::F32 | Word::Rounded) => {
            fill(panel, put, |o, k| bf16_at(p, o, k));
        }
        (Source::F32(p), Word::Pair) => fill(panel, put, |o, k| {
            let low = round_to_bf16(f32::from_bits(f32_at(p, o, k)));
            let high = if k + 1 < panel.depth {
                round_to_bf16(f32::from_bits(f32_at(p, o, k + 1)))
            } else {
                0
            };
            pair(low, high)
        }),
        (Source::Bf16(p), Word::Pair) => fill(panel, put, |o, k| {
            let high = if k + 1 < panel.depth {
                bf16_at(p, o, k + 1)
            } else {
                0
            };
            pair(bf16_at(p, o, k), high)
        }),
    }
}

/// Fills a panel with `word(outer, inner)`, in the order in which the source lies in memory: `put(w, o, x)` writes word `w` of row
/// or column `o`, for each that `depth` and `width` make.
#[inline(always)]
fn fill(panel: &Panel, put: impl Fn(usize, usize, u32), word: impl Fn(usize, usize) -> u32) {
    const BLOCK: usize = 16;
    let step = panel.word.depth();
    let words = panel.depth.div_ceil(step);
    if panel.outer_stride == 1 {
        for w in 0..words {
            for o in 0..panel.count {
                put(w, o, word(o, w * step));
            }
        }
    } else {
        for w0 in (0..words).step_by(BLOCK) {
            for o in 0..panel.count {
                for w in w0..words.min(w0 + BLOCK) {
                    put(w, o, word(o, w * step));
                }
            }
        }
    }
    for w in 0..words {
        for o in panel.count..panel.width {
            put(w, o, 0);
        }
    }
}
