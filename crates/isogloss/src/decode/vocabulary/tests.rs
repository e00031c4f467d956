use std::path::Path;

use super::*;

fn tokenizer() -> Tokenizer {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenize/bpe.model");
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(path, dir.path().join("sentencepiece.bpe.model")).unwrap();
    Tokenizer::open(dir.path()).unwrap()
}

fn language(code: &str) -> Language {
    code.parse().unwrap()
}

#[test]
fn names_and_numbers_can_be_spelled() {
    let spells = |piece, code| text::spells(piece, &language(code));
    for piece in ["a", "▁Q", "é", "7", "▁2024", "▁(", "...", "▁", "<0xE2>"] {
        assert!(spells(piece, "deu_Latn"), "{piece}");
        assert!(spells(piece, "rus_Cyrl"), "{piece}");
    }
    for piece in [
        "▁Haus", "en", "ж", "猫", "deu_Latn", "__de__", "<pad>", "</s>", "",
    ] {
        assert!(!spells(piece, "deu_Latn"), "{piece}");
    }
    assert!(spells("ж", "rus_Cyrl") && !spells("жа", "rus_Cyrl"));
    assert!(spells("猫", "jpn_Jpan") && spells("ね", "jpn_Jpan") && !spells("ね", "zho_Hans"));
}

#[test]
fn what_is_learnt_covers_its_text() {
    let (tokenizer, german) = (tokenizer(), language("deu_Latn"));
    let text = ["The rain fell on the old harbour all night long."];
    let other = ["We counted seven herons by the river."];
    let learnt = Vocabulary::learn(&tokenizer, &german, text, other);
    assert!(learnt.contains(tokenizer.eos()) && !learnt.contains(tokenizer.pad()));
    assert!(learnt.ids().len() < tokenizer.vocab_size());
    let own = learnt.coverage(&tokenizer, text);
    assert_eq!(
        (own.outside, own.pieces),
        (0, tokenizer.encode(text[0]).len())
    );
    let held_out = learnt.held_out();
    let outside = tokenizer.encode(other[0]).into_iter();
    assert_eq!(
        held_out.outside,
        outside.filter(|&id| !learnt.contains(id)).count()
    );
    assert!(
        held_out.outside > 0,
        "the texts share too much to say anything"
    );
    let uses = |v: &Vocabulary| {
        [
            VocabularyUse::Full,
            VocabularyUse::Auto,
            VocabularyUse::Learnt,
        ]
        .map(|u| v.serves(u))
    };
    assert_eq!(uses(&learnt), [false, false, true]);
    let same = Vocabulary::learn(&tokenizer, &german, text, text);
    assert_eq!(uses(&same), [false, true, true]);
    let unmeasured = Vocabulary::learn(&tokenizer, &german, text, []);
    assert_eq!(uses(&unmeasured), [false, false, true]);
}

#[test]
fn files() {
    let tokenizer = tokenizer();
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        Vocabularies::load(dir.path(), &tokenizer).unwrap(),
        Vocabularies::default()
    );
    let text = ["The boats.", "By the river."];
    let learnt = Vocabularies {
        by_language: ["deu_Latn", "rus_Cyrl"]
            .map(|code| {
                let language = language(code);
                let vocabulary = Vocabulary::learn(&tokenizer, &language, text, ["Rain."]);
                (language, vocabulary)
            })
            .into(),
    };
    learnt.save(dir.path(), &tokenizer).unwrap();
    assert_eq!(Vocabularies::load(dir.path(), &tokenizer).unwrap(), learnt);

    let path = dir.path().join("vocabulary.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let index: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fails = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut index = index.clone();
        change(&mut index);
        std::fs::write(&path, index.to_string()).unwrap();
        Vocabularies::load(dir.path(), &tokenizer)
            .unwrap_err()
            .to_string()
    };
    let ids = |text: &'static str| {
        move |i: &mut serde_json::Value| i["languages"]["deu_Latn"]["ids"] = text.into()
    };
    assert!(fails(&ids("2 5-3")).contains("deu_Latn: they don't ascend at `5-3`"));
    assert!(fails(&ids("2-9 4")).contains("don't ascend"));
    assert!(fails(&ids("2 x")).contains("`x` is no id"));
    assert!(fails(&ids("2-4294967295")).contains("goes beyond"));
    assert!(fails(&ids("3-9")).contains("</s> is missing"));
    assert!(fails(&|i| i["format"] = 2.into()).contains("format 2 is newer"));
    let other = fails(&|i| i["tokenizer"] = "0".into());
    assert!(
        other.contains("vocabulary.json was learnt with another tokenizer"),
        "{other}"
    );
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(Vocabularies::load(dir.path(), &tokenizer).is_err());
}
