//! `isogloss report`, whole: train, evaluate, report.

use crate::workshop::{Workshop, base, isogloss, refusal, stdout};
use serde_json::Value;
use std::path::Path;

/// Trains in a workshop; its run's folder is `run`.
fn trained() -> Workshop {
    let workshop = Workshop::new();
    stdout(workshop.train().args(["--tensorboard", "board"]));
    workshop
}

fn report(folder: &Path, more: &[&str]) -> assert_cmd::Command {
    let mut command = isogloss(folder);
    command
        .args(["report", "run", "-o", "out/report.html"])
        .args(more);
    command
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Evaluates the run against its base, in the direction that it was trained in.
fn evaluate(workshop: &Workshop) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/factory");
    let mut command = isogloss(workshop.path());
    command
        .args(["evaluate", "--model"])
        .arg(base())
        .args(["--adapters", "run/adapters", "--data"])
        .arg(data)
        .args([
            "--split",
            "test",
            "--rows",
            "1-40",
            "--languages",
            "eng_Latn,deu_Latn",
        ])
        .args(["--beam", "1", "--max-length", "12", "--threads", "1"])
        .args(["--against", "base", "--out", "run/scores.json"]);
    stdout(&mut command);
}

#[test]
fn a_run_is_trained_evaluated_and_reported() {
    let workshop = trained();
    let cost: Value = serde_json::from_str(&read(&workshop.path().join("run/cost.json"))).unwrap();
    assert!(cost["seconds"].as_f64().unwrap() > 0.0);
    assert!(cost["base_parameters"].as_u64() > cost["trainable"].as_u64());
    assert_eq!(
        cost["command"],
        "isogloss train train.toml --threads 1 --tensorboard board"
    );
    assert_eq!(cost["threads"], 1);
    // A board of curves: what it holds is the library's test.
    let board = std::fs::read_dir(workshop.path().join("board"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert!(board.metadata().unwrap().len() > 100);

    // Before it is evaluated, the page says how to.
    let text = stdout(&mut report(workshop.path(), &[]));
    assert!(text.contains("Score it before you decide."), "{text}");
    assert!(text.ends_with("out/report.html\n"), "{text}");
    let page = read(&workshop.path().join("out/report.html"));
    assert!(
        page.contains(
            "--data TEXT --directions deu_Latn-eng_Latn,eng_Latn-deu_Latn --against base"
        )
    );
    assert!(page.contains("isogloss train train.toml --threads 1"));

    evaluate(&workshop);
    let more = [
        "--json",
        "out/report.json",
        "--csv",
        "out/tables",
        "--price-per-hour",
        "3600",
        "--currency",
        "USD",
    ];
    let text = stdout(&mut report(workshop.path(), &more));
    assert!(
        text.contains("chrF++ changes by") && text.contains("cost $"),
        "{text}"
    );
    let data: Value =
        serde_json::from_str(&read(&workshop.path().join("out/report.json"))).unwrap();
    let run = &data["runs"][0];
    let command = "--beam 1 --max-length 12 --precision f32 --missing";
    assert!(run["commands"].to_string().contains(command), "{run}");
    let scores: Value =
        serde_json::from_str(&read(&workshop.path().join("run/scores.json"))).unwrap();
    let (shown, scored) = (
        &run["quality"]["directions"],
        &scores["comparison"]["directions"],
    );
    assert_eq!(shown.as_array().unwrap().len(), 2);
    for key in [
        "direction",
        "score",
        "base",
        "change",
        "interval",
        "p_adjusted",
        "verdict",
    ] {
        assert_eq!(shown[0][key], scored[0][key], "{key}");
    }
    assert_eq!(run["cost"]["seconds"], cost["seconds"]);
    assert_eq!(
        run["trained"],
        serde_json::json!(["deu_Latn-eng_Latn", "eng_Latn-deu_Latn"])
    );
    let missing: Vec<&str> = run["gaps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["what"].as_str().unwrap())
        .collect();
    assert!(
        !missing
            .iter()
            .any(|what| ["own", "scores", "comparison", "directions", "cost"].contains(what)),
        "{missing:?}"
    );
    let table = read(&workshop.path().join("out/tables/directions.csv"));
    assert_eq!(table.lines().count(), 3);

    // The same in Japanese.
    let text = stdout(&mut report(workshop.path(), &["--lang", "ja"]));
    assert!(text.contains("方向"), "{text}");
    let page = read(&workshop.path().join("out/report.html"));
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"ja\">") && page.contains("ドイツ語"));

    // Adapters that were trained anew are not those that were scored.
    let adapters = workshop.path().join("run/adapters/deu_Latn.safetensors");
    let mut bytes = std::fs::read(&adapters).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&adapters, bytes).unwrap();
    stdout(&mut report(workshop.path(), &[]));
    let page = read(&workshop.path().join("out/report.html"));
    assert!(page.contains("The scores are not of this run as it is now"));
}

#[test]
fn wrong_arguments_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let text = refusal(&mut report(path, &[]));
    assert!(
        text.contains("run is no run: there is no such folder"),
        "{text}"
    );
    for (more, part) in [
        (&["--lang", "de"][..], "`de` is not one of en, ja"),
        (&["--price-per-hour", "1"], "--currency"),
        (&["--scores", "a", "--scores", "b"], "2 --scores for 1 runs"),
        (
            &["--price-per-hour", "1", "--currency", "euros"],
            "`euros` is no code of a currency",
        ),
        (&["--base", "none.json"], "cannot read none.json"),
    ] {
        let text = refusal(&mut report(path, more));
        assert!(text.contains(part), "{text}");
        assert!(!path.join("out").exists());
    }
}
