//! The commands, a file each.

mod pretrain;
mod score;
mod train;
mod training;

use crate::failure::Outcome;
use clap::Subcommand;

/// What the program is asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Train(train::Args),
    Pretrain(pretrain::Args),
    Score(score::Args),
}

impl Command {
    pub(crate) fn run(&self, quiet: bool) -> Outcome {
        match self {
            Self::Train(args) => train::run(args, quiet),
            Self::Pretrain(args) => pretrain::run(args, quiet),
            Self::Score(args) => score::run(args),
        }
    }
}
