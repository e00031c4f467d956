//! `isogloss train`, whole: dry runs, every method, interruption, and input that can't be used.

use crate::workshop::{Workshop, base, isogloss, refusal, stdout};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Sentences that differ, in both languages of the base.
fn sentences(n: usize) -> (String, String) {
    let line = |words: [&str; 2], i: usize| format!("{} {i} {}\n", words[0], words[1]);
    let english = (0..n).map(|i| line(["Check pump", "before the shift."], i));
    let german = (0..n).map(|i| line(["Prüfen Sie die Pumpe", "vor der Schicht."], i));
    (english.collect(), german.collect())
}

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

#[test]
fn text_that_cannot_be_used_is_refused() {
    let (english, german) = sentences(20);
    let cut = &german.as_bytes()[..german.len() / 2];
    let lines = cut.iter().filter(|&&b| b == b'\n').count() + 1;
    Workshop::new()
        .with_files(english.as_bytes(), cut)
        .refuses(&[
            "eng_Latn.txt has 20",
            &format!("deu_Latn.txt has {lines}"),
            "equally many",
        ]);
    Workshop::new()
        .with_files(b"", b"")
        .refuses(&["_Latn.txt: empty corpus"]);
    let bad = german.replacen("ü", "\u{0}", 1).into_bytes();
    Workshop::new()
        .with_files(english.as_bytes(), &bad)
        .refuses(&["deu_Latn.txt:1:", "NUL"]);
    let mut bad = german.clone().into_bytes();
    let second = german.find('\n').unwrap() + 2;
    bad[second] = 0xff;
    Workshop::new()
        .with_files(english.as_bytes(), &bad)
        .refuses(&["deu_Latn.txt:2:", "invalid UTF-8"]);
    let mut workshop = Workshop::new();
    workshop.data = workshop.data.replace("1-30", "1-3000");
    workshop.refuses(&["rows 1-3000 were asked for"]);
    let mut workshop = Workshop::new();
    workshop.data = workshop.data.replace("factory", "factories");
    workshop.refuses(&["factories"]);
}

/// A mark at the start, carriage returns and Unicode's line separator are text as other tools write it.
#[test]
fn marks_of_other_systems_are_no_trouble() {
    let (english, german) = sentences(20);
    let plain = Workshop::new().with_files(english.as_bytes(), german.as_bytes());
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let other =
        Workshop::new().with_files(windows(&english).as_bytes(), windows(&german).as_bytes());
    let events = |workshop: &Workshop| {
        let _ = stdout(&mut workshop.train());
        std::fs::read_to_string(workshop.path().join("run/events.jsonl")).unwrap()
    };
    assert_eq!(events(&plain), events(&other));
    let separated = english.replace("Check pump", "Check\u{2028}pump");
    let separated = Workshop::new().with_files(separated.as_bytes(), german.as_bytes());
    assert_eq!(
        events(&separated).lines().count(),
        events(&plain).lines().count()
    );
}

#[test]
fn long_sentences_are_left_out_and_counted() {
    let (mut english, mut german) = sentences(20);
    english += &format!("{}\n", "Check every pump. ".repeat(50));
    german += &format!("{}\n", "Jede Pumpe prüfen. ".repeat(50));
    let workshop = Workshop::new().with_files(english.as_bytes(), german.as_bytes());
    let output = workshop.train().assert().success().get_output().clone();
    let messages = String::from_utf8(output.stderr).unwrap();
    // In both directions.
    assert!(
        messages.contains("left out: too long") && messages.contains("pairs=2 max_tokens=128"),
        "{messages}"
    );

    let long = |text: &str| -> String {
        let lines = text
            .lines()
            .map(|l| format!("{}\n", format!("{l} ").repeat(20)));
        lines.collect()
    };
    let (english, german) = sentences(5);
    Workshop::new()
        .with_files(long(&english).as_bytes(), long(&german).as_bytes())
        .refuses(&[
            "no training pair has at most 128 tokens",
            "raise `training.max_tokens`",
        ]);
}

#[test]
fn languages_that_cannot_be_are_refused() {
    let mut workshop = Workshop::new();
    workshop.languages = workshop.languages.replace("deu_Latn", "klingon");
    workshop.refuses(&["train.toml", "line 5", "klingon"]);
    // Known, and in the data, but without a tag in this base.
    let mut workshop = Workshop::new();
    workshop.languages = workshop.languages.replace("deu_Latn", "fra_Latn");
    workshop.refuses(&["no language `fra_Latn`", "deu_Latn"]);
    // Known, and not in the data.
    let mut workshop = Workshop::new();
    workshop.languages = workshop.languages.replace("deu_Latn", "oci_Latn");
    workshop.refuses(&["oci_Latn", "data sections"]);
    let mut workshop = Workshop::new();
    workshop.languages = workshop.languages.replace("deu_Latn", "eng_Latn");
    workshop.refuses(&["`languages`: eng_Latn stands twice"]);
    // On one side of what is trained, and not among the languages: nothing could be saved of it.
    for directions in ["{ pivot = \"fra_Latn\" }", "[\"deu_Latn-fra_Latn\"]"] {
        let mut workshop = Workshop::new();
        workshop.top += &format!("directions = {directions}\n");
        workshop.refuses(&["`directions`: names fra_Latn", "`[languages]`"]);
    }
    // In another script than its code says, so that the filter leaves nothing.
    let (english, _) = sentences(20);
    let cyrillic = "Проверьте насос и затяните болт.\n".repeat(20);
    Workshop::new()
        .with_files(english.as_bytes(), cyrillic.as_bytes())
        .refuses(&[
            "all 20 sentence pairs with deu_Latn",
            "in another script",
            "keep_all",
        ]);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let mut workshop = Workshop::new();
    workshop.more += "learning_rat = 0.1\n";
    workshop.refuses(&["train.toml", "line ", "learning_rat", "learning_rate"]);
    let mut workshop = Workshop::new();
    workshop.more += "[adapter]\nrank = 0\n";
    workshop.refuses(&["every rank is 0", "at least one"]);
    let mut workshop = Workshop::new();
    workshop.more += "[compute]\nreuse_prefix_mb = 10\n";
    workshop.refuses(&[
        "`compute.reuse_prefix_mb`: is 10",
        "set `training.dropout` to 0",
    ]);
    let mut workshop = Workshop::new();
    workshop.more += "[adapter]\nrank = 99\n";
    workshop.refuses(&["rank 99", "lower the rank"]);
    let mut workshop = Workshop::new();
    workshop.more = workshop.more.replace("max_tokens = 128", "max_tokens = 3");
    workshop.refuses(&["no validation sentence of at most 3 tokens"]);
    for (key, reason) in [
        (
            "seed = 18446744073709551615\n",
            "`seed`: is 18446744073709551615; at most 9223372036854775807",
        ),
        ("", "`run`: is empty"),
    ] {
        let mut workshop = Workshop::new();
        workshop.top += key;
        if key.is_empty() {
            workshop.top = workshop.top.replace("\"run\"", "\"\"");
        }
        workshop.refuses(&[reason]);
    }
    let workshop = Workshop::new();
    workshop.train();
    let many = ["train", "train.toml", "--threads", "100000"];
    let text = refusal(isogloss(workshop.path()).args(many));
    assert!(
        text.contains("100000 threads are asked for: at most 1024"),
        "{text}"
    );
    assert!(!workshop.path().join("run").exists());
    let text = refusal(isogloss(workshop.path()).args(["train", "nowhere.toml"]));
    assert!(text.contains("cannot read nowhere.toml"), "{text}");
}

/// A run's folder never takes the place of a file that a person wrote, nor does a dry run promise what training refuses.
#[test]
fn a_folder_with_something_else_in_it_is_refused() {
    let mut workshop = Workshop::new();
    workshop.top = workshop.top.replace("\"run\"", "\".\"");
    let own = "# My notes\nrun = \".\"\n";
    workshop.write("config.toml", own);
    workshop.refuses(&["config.toml is no file of a run", "a folder of its own"]);
    let after = std::fs::read_to_string(workshop.path().join("config.toml")).unwrap();
    assert_eq!(after, own);
    assert!(!workshop.path().join("checkpoints").exists());

    let mut workshop = Workshop::new();
    stdout(&mut workshop.train());
    stdout(workshop.train().arg("--dry-run"));
    workshop.more = workshop.more.replace("epochs = 2", "epochs = 3");
    let text = refusal(workshop.train().arg("--dry-run"));
    assert!(
        text.contains("`training.epochs` was 2, now it is 3"),
        "{text}"
    );
    // The folder above that of the adapters.
    let text = refusal(isogloss(workshop.path()).args(["adapters", "inspect", "run"]));
    assert!(text.contains("did you mean run/adapters?"), "{text}");
}

#[test]
fn a_place_that_cannot_be_written_is_refused() {
    let mut workshop = Workshop::new();
    workshop.write("file", "");
    workshop.top = workshop.top.replace("\"run\"", "\"file/run\"");
    workshop.refuses(&["cannot make the directory", "file/run"]);
}

/// A copy of the base with other weights.
fn with_damaged_base(damage: impl FnOnce(&mut Vec<u8>)) -> Workshop {
    let mut workshop = Workshop::new();
    let copy = workshop.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(base()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let weights = copy.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    damage(&mut bytes);
    std::fs::write(&weights, bytes).unwrap();
    workshop.top = "run = \"run\"\nmodel = \"copy\"\n".to_owned();
    workshop
}

#[test]
fn a_damaged_base_is_refused() {
    with_damaged_base(|bytes| bytes.truncate(bytes.len() / 2))
        .refuses(&["model.safetensors", "damaged"]);
    with_damaged_base(|bytes| {
        let end = bytes.len();
        bytes[end - 2..].copy_from_slice(&[0xc0, 0x7f]);
    })
    .refuses(&["model.safetensors", "should be finite, got NaN"]);
    let mut workshop = Workshop::new();
    workshop.top = "run = \"run\"\nmodel = \"nowhere\"\n".to_owned();
    workshop.refuses(&["nowhere"]);
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
