//! Model folders: ids of transformers (from `scripts/make_tokenize_fixtures.py`), tags, what is said about broken ones.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::sentencepiece::SentencePiece;
use super::*;
use crate::language::Language;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenize")
}

fn expected(family: &str) -> Value {
    let all: Value =
        serde_json::from_slice(&std::fs::read(fixtures().join("expected.json")).unwrap()).unwrap();
    all[family].clone()
}

fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect()
}

fn language(code: &str) -> Language {
    code.parse().unwrap()
}

/// A folder with the fixture model `bpe` and other files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(
        fixtures().join("bpe.model"),
        dir.path().join("sentencepiece.bpe.model"),
    )
    .unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

fn bpe() -> SentencePiece {
    SentencePiece::from_bytes(&std::fs::read(fixtures().join("bpe.model")).unwrap()).unwrap()
}

fn m2m100_vocab() -> String {
    std::fs::read_to_string(fixtures().join("m2m100/vocab.json")).unwrap()
}

fn open_error(dir: &Path) -> String {
    let error = Tokenizer::open(dir).unwrap_err();
    let source = std::error::Error::source(&error)
        .map(|e| format!(": {e}"))
        .unwrap_or_default();
    format!("{error}{source}")
}

#[test]
fn m2m100_gives_the_ids_of_transformers() {
    let expected = expected("m2m100");
    let dir = folder(&[("vocab.json", &m2m100_vocab())]);
    let tokenizer = Tokenizer::open(dir.path()).unwrap();
    assert_eq!(tokenizer.family(), Family::M2m100);
    let (en, fr) = (language("en"), language("fr"));
    assert_eq!(
        u64::from(tokenizer.language_id(&en).unwrap()),
        expected["en"].as_u64().unwrap()
    );
    assert_eq!(tokenizer.languages().len(), 100);
    assert_eq!(
        tokenizer.vocab_size() as u64,
        expected["zu"].as_u64().unwrap() + 1
    );
    for case in expected["sentences"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        assert_eq!(
            tokenizer.source_ids(text, &en).unwrap(),
            ids(&case["ids"]),
            "{text}"
        );
        assert_eq!(
            tokenizer.target_ids(text, &fr).unwrap(),
            ids(&case["labels"]),
            "{text}"
        );
    }
    let ids = tokenizer.source_ids("Check the pump ☃☃ now", &en).unwrap();
    assert_eq!(tokenizer.decode(&ids), "Check the pump ☃☃ now");
    assert_eq!(tokenizer.piece(ids[0]), Some("__en__"));
    assert!(!tokenizer.has_unk("the pump"));
    assert!(tokenizer.has_unk("日本"));
    assert_eq!(tokenizer.decode(&tokenizer.encode("日本")), " \u{2047} ");
}

#[test]
fn nllb_gives_the_ids_of_transformers() {
    let tags = ["ces_Latn", "deu_Latn", "eng_Latn", "fra_Latn"];
    for (name, legacy) in [("nllb", false), ("nllb_legacy", true)] {
        let config = json!({"extra_special_tokens": tags, "legacy_behaviour": legacy}).to_string();
        let dir = folder(&[("tokenizer_config.json", &config)]);
        let tokenizer = Tokenizer::open(dir.path()).unwrap();
        assert_eq!(
            (tokenizer.family(), tokenizer.tag_at_end()),
            (Family::Nllb, legacy)
        );
        let expected = expected(name);
        for case in expected["pieces"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let ids = tokenizer.source_ids(text, &language("eng_Latn")).unwrap();
            let pieces: Vec<_> = ids.iter().map(|id| tokenizer.piece(*id).unwrap()).collect();
            let wanted: Vec<_> = case["tokens"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t.as_str().unwrap())
                .collect();
            assert_eq!(pieces, wanted);
        }
        for (piece, id) in expected["ids"].as_object().unwrap() {
            assert_eq!(
                tokenizer.piece(id.as_u64().unwrap() as u32),
                Some(piece.as_str())
            );
        }
        let pieces = bpe().len() as u32;
        for (tag, id) in tags.iter().zip(pieces + 1..) {
            assert_eq!(tokenizer.language_id(&language(tag)).unwrap(), id);
        }
        assert_eq!(tokenizer.vocab_size() as u32, pieces + 1 + 4 + 1);
        assert_eq!(
            (
                tokenizer.bos(),
                tokenizer.pad(),
                tokenizer.eos(),
                tokenizer.unk()
            ),
            (0, 1, 2, 3)
        );
    }
}

#[test]
fn nllb_without_a_list_has_its_202_languages_in_order() {
    let dir = folder(&[]);
    let tokenizer = Tokenizer::open(dir.path()).unwrap();
    assert_eq!(tokenizer.languages().len(), 202);
    // In the published model, with 256,000 pieces, the first tag is 256001 and English 256047.
    let first = bpe().len() as u32 + 1;
    assert_eq!(tokenizer.language_id(&language("ace_Arab")).unwrap(), first);
    assert_eq!(
        tokenizer.language_id(&language("eng_Latn")).unwrap(),
        first + 46
    );
    assert_eq!(tokenizer.piece(first + 202), Some("<mask>"));
}

#[test]
fn added_tokens_with_ids_of_their_own_win() {
    let first = bpe().len() as u32 + 1;
    let config = json!({"added_tokens_decoder": {
        (first + 5).to_string(): {"content": "fra_Latn"},
        (first + 1).to_string(): {"content": "<mask>"},
        (first + 7).to_string(): {"content": "deu_Latn"},
        "2": {"content": "</s>"},
    }});
    let dir = folder(&[("tokenizer_config.json", &config.to_string())]);
    let tokenizer = Tokenizer::open(dir.path()).unwrap();
    assert_eq!(
        tokenizer.language_id(&language("fra_Latn")).unwrap(),
        first + 5
    );
    assert_eq!(
        tokenizer.languages(),
        [language("fra_Latn"), language("deu_Latn")]
    );
    assert_eq!(tokenizer.vocab_size() as u32, first + 8);
    assert_eq!(tokenizer.piece(first), None);
}

#[test]
fn fairseq_takes_tags_from_the_dictionary_and_appends_the_rest() {
    let mut dict = String::new();
    for piece in bpe().pieces().iter().skip(3) {
        dict.push_str(&format!("{} 7\n", piece.text));
    }
    dict.push_str("__en__ 1\nmadeupword0000 0\n__fr__ 1\n");
    let dir = folder(&[
        ("dict.txt", &dict),
        ("language_pairs.txt", "fr-en,en-de,\nde-cs"),
    ]);
    let tokenizer = Tokenizer::open(dir.path()).unwrap();
    assert_eq!(tokenizer.family(), Family::Fairseq);
    let base = bpe().len() as u32 + 1;
    for (code, id) in [
        ("en", base),
        ("fr", base + 2),
        ("cs", base + 3),
        ("de", base + 4),
    ] {
        assert_eq!(
            tokenizer.language_id(&language(code)).unwrap(),
            id,
            "{code}"
        );
    }
    assert_eq!(tokenizer.vocab_size() as u32, base + 5);
    let plain: Vec<u32> = bpe().encode("the pump").iter().map(|id| id + 1).collect();
    assert_eq!(tokenizer.encode("the pump"), plain);

    let dir = folder(&[("dict.txt", "a 1\nb x\n")]);
    assert!(
        open_error(dir.path()).contains("dict.txt, line 2: expected a count after `b`, got `x`")
    );
    let dir = folder(&[("dict.txt", "a 1\na 2\n")]);
    assert!(open_error(dir.path()).contains("line 2: `a` is there twice"));
}

#[test]
fn unknown_languages_are_answered_with_near_ones() {
    let config = json!({"extra_special_tokens": ["zho_Hans", "zho_Hant", "deu_Latn"]}).to_string();
    let dir = folder(&[("tokenizer_config.json", &config)]);
    let error = Tokenizer::open(dir.path())
        .unwrap()
        .language_id(&language("fra_Latn"))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no language `fra_Latn`; it has deu_Latn, zho_Hans, zho_Hant"),
        "{error}"
    );
}

#[test]
fn embeddings_of_other_models_are_refused() {
    let tokenizer = Tokenizer::open(folder(&[]).path()).unwrap();
    let rows = tokenizer.vocab_size();
    for spare in [0, 1, 8, 1024] {
        tokenizer.check_rows(rows + spare).unwrap();
    }
    for rows in [rows - 1, 0, rows + 100_000] {
        assert!(matches!(
            tokenizer.check_rows(rows),
            Err(TokenizeError::Rows { .. })
        ));
    }
}

#[test]
fn broken_folders_say_what_is_wrong_and_where() {
    let empty = tempfile::tempdir().unwrap();
    assert!(open_error(empty.path()).contains("lacks a tokenizer: no sentencepiece.bpe.model"));
    let no_model = tempfile::tempdir().unwrap();
    std::fs::write(no_model.path().join("vocab.json"), "{}").unwrap();
    assert!(open_error(no_model.path()).contains("sentencepiece.bpe.model"));
    for (vocab, reason) in [
        ("{\"<s>\": 0, \"<pad>\": 0}", "share id 0"),
        ("{\"<s>\": 7}", "`<s>` has id 7"),
        (
            "{\"<s>\": 0, \"<pad>\": 1, \"</s>\": 2}",
            "there is no `<unk>`",
        ),
        ("[1]", "vocab.json is not the JSON"),
    ] {
        let error = open_error(folder(&[("vocab.json", vocab)]).path());
        assert!(error.contains(reason), "{error}");
    }
    let garbled = folder(&[]);
    std::fs::write(garbled.path().join("sentencepiece.bpe.model"), [7u8; 40]).unwrap();
    assert!(
        open_error(garbled.path())
            .contains("is no usable SentencePiece model: malformed at byte 0")
    );
    let far = json!({"added_tokens_decoder": {"99999999999": {"content": "fra_Latn"}}}).to_string();
    assert!(
        open_error(folder(&[("tokenizer_config.json", &far)]).path())
            .contains("an added token has id")
    );
}

#[test]
fn is_shared_between_threads() {
    fn check<T: Send + Sync + Clone>() {}
    check::<Tokenizer>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn broken_json_never_panics(config in "[\\[{\"a-z_:,0-9}\\]]{0,60}", vocab in "[{\"a<s>:,0-9}]{0,40}") {
        let dir = folder(&[("tokenizer_config.json", &config), ("vocab.json", &vocab)]);
        let _ = Tokenizer::open(dir.path());
    }
}
