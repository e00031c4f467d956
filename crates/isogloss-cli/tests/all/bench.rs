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
