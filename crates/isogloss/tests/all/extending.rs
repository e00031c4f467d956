//! Languages are added to adapters of an earlier run: what was there stays to the bit, and the new language gains.

use std::collections::BTreeMap;

use isogloss::config::{Directions, TrainConfig};
use isogloss::language::{Direction, Language, Resource};
use tempfile::TempDir;

use crate::training::{config, events, interrupted, left, train};

fn language(code: &str) -> Language {
    code.parse().unwrap()
}

/// English and German first.
fn first() -> TrainConfig {
    let mut first = config("first", "lslo");
    first.languages = BTreeMap::from([
        (Resource::High, vec![language("eng_Latn")]),
        (Resource::Medium, vec![language("deu_Latn")]),
    ]);
    first
}

/// Dutch added to them, in all directions.
fn second() -> TrainConfig {
    let mut second = config("second", "lslo");
    second.extends = Some("first/adapters".into());
    second.directions = Directions::All;
    second
}

#[test]
fn what_was_there_stays_and_the_new_language_gains() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let before = train(&first(), folder).unwrap();
    let mut adding = second();
    adding.training.epochs = 4;
    let after = train(&adding, folder).unwrap();
    for language in ["eng_Latn", "deu_Latn"] {
        let name = format!("{language}.safetensors");
        let read = |dir: &std::path::Path| std::fs::read(dir.join(&name)).unwrap();
        assert!(
            read(&before.result) == read(&after.result),
            "{language} changed"
        );
    }
    assert!(after.result.join("nld_Latn.safetensors").exists());
    // Rank 8 of a low-resource language; the others aren't trained.
    let index = std::fs::read_to_string(after.result.join("adapters.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    assert_eq!(index["updates"].as_array().unwrap().len(), 3);
    let own = after
        .estimate
        .by_update
        .iter()
        .map(|(name, _)| name.as_str());
    assert_eq!(own.collect::<Vec<_>>(), ["nld_Latn"]);
    assert_eq!(after.trainable, after.estimate.by_update[0].1);
    let trained: Vec<&str> = index["trained"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d.as_str().unwrap())
        .collect();
    let expected = [
        "deu_Latn-eng_Latn",
        "deu_Latn-nld_Latn",
        "eng_Latn-deu_Latn",
        "eng_Latn-nld_Latn",
        "nld_Latn-deu_Latn",
        "nld_Latn-eng_Latn",
    ];
    assert_eq!(trained, expected);
    let new: Direction = "nld_Latn-eng_Latn".parse().unwrap();
    let shares = &after.estimate.directions;
    assert!(shares.iter().any(|share| share.direction == new));
    assert!(
        shares
            .iter()
            .all(|share| share.direction.to_string().contains("nld_Latn")),
        "{shares:?}"
    );
    let lines = events(&folder.join("second"));
    let losses: Vec<f64> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["event"] == "validation")
        .map(|event| event["nll"].as_f64().unwrap())
        .collect();
    assert!(losses[3] < losses[0], "{losses:?}");
}

#[test]
fn adding_resumes_exactly_and_is_held_to_what_it_adds_to() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let _ = train(&first(), folder).unwrap();
    let whole = train(&second(), folder).unwrap();
    let expected = left(&folder.join("second"), &whole.result);
    let mut parts = second();
    parts.run = "parts".into();
    interrupted(&parts, folder, 3);
    parts.compute.threads = 2;
    let resumed = train(&parts, folder).unwrap();
    let got = left(&folder.join("parts"), &resumed.result);
    assert_eq!(got.len(), expected.len());
    assert!(got.iter().zip(&expected).all(|(a, b)| a == b));

    // Other adapters under the same name.
    let mut again = second();
    again.run = "again".into();
    interrupted(&again, folder, 1);
    std::fs::remove_dir_all(folder.join("first")).unwrap();
    let mut other = first();
    other.seed = 2;
    let _ = train(&other, folder).unwrap();
    let text = train(&again, folder).unwrap_err().to_string();
    assert!(text.contains("another set of adapters to extend"), "{text}");
}

#[test]
fn nothing_to_add_is_an_error() {
    let folder = TempDir::new().unwrap();
    let _ = train(&first(), folder.path()).unwrap();
    let mut config = first();
    config.run = "again".into();
    config.extends = Some("first/adapters".into());
    let text = train(&config, folder.path()).unwrap_err().to_string();
    assert!(text.contains("have an update of every language"), "{text}");
    config.method = isogloss::config::Method::Full;
    let text = train(&config, folder.path()).unwrap_err().to_string();
    assert!(text.contains("`extends`"), "{text}");
    assert!(!folder.path().join("again").exists());
}
