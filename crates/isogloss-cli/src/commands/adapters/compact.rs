//! `isogloss adapters compact`: a smaller copy of adapters that does the same.

use super::check::{self, Check};
use super::{percent, range};
use crate::commands::compute::backend;
use crate::failure::{Failure, Outcome};
use crate::input;
use crate::output;
use anyhow::anyhow;
use isogloss::adapter::{self, AdapterFileError, CompactError, CompactReport, UpdateSize};
use isogloss::decode::Loaded;
use isogloss::language::Language;
use isogloss_kernels::Precision;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  isogloss adapters compact runs/factory/lslo/adapters --output small
  isogloss adapters compact runs/factory/lslo/adapters --output small --tolerance 0.01
  isogloss adapters compact runs/factory/lslo/adapters --output small --model models/mini --check sentences.txt --from eng_Latn

What pruning emptied is dropped, the rest is factored anew where that takes fewer bytes, and what has many zeros is stored sparse. \
Without a tolerance translations stay the same; with one, each update at each site may be off by that share of its own size. \
With `--check` the text is translated before and after, and code 1 says that a translation has changed.";

/// Make a copy of adapters that is smaller and does the same
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Folder of the adapters
    #[arg(value_name = "DIR")]
    adapters: PathBuf,
    /// Folder of the copy; must not be there yet, or be empty
    #[arg(short, long, visible_alias = "out", value_name = "OUT")]
    output: PathBuf,
    /// How far each update at each site may be from what it was, relative to its Frobenius norm
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    tolerance: f64,
    /// The base, to see that adapters and copy are its own
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Text, a sentence a line, that is translated before and after
    #[arg(long, value_name = "FILE", requires_all = ["model", "from"])]
    check: Option<PathBuf>,
    /// Language of the text
    #[arg(long, value_name = "LANGUAGE", requires = "check")]
    from: Option<Language>,
    /// Languages that it is translated into; by default all that the adapters were trained in from its language
    #[arg(
        long,
        value_name = "LANGUAGES",
        value_delimiter = ',',
        requires = "check"
    )]
    to: Vec<Language>,
    /// Threads; 0 is as many as the machine offers
    #[arg(long, value_name = "N", default_value_t = 0, env = "ISOGLOSS_THREADS")]
    threads: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    adapters: &'a Path,
    output: &'a Path,
    #[serde(flatten)]
    compacted: CompactReport,
    /// Translations before and after, by direction; none without `--check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Vec<Check>>,
}

pub(super) fn run(args: &Args) -> Outcome {
    // All that may be wrong with the input, before anything is written.
    let text = args.check.as_deref().map(text).transpose()?;
    let before = args.load(&args.adapters)?;
    let directions = match (&before, &args.from) {
        (Some(before), Some(from)) => check::directions(&before.set, from, &args.to)?,
        _ => Vec::new(),
    };
    let compacted = adapter::compact_folder(&args.adapters, &args.output, args.tolerance);
    let compacted = compacted.map_err(failure)?;
    let check = match (text, before) {
        (Some(lines), Some(before)) => {
            let cpu = backend(args.threads, Precision::F32)?;
            let [before, after] = check::both(
                before,
                || args.load(&args.output),
                &cpu,
                |loaded| check::translate(loaded, &cpu, &lines, &directions),
            )?;
            Some(check::compare(&directions, &before, &after))
        }
        (_, before) => {
            drop(before);
            args.load(&args.output)?;
            None
        }
    };
    let report = Report {
        adapters: &args.adapters,
        output: &args.output,
        compacted,
        check,
    };
    match args.json {
        true => output::json(&report),
        false => output::print(&shown(&report)),
    }?;
    check::outcome(report.check.iter().flatten())
}

/// Lines to translate before and after, at least one.
fn text(path: &Path) -> Outcome<Vec<String>> {
    let lines = input::lines(path)?;
    if lines.is_empty() {
        let error = anyhow!("{} has no line to translate", input::name(path));
        return Err(Failure::input(error).hint("--check takes text, a sentence a line"));
    }
    Ok(lines)
}

impl Args {
    /// The base with adapters from a folder, if the base was given.
    fn load(&self, adapters: &Path) -> Outcome<Option<Loaded>> {
        let load = |model: &PathBuf| Loaded::open(model, Some(adapters)).map_err(Failure::input);
        self.model.as_ref().map(load).transpose()
    }
}

fn shown(report: &Report<'_>) -> String {
    let compacted = &report.compacted;
    let head = [
        "update",
        "rank",
        "now",
        "parameters",
        "left",
        "",
        "bytes",
        "now",
        "",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let row = |name: &str, ranks: [String; 2], before: &UpdateSize, after: &UpdateSize| {
        let [rank, rank_after] = ranks;
        let bytes = |size: &UpdateSize| usize::try_from(size.bytes).unwrap_or(usize::MAX);
        vec![
            name.to_owned(),
            rank,
            rank_after,
            before.parameters.to_string(),
            after.nonzero.to_string(),
            percent(after.nonzero, before.parameters),
            before.bytes.to_string(),
            after.bytes.to_string(),
            percent(bytes(after), bytes(before)),
        ]
    };
    for update in &compacted.updates {
        let sites = update.sites.iter();
        let ranks = [
            range(sites.clone().map(|site| site.rank_before)),
            range(sites.map(|site| site.rank)),
        ];
        rows.push(row(&update.name, ranks, &update.before, &update.after));
    }
    let none = [String::new(), String::new()];
    rows.push(row("all", none, &compacted.before, &compacted.after));
    let mut text = output::table(&rows);
    let error = compacted.updates.iter().flat_map(|u| &u.sites);
    let error = error.map(|site| site.error).fold(0.0, f64::max);
    let _ = writeln!(
        text,
        "\nleft after compaction  {} of {} parameters\n\
         active, at most        {} of {} parameters for one direction\n\
         largest error          {error:.2e} of an update at a site",
        compacted.after.nonzero,
        compacted.before.parameters,
        compacted.active,
        compacted.active_before,
    );
    for check in report.check.iter().flatten() {
        let _ = writeln!(text, "{check}");
    }
    let _ = writeln!(text, "written to {}", report.output.display());
    text
}

/// A full disk is no fault of the input.
fn failure(error: CompactError) -> Failure {
    match error {
        CompactError::Write(_) | CompactError::Files(AdapterFileError::Write(_)) => {
            Failure::internal(error).hint(
                "nothing was changed; make room there or name another folder, then run it again",
            )
        }
        _ => Failure::input(error),
    }
}
