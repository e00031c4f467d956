//! Valid files, damaged at random: an error or something usable, never a panic. Models have their own test, with more damage
//! where their files describe themselves.

use std::path::Path;

use proptest::prelude::*;

use crate::parsers;

/// A parser, and a file that it accepts.
type Seed = (&'static str, fn(&[u8]) -> bool, Vec<u8>);

fn read(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

const TOKENIZER: &str = r#"{"added_tokens": [{"id": 8, "content": "eng_Latn"}, {"id": 9, "content": "deu_Latn"}],
"normalizer": {"type": "Sequence", "normalizers": []}, "model": {"type": "BPE", "merges": ["a b"],
"vocab": {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "▁": 4, "a": 5, "b": 6, "ab": 7}}}"#;

const UNIGRAM: &str = r#"{"model": {"type": "Unigram", "vocab": [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0],
["<unk>", 0.0], ["▁", -2.5], ["a", -3.0], ["▁a", -3.5]]}}"#;

const JSONL: &str = r#"{"translation": {"en": "The screw.", "de": "Die Schraube."}}
{"source": "The blade.", "target": "Das Blatt.", "source_lang": "en", "target_lang": "de"}
"#;

fn seeds() -> Vec<Seed> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("tokenizer.json", parsers::tokenizer_json, text(TOKENIZER)),
        ("a unigram model", parsers::tokenizer_json, text(UNIGRAM)),
        (
            "tokenizer_config.json",
            parsers::tokenizer_config,
            text(
                r#"{"added_tokens_decoder": {"80": {"content": "fra_Latn"}}, "legacy_behaviour": true}"#,
            ),
        ),
        (
            "vocab.json",
            parsers::vocab_json,
            read("tests/fixtures/tokenize/m2m100/vocab.json"),
        ),
        (
            "tsv-pair",
            parsers::tsv_pair,
            text("The screw.\tDie Schraube.\nThe blade.\tDas Blatt.\r\n"),
        ),
        (
            "tsv-multi",
            parsers::tsv_multi,
            text(
                "eng_Latn\tdeu_Latn\tfra_Latn\nThe screw.\tDie Schraube.\tLa vis.\nThe blade.\t\tLa lame.\n",
            ),
        ),
        (
            "tsv-rows",
            parsers::tsv_rows,
            text("id\tpart\ttext\n2\tb\tThe blade.\n1\ta\tThe screw.\n3\tc\tThe lid.\n"),
        ),
        ("jsonl", parsers::jsonl, text(JSONL)),
        (
            "train.toml",
            parsers::train_toml,
            read("../../examples/factory/lslo.toml"),
        ),
        (
            "pretrain.toml",
            parsers::pretrain_toml,
            read("../../models/mini/pretrain.toml"),
        ),
        (
            "adapters.json",
            parsers::adapters_json,
            parsers::saved().index.clone(),
        ),
        (
            "vocabulary.json",
            parsers::vocabulary_json,
            parsers::learnt().to_vec(),
        ),
        (
            "weights of adapters",
            parsers::adapter_weights,
            parsers::saved().weights.clone(),
        ),
        (
            "adapters.json with ranks by site",
            parsers::compact_adapters_json,
            parsers::compacted().index.clone(),
        ),
        (
            "sparse weights of adapters",
            parsers::compact_adapter_weights,
            parsers::compacted().weights.clone(),
        ),
    ]
}

/// What is put into a file: what its syntax is made of, and numbers that nothing has as many of.
const PARTS: [&[u8]; 18] = [
    b"\"",
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"=",
    b"\n",
    b"\t",
    b"\0",
    b"\xff",
    b"-1",
    b"0",
    b"65535",
    b"18446744073709551615",
    b"1e999",
];

#[derive(Debug, Clone)]
enum Damage {
    Cut,
    Set(u8),
    Remove(usize),
    Insert(usize),
    /// A number becomes another part.
    Digit(usize),
}

fn damage() -> impl Strategy<Value = (f64, Damage)> {
    let kind = prop_oneof![
        1 => Just(Damage::Cut),
        3 => any::<u8>().prop_map(Damage::Set),
        2 => (1..20usize).prop_map(Damage::Remove),
        3 => (0..PARTS.len()).prop_map(Damage::Insert),
        3 => (12..PARTS.len()).prop_map(Damage::Digit),
    ];
    (0.0..1.0, kind)
}

fn apply(bytes: &mut Vec<u8>, share: f64, damage: &Damage) {
    let at = (share * bytes.len() as f64) as usize;
    match *damage {
        Damage::Cut => bytes.truncate(at),
        Damage::Set(byte) if at < bytes.len() => bytes[at] = byte,
        Damage::Set(_) => {}
        Damage::Remove(count) => drop(bytes.drain(at..bytes.len().min(at + count))),
        Damage::Insert(part) => drop(bytes.splice(at..at, PARTS[part].iter().copied())),
        Damage::Digit(part) => {
            let digit = bytes[at..].iter().position(u8::is_ascii_digit);
            if let Some(digit) = digit.map(|i| at + i) {
                drop(bytes.splice(digit..=digit, PARTS[part].iter().copied()));
            }
        }
    }
}

#[test]
fn the_files_are_accepted_as_they_are() {
    for (name, accepts, bytes) in seeds() {
        assert!(accepts(&bytes), "{name}");
    }
    // These are damaged elsewhere, but the fuzz targets start from them.
    let model = |name: &str| read(&format!("tests/fixtures/m2m100/{name}"));
    assert!(parsers::safetensors(&model("model/model.safetensors")));
    assert!(parsers::model_config(&model("model/config.json")));
    assert!(parsers::torch(&model("pickle/pytorch_model.bin")));
    assert!(parsers::fairseq(&model("fairseq/model.pt")));
    assert!(parsers::sentencepiece(&read(
        "tests/fixtures/tokenize/unigram.model"
    )));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(all in prop::collection::vec(damage(), 1..4)) {
        for (_, accepts, mut bytes) in seeds() {
            for (share, damage) in &all {
                apply(&mut bytes, *share, damage);
            }
            accepts(&bytes);
        }
    }
}
