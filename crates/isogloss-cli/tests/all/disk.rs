//! Training on a disk that is full: a limit on the size of files stands in for it.

use crate::workshop::{Workshop, stdout};
use isogloss::config::{self, TrainConfig};
use isogloss::train::{self, Event, Observer, Outcome};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

/// Stops after so many updates.
struct StopAfter(u64);

impl Observer for StopAfter {
    fn event(&mut self, event: &Event) {
        if let Event::Update { .. } = event {
            self.0 -= 1;
        }
    }

    fn stop(&self) -> bool {
        self.0 == 0
    }
}

/// `isogloss train` where no file may grow beyond `bytes`.
fn train_within(workshop: &Workshop, bytes: usize) -> Output {
    let _ = workshop.train();
    // The shell counts blocks of 512 bytes. Without the trap the signal would end the program.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", bytes / 512);
    Command::new("sh")
        .current_dir(workshop.path())
        .args(["-c", &script, "sh"])
        .arg(assert_cmd::cargo::cargo_bin!("isogloss"))
        .args(["train", "train.toml", "--threads", "1"])
        .output()
        .unwrap()
}

/// Every file below a folder, by its path.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let inner = files(&path).into_iter();
            found.extend(inner.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
    found
}

/// What a finished run leaves that mustn't depend on what happened on the way.
fn result(workshop: &Workshop) -> BTreeMap<String, Vec<u8>> {
    let mut all = files(&workshop.path().join("run"));
    all.retain(|name, _| name.starts_with("adapters/") || name == "events.jsonl");
    let what = "two languages, their description and vocabularies, the events";
    assert_eq!(all.len(), 5, "{what}");
    all
}

fn undisturbed() -> Workshop {
    let workshop = Workshop::new();
    let _ = stdout(&mut workshop.train());
    workshop
}

#[test]
fn a_full_disk_costs_no_more_than_the_work_since_the_last_state() {
    let workshop = Workshop::new();
    let _ = workshop.train();
    let config: TrainConfig = config::read(&workshop.path().join("train.toml")).unwrap();
    let stopped = train::adapt(&config, workshop.path(), &mut StopAfter(1)).unwrap();
    assert_eq!(stopped.trained.outcome, Outcome::Interrupted);
    let run = workshop.path().join("run");
    let before = files(&run);
    let state = before["checkpoints/last.safetensors"].len();

    // A state is values and two moments: the best values alone still fit.
    for (bytes, name) in [(state / 4, "best"), (state * 2 / 3, "last")] {
        let output = train_within(&workshop, bytes);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(output.stdout.is_empty());
        let path = format!("checkpoints/{name}.safetensors: File too large");
        assert!(
            text.contains("error: cannot write ") && text.contains(&path),
            "{text}"
        );
        assert!(text.contains("hint: make room there") && text.contains("the same command"));
        let mut after = files(&run);
        assert_eq!(
            after["checkpoints/last.safetensors"],
            before["checkpoints/last.safetensors"]
        );
        if name == "last" {
            assert!(after.remove("checkpoints/best.safetensors").is_some());
        }
        let names =
            |files: &BTreeMap<String, Vec<u8>>| -> Vec<String> { files.keys().cloned().collect() };
        assert_eq!(names(&after), names(&before), "nothing else is left");
    }
    let output = workshop.train().assert().success().get_output().clone();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("resumed"), "{text}");
    assert_eq!(result(&workshop), result(&undisturbed()));
}

/// Nor is anything lost when the end of a run finds no room for what the run is for.
#[test]
fn adapters_that_find_no_room_are_written_by_the_same_command() {
    let workshop = undisturbed();
    let expected = result(&workshop);
    let run = workshop.path().join("run");
    std::fs::remove_dir_all(run.join("adapters")).unwrap();
    let german = expected["adapters/deu_Latn.safetensors"].len();
    let output = train_within(&workshop, german - 512);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains("adapters/deu_Latn.safetensors: File too large"),
        "{text}"
    );
    let left: Vec<String> = files(&run.join("adapters")).into_keys().collect();
    let expected_left = ["eng_Latn.safetensors", "vocabulary.json"];
    assert_eq!(left, expected_left, "without a description");
    let _ = stdout(&mut workshop.train());
    assert_eq!(result(&workshop), expected);
}

/// The log is a by-product: training goes on without it, says so once, and leaves whole lines.
#[test]
fn a_log_that_cannot_be_written_stops_nobody() {
    let mut workshop = Workshop::new();
    // Small updates and many of them: the log is the largest file.
    workshop.top += "method = \"lora\"\n";
    workshop.more = "[adapter]\nrank = 1\nsites = [\"q\"]\n[training]\nepochs = 4\nbatch_tokens = 100\nmax_tokens = 100\n"
        .to_owned();
    let _ = stdout(&mut workshop.train());
    let run = workshop.path().join("run");
    let whole = files(&run);
    let log = &whole["events.jsonl"];
    let others = whole.iter().filter(|(name, _)| *name != "events.jsonl");
    let largest = others.map(|(_, bytes)| bytes.len()).max().unwrap();
    assert!(log.len() > 2 * largest, "{} {largest}", log.len());

    std::fs::remove_dir_all(&run).unwrap();
    let output = train_within(&workshop, largest.next_multiple_of(512));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    assert_eq!(
        text.matches("events.jsonl: File too large").count(),
        1,
        "{text}"
    );
    let mut after = files(&run);
    let short = after.remove("events.jsonl").unwrap();
    assert!(short.ends_with(b"\n") && log.starts_with(&short) && short.len() < log.len());
    for (name, bytes) in after {
        // Both hold times.
        if !["checkpoints/last.safetensors", "cost.json"].contains(&name.as_str()) {
            assert!(bytes == whole[&name], "{name}");
        }
    }
}
