//! A weight that is there only as panels for `x W^T`, read for other products: element by element, or as panels for `dy W`.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::ops::Range;

use crate::matmul::kernel::{MicroKernel, Word};
use crate::matmul::panels::{Blocks, Panels};

/// The panels of a weight `(out, in)` for `x W^T`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ForwardPanels<'a> {
    pub kernel: &'static MicroKernel,
    pub words: &'a [u32],
    /// Output channel that the operand starts with.
    pub first: usize,
    /// Output channels of the whole weight.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
}

impl ForwardPanels<'_> {
    fn layout(&self) -> (Blocks, Panels) {
        let blocks = Blocks::new(self.kernel, self.cols);
        (blocks, Panels::cols(self.kernel, self.rows))
    }

    /// Where word `word` of block `block` of channel panel `panel` starts.
    fn start(&self, block: usize, panel: usize, word: usize) -> usize {
        let (blocks, panels) = self.layout();
        blocks.words_before(block) * panels.padded()
            + blocks.words(block) * panels.start(panel)
            + word * panels.width(panel)
    }

    /// Element `(row, col)` of the weight, in the upper half if it is a bf16.
    pub(super) fn bits(&self, row: usize, col: usize) -> u32 {
        assert!(row < self.rows && col < self.cols, "element ({row}, {col})");
        let word = self.kernel.word.depth();
        let (block, step) = (col / self.kernel.depth, col % self.kernel.depth);
        let wide = 2 * self.kernel.lanes;
        let bits = self.words[self.start(block, row / wide, step / word) + row % wide];
        match (self.kernel.word, step % word) {
            (Word::Pair, 0) => bits << 16,
            (Word::Pair, _) => bits & 0xffff_0000,
            (Word::F32 | Word::Rounded, _) => bits,
        }
    }

    /// Packs column panels of the weight as the right operand of `dy W`: inner dimension `out`, columns `in`. As
    /// [`pack_panels`](super::panels::pack_panels), from panels instead of rows.
    pub(super) fn pack(
        &self,
        (blocks, block): (Blocks, usize),
        (panels, range): (Panels, Range<usize>),
        out: &mut [u32],
    ) {
        let (first, depth) = blocks.steps(block);
        let words = blocks.words(block);
        let origin = panels.start(range.start);
        for p in range {
            let (col, width) = (panels.start(p), panels.width(p));
            let out = &mut out[words * (col - origin)..][..words * width];
            let panel = Part {
                first: self.first + first,
                depth,
                col,
                cols: panels.count(p),
                width,
            };
            #[cfg(target_arch = "x86_64")]
            if self.pack_pairs(&panel, out) {
                continue;
            }
            self.pack_generic(&panel, out);
        }
    }

    fn pack_generic(&self, part: &Part, out: &mut [u32]) {
        let step = self.kernel.word.depth();
        for (w, line) in out.chunks_exact_mut(part.width).enumerate() {
            for (j, word) in line.iter_mut().enumerate() {
                let bits = |step: usize| match step < part.depth && j < part.cols {
                    true => self.bits(part.first + step, part.col + j),
                    false => 0,
                };
                *word = match self.kernel.word {
                    Word::Pair => (bits(w * step) >> 16) | bits(w * step + 1),
                    Word::F32 | Word::Rounded => bits(w),
                };
            }
        }
    }
}

/// A panel of the right operand of `dy W`.
struct Part {
    /// First channel, and their number.
    first: usize,
    depth: usize,
    /// First input, and their number.
    col: usize,
    cols: usize,
    /// Columns of the panel.
    width: usize,
}

#[cfg(target_arch = "x86_64")]
const LANES: usize = 16;

#[cfg(target_arch = "x86_64")]
impl ForwardPanels<'_> {
    /// Packs a whole panel of pairs, if this is one: 32 inputs, which lie in 16 words of one block.
    fn pack_pairs(&self, part: &Part, out: &mut [u32]) -> bool {
        let (blocks, panels) = self.layout();
        let wide = 2 * LANES;
        let (block, word) = (
            part.col / self.kernel.depth,
            part.col % self.kernel.depth / 2,
        );
        let whole = self.kernel.word == Word::Pair
            && self.kernel.lanes == LANES
            && part.width == wide
            && part.col.is_multiple_of(wide)
            && part.first.is_multiple_of(wide)
            && word + LANES <= blocks.words(block);
        if !whole {
            return false;
        }
        let words = out.len() / wide;
        // What is beyond the channels, as the panels are padded.
        out[part.depth.div_ceil(2) * wide..].fill(0);
        for channel in (0..part.depth).step_by(LANES) {
            let row = part.first + channel;
            let (panel, within) = (row / wide, row % wide);
            let (start, width) = (self.start(block, panel, word) + within, panels.width(panel));
            // Words `word..word + 16` of 16 channels.
            let from = &self.words[start..][..(LANES - 1) * width + LANES];
            let pairs = (words - channel / 2).min(LANES / 2);
            let to = &mut out[channel / 2 * wide..][..pairs * wide];
            // SAFETY: a kernel of pairs with 16 lanes is one of AVX-512, and only a machine that has it selects one. `from` holds 16
            // lines of 16 words `width` apart, `to` whole lines of 32.
            unsafe { turn(from.as_ptr(), width, to) }
        }
        true
    }
}

/// Turns 16 words of 16 channels, each a pair of inputs, into up to 8 lines of 32 words, each a pair of channels.
///
/// # Safety
/// The machine has AVX512F; 16 words are readable at each of 16 places `width` words apart from `from` on; `to` holds at most 8 lines.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn turn(from: *const u32, width: usize, to: &mut [u32]) {
    let mut words = [_mm512_setzero_si512(); LANES];
    for (i, word) in words.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *word = unsafe { _mm512_loadu_epi32(from.add(i * width).cast()) };
    }
    let channels = crate::matmul::pack512::transposed(words);
    let (low, high) = (
        _mm512_set1_epi32(0xffff),
        _mm512_set1_epi32(0xffff_0000_u32 as i32),
    );
    // Alternately from either vector: the first 8 of each, then the last.
    let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    let second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    for (pair, line) in channels.chunks_exact(2).zip(to.chunks_exact_mut(2 * LANES)) {
        let (a, b) = (pair[0], pair[1]);
        let even = _mm512_or_si512(_mm512_and_si512(a, low), _mm512_slli_epi32::<16>(b));
        let odd = _mm512_or_si512(_mm512_srli_epi32::<16>(a), _mm512_and_si512(b, high));
        // SAFETY: a line holds 32 words.
        unsafe {
            let line = line.as_mut_ptr().cast();
            _mm512_storeu_epi32(line, _mm512_permutex2var_epi32(even, first, odd));
            _mm512_storeu_epi32(
                line.add(LANES),
                _mm512_permutex2var_epi32(even, second, odd),
            );
        }
    }
}
