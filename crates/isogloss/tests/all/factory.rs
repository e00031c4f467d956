//! The handbook in `examples/factory` is what its card says.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use isogloss::corpus::{
    Corpus, DataConfig, DirectionFilter, FilterConfig, Lines, NgramProfile, OneOrMany, TsvRows,
};
use isogloss::language::Language;

/// Id, chapter, split, text.
type Row = [String; 4];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/factory")
}

fn files() -> BTreeMap<Language, Vec<Row>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "tsv") {
            let language: Language = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            let mut lines = Lines::open(&path).unwrap();
            assert_eq!(lines.next_line().unwrap(), Some("id\tchapter\tsplit\ttext"));
            let mut rows: Vec<Row> = Vec::new();
            while let Some(line) = lines.next_line().unwrap() {
                let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
                rows.push(
                    cells
                        .try_into()
                        .unwrap_or_else(|cells| panic!("{language}: {cells:?}")),
                );
            }
            files.insert(language, rows);
        }
    }
    files
}

fn section(split: &str) -> DataConfig {
    DataConfig::TsvRows(TsvRows {
        path: "{lang}.tsv".into(),
        filter: BTreeMap::from([("split".into(), OneOrMany::One(split.into()))]),
        ..TsvRows::default()
    })
}

#[test]
fn files_are_aligned_and_complete() {
    let files = files();
    assert_eq!(files.len(), 12);
    let english = &files[&"en".parse().unwrap()];
    for (language, rows) in &files {
        let heads = |rows: &[Row]| {
            rows.iter()
                .map(|r| [r[0].clone(), r[1].clone(), r[2].clone()])
                .collect::<Vec<_>>()
        };
        assert_eq!(heads(rows), heads(english), "{language}");
        let count = |split: &str| rows.iter().filter(|r| r[2] == split).count();
        assert_eq!(
            (count("train"), count("valid"), count("test")),
            (312, 52, 104),
            "{language}"
        );
        for [id, _, split, text] in rows {
            assert!(id.contains(&format!("-{split}-")), "{id}");
            assert!(
                !text.is_empty() && text.trim() == text && !text.contains("  "),
                "{language} {id}: {text:?}"
            );
        }
        let texts: HashSet<&str> = rows.iter().map(|r| r[3].as_str()).collect();
        assert_eq!(
            texts.len(),
            rows.len(),
            "{language}: a sentence occurs twice"
        );
    }
    let chapters: BTreeSet<&str> = english.iter().map(|r| r[1].as_str()).collect();
    assert_eq!(chapters.len(), 13);
}

/// In both directions: a translation of the one sentence would not score with the other as its reference.
#[test]
fn no_held_out_sentence_is_a_near_copy() {
    for (language, rows) in files() {
        let profiles: Vec<NgramProfile> = rows.iter().map(|r| NgramProfile::new(&r[3])).collect();
        for (held_out, profile) in rows.iter().zip(&profiles).filter(|(r, _)| r[2] != "train") {
            for (other, other_profile) in rows
                .iter()
                .zip(&profiles)
                .filter(|(r, _)| r[0] != held_out[0])
            {
                let chrf = profile.chrf(other_profile).max(other_profile.chrf(profile));
                assert!(
                    chrf <= 48.0,
                    "{language} {}: {chrf:.1} with {}: {}",
                    held_out[0],
                    other[0],
                    other[3]
                );
            }
        }
    }
}

#[test]
fn the_library_reads_it_and_the_filter_keeps_all_of_it() {
    for (split, count) in [("train", 312), ("valid", 52), ("test", 104)] {
        let mut corpus = Corpus::load(&[section(split)], &folder(), &DirectionFilter::All).unwrap();
        let languages = corpus.languages().len();
        assert_eq!(corpus.directions().len(), languages * (languages - 1));
        assert!(corpus.directions().all(|(_, n)| n == count));
        let report = corpus.filter(&FilterConfig::default()).unwrap();
        assert_eq!(report.total().kept, report.total().read, "{report}");
    }
}
