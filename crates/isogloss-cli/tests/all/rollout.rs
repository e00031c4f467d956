//! `isogloss rollout plan` and `translate --rollout`, whole, with a random model.

use crate::tiny;
use assert_cmd::Command;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A folder with a model, adapters of it, and text.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    tiny::model(&path.join("model"));
    let languages = ["eng_Latn", "deu_Latn"];
    tiny::adapters(&path.join("adapters"), &path.join("model"), &languages);
    fs::create_dir(path.join("text")).unwrap();
    let lines = |word: &str| -> String {
        let line = |i: usize| format!("{word} {} is {} here.\n", i * 7, "late ".repeat(i % 4 + 1));
        (0..24).map(line).collect()
    };
    fs::write(path.join("text/eng_Latn.txt"), lines("The boat")).unwrap();
    fs::write(path.join("text/deu_Latn.txt"), lines("Das Boot")).unwrap();
    folder
}

fn isogloss(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("isogloss").unwrap();
    command.current_dir(folder).args(arguments);
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

fn refusal(command: &mut Command) -> String {
    let output = command.assert().code(2).stdout("").get_output().clone();
    String::from_utf8(output.stderr).unwrap()
}

fn evaluate(folder: &Path, rows: &str, out: &str) {
    stdout(&mut isogloss(
        folder,
        &[
            "evaluate",
            "--model",
            "model",
            "--adapters",
            "adapters",
            "--data",
            "text",
            "--languages",
            "eng_Latn,deu_Latn",
            "--max-length",
            "6",
            "--beam",
            "1",
            "--threads",
            "1",
            "--against",
            "base",
            "--resamples",
            "200",
            "--rows",
            rows,
            "--out",
            out,
        ],
    ));
}

fn translate(folder: &Path, more: &[&str]) -> Command {
    let arguments = [
        "translate",
        "--model",
        "model",
        "--from",
        "eng_Latn",
        "--to",
        "deu_Latn",
        "--max-length",
        "6",
        "--beam",
        "1",
        "--threads",
        "1",
        "--input",
        "text/eng_Latn.txt",
    ];
    isogloss(folder, &[&arguments[..], more].concat())
}

#[test]
fn a_plan_is_made_reported_and_obeyed() {
    let folder = folder();
    let folder = folder.path();
    evaluate(folder, "1-12", "valid.json");
    evaluate(folder, "13-24", "test.json");
    let plan = [
        "rollout",
        "plan",
        "valid.json",
        "test.json",
        "-o",
        "out/rollout.toml",
    ];
    let summary = stdout(&mut isogloss(folder, &plan));
    assert!(summary.contains("decided on valid.json"), "{summary}");
    assert!(summary.contains("on test.json: mean change"), "{summary}");
    let json = stdout(&mut isogloss(folder, &[&plan[..], &["--json"]].concat()));
    let json: Value = serde_json::from_str(&json).unwrap();
    let text = fs::read_to_string(folder.join("out/rollout.toml")).unwrap();
    for decided in json["decided"].as_array().unwrap() {
        let [direction, choice, reason] =
            ["direction", "choice", "reason"].map(|key| decided[key].as_str().unwrap());
        assert!(
            text.contains(&format!("\"{direction}\" = \"{choice}\"\n")),
            "{text}"
        );
        assert!(text.contains(&format!("# {reason}: ")), "{text}");
    }

    // Each choice translates as it says; a trial mixes the two by line.
    let base = stdout(&mut translate(folder, &[]));
    let adapted = stdout(&mut translate(folder, &["--adapters", "adapters"]));
    assert_ne!(base, adapted);
    let serve = |choice: &str, share: &str| {
        let lines = text
            .lines()
            .filter(|l| !l.starts_with('"') && !l.starts_with("trial_share"));
        let head: String = lines.map(|l| format!("{l}\n")).collect();
        let plan = format!("trial_share = {share}\n{head}\"eng_Latn-deu_Latn\" = \"{choice}\"\n");
        fs::write(folder.join("plan.toml"), plan).unwrap();
        let rollout = ["--adapters", "adapters", "--rollout", "plan.toml"];
        stdout(&mut translate(folder, &rollout))
    };
    assert_eq!(serve("adapted", "0.1"), adapted);
    assert_eq!(serve("base", "0.1"), base);
    assert_eq!(serve("trial", "0"), base);
    assert_eq!(serve("trial", "1"), adapted);
    let trial = serve("trial", "0.5");
    assert_eq!(trial, serve("trial", "0.5"));
    assert!(trial != base && trial != adapted, "{trial}");
    for ((line, base), adapted) in trial.lines().zip(base.lines()).zip(adapted.lines()) {
        assert!(line == base || line == adapted);
    }
}

/// What a plan was decided with is known to it, and scores aren't replaced by what is made of them.
#[test]
fn another_search_than_the_plans_is_warned_of() {
    let folder = folder();
    let folder = folder.path();
    evaluate(folder, "1-12", "valid.json");
    let scores = fs::read(folder.join("valid.json")).unwrap();
    let over = ["rollout", "plan", "valid.json", "-o", "./valid.json"];
    let text = refusal(&mut isogloss(folder, &over));
    assert!(text.contains("would be replaced"), "{text}");
    assert_eq!(fs::read(folder.join("valid.json")).unwrap(), scores);
    let plan = ["rollout", "plan", "valid.json", "-o", "rollout.toml"];
    stdout(&mut isogloss(folder, &plan));
    let told = |more: &[&str]| {
        let with = ["--adapters", "adapters", "--rollout", "rollout.toml"];
        let mut command = translate(folder, &[&with[..], more].concat());
        let output = command.assert().success().get_output().clone();
        String::from_utf8(output.stderr).unwrap()
    };
    let text = told(&[]);
    assert!(!text.contains("was decided"), "{text}");
    let text = told(&["--no-repeat-ngram", "3", "--precision", "bf16"]);
    for part in ["no_repeat_ngram is 3 here", "precision is \"bf16\" here"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn what_cannot_be_planned_or_obeyed_is_named() {
    let folder = folder();
    let folder = folder.path();
    evaluate(folder, "1-12", "valid.json");
    evaluate(folder, "10-24", "overlap.json");
    fs::write(folder.join("no.json"), "{}").unwrap();
    for (files, word) in [
        (
            &["valid.json", "valid.json"][..],
            "valid.json has the same data as valid.json",
        ),
        (
            &["valid.json", "overlap.json"],
            "hint: report on data that took no part",
        ),
        (&["absent.json"], "cannot read absent.json"),
        (&["no.json"], "no.json holds no scores"),
        (
            &["valid.json", "--trial-share", "3"],
            "the share of a trial is 3: expected 0 to 1",
        ),
    ] {
        let arguments = [&["rollout", "plan", "-o", "rollout.toml"][..], files].concat();
        let text = refusal(&mut isogloss(folder, &arguments));
        assert!(text.contains(word), "{files:?}: {text}");
        assert!(!folder.join("rollout.toml").exists());
    }
    let same = [
        "rollout",
        "plan",
        "-o",
        "rollout.toml",
        "valid.json",
        "overlap.json",
        "--same-data",
    ];
    let summary = stdout(&mut isogloss(folder, &same));
    assert!(
        summary.contains("caution: the same sentences decided"),
        "{summary}"
    );

    let rollout = ["--rollout", "rollout.toml"];
    let text = refusal(&mut translate(folder, &rollout));
    assert!(text.contains("--adapters"), "{text}");
    tiny::adapters(
        &folder.join("other"),
        &folder.join("model"),
        &["eng_Latn", "fra_Latn"],
    );
    let other = [&rollout[..], &["--adapters", "other"]].concat();
    let text = refusal(&mut translate(folder, &other));
    assert!(
        text.contains("decided for other adapters than other"),
        "{text}"
    );
}

#[test]
fn a_compacted_copy_is_served_by_the_plan_of_what_it_was_made_from_as_long_as_it_is_exact() {
    let folder = folder();
    let folder = folder.path();
    evaluate(folder, "1-12", "valid.json");
    let plan = ["rollout", "plan", "valid.json", "-o", "rollout.toml"];
    stdout(&mut isogloss(folder, &plan));
    let compact = |from: &str, to: &str, more: &[&str]| {
        let arguments = ["adapters", "compact", from, "--output", to];
        stdout(&mut isogloss(folder, &[&arguments[..], more].concat()));
    };
    let serve = |adapters: &str| {
        let with = ["--adapters", adapters, "--rollout", "rollout.toml"];
        translate(folder, &with)
    };
    compact("adapters", "small", &[]);
    compact("small", "smaller", &[]);
    let expected = stdout(&mut serve("adapters"));
    assert_eq!(stdout(&mut serve("small")), expected);
    assert_eq!(stdout(&mut serve("smaller")), expected);

    compact("adapters", "rough", &["--tolerance", "0.01"]);
    compact("rough", "rough-copy", &[]);
    // Nor one that somebody changed.
    let index = fs::read_to_string(folder.join("small/adapters.json")).unwrap();
    let index = index.replace("\"alpha\": ", "\"alpha\": 1");
    fs::write(folder.join("small/adapters.json"), index).unwrap();
    for other in ["rough", "rough-copy", "small"] {
        let text = refusal(&mut serve(other));
        assert!(text.contains("decided for other adapters"), "{text}");
        assert!(text.contains("compacted with a tolerance"), "{text}");
    }
}
