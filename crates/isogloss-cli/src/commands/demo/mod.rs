//! `isogloss demo`: adapts the model that ships with the project to a handbook, three ways, and compares.

mod measure;
mod show;

use super::training::{interrupted, train_failure};
use crate::failure::{Failure, Outcome};
use crate::progress::Progress;
use isogloss::config::{self, TrainConfig};
use isogloss::language::{Direction, Language, Resource};
use isogloss::train::{self, TrainError};
use measure::{Measure, Scores};
use std::path::{Path, PathBuf};
use std::time::Instant;

const AFTER_HELP: &str = "\
Examples:
  isogloss demo
  isogloss demo --quick
  isogloss demo --json > demo.json

Needs no network. Reads `models/mini`, `examples/factory` and `examples/everyday`, writes to `runs/demo`. Stop with Ctrl-C, go
on with the same command; `--fresh` starts over.";

/// Adapt the model that ships here to a factory handbook, three ways, and compare
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// One epoch instead of all: a look, not a result
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
    /// With adapters, the same with the updates that there are: the shared one, or English's alone.
    combined: Option<Scores>,
}

/// Everything that the demo found.
#[derive(Debug)]
struct Report {
    base_parameters: usize,
    classes: Vec<(Language, Resource)>,
    rows: Vec<Row>,
    seconds: f64,
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    let started = Instant::now();
    let runs = args.root.join("runs").join(match args.quick {
        true => "demo-quick",
        false => "demo",
    });
    if args.fresh && runs.exists() {
        std::fs::remove_dir_all(&runs).map_err(|error| {
            Failure::input(
                anyhow::Error::from(error).context(format!("cannot remove {}", runs.display())),
            )
        })?;
    }
    let plans = METHODS
        .iter()
        .map(|method| Plan::read(args, method, &runs))
        .collect::<Outcome<Vec<_>>>()?;
    if !args.json {
        show::introduction(&plans)?;
    }
    let mut progress = Progress::start(quiet);
    let measure = Measure::new(args, &plans[0], quiet)?;
    let (base_parameters, base) = measure.base()?;
    let mut rows = vec![base];
    for plan in &plans {
        progress.restart(plan.method);
        let adapted = train::adapt(&plan.config, &plan.dir, &mut progress).map_err(failure)?;
        if adapted.trained.outcome == train::Outcome::Interrupted {
            progress.pause();
            return Err(interrupted(&adapted.trained));
        }
        progress.pause();
        rows.push(measure.method(plan.method, &adapted)?);
    }
    let report = Report {
        base_parameters,
        classes: plans[0].classes(),
        rows,
        seconds: started.elapsed().as_secs_f64(),
    };
    match args.json {
        true => show::json(&report),
        false => show::tables(&report, measure.adapted(), &runs),
    }
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

/// One method's configuration.
#[derive(Debug)]
struct Plan {
    method: &'static str,
    config: TrainConfig,
    /// Where the configuration's paths start.
    dir: PathBuf,
}

impl Plan {
    fn read(args: &Args, method: &'static str, runs: &Path) -> Outcome<Self> {
        let dir = args.root.join("examples/factory");
        let path = dir.join(format!("{method}.toml"));
        let mut config: TrainConfig = config::read(&path).map_err(|error| {
            Failure::input(error)
                .hint("run the demo in the project's folder, or name it with --root")
        })?;
        // Relative to the configuration's folder, unless the root is absolute.
        config.run = std::path::absolute(runs.join(method)).map_err(Failure::input)?;
        config.compute.threads = args.threads;
        if args.quick {
            config.training.epochs = 1;
        }
        Ok(Plan {
            method,
            config,
            dir,
        })
    }

    fn classes(&self) -> Vec<(Language, Resource)> {
        let classes = self.config.languages.iter();
        let all = classes
            .flat_map(|(&class, languages)| languages.iter().map(move |l| (l.clone(), class)));
        all.collect()
    }

    fn languages(&self) -> Vec<Language> {
        self.classes()
            .into_iter()
            .map(|(language, _)| language)
            .collect()
    }

    /// From and to English, as the configurations train them.
    fn directions(&self) -> Vec<Direction> {
        let wanted = self.config.directions.filter(&self.languages());
        match wanted {
            isogloss::corpus::DirectionFilter::Only(directions) => directions.into_iter().collect(),
            _ => Vec::new(),
        }
    }
}
