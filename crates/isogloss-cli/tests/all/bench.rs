//! `isogloss bench`, whole: what it counts, not how fast it is.

use crate::workshop::{base, isogloss, refusal, stdout};
use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// Five sentence pairs in a folder.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let lines = |text: &str| {
        (1..=5)
            .map(|i| format!("{text} {i}.\n"))
            .collect::<String>()
    };
    std::fs::write(folder.path().join("en"), lines("Check pump")).unwrap();
    std::fs::write(folder.path().join("de"), lines("Prüfen Sie Pumpe")).unwrap();
    folder
}

fn bench(folder: &TempDir, what: &str, more: &[&str]) -> Command {
    let mut command = isogloss(folder.path());
    command.args(["bench", what, "--threads", "1"]);
    if what != "kernels" {
        command.args(["--from", "eng_Latn", "--to", "deu_Latn", "--source", "en"]);
        command.args(["--warm-up", "0", "--repeat", "2", "--json", "--model"]);
        command.arg(base());
    }
    command.args(more);
    command
}

fn report(mut command: Command) -> Value {
    let text = stdout(&mut command);
    assert_eq!(text.lines().count(), 1, "one line of JSON: {text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    for key in [
        "target_tokens_per_s",
        "median_s",
        "peak_rss_bytes",
        "gflops",
        "ceiling_gflops",
    ] {
        let positive = value[key].as_f64().unwrap() > 0.0;
        assert!(
            positive || (key == "peak_rss_bytes" && !cfg!(target_os = "linux")),
            "{key}: {value}"
        );
    }
    assert_eq!(
        (&value["threads"], &value["sentences"]),
        (&1.into(), &5.into())
    );
    assert!(value["kernel_path"].is_string());
    value
}

#[test]
fn a_training_step_counts_its_tokens_and_parameters() {
    let folder = folder();
    let train = |more: &[&str]| {
        report(bench(
            &folder,
            "train",
            &[&["--target", "de"], more].concat(),
        ))
    };
    let fc = train(&[]);
    // Width 16, inner width 32, one layer a stack: rank 8 on two maps, for one language.
    assert_eq!(fc["trainable"], 2 * 2 * 8 * (16 + 32));
    let tokens = |value: &Value| value["target_tokens"].as_u64().unwrap();
    assert!(tokens(&fc) >= 5 * 4, "{fc}");
    let all = train(&["--sites", "all", "--rank", "2", "--languages", "3"]);
    let attention = 3 * 3 * 2 * (16 + 16);
    assert_eq!(all["trainable"], 3 * (2 * 2 * 2 * (16 + 32) + attention));
    assert_eq!(tokens(&all), tokens(&fc));
    let bank = train(&["--bank", "40"]);
    assert_eq!(bank["trainable"], 40 * fc["trainable"].as_u64().unwrap());
    let full = train(&["--full", "--precision", "f32"]);
    assert!(full["trainable"].as_u64().unwrap() > 300 * 16);
    assert_eq!(full["precision"], "f32");
}

#[test]
fn batches_cover_the_text() {
    let folder = folder();
    // Lines of different lengths, so that the order matters to who pads.
    let ragged: String = (1..=5).map(|i| "pump ".repeat(i) + "\n").collect();
    std::fs::write(folder.path().join("de"), ragged).unwrap();
    let train = |more: &[&str]| {
        report(bench(
            &folder,
            "train",
            &[&["--target", "de"], more].concat(),
        ))
    };
    let whole = train(&[]);
    assert_eq!(whole["steps"], 1);
    for more in [&["--batch", "2"][..], &["--batch", "2", "--sort"]] {
        let cut = train(more);
        assert_eq!(cut["steps"], 3, "two, two, and one that is left");
        assert_eq!(cut["batch"], 2);
        for key in ["sentences", "source_tokens", "target_tokens", "trainable"] {
            assert_eq!(cut[key], whole[key], "{key}");
        }
    }
    let mut unsorted = bench(&folder, "train", &["--target", "de", "--sort"]);
    assert!(refusal(&mut unsorted).contains("--batch"));
}

#[test]
fn updates_of_many_languages_are_decoded_beside_none() {
    let folder = folder();
    let decode = |more: &[&str]| report(bench(&folder, "decode", more));
    let merged = decode(&["--merged"]);
    assert_eq!(
        (&merged["trainable"], &merged["sentences"]),
        (&0.into(), &5.into())
    );
    // All sites at rank 2, as in the training step above.
    let update = 2 * 2 * 2 * (16 + 32) + 3 * 3 * 2 * (16 + 16);
    let mixed = decode(&["--languages", "3", "--rank", "2"]);
    assert_eq!(mixed["trainable"], 3 * update);
    let bank = decode(&["--languages", "3", "--rank", "2", "--bank", "7"]);
    assert_eq!(bank["trainable"], 7 * update);
    for key in ["source_tokens", "target_tokens", "step_weight_bytes"] {
        assert_eq!(mixed[key], merged[key], "{key}");
    }
    assert!(mixed["compacted"].is_null());
    let pruned = decode(&["--languages", "3", "--rank", "8", "--pruned", "90"]);
    assert_eq!(pruned["trainable"], 4 * 3 * update);
    let compacted = &pruned["compacted"];
    assert!(compacted["trainable"].as_u64().unwrap() < 2 * 3 * update);
    let seconds = ["median_s", "ratio", "target_tokens_per_s"].map(|key| compacted[key].as_f64());
    assert!(seconds.iter().all(|s| s.unwrap() > 0.0), "{compacted}");
    for (more, missing) in [
        (&["--pruned", "90"][..], "--languages"),
        (&["--merged", "--languages", "3"][..], "--languages"),
        (&["--bank", "7"], "--languages"),
        (&["--languages", "3", "--adapters", "x"], "--adapters"),
        (&["--languages", "3", "--rank", "99"], "rank 99"),
    ] {
        let text = refusal(&mut bench(&folder, "decode", more));
        assert!(text.contains(missing), "{text}");
    }
}

#[test]
fn the_memory_limits_a_sentence_alone() {
    let folder = folder();
    let decode = |precision| {
        let more = ["--batch", "1", "--beam", "1", "--precision", precision];
        report(bench(&folder, "decode", &more))
    };
    let number = |value: &Value, key: &str| value[key].as_f64().unwrap();
    let full = decode("f32");
    // Four maps of self-attention, two of cross-attention, the feed-forward block, and the head of 300 pieces or so.
    let weights = 6 * 16 * 16 + 2 * 16 * 32 + 300 * 16;
    let bytes = number(&full, "step_weight_bytes");
    assert!(
        bytes >= f64::from(4 * weights) && bytes < f64::from(8 * weights),
        "{full}"
    );
    let limit = number(&full, "memory_gb_per_s") * 1e9 / bytes;
    assert!((number(&full, "limit_tokens_per_s") / limit - 1.0).abs() < 1e-6);
    // Rows this short would be filled up in bytes. Where no instruction multiplies bf16, they are kept as `f32` that were rounded.
    let half = decode("bf16");
    let pairs = ["avx512bf16", "amxbf16"].contains(&half["kernel_path"].as_str().unwrap());
    let half = number(&half, "step_weight_bytes");
    assert!(if pairs { half < bytes } else { half == bytes }, "{half}");

    let mut command = bench(&folder, "train", &["--target", "de"]);
    assert!(!stdout(&mut command).contains("memory_gb_per_s"));
}

#[test]
fn decoding_has_the_length_that_was_asked_for() {
    let folder = folder();
    for beam in ["1", "3"] {
        let more = ["--beam", beam, "--exact-length", "7", "--batch", "2"];
        let value = report(bench(&folder, "decode", &more));
        assert_eq!(value["target_tokens"], 5 * 7);
    }
    let cut = report(bench(&folder, "decode", &["--source-limit", "4"]));
    assert_eq!(cut["source_tokens"], 5 * 4);
}

#[test]
fn kernels_are_those_of_this_machine() {
    let folder = folder();
    let text = stdout(&mut bench(&folder, "kernels", &["--json"]));
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(rows.len() >= 2 && rows.iter().all(|row| row["gflops"].as_f64().unwrap() > 0.0));
    assert_eq!(rows[0]["kernel_path"], "portable");
}

#[test]
fn text_that_cannot_be_timed_is_refused() {
    let folder = folder();
    std::fs::write(folder.path().join("short"), "eins\n").unwrap();
    std::fs::write(folder.path().join("blank"), "\n \n").unwrap();
    let text = refusal(&mut bench(&folder, "train", &["--target", "short"]));
    assert!(text.contains("en has 5 lines, short has 1"), "{text}");
    let text = refusal(&mut bench(&folder, "train", &["--target", "missing"]));
    assert!(text.contains("missing"), "{text}");
    let mut command = isogloss(folder.path());
    command.args([
        "bench", "decode", "--source", "blank", "--from", "eng", "--to", "deu", "--model",
    ]);
    let text = refusal(command.arg(base()));
    assert!(text.contains("holds no text"), "{text}");
}
