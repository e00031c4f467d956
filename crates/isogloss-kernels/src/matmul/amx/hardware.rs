//! The processor's tiles. The intrinsics aren't stable, so the instructions stand in inline assembly.
//!
//! What the assembler makes of them was checked by disassembling the tests (`objdump -d`, an independent decoder) and by running
//! them under `trap`, which decodes them as Intel's manual says.

use std::arch::asm;
use std::arch::x86_64::*;

use crate::matmul::amx::{CONFIG, Pair, SIDE, Tiles, bytes, kernel, pack512, run};
use crate::matmul::avx512::{LANES, store};
use crate::matmul::int8::finish512;
use crate::matmul::kernel::{MicroKernel, Session, Tile};

pub(in crate::matmul) static BF16: MicroKernel = kernel(
    run::<Amx>,
    pack512::pack_columns,
    pack512::pack_rows,
    Session {
        begin: configure,
        end: release,
    },
);

pub(in crate::matmul) static INT8: MicroKernel = bytes::kernel(MicroKernel {
    run: bytes::run::<Amx>,
    pack: pack512::pack_columns_of_words,
    pack_rows: pack512::pack_rows_of_words,
    ..BF16
});

/// Gives the thread's tiles their shapes. Configuration is a thread's own; the compiler never touches it, since no function here
/// has the feature, and the operating system keeps it while the thread waits.
///
/// # Safety
/// The processor has AMX, and the operating system lets the process use it.
unsafe fn configure() {
    // SAFETY: the operand is 64 bytes that describe shapes which every processor with AMX has.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG_BYTES, options(nostack, readonly, preserves_flags));
    }
}

/// In memory once, not on every caller's stack.
static CONFIG_BYTES: super::Config = CONFIG;

/// Empties the tiles, so that the system has nothing to keep and the core may rest.
///
/// # Safety
/// As [`configure`].
unsafe fn release() {
    // SAFETY: the caller's promise. Tiles are used inside `multiply` alone.
    unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) }
}

/// The tiles of the thread.
pub(super) struct Amx;

/// Multiplies two panels: clears the sums, takes the steps for each group, stores the sums. All in one block of assembly, so that no
/// tile holds anything between blocks. `{line}` and `{width}` are the bytes from row to row of `a`, and of `b` and the sums.
macro_rules! panels {
    ($pair:ident, $sums:ident, [$($clear:expr),* $(,)?], [$($step:expr),* $(,)?], [$($keep:expr),* $(,)?]) => {
        asm!(
            $($clear,)*
            "test {groups}, {groups}",
            "jz 3f",
            "2:",
            $($step,)*
            "dec {groups}",
            "jnz 2b",
            "3:",
            $($keep,)*
            a = inout(reg) $pair.a => _,
            b = inout(reg) $pair.b => _,
            groups = inout(reg) $pair.groups => _,
            sums = in(reg) $sums,
            line = in(reg) 4 * SIDE,
            width = in(reg) 4 * SIDE * $pair.b_tiles,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// Multiplies two panels of any shape with the instruction `$dot`.
macro_rules! multiply {
    ($pair:ident, $sums:ident, $dot:literal) => {
        match ($pair.a_tiles, $pair.b_tiles) {
            (1, 1) => panels!(
                $pair,
                $sums,
                ["tilezero tmm0"],
                [
                    "tileloadd tmm4, [{a} + {line}*1]",
                    "tileloadd tmm6, [{b} + {width}*1]",
                    concat!($dot, " tmm0, tmm4, tmm6"),
                    "add {a}, 1024",
                    "add {b}, 1024",
                ],
                ["tilestored [{sums} + {width}*1], tmm0"]
            ),
            (1, _) => panels!(
                $pair,
                $sums,
                ["tilezero tmm0", "tilezero tmm1"],
                [
                    "tileloadd tmm4, [{a} + {line}*1]",
                    "tileloadd tmm6, [{b} + {width}*1]",
                    concat!($dot, " tmm0, tmm4, tmm6"),
                    "tileloadd tmm7, [{b} + {width}*1 + 64]",
                    concat!($dot, " tmm1, tmm4, tmm7"),
                    "add {a}, 1024",
                    "add {b}, 2048",
                ],
                [
                    "tilestored [{sums} + {width}*1], tmm0",
                    "tilestored [{sums} + {width}*1 + 64], tmm1",
                ]
            ),
            (_, 1) => panels!(
                $pair,
                $sums,
                ["tilezero tmm0", "tilezero tmm2"],
                [
                    "tileloadd tmm6, [{b} + {width}*1]",
                    "tileloadd tmm4, [{a} + {line}*1]",
                    concat!($dot, " tmm0, tmm4, tmm6"),
                    "tileloadd tmm5, [{a} + {line}*1 + 1024]",
                    concat!($dot, " tmm2, tmm5, tmm6"),
                    "add {a}, 2048",
                    "add {b}, 1024",
                ],
                [
                    "tilestored [{sums} + {width}*1], tmm0",
                    "tilestored [{sums} + {width}*1 + 1024], tmm2",
                ]
            ),
            (_, _) => panels!(
                $pair,
                $sums,
                [
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3"
                ],
                [
                    "tileloadd tmm6, [{b} + {width}*1]",
                    "tileloadd tmm4, [{a} + {line}*1]",
                    concat!($dot, " tmm0, tmm4, tmm6"),
                    "tileloadd tmm7, [{b} + {width}*1 + 64]",
                    concat!($dot, " tmm1, tmm4, tmm7"),
                    "tileloadd tmm5, [{a} + {line}*1 + 1024]",
                    concat!($dot, " tmm2, tmm5, tmm6"),
                    concat!($dot, " tmm3, tmm5, tmm7"),
                    "add {a}, 2048",
                    "add {b}, 2048",
                ],
                [
                    "tilestored [{sums} + {width}*1], tmm0",
                    "tilestored [{sums} + {width}*1 + 64], tmm1",
                    "tilestored [{sums} + {width}*1 + 2048], tmm2",
                    "tilestored [{sums} + {width}*1 + 2112], tmm3",
                ]
            ),
        }
    };
}

impl Tiles for Amx {
    unsafe fn multiply(pair: &Pair, sums: *mut f32) {
        // SAFETY: the caller's promise. A group of `a` is 1024 bytes a tile, row after row; one of `b` and the sums are 16 rows
        // of 64 bytes a tile.
        unsafe { multiply!(pair, sums, "tdpbf16ps") }
    }

    unsafe fn multiply_bytes(pair: &Pair, sums: *mut i32) {
        // SAFETY: as above.
        unsafe { multiply!(pair, sums, "tdpbusd") }
    }

    unsafe fn finish_bytes(tile: &Tile, sums: *mut i32) {
        // SAFETY: the caller's promise; every machine with this kernel has AVX-512.
        unsafe { finish512(tile, sums) }
    }

    unsafe fn finish(tile: &Tile, sums: *mut f32) {
        // SAFETY: the caller's promise; every machine with this kernel has AVX-512.
        unsafe { finish(tile, sums) }
    }
}

/// # Safety
/// As [`Tiles::finish`], with AVX512F.
#[target_feature(enable = "avx512f")]
unsafe fn finish(tile: &Tile, sums: *mut f32) {
    let vectors = tile.rows * (tile.width / LANES);
    // SAFETY: the caller's promise: so many vectors are there, aligned, and nobody else knows them.
    let sums = unsafe { std::slice::from_raw_parts_mut(sums.cast::<__m512>(), vectors) };
    // Products have a factor in a few places alone; a pass for 1 would change nothing.
    if tile.alpha != 1.0 {
        for x in &mut *sums {
            *x = _mm512_mul_ps(_mm512_set1_ps(tile.alpha), *x);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { store(tile, sums) }
}
