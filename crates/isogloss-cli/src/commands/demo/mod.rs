//! `isogloss demo`: adapts the model that ships with the project to a handbook, three ways, and compares.

mod examples;
mod measure;
mod plan;
mod report;
mod show;

use super::training::{interrupted, train_failure};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::Progress;
use isogloss::train::{self, TrainError};
use measure::{Measure, Scores};
use plan::{FULL, Plan, QUICK, Size};
use report::Report;
use std::path::{Path, PathBuf};
use std::time::Instant;

const AFTER_HELP: &str = "\
Examples:
  isogloss demo
  isogloss demo --quick
  isogloss demo --json > demo.json

Needs no network. Reads `models/mini`, `examples/factory` and `examples/everyday`, writes to `runs/demo` (with --quick to
`runs/demo-quick`). Stop with Ctrl-C, go on with the same command; `--fresh` starts over.";

/// Adapt the model that ships here to a factory handbook, three ways, and compare
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Five languages and one epoch: a look within a minute, not a result
    #[arg(long)]
    quick: bool,
    /// Start over, also where an earlier demo is finished
    #[arg(long)]
    fresh: bool,
    /// Folder of the project, with `models` and `examples` in it
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
    /// Threads; 0 takes all cores
    #[arg(long, value_name = "N", default_value_t = 0, env = "ISOGLOSS_THREADS")]
    threads: usize,
}

/// The methods in the order of the table; the base is measured first.
const METHODS: [&str; 3] = ["full", "lora", "lslo"];

/// Directions outside the adapted ones, on other text: languages of `examples/everyday` that the handbook's configurations leave
/// alone, from and to English.
const HARM: [&str; 4] = ["por_Latn", "rus_Cyrl", "ukr_Cyrl", "hun_Latn"];

/// A method with what it took and reached.
#[derive(Debug)]
struct Row {
    method: &'static str,
    trainable: usize,
    /// Of training.
    seconds: f64,
    adapted: Scores,
    /// Directions that nobody adapted, as they are served: with adapters, they run on the base.
    others: Scores,
    /// With adapters, the same with the updates that there are: the shared one, or English's alone. Not in a quick demo.
    combined: Option<Scores>,
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    let (size, name) = match args.quick {
        true => (&QUICK, "demo-quick"),
        false => (&FULL, "demo"),
    };
    let runs = args.root.join("runs").join(name);
    if args.fresh && runs.exists() {
        std::fs::remove_dir_all(&runs).map_err(|error| {
            Failure::input(
                anyhow::Error::from(error).context(format!("cannot remove {}", runs.display())),
            )
        })?;
    }
    let plans = METHODS
        .iter()
        .map(|method| Plan::read(args, method, size, &runs))
        .collect::<Outcome<Vec<_>>>()?;
    let measure = Measure::new(args, &plans[0], size, quiet)?;
    if !args.json {
        output::print(&show::introduction(&plans, size, measure.sentences()))?;
    }
    let report = compare(args, quiet, size, &plans, &measure)?;
    report.write(measure.adapted(), &runs)?;
    match args.json {
        true => output::print(&report.json()?),
        false => output::print(&show::ending(&report, measure.adapted(), &runs)),
    }
}

/// The base, then each method; a row of the table as soon as it is known.
fn compare(
    args: &Args,
    quiet: bool,
    size: &Size,
    plans: &[Plan],
    measure: &Measure,
) -> Outcome<Report> {
    let started = Instant::now();
    let mut progress = Progress::start_brief(quiet);
    let (base_parameters, base) = measure.base(&show::step(0))?;
    let mut report = Report {
        base_parameters,
        classes: plans[0].classes(),
        rows: Vec::new(),
        seconds: 0.0,
    };
    let say = |text: &str| match args.json {
        true => Ok(()),
        false => output::print(text),
    };
    say(&show::expectation(size, started.elapsed().as_secs_f64()))?;
    say(&show::header())?;
    say(&show::row(&base, &base))?;
    report.rows.push(base);
    for (i, plan) in plans.iter().enumerate() {
        let step = show::step(i + 1);
        progress.restart(&step);
        let adapted = train::adapt(&plan.config, &plan.dir, &mut progress).map_err(failure)?;
        progress.pause();
        if adapted.trained.outcome == train::Outcome::Interrupted {
            return Err(interrupted(&adapted.trained));
        }
        let row = measure.method(plan.method, &step, &adapted)?;
        say(&show::row(&row, &report.rows[0]))?;
        report.rows.push(row);
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// An error of training, with the demo's own way out where files changed since an earlier demo.
fn failure(error: TrainError) -> Failure {
    let changed = matches!(
        error,
        TrainError::ConfigChanged { .. } | TrainError::InputChanged { .. }
    );
    let failure = train_failure(error);
    match changed {
        true => failure.hint("an earlier demo ran with other files; `--fresh` starts over"),
        false => failure,
    }
}

/// The folder of a method's adapters, as a user types it.
fn adapters(runs: &Path) -> PathBuf {
    let runs = runs.strip_prefix(".").unwrap_or(runs);
    runs.join("lslo").join("adapters")
}
