//! Trained vocabularies do what their users rely on; parity of the algorithm beneath is tested with it.

use super::super::sentencepiece::SentencePiece;
use super::super::write_folder;
use super::*;
use crate::tokenize::Tokenizer;

fn language(code: &str) -> Language {
    code.parse().unwrap()
}

fn handbook() -> Vec<(Language, String)> {
    let text = [
        (
            "eng_Latn",
            "Check the oil level of pump {} before you start the gearbox, then open valve {}.",
        ),
        (
            "deu_Latn",
            "Prüfen Sie den Ölstand der Pumpe {}, bevor Sie das Getriebe starten; öffnen Sie Ventil {}.",
        ),
        (
            "jpn_Jpan",
            "ギアボックスを始動する前に、ポンプ{}の油量を点検し、バルブ{}を開きます。",
        ),
    ];
    let mut lines = Vec::new();
    for i in 0..40 {
        for (code, line) in text {
            lines.push((language(code), line.replace("{}", &(i * 7).to_string())));
        }
    }
    lines
}

#[test]
fn a_trained_vocabulary_round_trips_through_its_folder() {
    let options = VocabularyOptions {
        vocab_size: 280,
        character_coverage: 1.0,
        ..Default::default()
    };
    let model = train_vocabulary(handbook(), &options).unwrap();
    assert_eq!(model, train_vocabulary(handbook(), &options).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let languages = ["deu_Latn", "eng_Latn", "jpn_Jpan"].map(language);
    let tokenizer = write_folder(dir.path(), &model, &languages).unwrap();
    assert_eq!(tokenizer.languages(), languages);
    assert_eq!(tokenizer.sentencepiece().len(), 280);
    let pieces = tokenizer.sentencepiece().pieces();
    assert!(
        pieces.iter().any(|p| p.text == "▁pump"),
        "a frequent word is a piece"
    );
    for (code, line) in handbook() {
        let ids = tokenizer.source_ids(&line, &code).unwrap();
        assert!(ids.len() < line.chars().count());
        assert_eq!(tokenizer.decode(&ids), line);
    }
    assert_eq!(
        tokenizer.encode("Ｐｕｍｐｅ  ﬁ"),
        tokenizer.encode("Pumpe fi")
    );

    // The same folder with tokenizer.json only.
    std::fs::remove_file(dir.path().join("sentencepiece.bpe.model")).unwrap();
    let other = Tokenizer::open(dir.path()).unwrap();
    assert_eq!(other.vocab_size(), tokenizer.vocab_size());
    for (code, line) in handbook() {
        assert_eq!(
            other.source_ids(&line, &code).unwrap(),
            tokenizer.source_ids(&line, &code).unwrap()
        );
    }
    assert_eq!(other.encode("Ｐｕｍｐｅ ﬁ"), tokenizer.encode("Pumpe fi"));
}

#[test]
fn rare_languages_get_their_pieces() {
    let mut lines: Vec<_> = (0..4000)
        .map(|i| {
            (
                language("eng_Latn"),
                format!("common words number {i} again"),
            )
        })
        .collect();
    lines.extend((0..20).map(|_| (language("fra_Latn"), "vérifiez régulièrement".to_owned())));
    let has = |temperature| {
        let options = VocabularyOptions {
            vocab_size: 95,
            temperature,
            ..Default::default()
        };
        let model = ModelProto::parse(&train_vocabulary(lines.clone(), &options).unwrap()).unwrap();
        model.pieces.iter().any(|p| p.text == "▁vérifiez")
    };
    assert!(has(5.0) && !has(1.0));
}

#[test]
fn byte_fallback_spells_what_has_no_piece() {
    let options = VocabularyOptions {
        vocab_size: 420,
        byte_fallback: true,
        ..Default::default()
    };
    let model =
        SentencePiece::from_bytes(&train_vocabulary(handbook(), &options).unwrap()).unwrap();
    assert_eq!(model.decode(&model.encode("☃ pump")), "☃ pump");
}

#[test]
fn training_refuses_what_cannot_work() {
    let train = |options: VocabularyOptions| {
        train_vocabulary(handbook(), &options)
            .unwrap_err()
            .to_string()
    };
    assert!(
        train(VocabularyOptions {
            vocab_size: 20,
            ..Default::default()
        })
        .contains("no room for")
    );
    assert!(
        train(VocabularyOptions {
            character_coverage: 0.2,
            ..Default::default()
        })
        .contains("character_coverage")
    );
    assert!(
        train(VocabularyOptions {
            temperature: f64::NAN,
            ..Default::default()
        })
        .contains("temperature")
    );
    let nothing: Vec<(Language, String)> = vec![(language("eng_Latn"), "  ".into())];
    let error = train_vocabulary(nothing, &VocabularyOptions::default()).unwrap_err();
    assert!(error.to_string().contains("there is no text"));
}
