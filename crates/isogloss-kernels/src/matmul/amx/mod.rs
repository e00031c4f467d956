//! The micro-kernels for AMX-BF16 and AMX-INT8 ([`bytes`]): 32 x 32 in four tiles of sums, which two tiles of `a` and two of `b` feed.
//!
//! All tiles are whole, 16 rows of 64 bytes, so one configuration serves all products: rows and columns come in panels of 16 or 32
//! and words of the inner dimension in groups of 16, zeros beyond. Columns are packed word by word, as for AVX-512; of rows, each
//! has its 16 words of a group side by side (see [`plain`]), so that a tile of 16 rows is a kilobyte without gaps.
//!
//! Few machines have the instructions. What surrounds them is generic over [`Tiles`]: the tests run it with a model in plain Rust
//! (`soft`), and on Linux they also run the kernel itself, with its instructions carried out by that model as they trap (`trap`).

mod bytes;
#[cfg(target_arch = "x86_64")]
mod hardware;
#[cfg(target_arch = "x86_64")]
mod pack512;
mod plain;
#[cfg(test)]
mod soft;
#[cfg(test)]
mod tests;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod trap;

use std::mem::MaybeUninit;

#[cfg(target_arch = "x86_64")]
pub(crate) use bytes::multiplies as multiplies_bytes;
#[cfg(target_arch = "x86_64")]
pub(super) use hardware::{BF16, INT8};

use crate::matmul::kernel::{MicroKernel, Session, Tile, Word};
use crate::matmul::pack::PackFn;

/// Rows of a tile, words of each of its rows, and words of a group.
const SIDE: usize = 16;

/// Tiles 0 to 3 are sums, 4 and 5 hold `a`, 6 and 7 `b`; each is 16 rows of 64 bytes. The layout is that of LDTILECFG.
const CONFIG: Config = {
    let mut bytes = [0; 64];
    // The palette, the only one that there is.
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        // Bytes of a row, a 16-bit number; then rows.
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = SIDE as u8;
        tile += 1;
    }
    Config(bytes)
};

/// Shapes of the tiles, as LDTILECFG reads them.
#[repr(C, align(64))]
struct Config([u8; 64]);

/// Sums of a tile of the product, row by row; of bytes, `i32`.
#[repr(C, align(64))]
struct Sums([f32; 4 * SIDE * SIDE]);

/// A packed panel of rows and one of columns. Their widths are 16 times their tiles.
#[derive(Debug, Clone, Copy)]
struct Pair {
    a: *const u32,
    b: *const u32,
    /// 1 or 2.
    a_tiles: usize,
    /// 1 or 2.
    b_tiles: usize,
    /// Words of the inner dimension, in sixteens.
    groups: usize,
}

impl Pair {
    /// The panels of a tile.
    fn of(tile: &Tile) -> Self {
        Pair {
            a: tile.a,
            b: tile.b,
            a_tiles: tile.rows.div_ceil(SIDE),
            b_tiles: tile.width / SIDE,
            groups: tile.words / SIDE,
        }
    }
}

/// Who has the tiles: the processor, or the tests' model of it.
trait Tiles {
    /// Writes the product of two panels of bf16 pairs: `16 a_tiles` rows of `16 b_tiles`.
    ///
    /// # Safety
    /// The thread is [`Ready`](crate::matmul::kernel::Ready), the panels are as long as [`Pair`] says, and `sums` has the space.
    unsafe fn multiply(pair: &Pair, sums: *mut f32);

    /// The same of words of four bytes, those of rows unsigned, those of columns signed.
    ///
    /// # Safety
    /// As [`multiply`](Self::multiply).
    unsafe fn multiply_bytes(pair: &Pair, sums: *mut i32);

    /// Brings the rows and columns of `sums` that exist into `c`, with all of the epilogue.
    ///
    /// # Safety
    /// `sums` holds `tile.rows` rows of `tile.width` values at a 64-byte boundary; the pointers of `tile` are good.
    unsafe fn finish(tile: &Tile, sums: *mut f32);

    /// The same of sums of bytes, which become numbers first.
    ///
    /// # Safety
    /// As [`finish`](Self::finish).
    unsafe fn finish_bytes(tile: &Tile, sums: *mut i32);
}

/// [`MicroKernel::run`] on some tiles.
///
/// # Safety
/// As [`MicroKernel::run`].
unsafe fn run<T: Tiles>(tile: &Tile) {
    let mut sums = MaybeUninit::<Sums>::uninit();
    let sums = sums.as_mut_ptr().cast::<f32>();
    let pair = Pair::of(tile);
    // SAFETY: the caller's promise. Panels are whole tiles and groups wide and deep, as `kernel` says; `sums` holds the largest
    // product, and `multiply` writes all of it that `finish` reads.
    unsafe {
        T::multiply(&pair, sums);
        T::finish(tile, sums);
    }
}

/// A micro-kernel on some tiles.
///
/// Blocks are 512 deep: a panel of 32 rows or columns then takes 32 KiB, a task's operands about a megabyte of the two that the
/// second-level cache of every processor with AMX has. One panel of columns serves all panels of rows in turn and mostly stays in
/// the 48 KiB of the first level. Half the depth would fit there wholly, but `c` would be read and written twice as often, for
/// which a tile's 64 cycles a group leave no room. Both are estimates, not measurements.
const fn kernel(
    run: unsafe fn(&Tile),
    pack: PackFn,
    pack_rows: PackFn,
    session: Session,
) -> MicroKernel {
    MicroKernel {
        rows: 2 * SIDE,
        lanes: SIDE,
        depth: 512,
        word: Word::Pair,
        group: SIDE,
        run,
        pack,
        pack_rows,
        session: Some(session),
    }
}

/// Whether this processor's tiles multiply as they should, for panels of either width. The values are small integers, so the
/// result is exact in whatever order it is added up.
///
/// # Safety
/// The processor has AMX-BF16, and the operating system lets the process use it.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn multiplies() -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let _ready = BF16.begin();
        multiplies_on::<hardware::Amx>()
    }
}

/// # Safety
/// The thread is ready for `T`.
unsafe fn multiplies_on<T: Tiles>() -> bool {
    const DEPTH: usize = 3 * 2 * SIDE;
    let integer = |i: usize, k: usize, modulus: usize| (i * 5 + k * 11) % modulus;
    // Row or column `i` at step `k`.
    let left: Vec<f32> = (0..2 * SIDE * DEPTH)
        .map(|at| integer(at / DEPTH, at % DEPTH, 17) as f32 - 8.0)
        .collect();
    let right: Vec<f32> = (0..2 * SIDE * DEPTH)
        .map(|at| integer(at / DEPTH, at % DEPTH, 23) as f32 - 11.0)
        .collect();
    // Such integers are whole in the upper half.
    let pairs = |values: &[f32], i: usize, word: usize| {
        let at = i * DEPTH + 2 * word;
        values[at].to_bits() >> 16 | values[at + 1].to_bits()
    };
    let sizes = [(1, 1), (1, 2), (2, 1), (2, 2)];
    sizes.into_iter().all(|(a_tiles, b_tiles)| {
        let (rows, cols) = (SIDE * a_tiles, SIDE * b_tiles);
        let (mut a, mut b) = (vec![0; rows * DEPTH / 2], vec![0; cols * DEPTH / 2]);
        for word in 0..DEPTH / 2 {
            for i in 0..rows {
                a[plain::at(word, i, rows)] = pairs(&left, i, word);
            }
            for j in 0..cols {
                b[word * cols + j] = pairs(&right, j, word);
            }
        }
        let mut sums = [f32::NAN; 4 * SIDE * SIDE];
        let pair = Pair {
            a: a.as_ptr(),
            b: b.as_ptr(),
            a_tiles,
            b_tiles,
            groups: DEPTH / 2 / SIDE,
        };
        // SAFETY: the caller's promise; the panels were just made to size.
        unsafe { T::multiply(&pair, sums.as_mut_ptr()) }
        (0..rows * cols).all(|at| {
            let (row, col) = (
                &left[at / cols * DEPTH..][..DEPTH],
                &right[at % cols * DEPTH..][..DEPTH],
            );
            let expected: f32 = row.iter().zip(col).map(|(x, y)| x * y).sum();
            sums[at] == expected
        })
    })
}
