//! `isogloss pilot`: gain, harm and cost of adapting, within a limit of time.

use super::page::PageArgs;
use super::training::{RunArgs, train_failure};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::Progress;
use isogloss::config::TrainConfig;
use isogloss::corpus::{self, DataConfig};
use isogloss::language::{Direction, Language};
use isogloss::pilot::{Ending, Pilot, PilotError, PilotOptions};
use std::path::{Path, PathBuf};
use std::time::Instant;

const AFTER_HELP: &str = "\
Examples:
  isogloss pilot examples/factory/lslo.toml --dry-run
  isogloss pilot examples/factory/lslo.toml --time-limit 10m
  isogloss pilot my.toml --test-data my-text --split test --directions eng_Latn-deu_Latn,jpn_Jpan-eng_Latn

Chooses a few directions that stand for all, scores the base in them, trains the configured size on their languages with as much text
as fits, then other sizes: twice the ranks as long as that is significantly better, half the ranks until that is significantly worse.
The first half of the validation text decides, the second half (or --test-data) reports. The results are in the run's folder: pilot.md
and report.html for people, pilot.json for programs. Stop with Ctrl-C, go on with the same command.";

/// Does adapting help, does it harm, how small may it be, what will all of it cost? In half an hour
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, mut_arg("tensorboard", |arg| arg.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// How long it may take, all tries together, such as 90s, 30m or 1h30m
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = time)]
    time_limit: f64,
    /// Directions that take part, joined by commas [default: chosen, to cover classes, pivot, and most and least text]
    #[arg(long, value_name = "DIRECTION", value_delimiter = ',')]
    directions: Vec<Direction>,
    /// Most directions that are chosen
    #[arg(long, value_name = "N", default_value_t = 4, conflicts_with = "directions", value_parser = clap::value_parser!(u16).range(1..))]
    most: u16,
    /// Folder with the parallel text that reports, a file a language, as for `isogloss evaluate` [default: half of the validation text]
    #[arg(long, value_name = "DIR")]
    test_data: Option<PathBuf>,
    /// Of .tsv files in --test-data, the rows with this in the column split
    #[arg(long, value_name = "NAME", requires = "test_data")]
    split: Option<String>,
    /// Remove what an earlier pilot left in the run's folder, and start over
    #[arg(long, conflicts_with = "dry_run")]
    fresh: bool,
    #[command(flatten)]
    page: PageArgs,
}

/// Seconds of `90s`, `30m`, `1h30m`.
fn time(text: &str) -> Result<f64, String> {
    let wrong = || "expected a time such as 90s, 30m or 1h30m".to_owned();
    let (mut seconds, mut digits) = (0.0, String::new());
    for c in text.chars() {
        let unit = match c {
            'h' => 3600.0,
            'm' => 60.0,
            's' => 1.0,
            _ => {
                digits.push(c);
                continue;
            }
        };
        let number: f64 = digits.parse().map_err(|_| wrong())?;
        seconds += unit * number;
        digits.clear();
    }
    match digits.is_empty() && seconds > 0.0 && seconds < 1e8 {
        true => Ok(seconds),
        false => Err(wrong()),
    }
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    let started = Instant::now();
    let clock = || started.elapsed().as_secs_f64();
    args.run.refuse_board("pilot", RunArgs::CURVES)?;
    let (mut config, dir) = args.run.read::<TrainConfig>()?;
    config.compute = args.run.compute(config.compute);
    let options = PilotOptions {
        directions: args.directions.clone(),
        most: usize::from(args.most),
        test: test(args, &config)?,
        tongue: args.page.lang,
    };
    let mut pilot = Pilot::open(&config, &dir, &options).map_err(wrong)?;
    let plan = match args.fresh {
        true => pilot.plan_anew(args.time_limit, &clock),
        false => pilot.plan(args.time_limit, &clock),
    };
    let plan = plan.map_err(wrong)?;
    if args.run.dry_run {
        return match args.run.json {
            true => output::json(&plan),
            false => output::print(&plan.describe()),
        };
    }
    // Not before it is known that a new one fits.
    if args.fresh {
        pilot.clear().map_err(wrong)?;
    }
    if !quiet {
        output::say(plan.describe());
    }
    let mut progress = Progress::start(quiet);
    let ending = pilot.run(&plan, &args.run.config, &clock, &mut progress);
    drop(progress);
    match ending.map_err(wrong)? {
        Ending::Interrupted(at) => Err(Failure::interrupted(format!(
            "stopped in {at}; the state is saved. To go on: the same command again"
        ))),
        Ending::Finished(results) if args.run.json => output::json(&*results),
        Ending::Finished(results) => {
            let path = pilot.shown("pilot.md");
            output::print(&format!("{}\n{}\n", results.text(), path.display()))
        }
    }
}

/// The text that reports, with a path that starts nowhere else.
fn test(args: &Args, config: &TrainConfig) -> Outcome<Option<DataConfig>> {
    let Some(dir) = &args.test_data else {
        return Ok(None);
    };
    let of_directions = args.directions.iter().flat_map(|d| [&d.source, &d.target]);
    let languages: Vec<&Language> = match args.directions.is_empty() {
        true => config.languages.values().flatten().collect(),
        false => of_directions.collect(),
    };
    let data = corpus::folder(dir, args.split.as_deref(), None, languages);
    let mut data = data.map_err(Failure::input)?;
    let absolute = std::path::absolute(dir).map_err(Failure::internal)?;
    let within = |path: &str| absolute.join(Path::new(path)).display().to_string();
    match &mut data {
        DataConfig::TsvRows(rows) => rows.path = within(&rows.path),
        DataConfig::Aligned(aligned) => {
            aligned.path = aligned.path.as_deref().map(within);
        }
        _ => {}
    }
    Ok(Some(data))
}

fn wrong(error: PilotError) -> Failure {
    match error {
        PilotError::Train(error) => train_failure(error),
        error => Failure::input(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("30m", 1800.0),
            ("1h30m", 5400.0),
            ("0.5h", 1800.0),
        ] {
            assert_eq!(time(text), Ok(seconds));
        }
        for text in ["", "30", "m", "0m", "-5m", "1h30", "30min", "NaNs", "infh"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
