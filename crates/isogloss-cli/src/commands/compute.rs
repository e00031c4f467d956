//! The machine's share, as options of commands name it.

use crate::failure::{Failure, Outcome};
use clap::ValueEnum;
use isogloss::config::ComputePrecision;
use isogloss_kernels::{Cpu, Precision};

/// What matrix products are computed from.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PrecisionArg {
    F32,
    Bf16,
}

impl From<PrecisionArg> for ComputePrecision {
    fn from(precision: PrecisionArg) -> Self {
        match precision {
            PrecisionArg::F32 => ComputePrecision::F32,
            PrecisionArg::Bf16 => ComputePrecision::Bf16,
        }
    }
}

/// What the commands that translate compute products from.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DecodingPrecisionArg {
    F32,
    Bf16,
    /// Weights and activations in 8 bits: fastest, least memory
    Int8,
}

impl From<PrecisionArg> for Precision {
    fn from(precision: PrecisionArg) -> Self {
        ComputePrecision::from(precision).into()
    }
}

impl From<DecodingPrecisionArg> for Precision {
    fn from(precision: DecodingPrecisionArg) -> Self {
        match precision {
            DecodingPrecisionArg::F32 => Precision::F32,
            DecodingPrecisionArg::Bf16 => Precision::Bf16,
            DecodingPrecisionArg::Int8 => Precision::Int8,
        }
    }
}

/// The backend; 0 threads are as many as the machine offers.
pub(crate) fn backend(threads: usize, precision: impl Into<Precision>) -> Outcome<Cpu> {
    let cpu = Cpu::new(threads).map_err(Failure::input)?;
    Ok(cpu.with_precision(precision.into()))
}
