//! A model of the processor's tiles, for tests: exact, slow, on every machine.

use std::cell::Cell;

use crate::matmul::amx::{CONFIG, Pair, SIDE, Tiles, bytes, kernel, plain, run};
use crate::matmul::int8::dequantized;
use crate::matmul::kernel::{MicroKernel, Session, Tile};
use crate::matmul::pack::{Panel, pack_generic};
use crate::matmul::portable;

/// Eight tiles of up to 16 rows of up to 16 words.
pub(super) struct SoftTiles {
    configured: bool,
    rows: [u8; 8],
    row_bytes: [u16; 8],
    words: [[[u32; SIDE]; SIDE]; 8],
}

impl SoftTiles {
    pub(super) const fn new() -> Self {
        SoftTiles {
            configured: false,
            rows: [0; 8],
            row_bytes: [0; 8],
            words: [[[0; SIDE]; SIDE]; 8],
        }
    }

    /// LDTILECFG.
    pub(super) fn configure(&mut self, config: &[u8; 64]) {
        assert_eq!(
            config[..16],
            [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        );
        *self = Self::new();
        self.configured = true;
        for tile in 0..8 {
            self.row_bytes[tile] =
                u16::from_le_bytes([config[16 + 2 * tile], config[17 + 2 * tile]]);
            self.rows[tile] = config[48 + tile];
            assert!(self.row_bytes[tile] <= 64 && self.rows[tile] <= 16);
        }
    }

    /// TILERELEASE.
    pub(super) fn release(&mut self) {
        *self = Self::new();
    }

    /// Rows of a tile, and words of each.
    fn size(&self, tile: usize) -> (usize, usize) {
        assert!(self.configured, "tiles without a configuration");
        let (rows, bytes) = (self.rows[tile], self.row_bytes[tile]);
        assert!(rows > 0 && bytes > 0 && bytes % 4 == 0);
        (usize::from(rows), usize::from(bytes) / 4)
    }

    /// TILEZERO.
    pub(super) fn zero(&mut self, tile: usize) {
        self.size(tile);
        self.words[tile] = [[0; SIDE]; SIDE];
    }

    /// TILELOADD.
    ///
    /// # Safety
    /// The rows, `stride` bytes apart from `base` on, are readable.
    pub(super) unsafe fn load(&mut self, tile: usize, base: *const u8, stride: usize) {
        let (rows, words) = self.size(tile);
        self.zero(tile);
        for row in 0..rows {
            for word in 0..words {
                let at = base.wrapping_add(row * stride + 4 * word).cast::<u32>();
                // SAFETY: the caller's promise.
                self.words[tile][row][word] = unsafe { at.read_unaligned() };
            }
        }
    }

    /// TILESTORED.
    ///
    /// # Safety
    /// The rows, `stride` bytes apart from `base` on, may be written.
    pub(super) unsafe fn store(&self, tile: usize, base: *mut u8, stride: usize) {
        let (rows, words) = self.size(tile);
        for row in 0..rows {
            for word in 0..words {
                let at = base.wrapping_add(row * stride + 4 * word).cast::<u32>();
                // SAFETY: the caller's promise.
                unsafe { at.write_unaligned(self.words[tile][row][word]) }
            }
        }
    }

    /// TDPBF16PS: for each sum, the even and the odd steps are added up apart, each with fused operations from zero on; their sum is
    /// added to what was there. Subnormal numbers count as zero, in and out (Intel's manual, volume 2).
    pub(super) fn dot_bf16(&mut self, sums: usize, a: usize, b: usize) {
        let (rows, cols, depth) = self.shape_of_dot(sums, a, b);
        let half = |word: u32, odd: usize| {
            let bits = if odd == 0 {
                word << 16
            } else {
                word & 0xffff_0000
            };
            flush(f32::from_bits(bits))
        };
        for i in 0..rows {
            let mut halves = [[0.0f32; 2]; SIDE];
            for k in 0..depth {
                for (j, halves) in halves[..cols].iter_mut().enumerate() {
                    for (odd, sum) in halves.iter_mut().enumerate() {
                        let (x, y) = (
                            half(self.words[a][i][k], odd),
                            half(self.words[b][k][j], odd),
                        );
                        *sum = flush(x.mul_add(y, *sum));
                    }
                }
            }
            for (j, [even, odd]) in halves[..cols].iter().enumerate() {
                let sum = flush(f32::from_bits(self.words[sums][i][j]));
                self.words[sums][i][j] = flush(sum + flush(even + odd)).to_bits();
            }
        }
    }

    /// TDPBUSD: unsigned bytes of `a` times signed ones of `b`, four to a word, added up without saturation.
    pub(super) fn dot_bytes(&mut self, sums: usize, a: usize, b: usize) {
        let (rows, cols, depth) = self.shape_of_dot(sums, a, b);
        for i in 0..rows {
            for k in 0..depth {
                for j in 0..cols {
                    let x = self.words[a][i][k].to_le_bytes();
                    let y = self.words[b][k][j].to_le_bytes();
                    for (x, y) in x.into_iter().zip(y) {
                        let product = i32::from(x) * i32::from(y.cast_signed());
                        let sum = &mut self.words[sums][i][j];
                        *sum = sum.wrapping_add_signed(product);
                    }
                }
            }
        }
    }

    /// Rows, columns and words of the inner dimension of a product, whose tiles must fit.
    fn shape_of_dot(&self, sums: usize, a: usize, b: usize) -> (usize, usize, usize) {
        let ((rows, cols), (a_rows, depth), (b_rows, b_cols)) =
            (self.size(sums), self.size(a), self.size(b));
        assert!(sums != a && sums != b && a != b);
        assert!(rows == a_rows && cols == b_cols && depth == b_rows);
        (rows, cols, depth)
    }
}

/// Subnormal numbers become zero.
fn flush(x: f32) -> f32 {
    if x.is_subnormal() {
        0.0f32.copysign(x)
    } else {
        x
    }
}

thread_local! {
    /// Whether the thread was prepared for [`SOFT`].
    static READY: Cell<bool> = const { Cell::new(false) };
}

/// The kernel on the model, with nothing but plain Rust around it.
pub(super) static SOFT: MicroKernel = kernel(
    run::<Soft>,
    pack_columns,
    plain::pack_rows,
    Session {
        begin: || assert!(!READY.replace(true), "configured twice"),
        end: || assert!(READY.replace(false), "released twice"),
    },
);

/// The kernel for bytes on the model.
pub(super) static SOFT_BYTES: MicroKernel = bytes::kernel(MicroKernel {
    run: bytes::run::<Soft>,
    ..SOFT
});

/// # Safety
/// As [`plain::pack_rows`].
unsafe fn pack_columns(panel: &Panel, out: *mut u32) {
    // SAFETY: the caller's promise.
    unsafe {
        pack_generic(panel, out);
        plain::fill_columns(panel, out);
    }
}

pub(super) struct Soft;

/// What a product's tiles go through, with one instruction or the other.
///
/// # Safety
/// As [`Tiles::multiply`].
unsafe fn multiply(pair: &Pair, sums: *mut u8, dot: fn(&mut SoftTiles, usize, usize, usize)) {
    assert!(READY.get(), "a tile outside of a session");
    let mut tiles = SoftTiles::new();
    tiles.configure(&CONFIG.0);
    let bytes = 4 * SIDE * SIDE;
    let width = 4 * SIDE * pair.b_tiles;
    let (mut a, mut b) = (pair.a.cast::<u8>(), pair.b.cast::<u8>());
    for _ in 0..pair.groups {
        // SAFETY: the caller's promise.
        unsafe {
            for i in 0..pair.a_tiles {
                tiles.load(4 + i, a.add(i * bytes), 4 * SIDE);
            }
            for j in 0..pair.b_tiles {
                tiles.load(6 + j, b.add(j * 4 * SIDE), width);
            }
            (a, b) = (a.add(pair.a_tiles * bytes), b.add(pair.b_tiles * bytes));
        }
        for i in 0..pair.a_tiles {
            for j in 0..pair.b_tiles {
                dot(&mut tiles, 2 * i + j, 4 + i, 6 + j);
            }
        }
    }
    for i in 0..pair.a_tiles {
        for j in 0..pair.b_tiles {
            // SAFETY: the caller's promise.
            unsafe { tiles.store(2 * i + j, sums.add(i * SIDE * width + j * 4 * SIDE), width) }
        }
    }
    tiles.release();
}

impl Tiles for Soft {
    unsafe fn multiply(pair: &Pair, sums: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { multiply(pair, sums.cast(), SoftTiles::dot_bf16) }
    }

    unsafe fn multiply_bytes(pair: &Pair, sums: *mut i32) {
        // SAFETY: the caller's promise.
        unsafe { multiply(pair, sums.cast(), SoftTiles::dot_bytes) }
    }

    unsafe fn finish(tile: &Tile, sums: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe {
            let sums = std::slice::from_raw_parts_mut(sums, tile.rows * tile.width);
            sums.iter_mut().for_each(|x| *x *= tile.alpha);
            portable::store(tile, sums);
        }
    }

    unsafe fn finish_bytes(tile: &Tile, sums: *mut i32) {
        // SAFETY: the caller's promise; columns that don't exist have no factors.
        unsafe {
            let sums = std::slice::from_raw_parts(sums, tile.rows * tile.width);
            let value = |(at, &sum): (usize, &i32)| match (at / tile.width, at % tile.width) {
                (i, j) if j < tile.cols => dequantized(tile, (i, j), sum),
                _ => 0.0,
            };
            let product: Vec<f32> = sums.iter().enumerate().map(value).collect();
            portable::store(tile, &product);
        }
    }
}
