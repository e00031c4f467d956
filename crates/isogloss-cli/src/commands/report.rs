//! `isogloss report`: proof and price on one page.

use super::page::PageArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use anyhow::anyhow;
use isogloss::files;
use isogloss::report::{self, Input, Price, Report, ReportError, ReportOptions};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  isogloss report runs/factory/lslo -o report.html
  isogloss report runs/lslo runs/lora runs/full -o report.html --lang ja --price-per-hour 120 --currency JPY
  isogloss report runs/lslo --scores devtest.json -o report.html --json report.json --csv tables

A run's scores are RUN/scores.json, as `isogloss evaluate --against base --out RUN/scores.json` writes them. Without them the
page says what is missing and which command fills it. The page is one file that loads nothing.";

/// Say on one page who gained, who lost, what it costs, and what to roll out
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Folders of runs
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Where to write the page
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Scores of the runs, in their order, for those whose scores are not in RUN/scores.json
    #[arg(long, value_name = "FILE")]
    scores: Vec<PathBuf>,
    /// Scores of the untouched base, for scores that hold no comparison with it; changes are then shown, but not tested
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    #[command(flatten)]
    page: PageArgs,
    /// What an hour of this machine costs
    #[arg(long, value_name = "AMOUNT", requires = "currency")]
    price_per_hour: Option<f64>,
    /// Currency of the price, such as EUR, USD or JPY
    #[arg(long, value_name = "CODE", requires = "price_per_hour")]
    currency: Option<String>,
    /// Write what the page says as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the tables behind the page as CSV, too
    #[arg(long, value_name = "DIR")]
    csv: Option<PathBuf>,
    /// Write the charts as SVG, too
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    if args.scores.len() > args.runs.len() {
        let (scores, runs) = (args.scores.len(), args.runs.len());
        let error = anyhow!("{scores} --scores for {runs} runs: expected at most one a run");
        return Err(Failure::input(error));
    }
    let inputs: Vec<Input> = args
        .runs
        .iter()
        .enumerate()
        .map(|(i, run)| Input {
            run: run.clone(),
            scores: args.scores.get(i).cloned(),
        })
        .collect();
    let price = args.price_per_hour.zip(args.currency.clone());
    let options = ReportOptions {
        base: args.base.clone(),
        price: price.map(|(per_hour, currency)| Price { per_hour, currency }),
        date: Some(report::today()),
    };
    let report = Report::read(&inputs, options).map_err(failure)?;
    let read: Vec<PathBuf> = inputs.iter().flat_map(Input::files).collect();
    for to in [Some(&args.output), args.json.as_ref()]
        .into_iter()
        .flatten()
    {
        output::beside(to, &read)?;
    }
    write(&args.output, &report.html(args.page.lang))?;
    if let Some(path) = &args.json {
        files::prepare(path).map_err(Failure::input)?;
        files::write_json(path, &report).map_err(Failure::internal)?;
    }
    if let Some(dir) = &args.csv {
        report.write_csv(dir).map_err(failure)?;
    }
    if let Some(dir) = &args.charts {
        report.write_charts(dir, args.page.lang).map_err(failure)?;
    }
    let summary = report.summary(args.page.lang);
    output::print(&format!("{summary}{}\n", args.output.display()))
}

fn write(path: &Path, text: &str) -> Outcome {
    files::prepare(path).map_err(Failure::input)?;
    files::write_atomic(path, |w| w.write_all(text.as_bytes())).map_err(Failure::internal)
}

fn failure(error: ReportError) -> Failure {
    match error {
        ReportError::Write(error) => Failure::internal(error),
        error => Failure::input(error),
    }
}
