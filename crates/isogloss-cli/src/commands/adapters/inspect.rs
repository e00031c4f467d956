//! `isogloss adapters inspect`: what a folder of adapters holds.

use super::{percent, range};
use crate::failure::{Failure, Outcome};
use crate::output;
use isogloss::adapter::{self, Inspection};
use isogloss::decode::Vocabularies;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  isogloss adapters inspect runs/factory/lslo/adapters
  isogloss adapters inspect runs/factory/lslo/adapters --json

Reads every file, so what is damaged is named. The base isn't needed.";

/// Show what a folder of adapters holds: languages, directions, ranks by site, parameters and bytes
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Folder of the adapters
    #[arg(value_name = "DIR")]
    adapters: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let found = adapter::inspect(&args.adapters).map_err(Failure::input)?;
    Vocabularies::check(&args.adapters).map_err(Failure::input)?;
    match args.json {
        true => output::json(&found),
        false => output::print(&shown(&args.adapters, &found)),
    }
}

fn shown(folder: &Path, found: &Inspection) -> String {
    let joined = |all: Vec<String>| all.join(" ");
    let languages = found.languages.iter().map(ToString::to_string).collect();
    let (count, pairs) = (found.languages.len(), found.trained.len());
    let trained = match pairs == count * count.saturating_sub(1) {
        true => format!("all {pairs} directions of the languages"),
        false => joined(found.trained.iter().map(ToString::to_string).collect()),
    };
    let mut text = String::new();
    for (name, what) in [
        ("adapters", folder.display().to_string()),
        ("base", found.base.clone()),
        ("languages", format!("{count}: {}", joined(languages))),
        ("trained in", trained),
        ("sites", found.sites.len().to_string()),
        (
            "active",
            format!(
                "{} parameters for one direction at most, {} of them not zero",
                found.active, found.active_nonzero
            ),
        ),
    ] {
        let _ = writeln!(text, "{name:<12}{what}");
    }
    text + "\n" + &sizes(found) + &ranks(found)
}

/// A line an update, and all.
fn sizes(found: &Inspection) -> String {
    let head = ["update", "rank", "parameters", "not zero", "share", "bytes"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let row = |name: &str, rank: String, size: &adapter::UpdateSize| {
        vec![
            name.to_owned(),
            rank,
            size.parameters.to_string(),
            size.nonzero.to_string(),
            percent(size.nonzero, size.parameters),
            size.bytes.to_string(),
        ]
    };
    for update in &found.updates {
        let rank = range(update.ranks.iter().copied());
        rows.push(row(&update.name, rank, &update.size));
    }
    rows.push(row("all", String::new(), &found.total));
    output::table(&rows)
}

/// A line a site, where ranks differ from site to site.
fn ranks(found: &Inspection) -> String {
    let differ = |ranks: &[usize]| ranks.iter().any(|rank| *rank != ranks[0]);
    if !found.updates.iter().any(|update| differ(&update.ranks)) {
        return String::new();
    }
    let mut head = vec!["site".to_owned(), "side".to_owned()];
    head.extend(found.updates.iter().map(|update| update.name.clone()));
    let mut rows = vec![head];
    for (i, site) in found.sites.iter().enumerate() {
        let mut row = vec![site.site.to_string(), site.side.to_string()];
        row.extend(found.updates.iter().map(|u| u.ranks[i].to_string()));
        rows.push(row);
    }
    "\n".to_owned() + &output::table(&rows)
}
