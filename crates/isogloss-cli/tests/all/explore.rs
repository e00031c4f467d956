//! `isogloss explore` and `isogloss train --plan`, as a user types them: a plan is made, read, edited and trained with.

use crate::workshop::{Workshop, base, isogloss, refusal, stdout};
use serde_json::Value;
use std::path::Path;

/// Explores within the budget; what is on stdout.
fn explore(workshop: &Workshop, more: &[&str]) -> assert_cmd::Command {
    let _ = workshop.train();
    let mut command = isogloss(workshop.path());
    command
        .args(["explore", "train.toml", "--threads", "1"])
        .args(more);
    command
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_plan_is_made_edited_and_trained_with() {
    let workshop = Workshop::new();
    let text = stdout(&mut explore(
        &workshop,
        &["--budget", "40%", "--pruning", "0.5"],
    ));
    assert!(
        text.contains("encoder.layers.0") && text.contains("deu_Latn"),
        "{text}"
    );
    let run = workshop.path().join("run");
    assert!(text.trim_end().ends_with("plan.toml"), "{text}");
    let plan = read(&run.join("plan.toml"));
    for part in [
        "# Budget: 40% of the base.",
        "base = \"",
        "[ranks]\n",
        "[sides]\n",
        "target_ratio = 0.5",
    ] {
        assert!(plan.contains(part), "{part} is not in\n{plan}");
    }
    let found: Value = serde_json::from_str(&read(&run.join("explore.json"))).unwrap();
    let placed = &found["placement"][0];
    let sum: f64 = ["source", "target", "none"]
        .iter()
        .map(|key| placed[key].as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-5, "{placed}");
    assert_eq!(found["demand"]["languages"].as_array().unwrap().len(), 2);
    assert_eq!(found["demand"]["share"][0].as_array().unwrap().len(), 2);

    // Another budget plans anew, and trains nothing.
    let state =
        || std::fs::metadata(run.join("explore/demand/checkpoints/last.safetensors")).unwrap();
    let before = state().modified().unwrap();
    let text = stdout(&mut explore(&workshop, &["--budget", "20k", "--explain"]));
    assert!(text.contains("# Budget: 20000 parameters."), "{text}");
    assert_eq!(state().modified().unwrap(), before);
    let small = read(&run.join("plan.toml"));
    assert!(!small.contains("[pruning]"), "{small}");

    // An edited plan is what is trained.
    let edited = plan.lines().map(|line| match line.split_once(" = ") {
        Some(("deu_Latn", _)) => "deu_Latn = 3".to_owned(),
        Some(("eng_Latn", _)) => "eng_Latn = 1".to_owned(),
        _ => line.to_owned(),
    });
    let edited: Vec<String> = edited.collect();
    workshop.write("mine.toml", edited.join("\n"));
    let out = stdout(
        workshop
            .train()
            .args(["--plan", "mine.toml", "--run", "planned"]),
    );
    assert!(out.contains("finished after"), "{out}");
    let run = workshop.path().join("planned");
    let adapters: Value = serde_json::from_str(&read(&run.join("adapters/adapters.json"))).unwrap();
    let ranks: Vec<(&str, u64)> = adapters["updates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|update| {
            (
                update["name"].as_str().unwrap(),
                update["rank"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(ranks, [("eng_Latn", 1), ("deu_Latn", 3)]);
    assert!(read(&run.join("events.jsonl")).contains("\"event\":\"pruned\""));
    assert!(read(&run.join("config.toml")).contains("target_ratio = 0.5"));
}

#[test]
fn a_dry_run_explores_nothing() {
    let workshop = Workshop::new();
    let text = stdout(&mut explore(&workshop, &["--dry-run"]));
    assert!(text.contains("time, about"), "{text}");
    // Eight is the rank of exploring, whatever the configuration gives its classes.
    let count = |line: &str| {
        text.lines()
            .find(|l| l.starts_with(line))
            .map(|l| l[line.len()..].trim().to_owned())
    };
    assert_eq!(
        count("trainable for eng_Latn"),
        count("trainable for deu_Latn"),
        "{text}"
    );
    assert!(!workshop.path().join("run").exists());
}

/// Sides of places that weren't looked at are the configuration's, in the plan as in the runs before it.
#[test]
fn sides_that_are_given_stay() {
    let mut workshop = Workshop::new();
    workshop.more += "[adapter]\nsides = { \"decoder.layers.0.fc1\" = \"none\" }\n";
    let text = stdout(&mut explore(&workshop, &["--budget", "40%"]));
    assert!(text.contains("encoder.layers.0"), "{text}");
    let plan = read(&workshop.path().join("run/plan.toml"));
    assert!(
        plan.contains("\"decoder.layers.0.fc1\" = \"none\""),
        "{plan}"
    );
    let demand = read(&workshop.path().join("run/explore/demand/config.toml"));
    assert!(
        demand.contains("\"decoder.layers.0.fc1\" = \"none\""),
        "{demand}"
    );
}

#[test]
fn what_cannot_be_planned_is_said() {
    let mut workshop = Workshop::new();
    let text = refusal(&mut explore(&workshop, &["--budget", "10"]));
    assert!(
        text.contains("a budget of 10 parameters is too small") && text.contains("--budget"),
        "{text}"
    );
    // Before training, not after it.
    let mut short = Workshop::new();
    short.more = short.more.replace("epochs = 2", "epochs = 1");
    let text = refusal(&mut explore(
        &short,
        &["--budget", "50%", "--pruning", "0.5"],
    ));
    assert!(
        text.contains("at epoch 2 of 1") && text.contains("raise `training.epochs`"),
        "{text}"
    );
    let text = refusal(&mut explore(&workshop, &["--budget", "much"]));
    assert!(text.contains("such as `1%`"), "{text}");
    workshop.more += "[explore]\ntie = 2.0\n";
    let text = refusal(&mut explore(&workshop, &[]));
    assert!(text.contains("`explore.tie`: is 2"), "{text}");
    let text = refusal(&mut explore(&workshop, &["--tensorboard", "board"]));
    assert!(text.contains("leave out --tensorboard"), "{text}");
    assert!(!workshop.path().join("run").exists(), "nothing is started");
}

#[test]
fn a_plan_of_another_base_is_refused() {
    let workshop = Workshop::new();
    let plan = "base = \"0123\"\nsites = [\"fc1\"]\n[ranks]\neng_Latn = 1\ndeu_Latn = 1\n";
    workshop.write("plan.toml", plan);
    let text = refusal(workshop.train().args(["--plan", "plan.toml"]));
    assert!(text.contains("made for the base 0123"), "{text}");
    assert!(base().exists());
    workshop.write(
        "plan.toml",
        plan.replace("base = \"0123\"", "")
            .replace("eng_Latn = 1", ""),
    );
    let text = refusal(workshop.train().args(["--plan", "plan.toml"]));
    assert!(text.contains("the plan does not name eng_Latn"), "{text}");
}
