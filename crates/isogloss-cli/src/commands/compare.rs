//! `isogloss compare`: methods beside each other, trained and scored over seeds.

use super::page::PageArgs;
use super::training::{RunArgs, train_failure};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::Progress;
use isogloss::compare::{
    Budget, CompareConfig, CompareError, Ending, Experiment, Label, Protocol, Watcher,
};
use isogloss::evaluate;

const AFTER_HELP: &str = "\
Examples:
  isogloss compare examples/factory/compare.toml --published --dry-run
  isogloss compare examples/factory/compare.toml --budget-hours 0.2
  isogloss compare examples/flores12/compare.toml --budget-hours 12

Trains and scores the base, a copy of the source, full fine-tuning, shared LoRA of equal size, LSLo and whatever else the file names.
What doesn't fit into the budget is reduced, in this order: pairs of an epoch, seeds, directions, sentences; what was reduced is written
down before anything starts, and every figure says so. Stop with Ctrl-C, go on with the same command. The results are in the
comparison's folder: results.md and report.html for people, results.json for programs, each cell with its translations beside them.";

/// Train and score methods of adaptation beside each other, over seeds, within a budget of hours
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, mut_arg("tensorboard", |arg| arg.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// How long it may take here, by prediction; what doesn't fit is reduced
    #[arg(long, value_name = "HOURS", value_parser = hours, conflicts_with = "published")]
    budget_hours: Option<f64>,
    /// The whole experiment, whatever it takes
    #[arg(long)]
    published: bool,
    #[command(flatten)]
    page: PageArgs,
}

fn hours(text: &str) -> Result<f64, String> {
    let hours: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    match hours.is_finite() && hours > 0.0 {
        true => Ok(hours),
        false => Err("expected a positive number of hours".to_owned()),
    }
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    args.run.refuse_board("compare", RunArgs::CURVES)?;
    let (config, dir) = args.run.read::<CompareConfig>()?;
    let compute = |compute| args.run.compute(compute);
    let mut experiment = Experiment::open(&config, &dir, compute).map_err(wrong)?;
    experiment.set_page_language(args.page.lang);
    let budget = match args.budget_hours {
        Some(hours) => Some(Budget::Hours(hours)),
        None => args.published.then_some(Budget::Published),
    };
    // A dry run without a budget says what the whole would take.
    let budget = match (args.run.dry_run, budget) {
        (true, None) if experiment.started().map_err(wrong)?.is_none() => Some(Budget::Published),
        _ => budget,
    };
    experiment.warn_of_overlap().map_err(wrong)?;
    experiment.warn_of_trained();
    let protocol = experiment.plan(budget).map_err(wrong)?;
    if args.run.dry_run {
        return dry_run(args, &experiment, &protocol);
    }
    if !quiet {
        output::say(protocol.describe());
    }
    let mut progress = Progress::start(quiet);
    let ending = experiment.run(&protocol, &mut progress);
    drop(progress);
    match ending.map_err(wrong)? {
        Ending::Interrupted(cell) => Err(Failure::interrupted(format!(
            "stopped in {cell}; the state is saved. To go on: the same command again"
        ))),
        Ending::Finished(results) if args.run.json => output::json(&results),
        Ending::Finished(results) => {
            let path = experiment.folder().join("results.md");
            output::print(&format!("{}{}\n", results.text(), path.display()))
        }
    }
}

/// What would be done, and how large the methods are.
fn dry_run(args: &Args, experiment: &Experiment, protocol: &Protocol) -> Outcome {
    if args.run.json {
        let mut value = serde_json::to_value(protocol).map_err(Failure::internal)?;
        let methods = experiment.methods().iter().map(|method| {
            serde_json::json!({
                "method": method.name,
                "kind": method.kind,
                "rank": method.shared_rank(),
                "trained": method.estimate.trainable,
                "active": method.estimate.active,
                "memory": method.estimate.memory,
            })
        });
        value["methods"] = methods.collect();
        return output::json(&value);
    }
    let mut text = format!(
        "{:<28}{:>16}{:>16}{:>6}{:>12}\n",
        "method", "trained", "one direction", "rank", "memory"
    );
    for method in experiment.methods() {
        let rank = method.shared_rank().map(|rank| rank.to_string());
        text += &format!(
            "{:<28}{:>16}{:>16}{:>6}{:>9.2} GB\n",
            method.name,
            method.estimate.trainable,
            method.estimate.active,
            rank.unwrap_or_default(),
            method.estimate.memory as f64 / 1e9
        );
    }
    text += &format!("\n{}", protocol.describe());
    if protocol.label == Label::Published && args.budget_hours.is_none() {
        text += "`--budget-hours N` says what of it fits into N hours\n";
    }
    output::print(&text)
}

fn wrong(error: CompareError) -> Failure {
    match error {
        CompareError::Train(error) => train_failure(error),
        error => Failure::input(error),
    }
}

impl Watcher for Progress {
    fn stage(&mut self, name: &str) {
        self.restart(name);
    }

    fn translating(&mut self, progress: evaluate::Progress) {
        self.translated(progress);
    }
}
