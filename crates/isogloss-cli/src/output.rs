//! Results, to stdout; what is said beside them, to stderr.

use crate::failure::{Failure, Outcome};
use anyhow::anyhow;
use isogloss::files;
use serde::Serialize;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;

/// Writes text and flushes it, so that a failed write is noticed.
pub(crate) fn print(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::output)
}

/// Refuses to write a result over what it is made from.
pub(crate) fn beside(to: &Path, inputs: impl IntoIterator<Item = impl AsRef<Path>>) -> Outcome {
    let mut inputs = inputs.into_iter();
    match inputs.find(|input| files::same(to, input.as_ref())) {
        Some(input) => Err(Failure::input(anyhow!(
            "{} would be replaced by what is made from it",
            input.as_ref().display()
        ))
        .hint("name another file for the result")),
        None => Ok(()),
    }
}

/// Says a line on stderr. A log that can't be written to any more ends no work.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes a value as indented JSON with a line feed behind it.
pub(crate) fn json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).map_err(Failure::internal)?;
    print(&(text + "\n"))
}

/// Rows as columns of even width, the first to the left and the others to the right; a row may be shorter than the first.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |row: &Vec<String>, c: usize| row.get(c).map_or(0, |cell| cell.chars().count());
    let widest = |c: usize| rows.iter().map(|row| width(row, c)).max();
    let widths: Vec<usize> = (0..columns).map(|c| widest(c).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
