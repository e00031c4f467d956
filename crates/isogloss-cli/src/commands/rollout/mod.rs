//! `isogloss rollout`: what serves each direction.

mod plan;

use crate::failure::Outcome;
use clap::Subcommand;

const AFTER_HELP: &str = "\
Examples:
  isogloss rollout plan valid.json test.json -o rollout.toml
  isogloss translate --model base --adapters runs/a/adapters --rollout rollout.toml --from eng_Latn --to oci_Latn < in.txt";

/// Decide which directions the adapters serve, and which the base
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Plan(plan::Args),
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.action {
        Action::Plan(args) => plan::run(args),
    }
}
