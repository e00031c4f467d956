//! `isogloss demo`, with a tiny random base and a few rows of the texts.

use crate::examples::root;
use crate::workshop::{isogloss, stdout};
use isogloss::checkpoint;
use isogloss::language::Language;
use isogloss::model::{ModelConfig, Storage, initial_tensors};
use isogloss::tokenize::{VocabularyOptions, train_vocabulary, write_folder};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

const LANGUAGES: [&str; 13] = [
    "eng_Latn", "deu_Latn", "fra_Latn", "spa_Latn", "ita_Latn", "nld_Latn", "ces_Latn", "pol_Latn",
    "jpn_Jpan", "por_Latn", "rus_Cyrl", "ukr_Cyrl", "hun_Latn",
];

/// The header, and of each split the first rows.
fn shortened(text: &str, split_column: usize) -> String {
    let mut kept = text.lines().take(1).collect::<Vec<_>>();
    for split in ["train", "valid", "test"] {
        let rows = text.lines().skip(1);
        let rows = rows.filter(|row| row.split('\t').nth(split_column) == Some(split));
        kept.extend(rows.take(4));
    }
    kept.join("\n") + "\n"
}

/// A configuration whose few updates change much.
fn bolder(toml: &str) -> String {
    let lines = toml.lines().map(|line| match line.split(" = ").next() {
        Some("learning_rate") => "learning_rate = 0.01",
        Some("warmup") => "warmup = 1",
        _ => line,
    });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

/// A folder like the project's.
fn project() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, split_column) in [("factory", 2), ("everyday", 1)] {
        let to = folder.path().join("examples").join(name);
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(root().join("examples").join(name)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let text = match path.extension().and_then(|e| e.to_str()) {
                Some("tsv") => shortened(&text, split_column),
                Some("toml") => bolder(&text),
                _ => text,
            };
            std::fs::write(to.join(path.file_name().unwrap()), text).unwrap();
        }
    }
    base(&folder.path().join("models/mini"));
    folder
}

/// A random base that knows the handbook's languages, and says something in all of them.
pub(crate) fn base(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    let languages = LANGUAGES.map(|code| code.parse::<Language>().unwrap());
    let text = std::fs::read_to_string(root().join("examples/factory/eng_Latn.tsv")).unwrap();
    let lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
    let options = VocabularyOptions {
        vocab_size: 300,
        ..VocabularyOptions::default()
    };
    let english = lines.iter().map(|line| (languages[0].clone(), line));
    let vocabulary = train_vocabulary(english, &options).unwrap();
    let tokenizer = write_folder(dir, &vocabulary, &languages).unwrap();
    let fixture = root().join("crates/isogloss/tests/fixtures/m2m100/model/config.json");
    let config = ModelConfig {
        vocab_size: tokenizer.vocab_size(),
        max_position_embeddings: 512,
        // Wide enough for the configurations' ranks.
        d_model: 64,
        encoder_ffn_dim: 64,
        decoder_ffn_dim: 64,
        ..serde_json::from_slice(&std::fs::read(fixture).unwrap()).unwrap()
    };
    let mut tensors = initial_tensors(&config, 1);
    // As in `tiny`: unless tags are faint, the model says nothing else.
    for tensor in tensors.iter_mut().filter(|t| t.name == "shared.weight") {
        let mut values = tensor.storage.to_f32();
        let tags = values.len() - (LANGUAGES.len() + 1) * config.d_model;
        values[tags..].iter_mut().for_each(|x| *x *= 0.1);
        tensor.storage = Storage::F32(values);
    }
    checkpoint::write(dir, &config, &tensors).unwrap();
}

#[test]
fn the_demo_says_what_it_does_and_compares_and_leaves_a_report() {
    let folder = project();
    let demo = |more: &[&str]| {
        let mut command = isogloss(folder.path());
        command.env("LC_ALL", "de_DE.UTF-8");
        command.args(["demo", "--threads", "1"]).args(more);
        command
    };
    let text = stdout(&mut demo(&["--quick"]));
    let at = |part: &str| {
        text.find(part)
            .unwrap_or_else(|| panic!("{part:?} is not in: {text}"))
    };
    // First what will happen, then a row for each method, then how to go on.
    let order = [
        "1 base ",
        "2 full ",
        "3 lora ",
        "4 lslo ",
        "in all",
        "handbook  change",
        "\nbase ",
        "\nfull ",
        "\nlora ",
        "\nlslo ",
        "runs/demo-quick/report.md",
        "--adapters runs/demo-quick/lslo/adapters",
        "isogloss train my.toml",
    ];
    let places: Vec<usize> = order.iter().map(|part| at(part)).collect();
    assert!(places.is_sorted(), "{places:?} in: {text}");

    let read = |name: &str| {
        std::fs::read_to_string(folder.path().join("runs/demo-quick").join(name)).unwrap()
    };
    let markdown = read("report.md");
    assert!(
        markdown.contains("| eng_Latn-jpn_Jpan |") && markdown.contains("| rus_Cyrl-eng_Latn |"),
        "{markdown}"
    );
    // What was trained is not trained again.
    let again: Value = serde_json::from_str(&stdout(&mut demo(&["--quick", "--json"]))).unwrap();
    let before: Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!(again["methods"], before["methods"]);
    assert_eq!(
        again["methods"]["lslo"]["directions"]
            .as_object()
            .unwrap()
            .len(),
        8
    );
    // Adapters leave to the base what they weren't trained in; full fine-tuning doesn't.
    let harm = &again["harm"];
    assert_eq!(harm["lslo"]["directions"], harm["base"]);
    assert_eq!(harm["lora"]["directions"], harm["base"]);
    assert_ne!(harm["full"]["directions"], harm["base"]);
}
