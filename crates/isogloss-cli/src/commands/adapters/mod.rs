//! `isogloss adapters`: what a folder of adapters holds, and a smaller copy of it.

mod check;
mod compact;
mod inspect;

use crate::failure::Outcome;
use clap::Subcommand;

const AFTER_HELP: &str = "\
Examples:
  isogloss adapters inspect runs/factory/lslo/adapters
  isogloss adapters compact runs/factory/lslo/adapters --output small";

/// Look at adapters, and make smaller copies of them
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Inspect(inspect::Args),
    Compact(compact::Args),
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.action {
        Action::Inspect(args) => inspect::run(args),
        Action::Compact(args) => compact::run(args),
    }
}

/// A part as a person reads it.
fn percent(part: usize, of: usize) -> String {
    format!("{:.1}%", 100.0 * part as f64 / of.max(1) as f64)
}

/// Ranks as a person reads them: one, or from the lowest to the highest.
fn range(ranks: impl Iterator<Item = usize> + Clone) -> String {
    match (ranks.clone().min(), ranks.max()) {
        (Some(least), Some(most)) if least < most => format!("{least}-{most}"),
        (Some(rank), _) => rank.to_string(),
        (None, _) => "-".to_owned(),
    }
}
