//! `isogloss explore`: learns where updates belong and how large they must be, and writes a plan.

use super::training::{self, RunArgs};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::Progress;
use isogloss::config::TrainConfig;
use isogloss::plan::{Budget, BudgetError};
use isogloss::train::{Exploration, ExploreOptions};
use std::fmt::Write as _;

const AFTER_HELP: &str = "\
Examples:
  isogloss explore examples/factory/lslo.toml --dry-run
  isogloss explore examples/factory/lslo.toml --budget 5%
  isogloss explore examples/factory/lslo.toml --budget 5% --explain
  isogloss train examples/factory/lslo.toml --plan runs/factory/lslo/plan.toml --run runs/factory/planned

Two short runs with the text and the settings of training: in the first every layer has updates of both sides, mixed with learnt
weights; in the second all languages have one rank, and their entries compete. With another budget the same command plans anew
without training again. The section [explore] of the configuration says how it is done; plan.toml and explore.json lie in the run's
folder. Stop with Ctrl-C, go on with the same command.";

/// Learn which language's updates belong where, and how large they must be; writes a plan for training
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, mut_arg("tensorboard", |arg| arg.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// Parameters of all updates together: a share of the base such as 5%, or a number such as 500k
    #[arg(long, value_name = "BUDGET", default_value = "5%", value_parser = |text: &str| text.parse::<Budget>().map_err(|e: BudgetError| e.to_string()))]
    budget: Budget,
    /// One rank for all languages of a class (high, medium, low), as in the method's paper
    #[arg(long)]
    classes: bool,
    /// Let training with the plan prune this share of the entries of B, 0 to 1; without, the configuration says
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pruning: Option<f64>,
    /// Say in words why everything in the plan is as it is
    #[arg(long, conflicts_with = "json")]
    explain: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok();
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    let (mut config, dir) = args.run.read::<TrainConfig>()?;
    config.compute = args.run.compute(config.compute);
    let options = ExploreOptions {
        budget: args.budget,
        classes: args.classes,
        pruning: args.pruning,
    };
    if args.run.dry_run {
        let estimate = isogloss::train::estimate_exploring(&config, &dir, &options);
        let estimate = estimate.map_err(training::train_failure)?;
        return args.run.print_estimate(&estimate, config.compute);
    }
    let hint = "leave out --tensorboard; events.jsonl of both lie in the run's folder explore";
    args.run.refuse_board("explore", hint)?;
    let mut progress = Progress::start(quiet);
    let found = isogloss::train::explore(&config, &dir, &options, &mut progress);
    drop(progress);
    let Some(found) = found.map_err(training::train_failure)? else {
        return Err(Failure::interrupted(
            "stopped; the state is saved. To go on: the same command again".to_owned(),
        ));
    };
    if args.run.json {
        return output::json(&found);
    }
    let text = if args.explain {
        found.plan.to_toml(&found.reasons)
    } else {
        table(&found)
    };
    output::print(&format!("{text}{}\n", found.path.display()))
}

/// Sides and demands in short.
fn table(found: &Exploration) -> String {
    let mut text = String::new();
    for placed in &found.placement {
        let weights = &placed.weights;
        let _ = writeln!(
            text,
            "{:<20} {:<7} (source {:.2}, target {:.2})",
            weights.place.to_string(),
            placed.chosen.name(),
            weights.source,
            weights.target
        );
    }
    let _ = writeln!(text, "\n{:<12} {:>7} {:>5}", "language", "demand", "rank");
    for (language, rank) in &found.plan.ranks {
        let at = found
            .demand
            .languages
            .iter()
            .position(|l| l == language.code());
        let demand = at.map_or(0.0, |at| found.demand.overall[at]);
        let _ = writeln!(text, "{language:<12} {:>6.1}% {rank:>5}", 100.0 * demand);
    }
    if let Some(correlation) = found.check.correlation {
        let _ = writeln!(
            text,
            "\nrank correlation of demand with what a language loses when its update is cut: {correlation:.2}"
        );
    }
    text
}
