//! From `[[data]]` sections to rows of translations.

mod header;
mod jsonl;
mod table;
mod text;
mod tsv;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::store::Builder;
use super::{CorpusError, DataConfig, Rows};
use crate::language::Language;

/// Adds the pairs of one section (1-based number) to the builder.
pub(super) fn section(
    number: usize,
    data: &DataConfig,
    base: &Path,
    builder: &mut Builder,
) -> Result<(), CorpusError> {
    let invalid = |message: String| CorpusError::Config {
        section: number,
        message,
    };
    if let Some(only) = data.languages()
        && only.iter().enumerate().any(|(i, l)| only[..i].contains(l))
    {
        return Err(invalid("a language stands in `languages` twice".into()));
    }
    match data {
        DataConfig::Aligned(c) => text::aligned(c, base, builder, &invalid),
        DataConfig::TsvPair(c) => text::pairs(c, base, builder, &invalid),
        DataConfig::TsvMulti(c) => tsv::multi(c, base, builder, &invalid),
        DataConfig::TsvRows(c) => tsv::rows(c, base, builder, &invalid),
        DataConfig::Jsonl(c) => jsonl::read(c, base, builder),
    }
}

/// Whether a row is taken, by an option that takes all when absent.
fn taken(rows: Option<&Rows>, row: u64) -> bool {
    rows.is_none_or(|rows| rows.contains(row))
}

/// Checks that a file was long enough for its ranges.
fn check_rows(rows: Option<&Rows>, path: &Path, available: u64) -> Result<(), CorpusError> {
    match rows {
        Some(rows) if rows.last_needed() > available => Err(CorpusError::RowsBeyondEnd {
            path: path.to_owned(),
            rows: rows.to_string(),
            available,
        }),
        _ => Ok(()),
    }
}

/// Checks that every language that a section names is there.
fn check_found<'a>(
    only: Option<&[Language]>,
    found: impl Iterator<Item = &'a Language>,
    pattern: &str,
) -> Result<(), CorpusError> {
    let languages = missing(only, found);
    if languages.is_empty() {
        return Ok(());
    }
    Err(CorpusError::NoFiles {
        pattern: pattern.to_owned(),
        languages,
    })
}

/// The languages that a section names and that aren't there.
fn missing<'a>(
    only: Option<&[Language]>,
    found: impl Iterator<Item = &'a Language>,
) -> Vec<Language> {
    let found: Vec<&Language> = found.collect();
    let named = only.unwrap_or_default().iter();
    named.filter(|l| !found.contains(l)).cloned().collect()
}
