//! The first line of a TSV file: names of its columns.

use std::path::Path;

use super::missing;
use super::table::Table;
use crate::corpus::error::list;
use crate::corpus::{CorpusError, TsvMulti};
use crate::language::Language;

/// The first row.
pub(super) struct Header {
    pub names: Vec<String>,
    /// What to add to a message where the table may be CSV.
    hint: &'static str,
}

/// Reads the names in the first row.
pub(super) fn header(table: &mut Table) -> Result<Header, CorpusError> {
    let names = table.next_row()?.map(|cells| {
        let names = cells.iter().map(|cell| cell.trim().to_owned());
        names.collect()
    });
    let names = names.ok_or_else(|| CorpusError::Empty {
        path: table.path().to_owned(),
    })?;
    let hint = table.hint();
    Ok(Header { names, hint })
}

/// The place of a named column.
pub(super) fn column(path: &Path, header: &Header, name: &str) -> Result<usize, CorpusError> {
    let mut places = header
        .names
        .iter()
        .enumerate()
        .filter(|(_, n)| *n == name)
        .map(|(i, _)| i);
    let message = match (places.next(), places.next()) {
        (Some(place), None) => return Ok(place),
        (None, _) => {
            let there = header.names.join(", ");
            format!("no column `{name}`; there are {there}{}", header.hint)
        }
        _ => format!("two columns `{name}`"),
    };
    Err(CorpusError::Header {
        path: path.to_owned(),
        message,
    })
}

/// The language of each column that is of use, by `columns` of the section or else by the names. Each of the section's
/// `languages` has a column; with them columns of other names are ignored, without them every name must be a language's.
pub(super) fn column_languages(
    config: &TsvMulti,
    path: &Path,
    header: &Header,
    invalid: &dyn Fn(String) -> CorpusError,
) -> Result<Vec<Option<Language>>, CorpusError> {
    let only = config.languages.as_deref();
    let found = if config.columns.is_empty() {
        by_code(path, header, only)?
    } else {
        by_config(config, path, header, invalid)?
    };
    let missing = missing(only, found.iter().flatten());
    if missing.is_empty() {
        return Ok(found);
    }
    let hint = match header.hint {
        "" => {
            "; name the columns by codes such as `deu_Latn`, or say in the data section which column is which: \
               `columns = { deu_Latn = \"German\" }`"
        }
        hint => hint,
    };
    Err(CorpusError::Header {
        path: path.to_owned(),
        message: format!(
            "no column of {}; there are {}{hint}",
            list(&missing),
            list(&header.names)
        ),
    })
}

fn by_config(
    config: &TsvMulti,
    path: &Path,
    header: &Header,
    invalid: &dyn Fn(String) -> CorpusError,
) -> Result<Vec<Option<Language>>, CorpusError> {
    let mut found = vec![None; header.names.len()];
    for (language, name) in &config.columns {
        let place = &mut found[column(path, header, name)?];
        if let Some(other) = place.replace(language.clone()) {
            return Err(invalid(format!(
                "`columns` gives `{name}` to both {other} and {language}"
            )));
        }
    }
    Ok(found)
}

fn by_code(
    path: &Path,
    header: &Header,
    only: Option<&[Language]>,
) -> Result<Vec<Option<Language>>, CorpusError> {
    let names = &header.names;
    let mut found: Vec<Option<Language>> = Vec::with_capacity(names.len());
    for name in names {
        let language = match (name.parse::<Language>(), only) {
            (Ok(language), _) => Some(language).filter(|l| only.is_none_or(|o| o.contains(l))),
            (Err(_), Some(_)) => None,
            (Err(source), None) => {
                let hint = match header.hint {
                    "" => "; `languages = [...]` in the data section ignores other columns",
                    hint => hint,
                };
                return Err(CorpusError::Language {
                    path: path.to_owned(),
                    line: 1,
                    source,
                    hint,
                });
            }
        };
        if let Some(language) = &language
            && let Some(before) = found.iter().position(|l| l.as_ref() == Some(language))
        {
            let (first, second) = (names[before].clone(), name.clone());
            return Err(CorpusError::DuplicateLanguage {
                languages: language.to_string(),
                first,
                second,
            });
        }
        found.push(language);
    }
    Ok(found)
}

/// Headers that name sides rather than languages.
const SIDES: [[&str; 2]; 5] = [
    ["source", "target"],
    ["src", "tgt"],
    ["src", "trg"],
    ["original", "translation"],
    ["from", "to"],
];

/// Whether two cells are codes or English names of languages, in whatever case, and not the same one: in a header they
/// differ, and `No` is a translation of `No` in Italian and a code of Norwegian. Or the names of the two sides.
pub(super) fn names_languages(cells: [&str; 2]) -> bool {
    let [a, b] = cells.map(str::trim);
    let lower = [a, b].map(str::to_lowercase);
    let sides = SIDES.iter().any(|sides| lower == *sides);
    sides || (lower[0] != lower[1] && names_language(a) && names_language(b))
}

fn names_language(cell: &str) -> bool {
    // The longest name has half as many bytes; sentences are told from names at once.
    if cell.is_empty() || cell.len() > 60 {
        return false;
    }
    let text = cell.to_lowercase();
    let named = |name: &str| {
        let name = name.to_lowercase();
        // `Chinese (Simplified)`, `Western Persian`
        let short = name.split(" (").next().unwrap_or_default();
        let last = short.rsplit(' ').next().unwrap_or_default();
        [name.as_str(), short, last].contains(&text.as_str())
    };
    // Codes outside the table are told by their capital.
    cell.parse::<Language>().is_ok()
        || is_code(&text)
        || Language::all_known().any(|l| l.name().is_some_and(named))
}

/// In small letters: `de`, `deu`, `deu_latn`, `zho_simpl`, and as translation programs have it `de-at`, `sr-latn-rs`, `es-419`.
fn is_code(text: &str) -> bool {
    let mut parts = text.split(['_', '-']);
    let language = parts.next().unwrap_or_default();
    let is_known = |code: &str| code.parse::<Language>().is_ok();
    let is_part = |part: &str| match part.len() {
        2 | 4 => part.bytes().all(|b| b.is_ascii_lowercase()),
        3 => part.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    };
    is_known(text) || (is_known(language) || is_of_scripts(language)) && parts.all(is_part)
}

/// Whether the table has three letters with several scripts, so that they are no code by themselves.
fn is_of_scripts(language: &str) -> bool {
    language.len() == 3 && Language::all_known().any(|l| l.code().starts_with(language))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_from_pairs() {
        for header in [
            ["deu_Latn", "eng_Latn"],
            ["DEU_LATN", "Eng"],
            [" German ", "english"],
            ["de", "EN"],
            ["de-AT", "zh_Hans_CN"],
            ["sr-Latn-RS", "es-419"],
            ["zho_simpl", "kas_arab"],
            ["Chinese", "Chinese (Traditional)"],
            ["PERSIAN", "Norwegian Bokmål"],
            ["qaa_Latn", "Dutch"],
            ["Source", "Target"],
            ["src", "tgt"],
            ["Original", " translation "],
        ] {
            assert!(names_languages(header), "{header:?}");
        }
        for pair in [
            ["Go.", "Geh."],
            ["German", "Deutsche"],
            ["Die Pumpe", "English"],
            ["No", "no"],
            ["", "German"],
            ["Run-time", "Run-off"],
            ["so-called", "de facto"],
            ["Source", "Quelle"],
            ["Target", "Source"],
            ["é", "de"],
            ["German text", "English text"],
        ] {
            assert!(!names_languages(pair), "{pair:?}");
        }
    }
}
