//! Packing for tiles in plain loops: what SIMD packing leaves, and what the tests' model runs on.

use crate::matmul::amx::SIDE;
use crate::matmul::pack::{Panel, pack_at};

/// Words of a panel, whole groups.
pub(super) fn words(panel: &Panel) -> usize {
    panel
        .depth
        .div_ceil(panel.word.depth())
        .next_multiple_of(SIDE)
}

/// Where word `w` of row `o` lies in a panel of `width` rows: group by group, in it row by row, 16 words each.
pub(super) fn at(w: usize, o: usize, width: usize) -> usize {
    (w / SIDE * width + o) * SIDE + w % SIDE
}

/// Packs rows.
///
/// # Safety
/// As [`PackFn`](crate::matmul::pack::PackFn); no instructions are asked for.
pub(super) unsafe fn pack_rows(panel: &Panel, out: *mut u32) {
    // SAFETY: the caller's promise; `at` is inside the panel for its words and rows.
    unsafe {
        pack_at(panel, out, |w, o| at(w, o, panel.width));
        for w in panel.depth.div_ceil(panel.word.depth())..words(panel) {
            for o in 0..panel.width {
                out.add(at(w, o, panel.width)).write(0);
            }
        }
    }
}

/// Zeros the words of a panel of columns that the inner dimension leaves of its last group.
///
/// # Safety
/// The panel has the space.
pub(super) unsafe fn fill_columns(panel: &Panel, out: *mut u32) {
    let packed = panel.depth.div_ceil(panel.word.depth());
    let rest = words(panel) - packed;
    // SAFETY: the caller's promise.
    unsafe {
        out.add(packed * panel.width)
            .write_bytes(0, rest * panel.width);
    }
}
