//! Aligned text files and files of pairs.

use std::path::{Path, PathBuf};

use super::header::names_languages;
use super::table::Table;
use super::{check_found, check_rows, taken};
use crate::corpus::expand::{has_placeholders, matching_files};
use crate::corpus::store::{Builder, LanguageId};
use crate::corpus::{Aligned, CorpusError, Lines, TsvPair};
use crate::language::Language;

/// Files of one language each; line `i` of all of them says the same.
pub(super) fn aligned(
    config: &Aligned,
    base: &Path,
    builder: &mut Builder,
    invalid: &dyn Fn(String) -> CorpusError,
) -> Result<(), CorpusError> {
    let found = aligned_files(config, base, invalid)?;
    let only = config.languages.as_deref();
    check_found(
        only,
        found.iter().map(|(language, _)| language),
        config.path.as_deref().unwrap_or("`files`"),
    )?;
    let (mut ids, mut files) = (Vec::new(), Vec::new());
    for (language, path) in found {
        if builder.wants(&language, only) {
            ids.push(builder.language(&language));
            files.push(Lines::open(&path)?);
        }
    }
    let mut row = Vec::with_capacity(files.len());
    loop {
        row.clear();
        let mut ended = None;
        for (i, (lines, &language)) in files.iter_mut().zip(&ids).enumerate() {
            let number = lines.line_number() + 1;
            match lines.next_line()? {
                Some(line) if taken(config.rows.as_ref(), number) => {
                    row.push((language, builder.text(line)?));
                }
                Some(_) => {}
                None => ended = ended.or(Some(i)),
            }
        }
        if let Some(short) = ended {
            return finish_aligned(config, &mut files, short);
        }
        if files.is_empty() {
            return Ok(());
        }
        builder.row(&row);
    }
}

/// Called when file `short` is at its end: all others must be, too.
fn finish_aligned(config: &Aligned, files: &mut [Lines], short: usize) -> Result<(), CorpusError> {
    let first_lines = files[short].line_number();
    for other in 0..files.len() {
        let second_lines = files[other].count_rest()?;
        if second_lines != first_lines {
            return Err(CorpusError::UnequalLines {
                first: files[short].path().to_owned(),
                first_lines,
                second: files[other].path().to_owned(),
                second_lines,
            });
        }
    }
    check_rows(config.rows.as_ref(), files[short].path(), first_lines)
}

fn aligned_files(
    config: &Aligned,
    base: &Path,
    invalid: &dyn Fn(String) -> CorpusError,
) -> Result<Vec<(Language, PathBuf)>, CorpusError> {
    match (&config.path, config.files.is_empty()) {
        (Some(pattern), true) if has_placeholders(pattern, &["lang"]) => {
            let found = matching_files(base, pattern, &["lang"])?;
            Ok(found
                .into_iter()
                .filter_map(|m| Some((m.languages.into_iter().next()?, m.path)))
                .collect())
        }
        (Some(pattern), true) => Err(invalid(format!(
            "`path = \"{pattern}\"` needs `{{lang}}` in it; or list `files`"
        ))),
        (None, false) if config.files.len() < 2 => {
            Err(invalid("`files` needs two languages or more".into()))
        }
        (None, false) => Ok(config
            .files
            .iter()
            .map(|(l, path)| (l.clone(), base.join(path)))
            .collect()),
        _ => Err(invalid(
            "either `path` or `files` is needed, not both".into(),
        )),
    }
}

/// Files of two columns.
pub(super) fn pairs(
    config: &TsvPair,
    base: &Path,
    builder: &mut Builder,
    invalid: &dyn Fn(String) -> CorpusError,
) -> Result<(), CorpusError> {
    let names = ["source", "target"];
    let mut found: Vec<([Language; 2], PathBuf)> = Vec::new();
    match (&config.columns, has_placeholders(&config.path, &names)) {
        (Some([a, b]), _) if a == b => {
            return Err(invalid("both `columns` are the same language".into()));
        }
        (Some(columns), false) => found.push((columns.clone(), base.join(&config.path))),
        (None, true) => {
            for m in matching_files(base, &config.path, &names)? {
                if let Ok(languages) = <[Language; 2]>::try_from(m.languages) {
                    found.push((languages, m.path));
                }
            }
        }
        (Some(_), true) => {
            return Err(invalid(
                "`columns` is for a path without placeholders".into(),
            ));
        }
        (None, false) => {
            return Err(invalid(
                "`path` needs `{source}` and `{target}` in it; or name the two `columns`".into(),
            ));
        }
    }
    let only = config.languages.as_deref();
    check_found(
        only,
        found.iter().flat_map(|(languages, _)| languages),
        &config.path,
    )?;
    for ([a, b], path) in found {
        let wanted = builder.wants(&a, only) && builder.wants(&b, only);
        if !(wanted && builder.wants_pair(&a, &b)) {
            continue;
        }
        let languages = [builder.language(&a), builder.language(&b)];
        read_pairs(config, &path, languages, builder)?;
    }
    Ok(())
}

fn read_pairs(
    config: &TsvPair,
    path: &Path,
    [a, b]: [LanguageId; 2],
    builder: &mut Builder,
) -> Result<(), CorpusError> {
    let mut table = Table::open(path, config.separator, config.quotes)?;
    let (mut number, mut rows) = (0, 0);
    while let Some([text_a, text_b]) = table.next_row_of()? {
        number += 1;
        if config.header && number == 1 {
            continue;
        }
        rows += 1;
        if !taken(config.rows.as_ref(), rows) {
            continue;
        }
        if number == 1 && names_languages([text_a, text_b]) {
            let [text_a, text_b] = [text_a.trim(), text_b.trim()];
            tracing::warn!(
                path = %path.display(),
                "line 1, `{text_a}` and `{text_b}`, looks like a header and is taken as a pair; \
                 `header = true` in the data section skips it"
            );
        }
        let row = [(a, builder.text(text_a)?), (b, builder.text(text_b)?)];
        builder.row(&row);
    }
    if rows == 0 {
        return Err(CorpusError::Empty {
            path: path.to_owned(),
        });
    }
    check_rows(config.rows.as_ref(), path, rows)
}
