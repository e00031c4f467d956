//! `isogloss adapters`: what is said of a folder, and a smaller copy that translates the same.

use crate::tiny;
use crate::workshop::{isogloss, refusal, stdout};
use assert_cmd::Command;
use isogloss::adapter;
use isogloss::params::ParamStore;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

const INPUT: &str = "The rain fell on the old harbour.\n\nWe counted seven herons by the river.\n";

/// A folder with a model, adapters of which nine values of `lora_B` in ten are zero, and text.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    tiny::model(&path("model"));
    tiny::adapters(&path("plain"), &path("model"), &["eng_Latn", "deu_Latn"]);
    let mut store = ParamStore::new();
    let (set, base) = adapter::read(&path("plain"), &mut store).unwrap();
    let params = store.params().to_vec();
    let (mut all, mut left) = (0, 0);
    for param in params.iter().filter(|p| p.name.contains("lora_B")) {
        let id = store.find(&param.name).unwrap();
        // The first two of eight components die, others lose entries here and there.
        for (i, x) in store.get_mut(id).iter_mut().enumerate() {
            let mixed = (i + param.range.start).wrapping_mul(2_654_435_761) >> 7;
            if i % 8 < 2 || mixed % 8 != 0 {
                *x = 0.0;
            }
            all += 1;
            left += usize::from(*x != 0.0);
        }
    }
    assert!(10 * left < all && 15 * left > all, "{left} of {all}");
    adapter::save(&path("adapters"), &set, &store, &base).unwrap();
    std::fs::write(path("text"), INPUT).unwrap();
    folder
}

fn compact(folder: &Path, more: &[&str]) -> Command {
    let mut command = isogloss(folder);
    command.args(["adapters", "compact", "adapters"]).args(more);
    command
}

/// Ids and scores of the three best translations of both lines.
fn translations(folder: &Path, adapters: &str) -> Vec<(Vec<u64>, f64)> {
    let mut command = isogloss(folder);
    let languages = ["--from", "eng_Latn", "--to", "deu_Latn"];
    let form = ["--json", "--ids", "--n-best", "3", "--input", "text"];
    command.args(["translate", "--model", "model", "--adapters", adapters]);
    let text = stdout(command.args(languages).args(form));
    let rows = text.lines().map(|l| serde_json::from_str(l).unwrap());
    let all = rows.flat_map(|row: Value| row["hypotheses"].as_array().unwrap().clone());
    let one = |h: Value| {
        let ids = h["ids"].as_array().unwrap().iter();
        let ids = ids.map(|id| id.as_u64().unwrap()).collect();
        (ids, h["score"].as_f64().unwrap())
    };
    all.map(one).collect()
}

#[test]
fn a_compact_copy_is_smaller_and_translates_the_same() {
    let folder = folder();
    let folder = folder.path();
    let checked = ["--model", "model", "--check", "text", "--from", "eng_Latn"];
    let text = stdout(compact(folder, &["-o", "small"]).args(checked));
    for part in [
        "left after compaction",
        "eng_Latn-deu_Latn: 2 of 2 translations are the same",
        "largest error          0.00e0",
        "written to small",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (before, after) = (
        translations(folder, "adapters"),
        translations(folder, "small"),
    );
    assert_eq!(before.len(), 6);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.0, after.0);
        assert!((before.1 - after.1).abs() < 1e-4 * before.1.abs());
    }
    assert_ne!(translations(folder, "plain"), before, "pruning was felt");

    let report: Value =
        serde_json::from_str(&stdout(&mut compact(folder, &["-o", "again", "--json"]))).unwrap();
    let number = |when: &str, what: &str| report[when][what].as_u64().unwrap();
    assert!(number("after", "bytes") < number("before", "bytes") * 6 / 10);
    assert!(number("after", "nonzero") < number("before", "nonzero"));
    let mut bytes = 0;
    for update in report["updates"].as_array().unwrap() {
        let name = update["name"].as_str().unwrap();
        assert!(text.contains(name));
        let file = folder.join("again").join(format!("{name}.safetensors"));
        bytes += std::fs::metadata(file).unwrap().len();
        let sites = update["sites"].as_array().unwrap();
        assert!(sites.iter().all(|site| site["rank"].as_u64() <= Some(6)));
    }
    assert_eq!(bytes, number("after", "bytes"));
    assert!(report["check"].is_null());
}

/// What a tolerance allows may change translations, and the check says so.
#[test]
fn a_check_tells_what_has_changed() {
    let folder = folder();
    let folder = folder.path();
    let checked = ["--model", "model", "--check", "text", "--from", "eng_Latn"];
    let mut command = compact(folder, &["-o", "rough", "--tolerance", "0.95", "--json"]);
    let output = command.args(checked).assert().failure().code(1);
    let output = output.get_output();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let check = &report["check"][0];
    assert_eq!(check["direction"], "eng_Latn-deu_Latn");
    assert_eq!(check["sentences"], 2);
    assert!(check["same"].as_u64().unwrap() < 2);
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(
        text.contains("of 2 translations changed") && text.contains("hint: "),
        "{text}"
    );
    assert_ne!(
        translations(folder, "rough"),
        translations(folder, "adapters")
    );
    let largest = report["updates"][0]["sites"].as_array().unwrap().iter();
    let largest = largest
        .map(|s| s["error"].as_f64().unwrap())
        .fold(0.0, f64::max);
    assert!(largest > 0.1 && largest < 0.951, "{largest}");
}

#[test]
fn what_cannot_be_compacted_is_refused_and_nothing_written() {
    let folder = folder();
    let folder = folder.path();
    tiny::seeded_model(&folder.join("other"), 2);
    let text = ["--check", "text", "--from", "eng_Latn"];
    for (more, said) in [
        (
            &["-o", "adapters"][..],
            "adapters is the folder of the adapters themselves",
        ),
        (&["-o", "model"], "model exists already and isn't empty"),
        (&["-o", "new", "--tolerance", "1.5"], "the tolerance is 1.5"),
        (&["-o", "new", "--model", "other"], "belongs to the base"),
        (&[&["-o", "new"], &text[..]].concat(), "--model"),
        (
            &[
                &["-o", "new", "--model", "model"],
                &text[..2],
                &["--from", "fra_Latn"],
            ]
            .concat(),
            "trained in no direction from fra_Latn",
        ),
        (
            &[
                "-o", "new", "--model", "model", "--check", "nowhere", "--from", "eng_Latn",
            ],
            "nowhere",
        ),
    ] {
        let text = refusal(&mut compact(folder, more));
        assert!(text.contains(said), "{said}: {text}");
    }
    let mut command = isogloss(folder);
    let text = refusal(command.args(["adapters", "compact", "model", "-o", "new"]));
    assert!(text.contains("model/adapters.json"), "{text}");
    assert!(!folder.join("new").exists());
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing() {
    let folder = folder();
    let folder = folder.path();
    let count = std::fs::read_dir(folder).unwrap().count();
    let output = std::process::Command::new("sh")
        .current_dir(folder)
        .args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$@\"", "sh"])
        .arg(assert_cmd::cargo::cargo_bin!("isogloss"))
        .args(["adapters", "compact", "adapters", "-o", "small"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains("File too large") && text.contains("hint: "),
        "{text}"
    );
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), count);
}

#[test]
fn adapters_are_inspected() {
    let folder = folder();
    let folder = folder.path();
    stdout(&mut compact(folder, &["-o", "small"]));
    let inspect = |adapters: &str, more: &[&str]| {
        let mut command = isogloss(folder);
        command.args(["adapters", "inspect", adapters]).args(more);
        command
    };
    let json = |adapters| -> Value {
        serde_json::from_str(&stdout(&mut inspect(adapters, &["--json"]))).unwrap()
    };
    let [before, after] = ["adapters", "small"].map(json);
    for key in ["base", "preset", "languages", "trained", "sites"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    assert_eq!(before["trained"].as_array().unwrap().len(), 2);
    let of = |report: &Value, key: &str| report["total"][key].as_u64().unwrap();
    for key in ["parameters", "nonzero", "bytes"] {
        assert!(of(&after, key) < of(&before, key), "{key}");
    }
    let german = &before["updates"][1];
    assert_eq!(german["name"], "deu_Latn");
    let ranks = german["ranks"].as_array().unwrap();
    assert_eq!(ranks.len(), before["sites"].as_array().unwrap().len());
    assert!(ranks.iter().all(|rank| *rank == 8));

    let text = stdout(&mut inspect("adapters", &[]));
    let (hash, all) = (before["base"].as_str().unwrap(), of(&before, "nonzero"));
    for part in [
        hash,
        "2: eng_Latn deu_Latn",
        "all 2 directions",
        &all.to_string(),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("\nsite "), "one rank everywhere: {text}");
    let text = stdout(&mut inspect("small", &[]));
    assert!(
        text.contains("encoder.layers.0.fc1") && text.contains("source"),
        "{text}"
    );
    let text = refusal(&mut inspect("nowhere", &[]));
    assert!(text.contains("nowhere/adapters.json"), "{text}");
}

/// A flipped bit still is a number, and a translation.
#[test]
fn damaged_adapters_are_refused_and_named() {
    let folder = folder();
    let folder = folder.path();
    let weights = folder.join("adapters/deu_Latn.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    let inspect = ["adapters", "inspect", "adapters"];
    let languages = ["--from", "eng_Latn", "--to", "deu_Latn"];
    let translate = ["translate", "--model", "model", "--adapters", "adapters"];
    for args in [&inspect[..], &[&translate[..], &languages].concat()] {
        let text = refusal(isogloss(folder).args(args));
        assert!(
            text.contains("deu_Latn.safetensors: its CRC-32 is"),
            "{text}"
        );
    }
    bytes[middle] ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    stdout(isogloss(folder).args(inspect));
    let vocabulary = folder.join("adapters/vocabulary.json");
    for (json, said) in [
        ("{", "vocabulary.json: EOF"),
        (
            r#"{"format": 1, "tokenizer": "", "languages": {"deu_Latn": {"held_out": [9, 1], "ids": "2 9-4"}}}"#,
            "vocabulary.json: the ids of deu_Latn: they don't ascend at `9-4`",
        ),
    ] {
        std::fs::write(&vocabulary, json).unwrap();
        let text = refusal(isogloss(folder).args(inspect));
        assert!(text.contains(said), "{text}");
    }
}
