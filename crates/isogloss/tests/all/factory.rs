//! The handbook in `examples/factory` is what its card says.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use isogloss::corpus::{
    Corpus, DataConfig, DirectionFilter, FilterConfig, Lines, OneOrMany, TsvRows, nearest_copies,
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
        key: "id".into(),
        text: "text".into(),
        filter: BTreeMap::from([("split".into(), OneOrMany::One(split.into()))]),
        rows: None,
        languages: None,
    })
}

#[test]
fn files_are_aligned_and_complete() {
    let files = files();
    assert!(files.len() >= 11);
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

#[test]
fn no_held_out_sentence_is_a_near_copy() {
    for (language, rows) in files() {
        for split in ["valid", "test"] {
            let held_out: Vec<&Row> = rows.iter().filter(|r| r[2] == split).collect();
            for row in held_out {
                let others: Vec<&str> = rows
                    .iter()
                    .filter(|r| r[0] != row[0])
                    .map(|r| r[3].as_str())
                    .collect();
                let nearest = nearest_copies(&[&row[3]], &others)[0].unwrap();
                assert!(
                    nearest.chrf <= 48.0,
                    "{language} {}: {:.1} with `{}`",
                    row[0],
                    nearest.chrf,
                    others[nearest.index]
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
        let report = corpus.filter(&FilterConfig::default());
        assert_eq!(report.total().kept, report.total().read, "{report}");
    }
}
