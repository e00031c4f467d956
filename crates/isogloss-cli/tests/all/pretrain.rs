//! `isogloss pretrain`, whole.

use crate::workshop::{self, isogloss, pretrain_config, refusal, stdout};
use isogloss::checkpoint;
use isogloss::tokenize::Tokenizer;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

#[test]
fn leaves_an_ordinary_model() {
    let base = workshop::base();
    let model = checkpoint::open(base).unwrap();
    let tokenizer = Tokenizer::open(base).unwrap();
    assert_eq!(model.config.d_model, 16);
    assert_eq!(model.config.vocab_size, tokenizer.vocab_size());
    let text = "Wear safety glasses.";
    let ids = tokenizer
        .source_ids(text, &"eng_Latn".parse().unwrap())
        .unwrap();
    assert_eq!(tokenizer.decode(&ids), text);
}

#[test]
fn a_dry_run_says_what_it_would_take_and_starts_nothing() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("c.toml"), pretrain_config()).unwrap();
    let dry = ["pretrain", "c.toml", "--dry-run"];
    let text = stdout(isogloss(folder.path()).args(dry));
    for line in [
        "base parameters",
        "trainable in all",
        "memory, about",
        "time, about",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let json = stdout(isogloss(folder.path()).args(dry).arg("--json"));
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["trainable"], value["base_parameters"]);
    assert!(value["memory"].as_u64().unwrap() > 0 && value["seconds"].as_f64().unwrap() > 0.0);
    assert!(!folder.path().join("pretraining").exists());
}

/// Ranges that types don't check are named with their key, and nothing breaks.
#[test]
fn shapes_that_cannot_be_are_refused() {
    let folder = TempDir::new().unwrap();
    let table = [
        (
            "attention_heads = 2",
            "attention_heads = 0",
            "`shape.attention_heads`: is 0",
        ),
        (
            "attention_heads = 2",
            "attention_heads = 3",
            "`shape.d_model`: is 16",
        ),
        ("d_model = 16", "d_model = 0", "`shape.d_model`: is 0"),
        (
            "encoder_layers = 1",
            "encoder_layers = 0",
            "`shape.encoder_layers`: is 0",
        ),
        (
            "max_position_embeddings = 150",
            "max_position_embeddings = 1000000000",
            "`shape.max_position_embeddings`: is 1000000000; it must be at most 16384",
        ),
        ("epochs = 1", "epochs = 0", "`training.epochs`: is 0"),
        ("dropout = 0.0", "dropout = 1.0", "`training.dropout`: is 1"),
        (
            "dropout = 0.0",
            "dropout = 0.0\nsample.pivot = { language = 'ita_Latn', share = 0.5 }",
            "`training.sample.pivot`: is ita_Latn, which is no language of the run",
        ),
        (
            "dropout = 0.0",
            "dropout = 0.0\nsample.pivot = { language = 'eng_Latn', share = 1.0 }",
            "the share of directions with eng_Latn is 1; it must lie between 0 and 1",
        ),
        ("size = 300", "size = 7", "vocabulary"),
    ];
    for (before, after, expected) in table {
        std::fs::write(
            folder.path().join("c.toml"),
            pretrain_config().replace(before, after),
        )
        .unwrap();
        let text = refusal(isogloss(folder.path()).args(["pretrain", "c.toml"]));
        assert!(text.contains(expected), "{after}: {text}");
    }
}

/// Sentences beyond the model's positions are left out, whatever `max_tokens` says.
#[test]
fn positions_limit_the_sentences() {
    let folder = TempDir::new().unwrap();
    let config = pretrain_config().replace(
        "max_position_embeddings = 150",
        "max_position_embeddings = 40",
    );
    std::fs::write(folder.path().join("c.toml"), config).unwrap();
    let output = isogloss(folder.path())
        .args(["pretrain", "c.toml", "--threads", "1"])
        .assert()
        .success()
        .get_output()
        .clone();
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(messages.contains("left out: too long"), "{messages}");
}

/// A run that starts from a model has its vocabulary and its shape, whatever its own sections say, and goes on where its weights are.
#[test]
fn starts_from_another_model() {
    let folder = TempDir::new().unwrap();
    let base = workshop::base();
    let from_base = |learning_rate: &str| {
        let config = format!("initial = {base:?}\n{}", pretrain_config());
        config
            .replace("d_model = 16", "d_model = 32")
            .replace("size = 300", "size = 400")
            .replace("learning_rate = 0.01", learning_rate)
    };
    std::fs::write(
        folder.path().join("c.toml"),
        from_base("learning_rate = 1e-12"),
    )
    .unwrap();
    let command = ["pretrain", "c.toml", "--threads", "1"];
    stdout(isogloss(folder.path()).args(command));
    let written = folder.path().join("pretraining/model");
    let (before, after) = (
        checkpoint::open(base).unwrap(),
        checkpoint::open(&written).unwrap(),
    );
    assert_eq!(before.config.parameters(), after.config.parameters());
    assert_eq!(
        before.hash(),
        after.hash(),
        "a step of no length changes nothing"
    );
    for file in ["sentencepiece.bpe.model", "tokenizer.json"] {
        let read = |dir: &Path| std::fs::read(dir.join(file)).unwrap();
        assert_eq!(read(base), read(&written), "{file}");
    }
    // What a run started from is part of it.
    let text = from_base("learning_rate = 1e-12").replace("initial = ", "# ");
    std::fs::write(folder.path().join("c.toml"), text).unwrap();
    for more in [&[][..], &["--dry-run"]] {
        let text = refusal(isogloss(folder.path()).args(command).args(more));
        assert!(
            text.contains("another configuration") && text.contains("initial"),
            "{text}"
        );
    }
}

/// Where every weight is trained, no state stays the same.
#[test]
fn keeping_encoder_states_is_refused() {
    let folder = TempDir::new().unwrap();
    let config = pretrain_config() + "[compute]\nreuse_prefix_mb = 10\n";
    std::fs::write(folder.path().join("c.toml"), config).unwrap();
    for more in [&[][..], &["--dry-run"]] {
        let mut command = isogloss(folder.path());
        let text = refusal(command.args(["pretrain", "c.toml"]).args(more));
        assert!(
            text.contains("`compute.reuse_prefix_mb`: is 10") && text.contains("set it to 0"),
            "{text}"
        );
    }
}
