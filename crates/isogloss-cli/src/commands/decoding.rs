//! What the commands that translate have in common.

use crate::failure::{Failure, Outcome};
use clap::ValueEnum;
use isogloss::decode::{DecodeError, MissingUpdates};
use isogloss_kernels::{Cpu, Precision};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PrecisionArg {
    F32,
    Bf16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum MissingArg {
    Error,
    /// The base alone translates the direction
    Base,
    /// The updates that there are act
    Combine,
}

impl From<MissingArg> for MissingUpdates {
    fn from(missing: MissingArg) -> Self {
        match missing {
            MissingArg::Error => MissingUpdates::Error,
            MissingArg::Base => MissingUpdates::Base,
            MissingArg::Combine => MissingUpdates::Combine,
        }
    }
}

/// The backend; 0 threads are as many as the machine offers.
pub(crate) fn backend(threads: usize, precision: PrecisionArg) -> Outcome<Cpu> {
    let precision = match precision {
        PrecisionArg::F32 => Precision::F32,
        PrecisionArg::Bf16 => Precision::Bf16,
    };
    let backend = Cpu::new(threads).map_err(Failure::input)?;
    Ok(backend.with_precision(precision))
}

/// What to do about an error, where an option helps.
pub(crate) fn hint(error: &DecodeError) -> Option<&'static str> {
    match error {
        DecodeError::NoUpdate { .. } => Some("`--missing base` translates with the base alone"),
        DecodeError::NotTrained { .. } => Some(
            "`--missing base` translates with the base alone, `--missing combine` with the updates of both languages",
        ),
        DecodeError::LongLines { .. } => Some("`--long-lines split` splits them"),
        _ => None,
    }
}

pub(crate) fn failure(error: DecodeError) -> Failure {
    let hint = hint(&error);
    let failure = Failure::input(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
