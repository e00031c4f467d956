//! The commands, a file each.

mod adapters;
mod bench;
mod command_line;
mod compare;
mod compute;
mod config;
mod decoding;
mod demo;
mod evaluate;
mod explore;
mod model;
mod page;
mod pilot;
mod pretrain;
mod report;
mod rollout;
mod score;
mod train;
mod training;
mod translate;

use crate::failure::Outcome;
use clap::Subcommand;

/// What the program is asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Args),
    Explore(explore::Args),
    Pilot(pilot::Args),
    Train(train::Args),
    Translate(Box<translate::Args>),
    Evaluate(Box<evaluate::Args>),
    Compare(compare::Args),
    Score(score::Args),
    Report(report::Args),
    Rollout(rollout::Args),
    Pretrain(pretrain::Args),
    Config(config::Args),
    Model(model::Args),
    Adapters(adapters::Args),
    Bench(bench::Args),
}

impl Command {
    pub(crate) fn run(&self, quiet: bool) -> Outcome {
        match self {
            Self::Demo(args) => demo::run(args, quiet),
            Self::Explore(args) => explore::run(args, quiet),
            Self::Pilot(args) => pilot::run(args, quiet),
            Self::Train(args) => train::run(args, quiet),
            Self::Translate(args) => translate::run(args),
            Self::Evaluate(args) => evaluate::run(args, quiet),
            Self::Compare(args) => compare::run(args, quiet),
            Self::Score(args) => score::run(args),
            Self::Report(args) => report::run(args),
            Self::Rollout(args) => rollout::run(args),
            Self::Pretrain(args) => pretrain::run(args, quiet),
            Self::Config(args) => config::run(args),
            Self::Model(args) => model::run(args, quiet),
            Self::Adapters(args) => adapters::run(args),
            Self::Bench(args) => bench::run(args, quiet),
        }
    }
}
