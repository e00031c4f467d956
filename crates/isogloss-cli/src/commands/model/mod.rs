//! `isogloss model`: what a model folder holds, and a copy of it in bytes.

mod inspect;
mod quantize;

use crate::failure::Outcome;
use clap::Subcommand;

const AFTER_HELP: &str = "\
Examples:
  isogloss model inspect models/mini
  isogloss model quantize m2m100_418M --output m2m100_418M-int8";

/// Look at model folders, and make smaller copies of them
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Inspect(inspect::Args),
    Quantize(quantize::Args),
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    match &args.action {
        Action::Inspect(args) => inspect::run(args),
        Action::Quantize(args) => quantize::run(args, quiet),
    }
}

/// Bytes as a person reads them.
fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}
