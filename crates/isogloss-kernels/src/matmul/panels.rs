//! How the rows and columns of a product are cut into panels, and operands that are packed as a whole.

use std::ops::Range;

use crate::cpu::Cpu;
use crate::matmul::kernel::MicroKernel;
use crate::matmul::pack::{Operand, Part};
use crate::scratch::SharedMut;

/// Panels that one task packs.
const TASK_PANELS: usize = 8;

/// One dimension of a product cut into panels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Panels {
    /// Rows: at most as many as a tile has, as even as can be, so that none is much smaller than the others.
    Rows {
        panels: usize,
        size: usize,
        larger: usize,
    },
    /// Columns: two vectors; the last panel is one vector where that is enough.
    Cols { count: usize, lanes: usize },
    /// Rows of a kernel that loads tiles: in the same sizes as columns.
    TileRows { count: usize, lanes: usize },
}

impl Panels {
    pub(super) fn rows(kernel: &MicroKernel, count: usize) -> Self {
        if kernel.group > 1 {
            return Panels::TileRows {
                count,
                lanes: kernel.lanes,
            };
        }
        let panels = count.div_ceil(kernel.rows).max(1);
        Panels::Rows {
            panels,
            size: count / panels,
            larger: count % panels,
        }
    }

    pub(super) fn cols(kernel: &MicroKernel, count: usize) -> Self {
        Panels::Cols {
            count,
            lanes: kernel.lanes,
        }
    }

    /// Number of panels.
    pub(super) fn len(self) -> usize {
        match self {
            Panels::Rows { panels, .. } => panels,
            Panels::Cols { count, lanes } | Panels::TileRows { count, lanes } => {
                count.div_ceil(2 * lanes)
            }
        }
    }

    /// First row or column of panel `p`; of the one after the last, their number.
    pub(super) fn start(self, p: usize) -> usize {
        match self {
            Panels::Rows { size, larger, .. } => p * size + p.min(larger),
            Panels::Cols { count, lanes } | Panels::TileRows { count, lanes } => {
                (2 * p * lanes).min(count)
            }
        }
    }

    /// Rows or columns of panel `p` that exist.
    pub(super) fn count(self, p: usize) -> usize {
        self.start(p + 1) - self.start(p)
    }

    /// Rows or columns of panel `p` as it is packed, zeros included.
    pub(super) fn width(self, p: usize) -> usize {
        match self {
            Panels::Rows { .. } => self.count(p),
            Panels::Cols { lanes, .. } | Panels::TileRows { lanes, .. } => {
                if self.count(p) <= lanes {
                    lanes
                } else {
                    2 * lanes
                }
            }
        }
    }

    /// Width of all panels, one beside the other.
    pub(super) fn padded(self) -> usize {
        self.len()
            .checked_sub(1)
            .map_or(0, |last| self.start(last) + self.width(last))
    }

    /// Width of some neighbouring panels.
    pub(super) fn padded_of(self, panels: &Range<usize>) -> usize {
        match panels.end.checked_sub(1) {
            Some(last) if last >= panels.start => {
                self.start(last) + self.width(last) - self.start(panels.start)
            }
            _ => 0,
        }
    }
}

/// Blocks of the inner dimension.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    /// The inner dimension.
    depth: usize,
    /// Steps of a block.
    step: usize,
    /// Steps of a word.
    word: usize,
    /// Words of a group.
    group: usize,
}

impl Blocks {
    pub(super) fn new(kernel: &MicroKernel, depth: usize) -> Self {
        Blocks {
            depth,
            step: kernel.depth,
            word: kernel.word.depth(),
            group: kernel.group,
        }
    }

    /// The inner dimension.
    pub(super) fn depth(self) -> usize {
        self.depth
    }

    /// Number of blocks, at least one: an empty product is zeros.
    pub(super) fn len(self) -> usize {
        self.depth.div_ceil(self.step).max(1)
    }

    /// First step of block `b`, and its steps.
    pub(super) fn steps(self, b: usize) -> (usize, usize) {
        let first = b * self.step;
        (first, (self.depth - first).min(self.step))
    }

    /// Words of block `b` for each row or column, whole groups.
    pub(super) fn words(self, b: usize) -> usize {
        let words = self.steps(b).1.div_ceil(self.word);
        words.next_multiple_of(self.group)
    }

    /// Words of the largest block.
    pub(super) fn most_words(self) -> usize {
        self.words(0)
    }

    /// Words of all blocks before block `b`: only the last one may be short, and a whole block is whole groups.
    pub(super) fn words_before(self, b: usize) -> usize {
        b * self.step.div_ceil(self.word)
    }

    /// Words of all blocks.
    pub(super) fn all_words(self) -> usize {
        let last = self.len() - 1;
        self.words_before(last) + self.words(last)
    }
}

/// Packs some panels of a block side by side.
///
/// # Panics
/// If `out` is too small, or the operand is.
pub(super) fn pack_panels(
    kernel: &MicroKernel,
    operand: &Operand<'_>,
    (blocks, block): (Blocks, usize),
    (panels, range): (Panels, Range<usize>),
    out: &mut [u32],
) {
    if let Some(forward) = &operand.panels {
        return forward.pack((blocks, block), (panels, range), out);
    }
    let (inner, depth) = blocks.steps(block);
    let words = blocks.words(block);
    let origin = panels.start(range.start);
    for p in range {
        let part = Part {
            outer: panels.start(p),
            count: panels.count(p),
            inner,
            depth,
        };
        let panel = operand.panel(part, kernel.word, panels.width(p));
        let out = &mut out[words * (part.outer - origin)..][..words * panels.width(p)];
        let pack = match panels {
            Panels::Cols { .. } => kernel.pack,
            Panels::Rows { .. } | Panels::TileRows { .. } => kernel.pack_rows,
        };
        // SAFETY: the machine has the kernel's instructions; `panel` checked that the part lies within the operand, whose view
        // checked that its elements lie within its slice; the panel has space.
        unsafe { pack(&panel, out.as_mut_ptr()) }
    }
}

/// Packs a whole operand, block by block, into `out`, which holds [`Blocks::all_words`] times [`Panels::padded`] words. `cpu`
/// lends its threads.
pub(super) fn pack_whole(
    kernel: &MicroKernel,
    operand: &Operand<'_>,
    blocks: Blocks,
    panels: Panels,
    cpu: &Cpu,
    out: &mut [u32],
) {
    let padded = panels.padded();
    assert!(
        out.len() == blocks.all_words() * padded,
        "space for an operand"
    );
    pack_part(kernel, operand, blocks, (panels, 0, padded), cpu, out);
}

/// Packs an operand that is a part of a larger one, from its column `first` on, into its place among the larger one's panels, whose
/// width is `padded`; `panels` are the part's own. `cpu` lends its threads.
///
/// # Panics
/// If the part would not lie within `out`.
pub(super) fn pack_part(
    kernel: &MicroKernel,
    operand: &Operand<'_>,
    blocks: Blocks,
    (panels, first, padded): (Panels, usize, usize),
    cpu: &Cpu,
    out: &mut [u32],
) {
    assert!(
        first + panels.padded() <= padded && out.len() == blocks.all_words() * padded,
        "space for a part of an operand"
    );
    let parts = panels.len().div_ceil(TASK_PANELS);
    let shared = SharedMut::new(out);
    cpu.run(
        blocks.len() * parts,
        2 * blocks.all_words() * panels.padded(),
        |task| {
            let (block, part) = (task / parts, task % parts);
            let range = part * TASK_PANELS..((part + 1) * TASK_PANELS).min(panels.len());
            let words = blocks.words(block);
            let column = first + panels.start(range.start);
            let at = blocks.words_before(block) * padded + words * column;
            // SAFETY: within `out`, by the widths and its length; a task's panels of a block are its own, and `out` is borrowed for
            // all tasks.
            let out = unsafe { shared.slice(at, words * panels.padded_of(&range)) };
            pack_panels(kernel, operand, (blocks, block), (panels, range), out);
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{KernelPath, Supported};
    use crate::matmul::kernel::select;

    #[test]
    fn panels_cover_everything_once() {
        for path in KernelPath::available() {
            let supported = Supported::new(path).unwrap();
            let kernel = select(supported, crate::Precision::Bf16);
            for count in [1, 2, 13, 14, 15, 31, 32, 33, 100, 337] {
                for panels in [Panels::rows(kernel, count), Panels::cols(kernel, count)] {
                    let mut next = 0;
                    for p in 0..panels.len() {
                        assert_eq!(panels.start(p), next);
                        assert!(panels.count(p) > 0 && panels.count(p) <= panels.width(p));
                        next += panels.count(p);
                    }
                    assert_eq!(next, count);
                    assert_eq!(panels.start(panels.len()), count);
                    assert!(panels.padded() >= count);
                    assert_eq!(panels.padded(), panels.padded_of(&(0..panels.len())));
                }
            }
            for depth in [0, 1, 2, 255, 256, 257, 512, 513, 1200] {
                let blocks = Blocks::new(kernel, depth);
                let steps: usize = (0..blocks.len()).map(|b| blocks.steps(b).1).sum();
                let words: usize = (0..blocks.len()).map(|b| blocks.words(b)).sum();
                assert_eq!((steps, words), (depth, blocks.all_words()));
            }
        }
    }
}
