//! The micro-kernel in plain Rust: 4 x 8, which fits the registers of SSE2 and NEON.

use crate::matmul::kernel::{MicroKernel, Tile, Word};
use crate::matmul::pack::{Panel, pack_generic};

const ROWS: usize = 4;
pub(super) const LANES: usize = 4;
pub(super) const WIDTH: usize = 2 * LANES;

pub(super) static F32: MicroKernel = MicroKernel {
    rows: ROWS,
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
    // SAFETY: the caller's promise; the constants are the tile's size.
    unsafe {
        match (tile.rows, tile.width) {
            (1, LANES) => tile_of::<1, LANES>(tile),
            (2, LANES) => tile_of::<2, LANES>(tile),
            (3, LANES) => tile_of::<3, LANES>(tile),
            (_, LANES) => tile_of::<4, LANES>(tile),
            (1, _) => tile_of::<1, WIDTH>(tile),
            (2, _) => tile_of::<2, WIDTH>(tile),
            (3, _) => tile_of::<3, WIDTH>(tile),
            (_, _) => tile_of::<4, WIDTH>(tile),
        }
    }
}

/// # Safety
/// As [`run`]; the tile has `M` rows and `N` columns.
unsafe fn tile_of<const M: usize, const N: usize>(tile: &Tile) {
    let mut sums = [[0.0f32; N]; M];
    let mut a = tile.a.cast::<[f32; M]>();
    let mut b = tile.b.cast::<[f32; N]>();
    for _ in 0..tile.words {
        // SAFETY: the panels hold `words` times what is read here.
        let (rows, cols) = unsafe { (a.read(), b.read()) };
        for (sums, &x) in sums.iter_mut().zip(&rows) {
            for (sum, &y) in sums.iter_mut().zip(&cols) {
                *sum = step(*sum, x, y);
            }
        }
        // SAFETY: one past the last, at most.
        (a, b) = unsafe { (a.add(1), b.add(1)) };
    }
    for row in &mut sums {
        for sum in row {
            *sum *= tile.alpha;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { store(tile, sums.as_flattened()) }
}

/// The rest of the epilogue. `product` holds the rows of the tile, of `width` values.
///
/// # Safety
/// As [`run`].
#[inline(never)]
pub(super) unsafe fn store(tile: &Tile, product: &[f32]) {
    for (i, row) in product.chunks_exact(tile.width).enumerate() {
        for (j, &value) in row.iter().enumerate().take(tile.cols) {
            // SAFETY: `(i, j)` is an element of the tile, and the bias is null or as long as its rows.
            unsafe {
                let c = tile.c.add(i * tile.c_stride + j);
                let mut x = value;
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
