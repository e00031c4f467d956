//! `isogloss model`: copies in bytes, and what is said of a folder.

use crate::tiny;
use crate::workshop::{Workshop, base, isogloss, refusal, stdout};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

const INPUT: &str = "The rain fell on the old harbour.\n\nWe counted seven herons by the river.\n";

/// A folder with a model, and a copy of it in bytes.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    tiny::model(&folder.path().join("model"));
    let text = stdout(&mut quantize(folder.path(), &[]));
    assert!(text.contains("written to copy"), "{text}");
    folder
}

fn quantize(folder: &Path, more: &[&str]) -> assert_cmd::Command {
    let mut command = isogloss(folder);
    let common = ["model", "quantize", "model", "-o", "copy"];
    command.args(common).args(more);
    command
}

/// Scores and pieces, which no rounding of text hides.
fn translations(folder: &Path, model: &str, more: &[&str]) -> String {
    let mut command = isogloss(folder);
    let languages = ["--from", "eng_Latn", "--to", "deu_Latn"];
    let form = ["--json", "--ids", "--n-best", "3", "--max-length", "8"];
    command
        .args(["translate", "--model", model])
        .args(languages)
        .args(form)
        .args(more);
    stdout(command.write_stdin(INPUT))
}

/// Nothing but its checksum tells that a byte of a copy is another.
#[test]
fn a_damaged_copy_is_refused() {
    let folder = folder();
    let path = folder.path().join("copy/model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut command = isogloss(folder.path());
    let text = refusal(command.args(["model", "inspect", "copy"]));
    assert!(
        text.contains("copy/model.safetensors") && text.contains("CRC-32"),
        "{text}"
    );
}

#[test]
fn a_copy_translates_in_int8_as_the_original_does() {
    let folder = folder();
    let folder = folder.path();
    let languages = ["eng_Latn", "deu_Latn"];
    tiny::adapters(&folder.join("adapters"), &folder.join("model"), &languages);
    for adapters in [&[][..], &["--adapters", "adapters"]] {
        let both = |precision: &'static str| {
            let more = [adapters, &["--precision", precision]].concat();
            ["model", "copy"].map(|model| translations(folder, model, &more))
        };
        let [int8, copy] = both("int8");
        assert_eq!(int8, copy);
        for threads in ["1", "2"] {
            let more = ["--precision", "int8", "--threads", threads];
            let one = [adapters, &more, &["--batch-tokens", "1"]].concat();
            assert_eq!(translations(folder, "copy", &one), int8);
        }
        // Elsewhere the values are those of the bytes, near the original's.
        for precision in ["f32", "bf16"] {
            let [original, copy] = both(precision).map(|text| scores(&text));
            assert_ne!(original, copy, "{precision}");
            for (original, copy) in original.iter().zip(&copy) {
                assert!(
                    (original - copy).abs() < 0.05 * original.abs(),
                    "{precision}"
                );
            }
        }
    }
}

/// Of the best translations.
fn scores(text: &str) -> Vec<f64> {
    let rows = text
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap());
    let best = |row: Value| row["hypotheses"][0]["score"].as_f64();
    let scores: Vec<f64> = rows.filter_map(best).collect();
    assert_eq!(scores.len(), 2);
    scores
}

/// Adapters with output vocabularies, trained on either, serve both.
#[test]
fn what_was_trained_on_one_serves_the_other() {
    let mut workshop = Workshop::new();
    let original = base().to_str().unwrap();
    stdout(isogloss(workshop.path()).args(["model", "quantize", original, "-o", "copy"]));
    workshop.top = "run = \"run\"\nmodel = \"copy\"\n".to_owned();
    let planned = stdout(workshop.train().args(["--dry-run", "--json"]));
    assert!(planned.contains("\"memory\""));
    stdout(&mut workshop.train());
    for more in [&[][..], &["--vocabulary", "learnt"]] {
        let adapted = ["--adapters", "run/adapters", "--precision", "int8"];
        let more = [&adapted, more].concat();
        let [expected, copy] =
            [original, "copy"].map(|model| translations(workshop.path(), model, &more));
        assert_eq!(expected, copy);
        let plain = translations(workshop.path(), "copy", &["--precision", "int8"]);
        assert_ne!(plain, copy);
    }
    // A run isn't gone on with on other values, though they go by the same hash.
    let config = std::fs::read_to_string(workshop.path().join("train.toml")).unwrap();
    let swapped = workshop.path().join("copy");
    std::fs::remove_dir_all(&swapped).unwrap();
    std::fs::create_dir(&swapped).unwrap();
    for entry in std::fs::read_dir(base()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, swapped.join(path.file_name().unwrap())).unwrap();
    }
    let text = refusal(&mut workshop.train());
    assert!(text.contains("base"), "{text}");
    assert!(config.contains("model = \"copy\""));
}

#[test]
fn a_dry_run_says_what_is_written_later() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    tiny::model(&folder.join("model"));
    std::fs::write(folder.join("model/README.md"), "a card").unwrap();
    let json = |more: &[&str]| -> Value {
        let text = stdout(quantize(folder, more).arg("--json"));
        serde_json::from_str(&text).unwrap()
    };
    let mut planned = json(&["--dry-run"]);
    assert!(!folder.join("copy").exists());
    let text = stdout(&mut quantize(folder, &["--dry-run"]));
    assert!(text.contains("nothing was written"), "{text}");
    let done = json(&[]);
    assert_eq!(
        (&planned["written"], &done["written"]),
        (&false.into(), &true.into())
    );
    planned["written"] = true.into();
    assert_eq!(planned, done);
    assert_eq!(
        std::fs::read(folder.join("copy/README.md")).unwrap(),
        b"a card"
    );
    let size = |name: &str| {
        let path = folder.join(name).join("model.safetensors");
        std::fs::metadata(path).unwrap().len()
    };
    assert!(size("copy") < size("model"));
    assert!(size("copy") > done["bytes_after"].as_u64().unwrap());
}

#[test]
fn what_cannot_be_quantised_is_refused() {
    let folder = folder();
    let folder = folder.path();
    let text = refusal(&mut quantize(folder, &[]));
    assert!(
        text.contains("copy exists already") && text.contains("hint: `--force`"),
        "{text}"
    );
    stdout(&mut quantize(folder, &["--force"]));
    let other = |args: &[&str]| {
        let mut command = isogloss(folder);
        refusal(command.args(["model", "quantize"]).args(args))
    };
    let text = other(&["copy", "-o", "again"]);
    assert!(
        text.contains("copy is quantised already") && text.contains("hint:"),
        "{text}"
    );
    std::fs::create_dir(folder.join("empty")).unwrap();
    let text = other(&["empty", "-o", "again"]);
    assert!(text.contains("empty holds no model"), "{text}");
    let text = other(&["model", "-o", "model", "--force"]);
    assert!(text.contains("name another folder"), "{text}");
    std::fs::create_dir(folder.join("letters")).unwrap();
    std::fs::write(folder.join("letters/a.txt"), "a").unwrap();
    let text = other(&["model", "-o", "letters", "--force"]);
    assert!(text.contains("letters holds no model"), "{text}");
    assert!(folder.join("letters/a.txt").exists() && !folder.join("again").exists());
}

/// Nothing is left of a copy that finds no room, and what was there stays.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_what_was_there() {
    let folder = folder();
    let folder = folder.path();
    let before = std::fs::read(folder.join("copy/model.safetensors")).unwrap();
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
    let output = std::process::Command::new("sh")
        .current_dir(folder)
        .args(["-c", script, "sh"])
        .arg(assert_cmd::cargo::cargo_bin!("isogloss"))
        .args(["model", "quantize", "model", "-o", "copy", "--force"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains("File too large") && text.contains("hint: nothing was changed"),
        "{text}"
    );
    let after = std::fs::read(folder.join("copy/model.safetensors")).unwrap();
    assert!(after == before);
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 2);
}

#[test]
fn a_folder_is_inspected() {
    let folder = folder();
    let folder = folder.path();
    let inspect = |model: &str| {
        let mut command = isogloss(folder);
        command.args(["model", "inspect", model]);
        command
    };
    let json =
        |model| -> Value { serde_json::from_str(&stdout(inspect(model).arg("--json"))).unwrap() };
    let [model, copy] = ["model", "copy"].map(json);
    assert_eq!(model["hash"], copy["hash"]);
    assert_eq!(model["config"], copy["config"]);
    assert_eq!(model["parameters"], copy["parameters"]);
    assert_eq!(
        (
            &model["weights"]["quantized"],
            &copy["weights"]["quantized"]
        ),
        (&false.into(), &true.into())
    );
    let total = model["total_parameters"].as_u64().unwrap();
    assert_eq!(model["weights"]["bytes"].as_u64().unwrap(), 4 * total);
    assert!(copy["weights"]["bytes"].as_u64().unwrap() < 2 * total);
    let parts = model["parameters"].as_object().unwrap();
    let counts = ["embedding", "encoder", "decoder", "norms"].map(|part| parts[part].as_u64());
    assert!(counts.iter().all(|count| count.unwrap() > 0));
    assert_eq!(counts.into_iter().flatten().sum::<u64>(), total);
    let file = std::fs::metadata(folder.join("copy/model.safetensors"))
        .unwrap()
        .len();
    assert!(copy["weights"]["bytes_on_disk"].as_u64().unwrap() > file);
    assert!(model["problems"].as_array().unwrap().is_empty());

    let text = stdout(&mut inspect("copy"));
    let hash = model["hash"].as_str().unwrap();
    for part in [
        hash,
        "of the original",
        "int8",
        "deu_Latn",
        "belong together",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = refusal(&mut inspect("nowhere"));
    assert!(text.contains("there is no nowhere"), "{text}");
}

/// Another model's tokenizer: said, and code 1.
#[test]
fn parts_that_do_not_belong_together_are_told() {
    let folder = folder();
    let folder = folder.path();
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mini");
    for name in ["sentencepiece.bpe.model", "tokenizer_config.json"] {
        std::fs::copy(mini.join(name), folder.join("model").join(name)).unwrap();
    }
    let mut command = isogloss(folder);
    command.args(["model", "inspect", "model"]);
    let output = command.assert().failure().code(1).get_output().clone();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("has no row in the embedding"), "{text}");
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("problems, see below"), "{report}");
}
