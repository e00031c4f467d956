//! The commands, a file each.

mod score;
mod translate;

use crate::failure::Outcome;
use clap::Subcommand;

/// What the program is asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Score(score::Args),
    Translate(Box<translate::Args>),
}

impl Command {
    pub(crate) fn run(&self) -> Outcome {
        match self {
            Self::Score(args) => score::run(args),
            Self::Translate(args) => translate::run(args),
        }
    }
}
