//! Parity with the C++ library on small models, from `scripts/make_tokenize_fixtures.py`, and behaviour on broken ones.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

const MODELS: [&str; 7] = [
    "unigram",
    "unigram_bytes",
    "unigram_unused",
    "bpe",
    "bpe_bytes",
    "bpe_unused",
    "suffix",
];

#[derive(Deserialize)]
struct Expected {
    encode: Vec<Encoded>,
    decode: Vec<Decoded>,
}

#[derive(Deserialize)]
struct Encoded {
    text: String,
    ids: Vec<u32>,
    decoded: String,
}

#[derive(Deserialize)]
struct Decoded {
    ids: Vec<u32>,
    decoded: String,
}

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tokenize")
        .join(name);
    std::fs::read(path).unwrap()
}

fn model(name: &str) -> SentencePiece {
    SentencePiece::from_bytes(&fixture(&format!("{name}.model"))).unwrap()
}

#[test]
fn ids_and_text_equal_the_reference() {
    let all: serde_json::Value = serde_json::from_slice(&fixture("expected.json")).unwrap();
    for name in MODELS {
        let model = model(name);
        let expected = Expected::deserialize(&all[name]).unwrap();
        assert!(expected.encode.len() > 30);
        for case in &expected.encode {
            assert_eq!(
                model.encode(&case.text),
                case.ids,
                "{name}: {:?}",
                case.text
            );
            assert_eq!(
                model.decode(&case.ids),
                case.decoded,
                "{name}: {:?}",
                case.text
            );
        }
        for case in &expected.decode {
            assert_eq!(
                model.decode(&case.ids),
                case.decoded,
                "{name}: {:?}",
                case.ids
            );
        }
    }
}

#[test]
fn a_model_written_again_cuts_the_same() {
    for name in MODELS {
        let proto = ModelProto::parse(&fixture(&format!("{name}.model"))).unwrap();
        assert_eq!(
            ModelProto::parse(&proto.to_bytes()).unwrap(),
            proto,
            "{name}"
        );
    }
}

#[test]
fn the_unknown_piece_keeps_what_stood_there() {
    let model = model("bpe");
    let segmentation = model.segment("☃☃");
    let pieces: Vec<_> = segmentation
        .iter()
        .map(|(text, id)| (text.into_owned(), id))
        .collect();
    assert_eq!(pieces.last(), Some(&("☃☃".to_owned(), model.unknown())));
}

#[test]
fn time_grows_with_the_length_not_its_square() {
    // About 100,000 pieces each; quadratic algorithms take minutes here.
    let texts = [
        "pump ".repeat(40_000),
        "a".repeat(400_000),
        "☃".repeat(100_000),
        "0 1".repeat(60_000),
    ];
    for name in ["unigram", "bpe"] {
        let model = model(name);
        for text in &texts {
            let start = Instant::now();
            assert!(!model.encode(text).is_empty());
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{name}: {:?}",
                start.elapsed()
            );
        }
    }
}

#[test]
fn says_what_is_wrong_with_a_vocabulary() {
    let piece = |text: &str, kind| Piece {
        text: text.into(),
        score: 0.0,
        kind,
    };
    let unknown = || piece("<unk>", PieceKind::Unknown);
    let cases = [
        (vec![], "no unknown piece"),
        (vec![unknown(), unknown()], "second unknown piece"),
        (
            vec![
                unknown(),
                piece("a", PieceKind::Normal),
                piece("a", PieceKind::Normal),
            ],
            "`a` is defined twice",
        ),
        (vec![unknown(), piece("", PieceKind::Normal)], "is empty"),
        (
            vec![unknown(), piece("a\0", PieceKind::Normal)],
            "contains NUL",
        ),
        (
            vec![unknown(), piece("<0x41>", PieceKind::Byte)],
            "does not fall back to bytes",
        ),
        (
            vec![unknown(), piece(&"a".repeat(8000), PieceKind::Normal)],
            "8000 bytes",
        ),
        (
            vec![
                unknown(),
                Piece {
                    score: f32::NAN,
                    ..piece("a", PieceKind::Normal)
                },
            ],
            "not finite",
        ),
    ];
    for (pieces, reason) in cases {
        let error = SentencePiece::from_proto(ModelProto {
            pieces,
            ..ModelProto::default()
        })
        .unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    let no_bytes = ModelProto {
        pieces: vec![unknown()],
        byte_fallback: true,
        ..ModelProto::default()
    };
    assert!(
        SentencePiece::from_proto(no_bytes)
            .unwrap_err()
            .to_string()
            .contains("no piece `<0x00>`")
    );
}

#[test]
fn malformed_files_name_the_offset() {
    let error = SentencePiece::from_bytes(b"\x0a\x05abc").unwrap_err();
    assert_eq!(
        error,
        SentencePieceError::Malformed {
            offset: 0,
            reason: "the file ends inside a field".into()
        }
    );
    let words = [0x12, 2, 0x18, 3];
    assert!(matches!(
        SentencePiece::from_bytes(&words),
        Err(SentencePieceError::Unsupported { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn broken_files_never_panic(
        which in 0usize..MODELS.len(),
        cut in any::<prop::sample::Index>(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        text in "\\PC{0,20}",
    ) {
        let mut bytes = fixture(&format!("{}.model", MODELS[which]));
        let length = cut.index(bytes.len() * 2).min(bytes.len());
        bytes.truncate(length);
        for (at, value) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        if let Ok(model) = SentencePiece::from_bytes(&bytes) {
            let ids = model.encode(&text);
            let _ = model.decode(&ids);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = SentencePiece::from_bytes(&bytes);
    }

    #[test]
    fn any_text_is_covered_and_comes_back_with_bytes(text in "\\PC{0,30}") {
        for name in MODELS {
            let model = model(name);
            let segmentation = model.segment(&text);
            let joined: Vec<u8> = segmentation.spans.iter()
                .flat_map(|s| segmentation.normalized[s.start..s.end].iter().copied()).collect();
            prop_assert_eq!(&joined, &segmentation.normalized);
        }
        // This model keeps every space and spells what it does not know.
        let lossless = model("bpe_bytes");
        prop_assert_eq!(lossless.decode(&lossless.encode(&text)), text.replace(SPACE, " "));
    }
}
