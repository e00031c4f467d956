use std::path::{Path, PathBuf};

use crate::corpus::{Aligned, Corpus, DataConfig, DirectionFilter, OneOrMany, Rows, TsvRows};
use crate::language::{Direction, Language};

use super::scores::Scored;

/// The sentences that were scored, with their references, where the scores say where they lie and they lie there still.
pub(super) fn of(scored: &Scored, directions: &[Direction]) -> Option<Corpus> {
    let option = |key: &str| scored.file.options.get(key)?.as_str();
    let folder = PathBuf::from(option("data")?);
    let rows: Option<Rows> = match option("rows") {
        Some(rows) => Some(rows.parse().ok()?),
        None => None,
    };
    let mut languages: Vec<Language> = directions
        .iter()
        .flat_map(|d| [d.source.clone(), d.target.clone()])
        .collect();
    languages.sort();
    languages.dedup();
    let data = config(&folder, languages, rows, option("split"))?;
    let wanted = DirectionFilter::Only(directions.iter().cloned().collect());
    Corpus::load_held(&[data], &folder, &wanted).ok()
}

/// How a folder with a file a language is read, as `isogloss evaluate` does.
fn config(
    folder: &Path,
    languages: Vec<Language>,
    rows: Option<Rows>,
    split: Option<&str>,
) -> Option<DataConfig> {
    let kinds: &[&str] = match split {
        None => &[".txt", ".txt.gz", ".txt.zst", ".tsv"],
        Some(_) => &[".tsv"],
    };
    let has = |kind: &&&str| {
        let mut names = languages.iter().map(|l| folder.join(format!("{l}{kind}")));
        names.any(|path| path.is_file())
    };
    let kind = kinds.iter().find(has)?;
    let path = format!("{{lang}}{kind}");
    let languages = Some(languages);
    Some(match *kind {
        ".tsv" => DataConfig::TsvRows(TsvRows {
            path,
            key: "id".into(),
            text: "text".into(),
            filter: split
                .iter()
                .map(|&split| ("split".to_owned(), OneOrMany::One(split.to_owned())))
                .collect(),
            rows,
            languages,
        }),
        _ => DataConfig::Aligned(Aligned {
            path: Some(path),
            files: std::collections::BTreeMap::new(),
            rows,
            languages,
        }),
    })
}
