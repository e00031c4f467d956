//! What tables look like that come from elsewhere: headers, further columns, CSV.

use tracing::Level;

use crate::corpus::logged::logged;
use crate::corpus::{Corpus, CorpusError, DataConfig, DirectionFilter};
use crate::language::Direction;

const PAIR: &str = "format = 'tsv-pair'\npath = 'x.tsv'\ncolumns = ['deu_Latn', 'eng_Latn']\n";
const MULTI: &str = "format = 'tsv-multi'\npath = 'x.tsv'\n";

/// Reads a section over a file `x.tsv`.
fn load(text: &str, section: &str) -> Result<Corpus, CorpusError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.tsv"), text).unwrap();
    let section: DataConfig = toml::from_str(section).unwrap();
    Corpus::load(&[section], folder.path(), &DirectionFilter::All)
}

fn pairs(corpus: &Corpus, of: &str) -> Vec<(String, String)> {
    let owned = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
    let direction: Direction = of.parse().unwrap();
    corpus.pairs(&direction).map(owned).collect()
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

/// The message from the file's name on.
fn message(text: &str, section: &str) -> String {
    let message = load(text, section).unwrap_err().to_string();
    let at = message.find("x.tsv").unwrap_or(0);
    message[at..].to_owned()
}

#[test]
fn a_header_over_pairs_is_skipped_on_demand_and_warned_of_otherwise() {
    let text = "German\tENG\nAuf\tOn\nZu\tOff\n";
    let warnings = |text: &str, section: &str| {
        let (corpus, mut log) = logged(|| load(text, section).unwrap());
        log.retain(|(level, _)| *level == Level::WARN);
        (pairs(&corpus, "de-en"), log)
    };
    let (found, log) = warnings(text, PAIR);
    assert_eq!((found.len(), log.len()), (3, 1), "{log:?}");
    for part in ["x.tsv", "`German` and `ENG`", "`header = true`"] {
        assert!(log[0].1.contains(part), "{part}: {log:?}");
    }
    let (found, log) = warnings(text, &format!("{PAIR}header = true"));
    assert_eq!(found, [pair("Auf", "On"), pair("Zu", "Off")]);
    assert!(log.is_empty(), "{log:?}");
    // Rows count under the header, and in a file without one from its start.
    let (found, log) = warnings(text, &format!("{PAIR}header = true\nrows = '1'"));
    assert_eq!((found, log.len()), (vec![pair("Auf", "On")], 0));
    let (found, log) = warnings(text, &format!("{PAIR}rows = '2'"));
    assert_eq!((found, log.len()), (vec![pair("Auf", "On")], 0));
    // Languages that a later line names are text.
    let (found, log) = warnings("Auf\tOn\nDeutsch\tGerman\nen\tde\n", PAIR);
    assert_eq!((found.len(), log.len()), (3, 0));

    let header = format!("{PAIR}header = true\n");
    assert_eq!(message("de\ten\n", &header), "x.tsv: empty corpus");
    assert_eq!(
        message(text, &format!("{header}rows = '1-3'")),
        "x.tsv: rows 1-3 were asked for, but there are 2"
    );
    assert_eq!(
        message("de\ten\nAuf\tOn\nZu\n", &header),
        "x.tsv:3: expected 2 tab-separated columns, got 1"
    );
}

#[test]
fn columns_outside_languages_are_ignored() {
    let text = "id\tdeu_Latn\tnote\teng_Latn\n7\tAuf\tvalve\tOn\n8\tZu\t\tOff\n";
    let corpus = load(text, &format!("{MULTI}languages = ['de', 'en']")).unwrap();
    assert_eq!(corpus.directions().len(), 2);
    assert_eq!(
        pairs(&corpus, "de-en"),
        [pair("Auf", "On"), pair("Zu", "Off")]
    );
    // Rows still have as many cells as the header.
    assert_eq!(
        message(
            &format!("{text}9\tAb\tOut\n"),
            &format!("{MULTI}languages = ['de', 'en']")
        ),
        "x.tsv:4: expected 4 tab-separated columns, got 3"
    );
    let found = message(text, MULTI);
    assert!(
        found.starts_with("x.tsv:1: unknown language `note`")
            && found.ends_with("; `languages = [...]` in the data section ignores other columns"),
        "{found}"
    );
    let found = message(text, &format!("{MULTI}languages = ['de', 'it', 'en']"));
    assert!(
        found.starts_with(
            "x.tsv:1: no column of ita_Latn; there are id, deu_Latn, note, eng_Latn; "
        ) && found.contains("`columns = { deu_Latn = \"German\" }`"),
        "{found}"
    );
}

#[test]
fn columns_may_have_any_name() {
    let text = "id\tGerman\tEnglish\tind_Latn\n7\tAuf\tOn\tBuka\n";
    let section =
        format!("{MULTI}columns = {{ de = 'German', en = 'English', id = 'ind_Latn' }}\n");
    let corpus = load(text, &section).unwrap();
    assert_eq!(corpus.directions().len(), 6);
    assert_eq!(pairs(&corpus, "de-en"), [pair("Auf", "On")]);
    assert_eq!(pairs(&corpus, "id-de"), [pair("Buka", "Auf")]);
    let corpus = load(text, &format!("{section}languages = ['de', 'en']")).unwrap();
    assert_eq!(corpus.directions().len(), 2);
    let found = message(
        text,
        &format!("{MULTI}columns = {{ de = 'german', en = 'English' }}"),
    );
    assert_eq!(
        found,
        "x.tsv:1: no column `german`; there are id, German, English, ind_Latn"
    );
    let found = message(
        text,
        &format!("{MULTI}columns = {{ de = 'German', en = 'German' }}"),
    );
    assert_eq!(
        found,
        "data section 1: `columns` gives `German` to both deu_Latn and eng_Latn"
    );
    let found = message(text, &format!("{section}languages = ['de', 'fr']"));
    assert!(
        found.starts_with("x.tsv:1: no column of fra_Latn; "),
        "{found}"
    );
}

#[test]
fn csv_is_recognised() {
    let hint = "; this looks like CSV: export it as tab-separated text, UTF-8";
    for separator in [",", ";"] {
        let text = "deu_Latn,eng_Latn\nAuf,On\n".replace(',', separator);
        let one = "x.tsv:1: expected 2 tab-separated columns, got 1";
        assert_eq!(message(&text, PAIR), format!("{one}{hint}"));
        assert_eq!(
            message(&text, &format!("{PAIR}header = true")),
            format!("{one}{hint}")
        );
        for section in [MULTI.to_owned(), format!("{MULTI}languages = ['de', 'en']")] {
            let found = message(&text, &section);
            assert!(
                found.ends_with(hint) && found.starts_with("x.tsv:1: "),
                "{found}"
            );
        }
        let section = format!("{MULTI}columns = {{ de = 'deu_Latn', en = 'eng_Latn' }}");
        assert!(message(&text, &section).ends_with(hint));
    }
    // A sentence with a comma in a table.
    assert_eq!(
        message("Auf\tOn\nAuf, zu\n", PAIR),
        "x.tsv:2: expected 2 tab-separated columns, got 1"
    );
}
