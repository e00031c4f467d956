//! What the commands that translate have in common.

use crate::failure::Failure;
use clap::ValueEnum;
use isogloss::decode::{DecodeError, MissingUpdates};

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
