//! `isogloss train`, whole: dry runs, every method, interruption, full disks.

use crate::workshop::{Workshop, base, isogloss, refusal, stdout};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_dry_run_counts_parameters_memory_and_time() {
    let mut workshop = Workshop::new();
    let top = workshop.top.clone();
    for method in ["lslo", "lora", "full"] {
        workshop.top = format!("{top}method = {method:?}\n");
        let text = stdout(workshop.train().arg("--dry-run"));
        let json = stdout(workshop.train().args(["--dry-run", "--json"]));
        let value: Value = serde_json::from_str(&json).unwrap();
        let counts = [
            ("base parameters", "base_parameters"),
            ("trainable in all", "trainable"),
            ("active for one direction, at most", "active"),
            ("left after compaction", "after_compaction"),
        ];
        for (name, key) in counts {
            let line = text.lines().find(|l| l.starts_with(name)).unwrap();
            let count = value[key].as_u64().unwrap().to_string();
            assert!(
                line.split_whitespace().any(|w| w == count),
                "{line}, {key} {count}"
            );
        }
        let number = |key: &str| value[key].as_f64().unwrap();
        // Full fine-tuning keeps values, gradients and two moments of everything.
        assert!(number("memory") >= 16.0 * number("trainable"));
        assert!(
            number("seconds") > 0.0
                && text.contains("time, about")
                && text.contains("memory, about")
        );
        let updates = value["by_update"].as_array().unwrap();
        assert_eq!(
            updates.len(),
            match method {
                "lslo" => 2,
                "lora" => 1,
                _ => 0,
            }
        );
        assert_eq!(
            number("trainable") == number("base_parameters"),
            method == "full"
        );
    }
    assert!(!workshop.path().join("run").exists(), "nothing is started");
}

pub(crate) fn translate(folder: &Path, model: &str, more: &[&str]) -> assert_cmd::Command {
    let mut command = isogloss(folder);
    command
        .args([
            "translate",
            "--model",
            model,
            "--from",
            "eng_Latn",
            "--to",
            "deu_Latn",
        ])
        .args(["--threads", "1", "--beam", "1"])
        .args(more)
        .write_stdin("Check the pump.\n");
    command
}

#[test]
fn every_method_trains_and_translates() {
    let mut workshop = Workshop::new();
    let top = workshop.top.replace("\"run\"", "\"RUN\"");
    for method in ["lslo", "lora", "full"] {
        workshop.top = format!("{}method = {method:?}\n", top.replace("RUN", method));
        let json = stdout(workshop.train().arg("--json"));
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["finished"], true);
        let predicted = value["predicted_memory"].as_u64().unwrap() as f64;
        if let Some(peak) = value["peak_memory"].as_u64() {
            let ratio = peak as f64 / predicted;
            assert!(
                (0.5..2.0).contains(&ratio),
                "{peak} held, {predicted} predicted"
            );
        }
        let result = workshop.path().join(value["result"].as_str().unwrap());
        let result = result.to_str().unwrap();
        let text = match method {
            "full" => stdout(&mut translate(workshop.path(), result, &[])),
            _ => {
                let base = base().to_str().unwrap();
                stdout(&mut translate(
                    workshop.path(),
                    base,
                    &["--adapters", result],
                ))
            }
        };
        assert_eq!(text.lines().count(), 1);
    }
    // Updates belong to the base that they were trained on.
    let (full, adapters) = ("full/model", "lslo/adapters");
    let text = refusal(&mut translate(
        workshop.path(),
        full,
        &["--adapters", adapters],
    ));
    assert!(text.contains("adapters") && text.contains("base"), "{text}");
    // Nor do those of a run start another.
    workshop.top = workshop.top.replace("\"full\"\nmodel", "\"lslo\"\nmodel");
    workshop.refuses(&[
        "another configuration",
        "`method` was \"lslo\", now it is \"full\"",
    ]);
}

/// The child process with its messages, up to and with the first line that holds `mark`.
fn start_until(
    workshop: &Workshop,
    mark: &str,
) -> (std::process::Child, BufReader<std::process::ChildStderr>) {
    let _ = workshop.train();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("isogloss"))
        .current_dir(workshop.path())
        .args(["train", "train.toml", "--threads", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(mark) {
        line.clear();
        assert!(
            messages.read_line(&mut line).unwrap() > 0,
            "{mark:?} never came"
        );
    }
    (child, messages)
}

/// The line with which an interrupted run ends.
#[cfg(unix)]
fn last_words(messages: &mut impl BufRead) -> String {
    let mut lines = messages.lines().map(Result::unwrap);
    lines
        .find(|line| line.starts_with("stopped after "))
        .unwrap()
}

/// Sends what Ctrl-C sends, and waits for the end that it asks for.
#[cfg(unix)]
fn interrupt(child: std::process::Child) {
    let id = child.id().to_string();
    let mut kill = Command::new("kill");
    assert!(kill.args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
}

/// Ctrl-C finishes the update, saves, says how to go on, and ends with 130; another process is kept out meanwhile.
#[cfg(unix)]
/// Nobody shall take a run for an improvement that isn't one.
#[test]
fn training_that_made_nothing_better_says_so() {
    let warning = "no epoch is better than what training began with";
    let mut workshop = Workshop::new();
    let better = workshop.train().assert().success().get_output().clone();
    let text = String::from_utf8(better.stderr).unwrap();
    assert!(text.contains("before the first update: loss ") && !text.contains(warning));
    let text = String::from_utf8(better.stdout).unwrap();
    assert!(text.contains(", before "), "{text}");

    workshop.top = workshop.top.replace("\"run\"", "\"still\"");
    workshop.more = workshop.more.replace("0.01", "1e-30");
    let still = workshop.train().arg("--json").assert().success();
    let still = still.get_output();
    let text = String::from_utf8_lossy(&still.stderr);
    assert!(
        text.contains(warning) && text.contains("learning rate"),
        "{text}"
    );
    let value: Value = serde_json::from_slice(&still.stdout).unwrap();
    assert_eq!(value["validation_nll_before"], value["validation_nll"]);
    assert_eq!(value["validation_score_before"], value["validation_score"]);
}

#[test]
fn an_interrupted_run_goes_on() {
    let mut workshop = Workshop::new();
    let endless = "epochs = 100000";
    workshop.more = workshop.more.replace("epochs = 2", endless);
    let (child, mut messages) = start_until(&workshop, "epoch 1, update 1");
    workshop.refuses(&["in use by another process", "choose another `run`"]);
    interrupt(child);
    let text = last_words(&mut messages);
    assert!(text.contains("the same command again"), "{text}");
    assert!(!workshop.path().join("run/adapters").exists());

    // The same command goes on from there; here it is stopped once more.
    let (child, mut messages) = start_until(&workshop, "resumed");
    interrupt(child);
    let updates = |text: &str| text.split(' ').nth(2).unwrap().parse::<u64>().unwrap();
    let again = last_words(&mut messages);
    assert!(updates(&again) > updates(&text), "{text}{again}");
    // Each update is in the log once.
    let events = std::fs::read_to_string(workshop.path().join("run/events.jsonl")).unwrap();
    let values = events
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap());
    let logged: Vec<u64> = values
        .filter(|e| e["event"] == "update")
        .map(|e| e["update"].as_u64().unwrap())
        .collect();
    assert_eq!(logged, (1..=updates(&again)).collect::<Vec<_>>());
    // A shorter run is another run.
    workshop.more = workshop.more.replace(endless, "epochs = 1");
    workshop.refuses(&["`training.epochs` was 100000, now it is 1"]);
}

/// A line of some 100,000 tokens is split, or refused.
#[test]
fn an_endless_line_is_translated_in_parts() {
    let workshop = Workshop::new();
    let line = format!("{}\n", "Check the pump. ".repeat(100_000 / 9));
    let model = base().to_str().unwrap();
    let more = ["--max-length", "2", "--batch-tokens", "8000"];
    let text = stdout(translate(workshop.path(), model, &more).write_stdin(line.as_bytes()));
    assert_eq!(text.lines().count(), 1);
    let mut command = translate(workshop.path(), model, &["--long-lines", "refuse"]);
    let text = refusal(command.write_stdin(line.as_bytes()));
    assert!(
        text.contains("1 line is too long") && text.contains("`--long-lines split`"),
        "{text}"
    );
}

/// Linux has a device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    let workshop = Workshop::new();
    let _ = workshop.train();
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let output = Command::new(assert_cmd::cargo::cargo_bin!("isogloss"))
        .current_dir(workshop.path())
        .args(["train", "train.toml", "--dry-run"])
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("cannot write to stdout"), "{text}");
}
