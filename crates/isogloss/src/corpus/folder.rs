use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Aligned, CorpusError, DataConfig, OneOrMany, Rows, TsvRows};
use crate::language::Language;

/// Languages of which a folder has a file, as [`folder`] reads them, in the order of their codes.
///
/// # Errors
/// If the folder can't be opened.
pub fn languages_of_folder(dir: &Path) -> Result<Vec<Language>, CorpusError> {
    let names = names(dir)?;
    let stem = |name: &String| {
        KINDS
            .iter()
            .find_map(|kind| name.strip_suffix(kind)?.parse().ok())
    };
    let languages: BTreeSet<Language> = names.iter().filter_map(stem).collect();
    Ok(languages.into_iter().collect())
}

/// Endings of a language's file.
const KINDS: [&str; 4] = [".txt", ".txt.gz", ".txt.zst", ".tsv"];

/// Where the text of a language may lie in a folder that [`folder`] reads.
pub fn places_in_folder(dir: &Path, language: &Language) -> impl Iterator<Item = PathBuf> {
    KINDS
        .map(|kind| dir.join(format!("{language}{kind}")))
        .into_iter()
}

fn names(dir: &Path) -> Result<Vec<String>, CorpusError> {
    let entries = std::fs::read_dir(dir).map_err(|source| match dir.is_file() {
        true => CorpusError::NoFolder {
            path: dir.to_owned(),
        },
        false => CorpusError::Open {
            path: dir.to_owned(),
            source,
        },
    })?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.collect())
}

/// How a folder with a file a language is read: `LANGUAGE.txt` (also `.txt.gz`, `.txt.zst`), or `LANGUAGE.tsv` with the columns `id`, `text`
/// and, for a `split`, `split`; by the first kind of which there is a file for one of the languages. The section's path starts in the
/// folder.
///
/// # Errors
/// If the folder can't be opened, or if it has no file of any of the languages.
pub fn folder<'a>(
    dir: &Path,
    split: Option<&str>,
    rows: Option<Rows>,
    languages: impl IntoIterator<Item = &'a Language>,
) -> Result<DataConfig, CorpusError> {
    let languages: BTreeSet<&Language> = languages.into_iter().collect();
    let names = names(dir)?;
    let has = |ending: &str| {
        let mut stems = names.iter().filter_map(|name| name.strip_suffix(ending));
        stems.any(|stem| stem.parse().is_ok_and(|l: Language| languages.contains(&l)))
    };
    let kinds: &[&str] = match split {
        None => &KINDS,
        Some(_) => &[".tsv"],
    };
    let Some(kind) = kinds.iter().find(|kind| has(kind)) else {
        let language = languages.first();
        return Err(CorpusError::NoFile {
            path: dir.to_owned(),
            example: language.map_or_else(String::new, ToString::to_string) + &kinds.join(" or "),
        });
    };
    let path = format!("{{lang}}{kind}");
    let languages = Some(languages.into_iter().cloned().collect());
    Ok(match *kind {
        ".tsv" => DataConfig::TsvRows(TsvRows {
            path,
            filter: split
                .iter()
                .map(|&split| ("split".to_owned(), OneOrMany::One(split.to_owned())))
                .collect(),
            rows,
            languages,
            ..TsvRows::default()
        }),
        _ => DataConfig::Aligned(Aligned {
            path: Some(path),
            files: BTreeMap::new(),
            rows,
            languages,
        }),
    })
}
