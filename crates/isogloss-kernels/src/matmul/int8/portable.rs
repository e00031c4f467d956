//! 4 x 8 in plain Rust.

use crate::matmul::kernel::{MicroKernel, Tile};
use crate::matmul::portable::{F32, LANES, WIDTH, store};

pub(super) static INT8: MicroKernel = MicroKernel {
    // Sums of integers stay in registers to the end: one block.
    depth: super::MAX_DEPTH,
    run,
    ..F32
};

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
    let mut sums = [[0i32; N]; M];
    let mut a = tile.a.cast::<[[u8; 4]; M]>();
    let mut b = tile.b.cast::<[[i8; 4]; N]>();
    for _ in 0..tile.words {
        // SAFETY: the panels hold `words` times what is read here.
        let (rows, cols) = unsafe { (a.read(), b.read()) };
        for (sums, x) in sums.iter_mut().zip(&rows) {
            for (sum, y) in sums.iter_mut().zip(&cols) {
                for (&x, &y) in x.iter().zip(y) {
                    *sum += i32::from(x) * i32::from(y);
                }
            }
        }
        // SAFETY: one past the last, at most.
        (a, b) = unsafe { (a.add(1), b.add(1)) };
    }
    let mut product = [[0.0f32; N]; M];
    for (i, (product, sums)) in product.iter_mut().zip(&sums).enumerate() {
        for j in 0..N.min(tile.cols) {
            // SAFETY: the tile has `M` rows and `cols` columns, and factors for each.
            product[j] = unsafe { dequantized(tile, (i, j), sums[j]) };
        }
    }
    // SAFETY: the caller's promise.
    unsafe { store(tile, product.as_flattened()) }
}

/// What element `(i, j)` of a tile is worth whose sum is `sum`, before the rest of the epilogue.
///
/// # Safety
/// The tile has the element, and factors for it.
#[inline(always)]
pub(in crate::matmul) unsafe fn dequantized(tile: &Tile, (i, j): (usize, usize), sum: i32) -> f32 {
    let Tile { dequantize, .. } = tile;
    // SAFETY: the caller's promise.
    let (row, col, offset) = unsafe {
        (
            dequantize.rows.add(i).read(),
            dequantize.cols.add(j).read(),
            dequantize.offsets.add(j).read(),
        )
    };
    tile.alpha * ((sum - offset) as f32 * (row * col))
}
