//! What tables look like that come from elsewhere: headers, further columns, CSV.

use proptest::prelude::*;
use tracing::Level;

use crate::corpus::logged::logged;
use crate::corpus::{Corpus, CorpusError, DataConfig, DirectionFilter, clean_text};
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
fn csv_is_recognised_and_read() {
    for separator in [",", ";"] {
        let text = "deu_Latn,eng_Latn\nAuf,On\n".replace(',', separator);
        let hint = format!(
            "; this looks like CSV: `separator = \"{separator}\"` in the data section reads it"
        );
        let one = "x.tsv:1: expected 2 tab-separated columns, got 1";
        let header = format!("{PAIR}header = true\n");
        assert_eq!(message(&text, PAIR), format!("{one}{hint}"));
        assert_eq!(message(&text, &header), format!("{one}{hint}"));
        let columns = format!("{MULTI}columns = {{ de = 'deu_Latn', en = 'eng_Latn' }}\n");
        let only = format!("{MULTI}languages = ['de', 'en']\n");
        for section in [MULTI, &columns, &only] {
            let found = message(&text, section);
            assert!(
                found.ends_with(&hint) && found.starts_with("x.tsv:1: "),
                "{found}"
            );
        }
        for section in [&header, MULTI, &columns, &only] {
            let corpus = load(&text, &format!("{section}separator = '{separator}'")).unwrap();
            assert_eq!(pairs(&corpus, "de-en"), [pair("Auf", "On")]);
        }
    }
    // A sentence with a comma in a table.
    assert_eq!(
        message("Auf\tOn\nAuf, zu\n", PAIR),
        "x.tsv:2: expected 2 tab-separated columns, got 1"
    );
}

#[test]
fn cells_in_quotation_marks_are_read_as_spreadsheets_write_them() {
    let text = "\"Er sagt \"\"ja\"\".\",\"He says, \"\"yes\"\".\"\n\"Zwei\nZeilen\",Two\r\n5\" Rohr,\"\"\n";
    let csv = format!("{PAIR}separator = ','\n");
    let corpus = load(text, &csv).unwrap();
    let expected = [
        pair("Er sagt \"ja\".", "He says, \"yes\"."),
        pair("Zwei Zeilen", "Two"),
        pair("5\" Rohr", ""),
    ];
    assert_eq!(pairs(&corpus, "de-en"), expected);
    let tabs = text.replace("\",\"", "\"\t\"").replace("\",", "\"\t");
    let tabs = tabs.replace("Rohr,", "Rohr\t");
    let corpus = load(&tabs, &format!("{PAIR}quotes = true")).unwrap();
    assert_eq!(pairs(&corpus, "de-en"), expected);

    // A lone carriage return ends nothing, as in any other text.
    let corpus = load("Auf,On\rand off\nZu,Off\n", &csv).unwrap();
    let text_of = |cell: &str| clean_text(cell).into_owned();
    let expected = [pair("Auf", &text_of("On\rand off")), pair("Zu", "Off")];
    assert_eq!(pairs(&corpus, "de-en"), expected);

    // Lines are counted as an editor counts them, and an empty one is a row of one cell.
    assert_eq!(
        message(&format!("{text}Ab\n"), &csv),
        "x.tsv:5: expected 2 comma-separated columns, got 1"
    );
    assert_eq!(
        message("Auf,On\n\nZu,Off\n", &csv),
        "x.tsv:2: expected 2 comma-separated columns, got 1"
    );
    let found = message("Auf,On\n\"Zu,Off\nAb,Out\n", &csv);
    assert!(
        found.starts_with("x.tsv:2: a quotation mark at the start of a cell is not closed"),
        "{found}"
    );
    let corpus = load("Auf,\"On\"\n", &format!("{csv}quotes = false")).unwrap();
    assert_eq!(pairs(&corpus, "de-en"), [pair("Auf", "\"On\"")]);
}

#[test]
fn quotation_marks_of_a_spreadsheet_in_a_table_are_warned_of() {
    let warnings = |text: &str, section: &str| {
        let (_, log) = logged(|| load(text, section).unwrap());
        let warned = log.into_iter().filter(|(level, _)| *level == Level::WARN);
        warned.map(|(_, text)| text).collect::<Vec<_>>()
    };
    let text = "\"Er sagt \"\"ja\"\".\"\tHe says yes.\nAuf\tOn\n";
    let found = warnings(text, PAIR);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("1 cells") && found[0].contains("`quotes = true`"),
        "{found:?}"
    );
    assert!(warnings(text, &format!("{PAIR}quotes = true")).is_empty());
    // Speech stands in quotation marks of its own.
    let speech = "\"Ja.\"\t\"Yes.\"\n\"Ja\", sagt er, \"gern.\"\t\"Yes\", he says.\n";
    assert!(warnings(speech, PAIR).is_empty());
}

proptest! {
    /// Whatever stands in cells, written as RFC 4180 has it.
    #[test]
    fn quoted_tables_come_back(
        cells in prop::collection::vec(("[a-c\",;\t\n ]{0,8}x", "[a-c\",;\t\n ]{0,8}y"), 1..6), which in 0usize..3,
    ) {
        let separator = ["\t", ",", ";"][which];
        let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
        let row = |(a, b): &(String, String)| format!("{}{separator}{}\n", quoted(a), quoted(b));
        let text: String = cells.iter().map(row).collect();
        let section = format!("{PAIR}quotes = true\nseparator = {separator:?}");
        let corpus = load(&text, &section).unwrap();
        let clean = |cell: &str| clean_text(&cell.replace('\n', " ")).into_owned();
        let expected: Vec<_> = cells.iter().map(|(a, b)| pair(&clean(a), &clean(b))).collect();
        prop_assert_eq!(pairs(&corpus, "de-en"), expected);
    }
}
