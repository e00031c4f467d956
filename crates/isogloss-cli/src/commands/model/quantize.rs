//! `isogloss model quantize`: a copy of a model with its matrices in bytes.

use super::megabytes;
use crate::failure::{Failure, Outcome};
use crate::output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use isogloss::checkpoint::{self, CheckpointError, QuantizeError, QuantizeOptions, Quantized};
use isogloss::tokenize::TokenizeError;
use serde::Serialize;
use std::io::IsTerminal;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  isogloss model quantize m2m100_418M --output m2m100_418M-int8 --dry-run
  isogloss model quantize m2m100_418M --output m2m100_418M-int8
  isogloss translate --model m2m100_418M-int8 --precision int8 --from eng_Latn --to deu_Latn < in.txt

With --precision int8 the copy translates exactly as the original does, from a quarter of the disk space of f32, with a
faster start. Adapters fit both. Other programs can't read the copy: keep the original if you need it for them.";

/// Make a copy of a model for decoding in int8: weights in 8 bits, a factor for each output channel
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Folder of the model
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// Folder of the copy; must not be there yet, or be empty
    #[arg(short, long, visible_alias = "out", value_name = "OUT")]
    output: PathBuf,
    /// Replace a model that is in the copy's place
    #[arg(long)]
    force: bool,
    /// Say what the copy would take, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    model: &'a PathBuf,
    output: &'a PathBuf,
    written: bool,
    #[serde(flatten)]
    quantized: Quantized,
}

pub(super) fn run(args: &Args, quiet: bool) -> Outcome {
    let options = QuantizeOptions {
        force: args.force,
        dry_run: args.dry_run,
    };
    let bar = progress_bar(quiet);
    let quantized = checkpoint::quantize(
        &args.model,
        &args.output,
        options,
        &mut |done, quantized| {
            bar.set_length(quantized.quantized_parameters as u64);
            bar.set_position(done as u64);
        },
    );
    bar.finish_and_clear();
    let quantized = quantized.map_err(failure)?;
    let report = Report {
        model: &args.model,
        output: &args.output,
        written: !args.dry_run,
        quantized,
    };
    match args.json {
        true => output::json(&report),
        false => output::print(&shown(&report)),
    }
}

fn shown(report: &Report<'_>) -> String {
    let quantized = &report.quantized;
    let (before, after) = (quantized.bytes_before as f64, quantized.bytes_after as f64);
    let end = match report.written {
        true => format!("written to {}\n", report.output.display()),
        false => format!(
            "nothing was written; without --dry-run: {}\n",
            report.output.display()
        ),
    };
    format!(
        "parameters   {} of {} in int8\nweights      {} in place of {} ({:.0}%)\nmodel hash   {}\n{end}",
        quantized.quantized_parameters,
        quantized.parameters,
        megabytes(after),
        megabytes(before),
        100.0 * after / before.max(1.0),
        quantized.base,
    )
}

/// A full disk is no fault of the input.
fn failure(error: QuantizeError) -> Failure {
    let written = matches!(
        error,
        QuantizeError::Write(_)
            | QuantizeError::Checkpoint(CheckpointError::Write(_))
            | QuantizeError::Tokenizer(TokenizeError::Write(_))
    );
    match error {
        _ if written => Failure::internal(error)
            .hint("nothing was changed; make room there or name another folder, then run it again"),
        QuantizeError::Exists { .. } => {
            Failure::input(error).hint("`--force` replaces a model that is there")
        }
        QuantizeError::Already { .. } => {
            Failure::input(error).hint("translate with it as it is: `--precision int8`")
        }
        _ => Failure::input(error),
    }
}

/// On a terminal only.
fn progress_bar(quiet: bool) -> ProgressBar {
    let shown = std::io::stderr().is_terminal() && !quiet;
    let target = match shown {
        true => ProgressDrawTarget::stderr_with_hz(4),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(1), target);
    match ProgressStyle::with_template("quantising {wide_bar} {percent}%") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
