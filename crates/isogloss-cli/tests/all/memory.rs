//! The memory that a run is said to take, and what it takes.

use crate::workshop::{Workshop, isogloss, pretrain_config, stdout};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

/// Asserts that the prediction is at most `band` times what was taken, and at least the inverse; and that before and after speak
/// of the same prediction.
#[track_caller]
fn check(what: &str, planned: &str, done: &str, band: f64) {
    let [planned, done]: [Value; 2] = [planned, done].map(|t| serde_json::from_str(t).unwrap());
    assert_eq!(done["predicted_memory"], planned["memory"], "{what}");
    let predicted = planned["memory"].as_f64().unwrap();
    let peak = done["peak_memory"].as_f64().unwrap();
    let ratio = predicted / peak;
    println!("{what}: predicted {predicted:.2e}, peak {peak:.2e}, ratio {ratio:.2}");
    assert!(
        ratio < band && ratio > 1.0 / band,
        "{what}: predicted {predicted}, peak {peak}"
    );
}

/// A tiny model leaves hardly more than the program itself, whose size depends on how it was built.
#[test]
fn tiny_runs_take_about_what_was_predicted() {
    let mut workshop = Workshop::new();
    let top = workshop.top.replace("\"run\"", "\"RUN\"");
    for method in ["lslo", "lora", "full"] {
        workshop.top = format!("{}method = {method:?}\n", top.replace("RUN", method));
        let planned = stdout(workshop.train().args(["--dry-run", "--json"]));
        let done = stdout(workshop.train().arg("--json"));
        check(method, &planned, &done, 2.0);
    }
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("c.toml"), pretrain_config()).unwrap();
    let command = ["pretrain", "c.toml", "--threads", "1", "--json"];
    let planned = stdout(isogloss(folder.path()).args(command).arg("--dry-run"));
    let done = stdout(isogloss(folder.path()).args(command));
    check("pretrain", &planned, &done, 2.0);
}

/// The model that ships here, where weights, optimiser and activations are most of it.
#[test]
fn runs_on_mini_take_what_was_predicted() {
    let mut workshop = Workshop::new();
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mini");
    workshop.more = "[training]\nepochs = 1\nbatch_tokens = 500\nmax_tokens = 128\n".to_owned();
    let mut quantize = isogloss(workshop.path());
    stdout(
        quantize
            .args(["model", "quantize"])
            .arg(&mini)
            .args(["-o", "copy"]),
    );
    let copy = Path::new("copy");
    for (run, model, method) in [
        ("lslo", &*mini, "lslo"),
        ("full", &*mini, "full"),
        ("bytes", copy, "lslo"),
    ] {
        workshop.top = format!("run = {run:?}\nmodel = {model:?}\nmethod = {method:?}\n");
        let planned = stdout(workshop.train().args(["--dry-run", "--json"]));
        let done = stdout(workshop.train().arg("--json"));
        check(run, &planned, &done, 1.25);
    }
}

/// What is said in words, beside the prediction.
#[test]
fn the_peak_is_printed_at_the_end() {
    let workshop = Workshop::new();
    let text = stdout(&mut workshop.train());
    let line = text.lines().find(|l| l.starts_with("memory: ")).unwrap();
    assert!(line.contains(" GB at most, ") && line.ends_with(" GB expected"));
    assert!(text.ends_with("adapters\n"), "{text}");
}

/// States that are kept from epoch to epoch are part of the prediction, as far as the limit allows.
#[test]
fn kept_encoder_states_are_predicted() {
    let mut workshop = Workshop::new();
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mini");
    let top = format!("run = \"RUN\"\nmodel = {mini:?}\n");
    let sites = "[adapter]\nsites = [\"cross_q\", \"cross_k\", \"cross_v\"]\n";
    let training = "[training]\nepochs = 1\nbatch_tokens = 500\nmax_tokens = 128\ndropout = 0.0\n";
    let mut planned = |megabytes: usize| {
        workshop.top = top.replace("RUN", &format!("run{megabytes}"));
        workshop.more = format!("{sites}{training}[compute]\nreuse_prefix_mb = {megabytes}\n");
        stdout(workshop.train().args(["--dry-run", "--json"]))
    };
    let [small, large] = [1, 100].map(|megabytes| {
        let value: Value = serde_json::from_str(&planned(megabytes)).unwrap();
        assert_eq!(value["reuse"]["layers"], 6);
        assert_eq!(value["reuse"]["encoder_layers"], 6);
        (
            value["memory"].as_u64().unwrap(),
            value["reuse"]["full"].as_u64().unwrap(),
        )
    });
    assert!(small.1 == large.1 && (1_000_000..100_000_000).contains(&large.1));
    assert_eq!(large.0 - small.0, large.1 - 1_000_000);
    let planned = planned(100);
    let done = stdout(workshop.train().arg("--json"));
    check("kept states", &planned, &done, 1.25);
    let text = stdout(workshop.train().arg("--dry-run"));
    let line = text
        .lines()
        .find(|l| l.starts_with("encoder layers reused"))
        .unwrap();
    let expected = format!(
        "6 of 6; all of the text takes {:.1} MB, the limit is 100 MB",
        large.1 as f64 / 1e6
    );
    assert!(line.ends_with(&expected), "{line}");
}
