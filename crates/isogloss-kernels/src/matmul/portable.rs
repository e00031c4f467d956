//! The micro-kernel in plain Rust: 4 x 8, which fits the registers of SSE2 and NEON.

use crate::matmul::kernel::{MicroKernel, Tile, Word};
use crate::matmul::pack::{Panel, pack_generic};

const ROWS: usize = 4;
const LANES: usize = 4;
const WIDTH: usize = 2 * LANES;

pub(super) static F32: MicroKernel = MicroKernel {
    rows: ROWS,
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
/// As [`pack_generic`].
unsafe fn pack(panel: &Panel, out: *mut u32) {
    // SAFETY: the caller's promise.
    unsafe { pack_generic(panel, out) }
}

/// A step of a sum: fused where every processor of the architecture can, in two roundings where the fused operation would be a
/// call of a library.
#[inline(always)]
fn step(sum: f32, a: f32, b: f32) -> f32 {
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
        a.mul_add(b, sum)
    } else {
        sum + a * b
    }
}

/// # Safety
/// The pointers of `tile` are good.
unsafe fn run(tile: &Tile) {
    let mut sums = [[0.0f32; WIDTH]; ROWS];
    for w in 0..tile.words {
        let mut a = [0.0f32; ROWS];
        let mut b = [0.0f32; WIDTH];
        // SAFETY: the packed panels hold `words * rows` and `words * width` words.
        unsafe {
            for (i, a) in a.iter_mut().enumerate().take(tile.rows) {
                *a = tile.a.cast::<f32>().add(w * tile.rows + i).read();
            }
            for (j, b) in b.iter_mut().enumerate().take(tile.width) {
                *b = tile.b.cast::<f32>().add(w * tile.width + j).read();
            }
        }
        for (sums, &a) in sums.iter_mut().zip(&a) {
            for (sum, &b) in sums.iter_mut().zip(&b) {
                *sum = step(*sum, a, b);
            }
        }
    }
    for (i, sums) in sums.iter().enumerate().take(tile.rows) {
        for (j, &sum) in sums.iter().enumerate().take(tile.cols) {
            // SAFETY: `(i, j)` is an element of the tile, and the bias is null or as long as its rows.
            unsafe {
                let c = tile.c.add(i * tile.c_stride + j);
                let mut x = tile.alpha * sum;
                if !tile.bias.is_null() {
                    x += tile.bias.add(j).read();
                }
                if tile.accumulate {
                    x += c.read();
                }
                if tile.relu && x < 0.0 {
                    x = 0.0;
                }
                c.write(x);
            }
        }
    }
}
