//! What the documents show is what the program has.

use super::{root, train_config};
use isogloss::compare::CompareConfig;
use isogloss::config::{self, PretrainConfig, TrainConfig};
use serde_json::Value;
use std::collections::BTreeSet;
use tempfile::TempDir;

/// Every key of a value, at whatever depth.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[test]
fn the_reference_of_configurations_names_every_key_and_its_example_is_read() {
    let text = std::fs::read_to_string(root().join("docs/reference/config.md")).unwrap();
    let example = text.split("```toml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("example.toml");
    std::fs::write(&path, example).unwrap();
    config::read::<TrainConfig>(&path).unwrap();

    let mut found = BTreeSet::new();
    let base: PretrainConfig = config::read(&root().join("models/mini/pretrain.toml")).unwrap();
    keys(&serde_json::to_value(base).unwrap(), &mut found);
    keys(
        &serde_json::to_value(train_config("paper")).unwrap(),
        &mut found,
    );
    keys(
        &serde_json::to_value(isogloss::adapter::Slice { start: 0, dim: 1 }).unwrap(),
        &mut found,
    );
    // The file of a comparison, methods and foreign sets by their names aside.
    let example = text.split("## `isogloss compare`").nth(1).unwrap();
    let example = example.split("```toml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    std::fs::write(&path, example).unwrap();
    let comparison: CompareConfig = config::read(&path).unwrap();
    comparison.validate().unwrap();
    let mut comparison = serde_json::to_value(comparison).unwrap();
    for named in ["methods", "foreign"] {
        let section = comparison[named].take();
        let all = section.as_object().unwrap();
        all.values().for_each(|value| keys(value, &mut found));
    }
    keys(&comparison, &mut found);
    assert!(
        found.contains("learning_rates") && found.len() > 60,
        "{found:?}"
    );
    for key in found {
        let forms = [
            format!("[{key}."),
            format!(".{key}`"),
            format!("`{key}`"),
            format!("[{key}]"),
            format!("{key} ="),
        ];
        assert!(
            forms.iter().any(|form| text.contains(form)),
            "`{key}` is missing"
        );
    }
}

/// What stands in a Markdown file's fences of a kind.
fn fences<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let start = format!("```{kind}\n");
    let blocks = text.split(&start).skip(1);
    blocks.map(|b| b.split("```").next().unwrap()).collect()
}

/// Numbers in the rows of a Markdown text's tables, and code; words differ from language to language.
fn figures(text: &str) -> Vec<String> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let numeric = |c: char| c.is_ascii_digit() || ".,+-".contains(c);
    let numbers = rows.flat_map(|row| row.split(|c: char| !numeric(c)));
    let numbers = numbers.filter(|n| n.contains(|c: char| c.is_ascii_digit()));
    numbers
        .map(|n| n.trim_end_matches(['.', ',']).to_owned())
        .collect()
}

#[test]
fn both_readmes_hold_the_same_commands_and_figures() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap();
    let (english, japanese) = (read("README.md"), read("README.ja.md"));
    let commands = fences(&english, "sh");
    assert!(commands.len() >= 2, "{commands:?}");
    assert_eq!(fences(&japanese, "sh"), commands);
    let numbers = figures(&english);
    assert!(numbers.iter().any(|n| n == "10,978,560"), "{numbers:?}");
    assert_eq!(figures(&japanese), numbers);
    assert!(english.contains("(README.ja.md)") && japanese.contains("(README.md)"));
    // Neither leads to a file that isn't there.
    for text in [&english, &japanese] {
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            assert!(root().join(file).exists(), "{link}");
            let anchor = |line: &str| line.trim_start_matches(['#', ' ']).to_lowercase();
            let found = || {
                read(file)
                    .lines()
                    .any(|l| l.starts_with('#') && anchor(l).replace(' ', "-") == heading)
            };
            assert!(heading.is_empty() || found(), "{link}");
        }
    }
}
