//! From `[[data]]` sections to pairs, over files on disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use isogloss::corpus::{
    Corpus, CorpusError, DataConfig, DirectionFilter, FilterConfig, Reason, SampleConfig, Sampler,
};
use isogloss::language::Direction;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    data: Vec<DataConfig>,
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if name.ends_with(".zst") {
            fs::write(path, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        } else {
            fs::write(path, text).unwrap();
        }
    }
    folder
}

fn load_with(folder: &Path, config: &str, wanted: &DirectionFilter) -> Result<Corpus, CorpusError> {
    let config: Config = toml::from_str(config).unwrap_or_else(|e| panic!("{e}"));
    Corpus::load(&config.data, folder, wanted)
}

fn load(files: &[(&str, &str)], config: &str) -> Result<Corpus, CorpusError> {
    load_with(folder(files).path(), config, &DirectionFilter::All)
}

fn error(files: &[(&str, &str)], config: &str) -> String {
    load(files, config).unwrap_err().to_string()
}

fn direction(text: &str) -> Direction {
    text.parse().unwrap()
}

fn pairs<'a>(corpus: &'a Corpus, of: &str) -> Vec<(&'a str, &'a str)> {
    corpus.pairs(&direction(of)).collect()
}

fn counts(corpus: &Corpus) -> Vec<(String, usize)> {
    corpus
        .directions()
        .map(|(d, n)| (d.to_string(), n))
        .collect()
}

const ALIGNED: &[(&str, &str)] = &[
    ("t/eng_Latn.txt", "one\ntwo\r\nthree\n"),
    ("t/de.txt", "eins\nzwei\ndrei"),
    ("t/fra_Latn.txt.zst", "un\ndeux\ntrois\n"),
    ("t/notes.txt", "not a language\n"),
];

#[test]
fn aligned_files() {
    let config = "[[data]]\nformat = 'aligned'\npath = 't/{lang}.txt'";
    let corpus = load(ALIGNED, config).unwrap();
    assert_eq!(
        counts(&corpus),
        [
            ("deu_Latn-eng_Latn".into(), 3),
            ("eng_Latn-deu_Latn".into(), 3)
        ]
    );
    assert_eq!(
        pairs(&corpus, "en-de"),
        [("one", "eins"), ("two", "zwei"), ("three", "drei")]
    );
    assert_eq!(pairs(&corpus, "de-en")[2], ("drei", "three"));
    assert_eq!(corpus.pair_at(1, 0), Some(("one", "eins")));
    assert_eq!(
        (corpus.pair_at(2, 0), corpus.pair(&direction("en-de"), 3)),
        (None, None)
    );

    let config = "[[data]]\nformat = 'aligned'\nrows = '2-3'
        files = { en = 't/eng_Latn.txt', fra_Latn = 't/fra_Latn.txt.zst', de = 't/de.txt' }";
    let corpus = load(ALIGNED, config).unwrap();
    assert_eq!(corpus.directions().len(), 6);
    assert_eq!(
        pairs(&corpus, "fr-de"),
        [("deux", "zwei"), ("trois", "drei")]
    );
    assert_eq!(
        corpus.texts(&"fr".parse().unwrap()).collect::<Vec<_>>(),
        ["deux", "trois"]
    );
}

#[test]
fn aligned_files_that_do_not_fit() {
    let files = [
        ("a/en.txt", "1\n2\n3\n"),
        ("a/de.txt", "1\n2\n"),
        ("a/fr.txt", "1\n2\n"),
    ];
    let section = "[[data]]\nformat = 'aligned'\npath = 'a/{lang}.txt'\n";
    let message = error(&files, section);
    assert!(
        message.contains("de.txt has 2 lines, but ") && message.contains("en.txt has 3"),
        "{message}"
    );
    let message = error(&files[1..], &format!("{section}rows = '1-3'"));
    assert!(
        message.ends_with("rows 1-3 were asked for, but there are 2"),
        "{message}"
    );
    let message = error(
        &files[1..],
        &format!("{section}languages = ['de', 'it', 'es']"),
    );
    assert!(message.ends_with("for ita_Latn, spa_Latn"), "{message}");
    assert!(error(&files, "[[data]]\nformat = 'aligned'\npath = 'a/de.txt'").contains("{lang}"));
    assert!(error(&files, "[[data]]\nformat = 'aligned'").contains("either `path` or `files`"));
    assert!(error(&[("a/en.txt", ""), ("a/de.txt", "")], section).ends_with("empty corpus"));
    assert!(error(&files[..1], section).starts_with("the data sections hold no sentence pair"));
}

#[test]
fn tsv_pairs() {
    let files = [
        ("p/en-de.tsv", "Go.\tGeh.\nGo.\tGeht.\n"),
        ("p/de-fr.tsv", "Geh.\tVa.\n"),
        ("x.tsv", "a\tb\nc\n"),
    ];
    let section = "[[data]]\nformat = 'tsv-pair'\n";
    let corpus = load(
        &files,
        &format!("{section}path = 'p/{{source}}-{{target}}.tsv'"),
    )
    .unwrap();
    assert_eq!(pairs(&corpus, "de-en"), [("Geh.", "Go."), ("Geht.", "Go.")]);
    assert_eq!(pairs(&corpus, "fr-de"), [("Va.", "Geh.")]);
    assert_eq!(corpus.len(&direction("fr-en")), 0);
    assert_eq!(corpus.texts(&"de".parse().unwrap()).count(), 2);
    let message = error(
        &files,
        &format!("{section}path = 'x.tsv'\ncolumns = ['en', 'de']"),
    );
    assert!(
        message.ends_with("x.tsv:2: expected 2 tab-separated columns, got 1"),
        "{message}"
    );
    assert!(error(&files, &format!("{section}path = 'x.tsv'")).contains("name the two `columns`"));
}

#[test]
fn tsv_of_many_languages() {
    let text = "eng_Latn\tdeu_Latn\tfra_Latn\nHelp\tHilfe\tAide\nFile\t\tFichier\n";
    let section = "[[data]]\nformat = 'tsv-multi'\npath = 'm.tsv'\n";
    let corpus = load(&[("m.tsv", text)], section).unwrap();
    assert_eq!(
        pairs(&corpus, "en-fr"),
        [("Help", "Aide"), ("File", "Fichier")]
    );
    assert_eq!(pairs(&corpus, "de-fr"), [("Hilfe", "Aide")]);
    let corpus = load(
        &[("m.tsv", text)],
        &format!("{section}rows = '2'\nlanguages = ['en', 'fr']"),
    )
    .unwrap();
    assert_eq!(
        counts(&corpus),
        [
            ("eng_Latn-fra_Latn".into(), 1),
            ("fra_Latn-eng_Latn".into(), 1)
        ]
    );
    // Rows that all languages have, of those that are taken.
    let complete = format!("{section}complete = true\n");
    let corpus = load(&[("m.tsv", text)], &complete).unwrap();
    assert_eq!(pairs(&corpus, "en-fr"), [("Help", "Aide")]);
    let corpus = load(
        &[("m.tsv", text)],
        &format!("{complete}languages = ['en', 'fr']"),
    );
    assert_eq!(pairs(&corpus.unwrap(), "en-fr").len(), 2);
    assert!(error(&[("m.tsv", "en\tde\na\n")], section).contains("m.tsv:2: expected 2"));
    assert!(
        error(&[("m.tsv", "en\tgerman\na\tb\n")], section)
            .contains("m.tsv:1: unknown language `german`")
    );
    assert!(
        error(&[("m.tsv", "en\teng\na\tb\n")], section)
            .contains("both `en` and `eng` are eng_Latn")
    );
    assert!(error(&[("m.tsv", "en\tde\n")], section).ends_with("empty corpus"));
}

#[test]
fn tsv_rows_are_joined_by_key() {
    let files = [
        (
            "f/en.tsv",
            "id\tsplit\ttext\n1\ttrain\tone\n2\ttest\ttwo\n3\ttrain\tthree\n",
        ),
        (
            "f/de.tsv",
            "id\ttext\tsplit\n3\tdrei\ttrain\n1\teins\ttrain\n2\tzwei\ttest\n",
        ),
    ];
    let section = "[[data]]\nformat = 'tsv-rows'\npath = 'f/{lang}.tsv'\n";
    let corpus = load(&files, &format!("{section}where = {{ split = 'train' }}")).unwrap();
    assert_eq!(
        pairs(&corpus, "en-de"),
        [("three", "drei"), ("one", "eins")]
    );
    assert_eq!(pairs(&load(&files, section).unwrap(), "en-de").len(), 3);
    assert!(
        error(&files, &format!("{section}where = {{ part = 'x' }}"))
            .contains("no column `part`; there are id, ")
    );
    let twice = [("f/en.tsv", "id\ttext\n1\ta\n1\tb\n")];
    assert!(error(&twice, section).ends_with("en.tsv:3: `1` occurs a second time"));
}

#[test]
fn json_lines_of_both_shapes() {
    let text = r#"{"id": 7, "translation": {"en": "Stop\nnow", "de": "Halt jetzt", "fr": null}}
{"source": "Go", "target": "Va", "source_lang": "en", "target_lang": "fr"}
{"source": "Halt", "target": "Stop"}
"#;
    let section = "[[data]]\nformat = 'jsonl'\npath = 'x.jsonl'\ndirection = 'de-en'\n";
    let corpus = load(&[("x.jsonl", text)], section).unwrap();
    assert_eq!(
        pairs(&corpus, "en-de"),
        [("Stop now", "Halt jetzt"), ("Stop", "Halt")]
    );
    assert_eq!(pairs(&corpus, "fr-en"), [("Va", "Go")]);
    let bad = |line: &str| error(&[("x.jsonl", &format!("{text}{line}"))], section);
    assert!(bad("{").contains("x.jsonl:4: "));
    assert!(bad("[]").contains("x.jsonl:4: "));
    assert!(bad(r#"{"text": "a"}"#).contains("neither `translation` nor `source` is there"));
    assert!(bad(r#"{"translation": {"en": 1}}"#).contains("the text of `en` is no string"));
    assert!(bad(r#"{"translation": {"en": "a", "eng": "b"}}"#).contains("two texts in eng_Latn"));
    assert!(bad(r#"{"translation": {"en": "a\u0000"}}"#).contains("NUL"));
    let message = error(
        &[("x.jsonl", text)],
        "[[data]]\nformat = 'jsonl'\npath = 'x.jsonl'",
    );
    assert!(message.contains("x.jsonl:3: no `source_lang`"), "{message}");
}

#[test]
fn only_wanted_directions_are_read_and_must_be_there() {
    let folder = folder(ALIGNED);
    let config = "[[data]]\nformat = 'aligned'\nfiles = { en = 't/eng_Latn.txt', de = 't/de.txt', fr = 't/fra_Latn.txt.zst' }";
    let load = |wanted| load_with(folder.path(), config, &wanted);
    let only = |list: &[&str]| DirectionFilter::Only(list.iter().map(|d| direction(d)).collect());
    let among =
        |list: &[&str]| DirectionFilter::Among(list.iter().map(|l| l.parse().unwrap()).collect());
    assert_eq!(
        counts(&load(only(&["en-de"])).unwrap()),
        [("eng_Latn-deu_Latn".into(), 3)]
    );
    assert_eq!(load(among(&["en", "fr"])).unwrap().directions().len(), 2);
    let message = load(only(&["en-de", "de-it"])).unwrap_err().to_string();
    assert!(
        message.starts_with("no sentence pairs for deu_Latn-ita_Latn;"),
        "{message}"
    );
    let message = load(among(&["en", "de", "it"])).unwrap_err().to_string();
    assert!(
        message.starts_with("no sentence pairs with ita_Latn;"),
        "{message}"
    );
}

#[test]
fn filter_counts_by_reason() {
    let rows = [
        "Open the valve.\tÖffnen Sie das Ventil.",
        "Open the valve.\tÖffnen Sie das Ventil.",
        "Open the valve.\tDas Ventil öffnen.",
        "\tLeer",
        "%1 / {2}\tAnzahl",
        "Gate\tGate",
        "The valve.\tКлапан закрыт сегодня.",
        "Yes.\tJa, das ist in jedem Fall so, und zwar immer, wenn die Pumpe läuft.",
    ];
    let folder = folder(&[("en-de.tsv", &rows.join("\n"))]);
    let config = "[[data]]\nformat = 'tsv-pair'\npath = '{source}-{target}.tsv'";
    let wanted = DirectionFilter::All;
    let mut corpus = load_with(folder.path(), config, &wanted).unwrap();
    let report = corpus.filter(&FilterConfig::default()).unwrap();
    let dropped: Vec<_> = report.rows[0]
        .dropped
        .iter()
        .map(|(&r, &n)| (r, n))
        .collect();
    assert_eq!(
        dropped,
        [
            (Reason::Empty, 1),
            (Reason::NoText, 1),
            (Reason::Copy, 1),
            (Reason::WrongScript, 1),
            (Reason::Duplicate, 1),
            (Reason::LengthRatio, 1)
        ]
    );
    assert_eq!((report.rows[0].read, report.rows[0].kept), (8, 2));
    assert_eq!(
        pairs(&corpus, "de-en")[1],
        ("Das Ventil öffnen.", "Open the valve.")
    );
    let table = report.to_string();
    assert!(
        table.contains("deu_Latn<>eng_Latn") && table.lines().count() == 3,
        "{table}"
    );

    let mut corpus = load_with(folder.path(), config, &wanted).unwrap();
    let bad = FilterConfig {
        min_script_share: 50.0,
        ..FilterConfig::default()
    };
    let message = corpus.filter(&bad).unwrap_err().to_string();
    assert_eq!(
        message,
        "filter setting `min_script_share` is 50; it must be between 0 and 1"
    );
    let report = corpus
        .filter(&FilterConfig {
            keep_all: true,
            ..FilterConfig::default()
        })
        .unwrap();
    assert_eq!(
        (report.total().kept, corpus.len(&direction("en-de"))),
        (8, 8)
    );
}

#[test]
fn a_direction_without_any_good_pair_is_gone() {
    let files = [("en-de.tsv", "a\ta\n"), ("en-fr.tsv", "one\tun\n")];
    let mut corpus = load(
        &files,
        "[[data]]\nformat = 'tsv-pair'\npath = '{source}-{target}.tsv'",
    )
    .unwrap();
    corpus.filter(&FilterConfig::default()).unwrap();
    let left: BTreeSet<String> = corpus.directions().map(|(d, _)| d.to_string()).collect();
    assert_eq!(
        left,
        BTreeSet::from(["eng_Latn-fra_Latn".into(), "fra_Latn-eng_Latn".into()])
    );
    let sampler = Sampler::new(corpus.directions(), &SampleConfig::default(), 1).unwrap();
    for sample in sampler.epoch(0) {
        assert!(
            corpus
                .pair_at(sample.direction as usize, sample.pair as usize)
                .is_some()
        );
    }
}
