//! The configurations that come with the project are those that the program reads.

use assert_cmd::Command;
use flate2::{Compression, write::GzEncoder};
use isogloss::checkpoint;
use isogloss::compare::CompareConfig;
use isogloss::config::{self, Directions, PretrainConfig, TrainConfig};
use isogloss::language::{Direction, Language};
use isogloss::model::{ModelConfig, initial_tensors};
use isogloss::tokenize::{VocabularyOptions, train_vocabulary, write_folder};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

mod documents;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn flores12() -> PathBuf {
    root().join("examples/flores12")
}

/// Files of a folder and the folders in it that end in `.toml`; links, such as one to texts, are not followed.
fn tomls(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            found.extend(tomls(&path));
        } else if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
    found
}

fn train_config(name: &str) -> TrainConfig {
    config::read(&flores12().join(format!("{name}.toml"))).unwrap()
}

#[test]
fn every_configuration_is_read() {
    let found = [
        tomls(&root().join("examples")),
        tomls(&root().join("models")),
    ]
    .concat();
    assert!(found.len() > 5, "{found:?}");
    for path in found {
        let compares = [
            "compare.toml",
            "seeds.toml",
            "small.toml",
            "short.toml",
            "longer.toml",
        ];
        if compares.iter().any(|name| path.ends_with(name)) {
            let config: CompareConfig = config::read(&path).unwrap();
            config.validate().unwrap();
        } else if path.parent().is_some_and(|folder| folder.ends_with("mini")) {
            let config: PretrainConfig = config::read(&path).unwrap();
            config.training.validate().unwrap();
        } else {
            let config: TrainConfig = config::read(&path).unwrap();
            config.training.validate().unwrap();
        }
    }
}

/// Sizes and cells that the README of the comparison names, on the base that ships, with texts of the shape of its own.
#[test]
fn the_comparison_is_planned_as_its_readme_says() {
    let folder = TempDir::new().unwrap();
    let example = folder.path().join("examples/flores12");
    std::fs::create_dir_all(&example).unwrap();
    for entry in std::fs::read_dir(flores12()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, example.join(path.file_name().unwrap())).unwrap();
        }
    }
    // The base is read where it lies.
    let models = root().canonicalize().unwrap().join("models");
    let text = std::fs::read_to_string(example.join("train.toml")).unwrap();
    let text = text.replace("../../models", models.to_str().unwrap());
    std::fs::write(example.join("train.toml"), text).unwrap();
    let languages = [
        "eng_Latn", "deu_Latn", "fra_Latn", "ita_Latn", "nld_Latn", "ces_Latn", "hun_Latn",
        "tur_Latn", "fur_Latn", "lij_Latn", "lmo_Latn", "ltg_Latn",
    ];
    let lines = sentences();
    for (split, rows) in [("dev", 997), ("devtest", 1012)] {
        let flores = example.join("data/flores200").join(split);
        let mut wanted: BTreeSet<String> = languages.map(str::to_owned).into();
        let harm = std::fs::read_to_string(flores12().join("harm-directions.txt")).unwrap();
        wanted.extend(harm.lines().flat_map(|d| d.split('-')).map(str::to_owned));
        write_aligned(&flores, wanted.iter(), &lines, rows);
    }
    std::fs::create_dir_all(example.join("data/lohelp")).unwrap();
    let help = std::fs::File::create(example.join("data/lohelp/multiparallel.tsv.gz")).unwrap();
    let mut help = GzEncoder::new(help, Compression::fast());
    writeln!(help, "{}", languages[..9].join("\t")).unwrap();
    for row in 1..=28_295 {
        // Every other row has no German; Friulian doesn't matter.
        let german = if row % 2 == 0 { "" } else { "Pumpe" };
        writeln!(help, "pump {row}\t{german}\tb\tc\td\te\tf\tg\t").unwrap();
    }
    help.finish().unwrap();

    let mut command = Command::cargo_bin("isogloss").unwrap();
    command.current_dir(folder.path()).args([
        "compare",
        "examples/flores12/compare.toml",
        "--dry-run",
        "--json",
    ]);
    let output = command.assert().success().get_output().stdout.clone();
    let plan: Value = serde_json::from_slice(&output).unwrap();
    let methods = plan["methods"].as_array().unwrap();
    let of = |name: &str| methods.iter().find(|m| m["method"] == name).unwrap();
    let sizes = |name: &str| ["trained", "active"].map(|key| of(name)[key].as_u64().unwrap());
    assert_eq!(sizes("full"), [10_978_560; 2]);
    assert_eq!(sizes("lslo"), [1_990_656, 331_776]);
    assert_eq!(sizes("lslo-paper"), [1_327_104, 221_184]);
    // From low to low nobody trains with English alone.
    assert_eq!(sizes("lslo-english"), [1_990_656, 208_896]);
    assert_eq!(
        (&of("lora-total")["rank"], &of("lora-active")["rank"]),
        (&48.into(), &8.into())
    );
    assert_eq!(
        (sizes("lora-total")[0], sizes("lora-active")[0]),
        (1_990_656, 331_776)
    );
    let cells = plan["cells"].as_array().unwrap();
    let of_seed = |seed: u64| cells.iter().filter(|c| c["seed"] == seed).count();
    // With seed 1 all ten, the plan, and three methods with three languages alone; with the others the five that the README names.
    assert_eq!([1, 2, 3].map(of_seed), [20, 5, 5]);
    let cell = |name: &str| cells.iter().find(|c| c["name"] == name).unwrap();
    assert_eq!(cell("lslo-plan-pruned-seed1")["scored"], "all");
    assert_eq!(cell("lslo-plan-pruned-seed2")["scored"], "fewer");
    assert_eq!(
        (
            &cell("lslo-paper-seed1")["scored"],
            &cell("full-seed1")["rates"]
        ),
        (&"fewer".into(), &3.into())
    );
    for language in ["deu_Latn", "ces_Latn", "lij_Latn"] {
        for method in ["full", "lora-active", "lslo"] {
            let alone = cell(&format!("{method}-alone-{language}-seed1"));
            assert_eq!(alone["rates"], 1, "{alone}");
        }
    }
    assert_eq!(plan["whole"]["sentences"], 1012);
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn directions_of_the_comparison_are_what_the_readme_says() {
    for (name, languages) in [("train", 12), ("paper", 12), ("thirty", 18)] {
        let config = train_config(name);
        let Some(Directions::Only(directions)) = &config.validation.directions else {
            panic!("{name}: {:?}", config.validation.directions)
        };
        let class = |language: &Language| {
            let mut classes = config.languages.iter();
            *classes.find(|(_, all)| all.contains(language)).unwrap().0
        };
        let mut pairs: Vec<_> = directions
            .iter()
            .map(|d| (class(&d.source), class(&d.target)))
            .collect();
        pairs.sort();
        assert_eq!(pairs.len(), 18);
        assert!(pairs.chunks(2).all(|two| two[0] == two[1]), "{pairs:?}");
        pairs.dedup();
        assert_eq!(pairs.len(), 9);
        let sources: BTreeSet<_> = directions.iter().map(|d| &d.source).collect();
        let targets: BTreeSet<_> = directions.iter().map(|d| &d.target).collect();
        assert_eq!(
            (sources.len(), targets.len()),
            (languages, languages),
            "{name}"
        );
    }

    let base: PretrainConfig = config::read(&root().join("models/mini/pretrain.toml")).unwrap();
    let known: BTreeSet<Language> = base.languages.values().flatten().cloned().collect();
    let trained: BTreeSet<Language> = train_config("train")
        .languages
        .into_values()
        .flatten()
        .collect();
    assert!(trained.is_subset(&known));
    let list = |name: &str| -> BTreeSet<Direction> {
        let text = std::fs::read_to_string(flores12().join(name)).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    };
    let harm = list("harm-directions.txt");
    assert_eq!(harm.len(), 20);
    for direction in &harm {
        for language in [&direction.source, &direction.target] {
            assert!(
                known.contains(language) && !trained.contains(language),
                "{direction}"
            );
        }
    }
    // Four for each pair of classes.
    let classes = train_config("train").languages;
    let class = |language: &Language| {
        *classes
            .iter()
            .find(|(_, l)| l.contains(language))
            .unwrap()
            .0
    };
    let mut pairs = BTreeMap::new();
    for direction in list("reduced-directions.txt") {
        let pair = (class(&direction.source), class(&direction.target));
        *pairs.entry(pair).or_insert(0) += 1;
    }
    assert!(
        pairs.len() == 9 && pairs.values().all(|&n| n == 4),
        "{pairs:?}"
    );
    for direction in list("domain-directions.txt") {
        assert!(trained.contains(&direction.source) && trained.contains(&direction.target));
    }
}

/// English sentences of the handbook: what the stand-in's vocabulary is trained on, and its text in every language.
fn sentences() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("examples/factory/eng_Latn.tsv")).unwrap();
    let cells = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').nth(3));
    cells.map(str::to_owned).collect()
}

/// A file of so many lines for each language.
fn write_aligned(
    folder: &Path,
    languages: impl IntoIterator<Item: std::fmt::Display>,
    lines: &[String],
    rows: usize,
) {
    std::fs::create_dir_all(folder).unwrap();
    for language in languages {
        let file = std::fs::File::create(folder.join(format!("{language}.txt.gz"))).unwrap();
        let mut file = GzEncoder::new(file, Compression::fast());
        for line in lines.iter().cycle().take(rows) {
            writeln!(file, "{line}").unwrap();
        }
        file.finish().unwrap();
    }
}

/// A configuration in a folder with a tiny base that knows its languages, and texts of the shape of FLORES-200.
fn on_a_stand_in(name: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let file = format!("{name}.toml");
    std::fs::copy(flores12().join(&file), at(&file)).unwrap();
    let languages: Vec<Language> = train_config(name)
        .languages
        .into_values()
        .flatten()
        .collect();
    let lines = sentences();

    let options = VocabularyOptions {
        vocab_size: 300,
        ..VocabularyOptions::default()
    };
    let english = lines.iter().map(|line| (languages[0].clone(), line));
    let vocabulary = train_vocabulary(english, &options).unwrap();
    let tokenizer = write_folder(&at("model"), &vocabulary, &languages).unwrap();
    let fixture = root().join("crates/isogloss/tests/fixtures/m2m100/model/config.json");
    let config = ModelConfig {
        vocab_size: tokenizer.vocab_size(),
        ..serde_json::from_slice(&std::fs::read(fixture).unwrap()).unwrap()
    };
    checkpoint::write(&at("model"), &config, &initial_tensors(&config, 1)).unwrap();

    write_aligned(&at("data/flores200/dev"), &languages, &lines, 997);
    folder
}

#[test]
fn the_papers_setting_is_planned_on_a_stand_in() {
    for (name, languages, ranks) in [
        ("paper", 12, 8 * 2 + 4 * 8),
        ("thirty", 30, 20 * 2 + 10 * 8),
    ] {
        let folder = on_a_stand_in(name);
        let mut command = Command::cargo_bin("isogloss").unwrap();
        command
            .current_dir(folder.path())
            .args(["train", &format!("{name}.toml"), "--dry-run", "--json"])
            .args(["--threads", "1", "--precision", "f32"]);
        let output = command.assert().success().get_output().stdout.clone();
        let plan: Value = serde_json::from_slice(&output).unwrap();
        assert_eq!(plan["pairs_per_epoch"], 897 * languages * (languages - 1));
        let by_update = plan["by_update"].as_array().unwrap();
        assert_eq!(by_update.len(), languages);
        let count = |language: &str| {
            let mut updates = by_update.iter();
            let update = updates.find(|update| update[0] == language).unwrap();
            update[1].as_u64().unwrap()
        };
        assert_eq!(count("wol_Latn"), 4 * count("eng_Latn"));
        assert_eq!(plan["trainable"], ranks / 2 * count("kor_Hang"));
        assert!(
            !folder
                .path()
                .join("../../runs/flores12")
                .join(name)
                .exists()
        );
    }
}
