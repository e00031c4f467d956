//! TSV with a header: a column a language, or named columns joined by a key.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::header::{column, column_languages, header};
use super::table::Table;
use super::{check_found, check_rows, taken};
use crate::corpus::expand::{has_placeholders, matching_files};
use crate::corpus::store::{Builder, LanguageId};
use crate::corpus::{CorpusError, OneOrMany, TsvMulti, TsvRows};

/// One column a language; an empty cell is no translation.
pub(super) fn multi(
    config: &TsvMulti,
    base: &Path,
    builder: &mut Builder,
    invalid: &dyn Fn(String) -> CorpusError,
) -> Result<(), CorpusError> {
    let path = base.join(&config.path);
    let only = config.languages.as_deref();
    let mut table = Table::open(&path, config.separator, config.quotes)?;
    let header = header(&mut table)?;
    let languages = column_languages(config, &path, &header, invalid)?;
    let columns: Vec<Option<LanguageId>> = languages
        .iter()
        .map(|language| {
            let language = language.as_ref().filter(|l| builder.wants(l, only));
            language.map(|l| builder.language(l))
        })
        .collect();
    let wanted = columns.iter().flatten().count();
    let (mut rows, mut row) = (0, Vec::with_capacity(wanted));
    while let Some(cells) = table.next_row()? {
        rows += 1;
        row.clear();
        let got = cells.len();
        for (cell, language) in cells.into_iter().zip(&columns) {
            if let Some(language) = language
                && taken(config.rows.as_ref(), rows)
                && !cell.trim().is_empty()
            {
                row.push((*language, builder.text(cell)?));
            }
        }
        if got != columns.len() {
            return Err(table.wrong(columns.len(), got));
        }
        if !config.complete || row.len() == wanted {
            builder.row(&row);
        }
    }
    if rows == 0 {
        return Err(CorpusError::Empty { path });
    }
    check_rows(config.rows.as_ref(), &path, rows)
}

/// One file a language; rows with the same key say the same.
pub(super) fn rows(
    config: &TsvRows,
    base: &Path,
    builder: &mut Builder,
    invalid: &dyn Fn(String) -> CorpusError,
) -> Result<(), CorpusError> {
    if !has_placeholders(&config.path, &["lang"]) {
        return Err(invalid(format!(
            "`path = \"{}\"` needs `{{lang}}` in it",
            config.path
        )));
    }
    let only = config.languages.as_deref();
    let found = matching_files(base, &config.path, &["lang"])?;
    check_found(only, found.iter().flat_map(|m| &m.languages), &config.path)?;
    let mut joined = Joined::default();
    let mut files = 0;
    for file in found {
        let Some(language) = file.languages.first().filter(|l| builder.wants(l, only)) else {
            continue;
        };
        let language = builder.language(language);
        read_rows(config, &file.path, language, builder, &mut joined)?;
        files += 1;
    }
    let partial = joined.rows.iter().filter(|row| row.len() < files).count();
    if partial > 0 {
        tracing::warn!(
            path = config.path,
            rows = partial,
            "keys without a row in every language"
        );
    }
    for row in &joined.rows {
        builder.row(row);
    }
    Ok(())
}

/// Rows of translations, in the order in which their keys were first seen.
#[derive(Default)]
struct Joined {
    row_of: HashMap<String, usize>,
    rows: Vec<Vec<(LanguageId, u32)>>,
}

fn read_rows(
    config: &TsvRows,
    path: &Path,
    language: LanguageId,
    builder: &mut Builder,
    joined: &mut Joined,
) -> Result<(), CorpusError> {
    let mut table = Table::open(path, config.separator, config.quotes)?;
    let header = header(&mut table)?;
    let (key, text) = (
        column(path, &header, &config.key)?,
        column(path, &header, &config.text)?,
    );
    let mut conditions: Vec<(usize, &OneOrMany)> = Vec::new();
    for (name, value) in &config.filter {
        conditions.push((column(path, &header, name)?, value));
    }
    let mut seen = HashSet::new();
    let mut rows = 0;
    while let Some(cells) = table.next_row()? {
        rows += 1;
        let got = cells.len();
        if got != header.names.len() {
            return Err(table.wrong(header.names.len(), got));
        }
        if !seen.insert(cells[key].to_owned()) {
            let key = cells[key].to_owned();
            return Err(CorpusError::DuplicateKey {
                path: path.to_owned(),
                line: rows + 1,
                key,
            });
        }
        let passes = conditions
            .iter()
            .all(|(column, value)| value.contains(cells[*column]));
        if passes && taken(config.rows.as_ref(), rows) {
            let next = joined.rows.len();
            let row = *joined.row_of.entry(cells[key].to_owned()).or_insert(next);
            if row == next {
                joined.rows.push(Vec::new());
            }
            joined.rows[row].push((language, builder.text(cells[text])?));
        }
    }
    if rows == 0 {
        return Err(CorpusError::Empty {
            path: path.to_owned(),
        });
    }
    check_rows(config.rows.as_ref(), path, rows)
}
