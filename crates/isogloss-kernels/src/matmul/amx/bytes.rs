//! Products of bytes on the same tiles: unsigned rows, signed columns, exact sums (TDPBUSD).
//!
//! Columns are packed as for AVX512-VNNI, word by word of four bytes, which is how a tile wants them. So one copy of a weight serves
//! both, and a product of few rows may take the other kernel without a trace in its bits.

use std::mem::MaybeUninit;

use crate::matmul::amx::{Pair, SIDE, Sums, Tiles, plain};
use crate::matmul::int8::MAX_DEPTH;
use crate::matmul::kernel::{MicroKernel, Tile, Word};

/// [`MicroKernel::run`] on some tiles.
///
/// # Safety
/// As [`MicroKernel::run`].
pub(super) unsafe fn run<T: Tiles>(tile: &Tile) {
    let mut sums = MaybeUninit::<Sums>::uninit();
    let sums = sums.as_mut_ptr().cast::<i32>();
    // SAFETY: as in the kernel for pairs.
    unsafe {
        T::multiply_bytes(&Pair::of(tile), sums);
        T::finish_bytes(tile, sums);
    }
}

/// A micro-kernel for bytes: `of`, but for the operands. Their words are copied as if they were `f32`.
///
/// Sums of integers stay in tiles to the end, so the whole inner dimension is one block. A panel of 32 rows or columns of a thousand
/// bytes takes 32 KiB, as one of pairs does; longer ones stream from the second-level cache.
pub(super) const fn kernel(of: MicroKernel) -> MicroKernel {
    MicroKernel {
        depth: MAX_DEPTH,
        word: Word::F32,
        ..of
    }
}

/// Whether this processor's tiles multiply bytes as they should, for panels of either width.
///
/// # Safety
/// The processor has AMX-INT8, and the operating system lets the process use it.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn multiplies() -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let _ready = super::INT8.begin();
        multiplies_on::<super::hardware::Amx>()
    }
}

/// # Safety
/// The thread is ready for `T`.
pub(super) unsafe fn multiplies_on<T: Tiles>() -> bool {
    const WORDS: usize = 3 * SIDE;
    // Every byte occurs, so a sign that is taken wrongly shows.
    let left = |i: usize, k: usize| ((i * 37 + k * 11) % 256) as u8;
    let right = |j: usize, k: usize| ((j * 53 + k * 29) % 256) as u8;
    let sizes = [(1, 1), (1, 2), (2, 1), (2, 2)];
    sizes.into_iter().all(|(a_tiles, b_tiles)| {
        let (rows, cols) = (SIDE * a_tiles, SIDE * b_tiles);
        let (mut a, mut b) = (vec![0; rows * WORDS], vec![0; cols * WORDS]);
        for word in 0..WORDS {
            let step = |q: usize| 4 * word + q;
            for i in 0..rows {
                let bytes = std::array::from_fn(|q| left(i, step(q)));
                a[plain::at(word, i, rows)] = u32::from_le_bytes(bytes);
            }
            for j in 0..cols {
                let bytes = std::array::from_fn(|q| right(j, step(q)));
                b[word * cols + j] = u32::from_le_bytes(bytes);
            }
        }
        let mut sums = [i32::MIN; 4 * SIDE * SIDE];
        let pair = Pair {
            a: a.as_ptr(),
            b: b.as_ptr(),
            a_tiles,
            b_tiles,
            groups: WORDS / SIDE,
        };
        // SAFETY: the caller's promise; the panels were just made to size.
        unsafe { T::multiply_bytes(&pair, sums.as_mut_ptr()) }
        (0..rows * cols).all(|at| {
            let product =
                |k| i32::from(left(at / cols, k)) * i32::from(right(at % cols, k).cast_signed());
            sums[at] == (0..4 * WORDS).map(product).sum::<i32>()
        })
    })
}
