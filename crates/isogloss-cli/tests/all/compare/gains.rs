//! Three languages: methods that are trained in fewer directions, and a language's directions trained alone.

use super::{base, compare, json, read, row};
use crate::workshop::{Workshop, handbook, refusal, stdout};
use isogloss::config::{self, Directions, TrainConfig};
use serde_json::Value;

/// A folder with a training configuration in all directions of three languages, and a comparison that scores them all.
fn workshop(comparison: &str, methods: &str) -> Workshop {
    let mut workshop = Workshop::new();
    workshop.top = format!("run = \"run\"\nmodel = {:?}\n", base());
    workshop.languages =
        "[languages]\nhigh = [\"eng_Latn\"]\nlow = [\"deu_Latn\", \"fra_Latn\"]\n".to_owned();
    workshop.data = handbook("data", "train", "1-24");
    let _ = workshop.train();
    let test = handbook("test.data", "test", "1-108");
    let toml = format!(
        "run = \"compared\"\ntrain = \"train.toml\"\n{comparison}\n[decoding]\nbeam = 1\n[significance]\nresamples = 200\n{test}\
         [foreign.outside]\ndirections = [\"spa_Latn-ita_Latn\"]\n{methods}"
    );
    workshop.write("compare.toml", toml);
    workshop
}

/// A system's score in a direction.
fn score(results: &Value, method: &str, direction: &str) -> f64 {
    let directions = row(results, 0, method)["directions"].as_array().unwrap();
    let found = directions.iter().find(|d| d["direction"] == direction);
    found.unwrap()["score"].as_f64().unwrap()
}

fn mean(of: impl Fn(&str) -> f64, directions: &[&str]) -> f64 {
    directions.iter().map(|d| of(d)).sum::<f64>() / directions.len() as f64
}

const ENGLISH: [&str; 4] = [
    "eng_Latn-deu_Latn",
    "deu_Latn-eng_Latn",
    "eng_Latn-fra_Latn",
    "fra_Latn-eng_Latn",
];
const ACROSS: [&str; 2] = ["deu_Latn-fra_Latn", "fra_Latn-deu_Latn"];

#[test]
fn updates_of_directions_with_english_serve_the_others() {
    let english = "kind = \"lslo\"\ntrain = { directions = { pivot = \"eng_Latn\" } }\n";
    let workshop = workshop(
        "",
        &format!(
            "[methods.lslo]\n[methods.english]\nmissing = \"combine\"\n{english}[methods.english-alone]\n{english}"
        ),
    );
    let _ = stdout(&mut compare(&workshop, &["--published"]));
    let results = read(&workshop, "results.json");
    for direction in ENGLISH {
        let [combined, alone] = ["english", "english-alone"].map(|m| score(&results, m, direction));
        assert_eq!(combined, alone, "{direction}");
        assert_ne!(combined, score(&results, "base", direction), "{direction}");
    }
    for direction in ACROSS {
        let base = score(&results, "base", direction);
        assert_eq!(
            score(&results, "english-alone", direction),
            base,
            "{direction}"
        );
        assert_ne!(score(&results, "english", direction), base, "{direction}");
    }
    // Nothing changes in what no language's update is for.
    assert_eq!(row(&results, 1, "english")["change"]["change"], 0.0);
    let file = |name: &str| read(&workshop, &format!("{name}-seed1/scores.json"));
    assert_eq!(file("english")["options"]["missing"], "combine");
    assert_eq!(file("english-alone")["options"]["missing"], "base");

    // How much of the gain is left, by hand.
    let found = results["tests"][0]["fewer_trained"].as_array().unwrap();
    assert_eq!(found.len(), 2);
    for one in found {
        let method = one["method"].as_str().unwrap();
        assert_eq!(one["whole"], "lslo");
        for (part, directions) in [("trained", &ENGLISH[..]), ("untrained", &ACROSS[..])] {
            let part = &one[part];
            let gain = |method: &str| {
                let change = |d: &str| score(&results, method, d) - score(&results, "base", d);
                mean(change, directions)
            };
            let number = |value: &Value| value.as_f64().unwrap();
            assert_eq!(part["change"]["directions"], directions.len());
            assert!((number(&part["change"]["change"]) - gain(method)).abs() < 1e-9);
            assert!((number(&part["whole"]["change"]) - gain("lslo")).abs() < 1e-9);
            if !part["share"].is_null() {
                let share = gain(method) / gain("lslo");
                assert!((number(&part["share"]["share"]) - share).abs() < 1e-9);
            }
        }
    }
    let path = workshop.path().join("compared/results.md");
    let text = std::fs::read_to_string(path).unwrap();
    let line = |start: &str| text.lines().any(|line| line.starts_with(start));
    assert!(text.contains("### Trained on fewer directions"), "{text}");
    assert!(
        line("| english | 2 directions, not trained: combined |"),
        "{text}"
    );
    assert!(
        line("| english-alone | 2 directions, not trained: base |"),
        "{text}"
    );
}

/// The mean score of directions that `scores.json` of a cell gives.
fn scored(workshop: &Workshop, cell: &str, directions: &[&str]) -> f64 {
    let file = read(workshop, &format!("{cell}/scores.json"));
    let all = file["directions"].as_array().unwrap();
    let of = |direction: &str| {
        let one = all.iter().find(|d| d["direction"] == direction);
        // chrF++ was asked for first.
        one.unwrap()["scores"][0]["score"].as_f64().unwrap()
    };
    mean(of, directions)
}

const GERMAN: [&str; 4] = [
    "deu_Latn-eng_Latn",
    "deu_Latn-fra_Latn",
    "eng_Latn-deu_Latn",
    "fra_Latn-deu_Latn",
];

/// It takes its own directions with their pairs, and the learning rate that was chosen.
fn trained_alone(workshop: &Workshop, method: &str) {
    let cell = format!("{method}-alone-deu_Latn-seed1");
    let path = workshop.path().join("compared").join(&cell);
    let config: TrainConfig = config::read(&path.join("config.toml")).unwrap();
    let Directions::Only(trained) = &config.directions else {
        panic!("{:?}", config.directions)
    };
    assert_eq!(trained.len(), 4);
    assert_eq!(config.training.sample.pairs_per_epoch, Some(4 * 24));
    let own = read(workshop, &format!("{cell}/trained.json"));
    let together = read(workshop, &format!("{method}-seed1/trained.json"));
    assert_eq!(own["learning_rate"], together["learning_rate"]);
    // As many as together, give or take how sentences fill batches.
    let updates = [&own, &together].map(|trained| trained["updates"].as_f64().unwrap());
    assert!((updates[0] / updates[1] - 1.0).abs() < 0.35, "{updates:?}");
}

#[test]
fn a_language_trained_alone_stands_beside_all_together() {
    let methods = "[methods.full]\ntrain = { training = { learning_rate = 0.0002 } }\n[methods.lslo]\nseeds = [1, 2]\nlearning_rates = [0.001, 0.003]\n\
        [interference]\nlanguages = [\"deu_Latn\"]\n";
    let workshop = workshop("", methods);
    let text = stdout(&mut compare(&workshop, &["--published", "--dry-run"]));
    assert!(text.contains("lslo-alone-deu_Latn-seed1"), "{text}");
    let _ = stdout(&mut compare(&workshop, &["--published"]));

    let results = read(&workshop, "results.json");
    let found = results["interference"].as_array().unwrap();
    assert_eq!(found.len(), 2);
    for (one, method) in found.iter().zip(["full", "lslo"]) {
        assert_eq!(
            (&one["method"], &one["language"], &one["seed"]),
            (&method.into(), &"deu_Latn".into(), &1.into())
        );
        assert_eq!(one["directions"], serde_json::json!(GERMAN));
        let cell = format!("{method}-alone-deu_Latn-seed1");
        let base = scored(&workshop, "base", &GERMAN);
        let alone = scored(&workshop, &cell, &GERMAN);
        let together = scored(&workshop, &format!("{method}-seed1"), &GERMAN);
        assert_ne!(alone, together, "{method} {base}");
        let close = |value: &Value, expected: f64| {
            let value = value.as_f64().unwrap();
            assert!((value - expected).abs() < 1e-9, "{value} for {expected}");
        };
        close(&one["base"], base);
        close(&one["alone"]["change"], alone - base);
        close(&one["together"]["change"], together - base);
        close(&one["difference"]["change"], together - alone);
        let [low, high] = [0, 1].map(|i| one["difference"]["interval"][i].as_f64().unwrap());
        assert!(low < high, "{one}");
        // Nothing changes outside, full fine-tuning aside.
        let outside = &one["foreign"]["outside"]["change"];
        assert_eq!(*outside == 0.0, method == "lslo", "{one}");
        trained_alone(&workshop, method);
    }
    // It is none of the methods.
    let rows = results["tests"][0]["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|r| r["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["base", "copy", "full", "lslo"]);
    assert_eq!(results["methods"].as_array().unwrap().len(), 2);
    let text = std::fs::read_to_string(workshop.path().join("compared/results.md")).unwrap();
    let (_, table) = text
        .split_once("## Alone and together (published)")
        .unwrap();
    assert!(table.contains("| deu_Latn | lslo | 4 |"), "{table}");
    // What is gone is done again, the same, and nothing else.
    let at = |cell: &str| workshop.path().join("compared").join(cell);
    std::fs::remove_dir_all(at("lslo-alone-deu_Latn-seed1")).unwrap();
    let kept = at("full-alone-deu_Latn-seed1/trained.json");
    let modified = || std::fs::metadata(&kept).unwrap().modified().unwrap();
    let before = modified();
    let again = json(&stdout(&mut compare(&workshop, &["--json"])));
    assert_eq!(again, results);
    assert_eq!(modified(), before);
}

#[test]
fn what_is_trained_alone_has_defaults() {
    let workshop = workshop(
        "seeds = [1, 2]",
        "[methods.full]\n[methods.lora-total]\n[methods.shared]\nkind = \"lora-active\"\n\
         [methods.lslo]\n[methods.another]\nkind = \"lslo\"\n[interference]\n",
    );
    let plan = json(&stdout(&mut compare(&workshop, &["--dry-run", "--json"])));
    let cells = plan["cells"].as_array().unwrap();
    let alone: Vec<&Value> = cells
        .iter()
        .filter(|cell| cell["name"].as_str().unwrap().contains("alone"))
        .collect();
    let names: Vec<&str> = alone.iter().map(|c| c["name"].as_str().unwrap()).collect();
    let of = |language: &str| {
        ["full", "shared", "lslo"].map(|method| format!("{method}-alone-{language}-seed1"))
    };
    assert_eq!(names, [of("eng_Latn"), of("deu_Latn")].concat());
    for cell in alone {
        let method = cell["name"].as_str().unwrap().split('-').next().unwrap();
        let together = cells
            .iter()
            .find(|c| c["name"] == format!("{method}-seed1"));
        let hours = |cell: &Value, key: &str| cell[key].as_f64().unwrap();
        // Four of six directions, and the foreign one.
        for key in ["training_hours", "scoring_hours"] {
            let (own, whole) = (hours(cell, key), hours(together.unwrap(), key));
            assert!(0.0 < own && own < whole, "{key}: {cell}");
        }
    }
}

#[test]
fn what_cannot_be_trained_alone_is_refused() {
    let methods = "[methods.lslo]\n[methods.each]\nkind = \"lora-direction\"\n[interference]\n";
    let workshop_of = |interference: &str| workshop("", &format!("{methods}{interference}\n"));
    for (interference, parts) in [
        (
            "methods = [\"lsl\"]",
            &["interference.methods", "\"lsl\"", "there are \"lslo\""][..],
        ),
        (
            "methods = [\"each\"]",
            &[
                "interference.methods",
                "\"each\"",
                "trains each direction alone",
            ],
        ),
        ("methods = []", &["interference.methods", "is empty"]),
        (
            "languages = [\"spa_Latn\"]",
            &[
                "interference.languages",
                "spa_Latn",
                "possible are eng_Latn, deu_Latn, fra_Latn",
            ],
        ),
        (
            "languages = [\"deu_Latn\", \"deu_Latn\"]",
            &["interference.languages", "deu_Latn twice"],
        ),
        ("language = [\"deu_Latn\"]", &["unknown field", "language"]),
    ] {
        let text = refusal(&mut compare(&workshop_of(interference), &["--dry-run"]));
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
    }
    // Of two languages either one is in every direction.
    let two = super::workshop("", "[methods.lslo]\n[interference]\n");
    let text = refusal(&mut compare(&two, &["--dry-run"]));
    assert!(
        text.contains("no language can be trained alone") && text.contains("are the same"),
        "{text}"
    );
}
