//! Products in 8-bit integers, for decoding: a frozen weight is quantised per output channel when it is packed, the rows of the
//! other operand as they come.
//!
//! Both are symmetric: `q = round(127 x / max |x|)`, to nearest even, over an output channel or a row. A row is shifted by 128 to
//! unsigned bytes, which is what `VPDPBUSD` multiplies with signed ones, and the shift is taken out again by the weights' sums. Integer sums
//! are exact, so every path gives the same bits; a row's result depends on that row alone.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod quantize;
mod weight;

#[cfg(target_arch = "x86_64")]
use crate::cpu::KernelPath;
use crate::cpu::Supported;
use crate::matmul::kernel::MicroKernel;

pub(super) use quantize::QuantizedRows;
pub use quantize::quantize_rows;
pub(super) use weight::Int8Weight;

/// Values in a word.
const QUAD: usize = 4;

/// The longest inner dimension: `255 * 127` times this still fits an `i32`.
const MAX_DEPTH: usize = 1 << 16;

/// Words of a row or column of `depth` values.
fn words_of(depth: usize) -> usize {
    depth.div_ceil(QUAD)
}

/// The kernel of a path. The machine has its instructions.
fn select(path: Supported) -> &'static MicroKernel {
    match path.path() {
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx512 | KernelPath::Avx512Bf16 | KernelPath::AmxBf16
            if avx512::is_available() =>
        {
            &avx512::VNNI
        }
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx512 | KernelPath::Avx512Bf16 | KernelPath::AmxBf16 | KernelPath::Avx2 => {
            &avx2::INT8
        }
        _ => &portable::INT8,
    }
}
