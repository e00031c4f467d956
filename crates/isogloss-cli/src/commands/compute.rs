//! The machine's share, as options of commands name it.

use crate::failure::{Failure, Outcome};
use clap::ValueEnum;
use isogloss::config::{Compute, ComputePrecision};
use isogloss_kernels::Cpu;

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

/// The backend; 0 threads are as many as the machine offers.
pub(crate) fn backend(threads: usize, precision: PrecisionArg) -> Outcome<Cpu> {
    let compute = Compute {
        threads,
        precision: precision.into(),
    };
    compute.backend().map_err(Failure::input)
}
