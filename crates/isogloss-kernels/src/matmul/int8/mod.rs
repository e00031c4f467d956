//! Products in 8-bit integers, for decoding: a frozen weight is quantised per output channel when it is packed, the rows of the
//! other operand as they come.
//!
//! Both are symmetric: `q = round(127 x / max |x|)`, to nearest even, over an output channel or a row. A row is shifted by 128 to
//! unsigned bytes, which is what `VPDPBUSD` and AMX's `TDPBUSD` multiply with signed ones, and the shift is taken out again by the weights' sums. Integer sums
//! are exact, so every path gives the same bits; a row's result depends on that row alone.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod quantize;
mod weight;

use crate::cpu::Supported;
#[cfg(target_arch = "x86_64")]
use crate::cpu::{KernelPath, amx_multiplies_bytes};
#[cfg(target_arch = "x86_64")]
use crate::matmul::amx;
use crate::matmul::kernel::MicroKernel;

#[cfg(target_arch = "x86_64")]
pub(super) use avx512::{VNNI, finish as finish512};
#[cfg(test)]
pub(super) use portable::dequantized;
pub(super) use quantize::QuantizedRows;
pub use quantize::quantize_rows;
pub(super) use weight::Int8Weight;

/// Values in a word.
const QUAD: usize = 4;

/// Words of a row or column come in whole groups of this many, zeros beyond its values: AMX multiplies so many at a time. On every path,
/// so that rows and weights agree whoever made them; the widths of M2M-100 and NLLB models are whole groups anyway.
const GROUP: usize = 16;

/// The longest inner dimension: `255 * 128` times this still fits an `i32`.
pub(super) const MAX_DEPTH: usize = 1 << 16;

/// Products of fewer rows stay off AMX's tiles, which work as long on one row as on sixteen. By published throughputs VNNI takes 16 cycles
/// a row for what two tiles of columns take 32 for, and few rows wait for the weight's memory in either case: an estimate, not a
/// measurement.
const TILE_ROWS: usize = 5;

/// Words of a row or column of `depth` values.
fn words_of(depth: usize) -> usize {
    depth.div_ceil(QUAD).next_multiple_of(GROUP)
}

/// The kernels of a path, which take the same panels of columns: the one that packs them and multiplies few rows, and one that
/// multiplies more rows faster, if any. The machine has their instructions.
fn select(path: Supported) -> (&'static MicroKernel, Option<&'static MicroKernel>) {
    match path.path() {
        #[cfg(target_arch = "x86_64")]
        KernelPath::AmxBf16 if avx512::is_available() && amx_multiplies_bytes() => {
            (&VNNI, Some(&amx::INT8))
        }
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx512 | KernelPath::Avx512Bf16 | KernelPath::AmxBf16
            if avx512::is_available() =>
        {
            (&VNNI, None)
        }
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx512 | KernelPath::Avx512Bf16 | KernelPath::AmxBf16 | KernelPath::Avx2 => {
            (&avx2::INT8, None)
        }
        _ => (&portable::INT8, None),
    }
}
