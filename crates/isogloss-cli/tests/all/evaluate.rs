//! `isogloss evaluate`, whole, with a random model.

use crate::examples::root;
use crate::tiny;
use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

const TEXT: [(&str, &str); 3] = [
    (
        "eng_Latn",
        "The rain fell on the old harbour.\nWe counted seven herons.\nThe boat is late.\n",
    ),
    (
        "deu_Latn",
        "Der Regen fiel auf den alten Hafen.\nWir zählten sieben Reiher.\nDas Boot kommt spät.\n",
    ),
    (
        "fra_Latn",
        "La pluie tombait sur le vieux port.\nNous avons compté sept hérons.\nLe bateau est en retard.\n",
    ),
];

/// A folder with a model and text.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    tiny::model(&folder.path().join("model"));
    std::fs::create_dir(folder.path().join("text")).unwrap();
    for (language, text) in TEXT {
        std::fs::write(folder.path().join(format!("text/{language}.txt")), text).unwrap();
    }
    folder
}

fn evaluate(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::cargo_bin("isogloss").unwrap();
    command
        .current_dir(folder)
        .args(["evaluate", "--model", "model", "--data", "text"])
        .args(["--out", "out/scores.json", "--max-length", "6"])
        .args(["--beam", "2", "--threads", "1"])
        .args(more);
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

fn refusal(folder: &Path, more: &[&str]) -> String {
    let output = evaluate(folder, more).assert().code(2).get_output().clone();
    assert!(output.stdout.is_empty());
    assert!(!folder.join("out/scores.json").exists());
    String::from_utf8(output.stderr).unwrap()
}

fn scores(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("out/scores.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_direction_is_translated_and_scored() {
    let folder = folder();
    let folder = folder.path();
    let languages = ["--languages", "eng_Latn,deu_Latn,fra_Latn"];
    let more = [&languages[..], &["--hypotheses", "system"]].concat();
    let table = stdout(&mut evaluate(folder, &more));
    let found = scores(folder);
    let directions = found["directions"].as_array().unwrap();
    assert_eq!(directions.len(), 6);
    let mut sum = 0.0;
    for scored in directions {
        let direction = scored["direction"].as_str().unwrap();
        let (source, target) = direction.split_once('-').unwrap();
        assert_eq!(scored["sentences"], 3);
        assert!(table.contains(direction));

        // What the other two commands make of the same direction.
        let mut translate = Command::cargo_bin("isogloss").unwrap();
        translate
            .current_dir(folder)
            .args(["translate", "--model", "model", "--from", source])
            .args(["--to", target, "--max-length", "6", "--beam", "2"])
            .args(["--input", &format!("text/{source}.txt")]);
        let file = format!("system/{direction}.txt");
        let written = std::fs::read_to_string(folder.join(&file)).unwrap();
        assert_eq!(written, stdout(&mut translate));
        let mut score = Command::cargo_bin("isogloss").unwrap();
        score
            .current_dir(folder)
            .args(["score", "--json", "--metric", "chrf++,bleu"])
            .args(["--hypotheses", &file])
            .args(["--references", &format!("text/{target}.txt")]);
        let alone: Value = serde_json::from_str(&stdout(&mut score)).unwrap();
        for (together, alone) in scored["scores"]
            .as_array()
            .unwrap()
            .iter()
            .zip(alone["scores"].as_array().unwrap())
        {
            for key in ["metric", "score", "signature"] {
                assert_eq!(together[key], alone[key]);
            }
        }
        sum += scored["scores"][0]["score"].as_f64().unwrap();
    }
    assert_eq!(found["mean"][0]["metric"], "chrf++");
    let mean = found["mean"][0]["score"].as_f64().unwrap();
    assert!((mean - sum / 6.0).abs() < 1e-9);
    assert_eq!(found["model_hash"].as_str().unwrap().len(), 64);
    assert_eq!(found["adapters"], Value::Null);
    assert_eq!(found["options"]["beam"], 2);
    assert!(
        table.ends_with("bleu: nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0\n"),
        "{table}"
    );
}

/// With the base that ships here: a random model's hypotheses are all cut off at the same length.
#[test]
fn what_is_measured_is_what_translate_would_write() {
    let folder = folder();
    let mini = root().join("models/mini");
    let command = |name: &str, more: &[&str]| {
        let mut command = Command::cargo_bin("isogloss").unwrap();
        command
            .current_dir(folder.path())
            .args([name, "--beam", "4", "--threads", "1", "--model"])
            .arg(&mini)
            .args(more);
        stdout(&mut command)
    };
    let measured = |options: &[&str]| {
        let what = ["--data", "text", "--directions", "eng_Latn-deu_Latn"];
        let out = ["--out", "out/scores.json", "--hypotheses", "system"];
        command("evaluate", &[&what[..], &out, options].concat());
        let file = folder.path().join("system/eng_Latn-deu_Latn.txt");
        std::fs::read_to_string(file).unwrap()
    };
    let usual = measured(&[]);
    assert_eq!(
        scores(folder.path())["options"].get("no_repeat_ngram"),
        None
    );
    for options in [["--no-repeat-ngram", "1"], ["--length-penalty", "3"]] {
        // Translations that were made otherwise aren't taken for these.
        let found = measured(&options);
        assert_ne!(found, usual, "{options:?}");
        let text = ["--from", "eng_Latn", "--to", "deu_Latn", "--input"];
        let text = [&text[..], &["text/eng_Latn.txt"], &options].concat();
        assert_eq!(found, command("translate", &text), "{options:?}");
    }
    assert_eq!(
        scores(folder.path())["options"]["length_penalty"].to_string(),
        "3.0"
    );
}

#[test]
fn rows_classes_and_spbleu() {
    let folder = folder();
    let folder = folder.path();
    let spm = tiny::fixtures().join("tokenize/unigram.model");
    let json = stdout(&mut evaluate(
        folder,
        &[
            "--directions",
            "eng_Latn-deu_Latn,deu_Latn-eng_Latn",
            "--rows",
            "2-3",
            "--spm",
            spm.to_str().unwrap(),
            "--class",
            "high=eng_Latn",
            "--class",
            "low=deu_Latn,fra_Latn",
            "--json",
        ],
    ));
    let found = scores(folder);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), found);
    assert_eq!(found["directions"][0]["direction"], "eng_Latn-deu_Latn");
    assert_eq!(found["directions"][0]["sentences"], 2);
    let spbleu = &found["directions"][0]["scores"][2];
    assert_eq!(spbleu["metric"], "spbleu");
    assert!(spbleu["signature"].as_str().unwrap().contains("tok:spm:"));
    assert_eq!(found["classes"].as_array().unwrap().len(), 2);
    assert_eq!(found["classes"][0]["source"], "high");
    assert_eq!(found["classes"][0]["target"], "low");
    assert_eq!(
        found["classes"][0]["mean"][0]["score"],
        found["directions"][0]["scores"][0]["score"]
    );
}

#[test]
fn copying_needs_no_model_and_reads_tables() {
    let folder = TempDir::new().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/factory");
    let mut command = Command::cargo_bin("isogloss").unwrap();
    command
        .current_dir(folder.path())
        .args(["evaluate", "--system", "copy", "--split", "test", "--data"])
        .arg(data)
        .args(["--directions", "ces_Latn-deu_Latn", "--out", "s.json"])
        .args(["--metric", "chrf"]);
    stdout(&mut command);
    let text = std::fs::read_to_string(folder.path().join("s.json")).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    let score = found["directions"][0]["scores"][0]["score"].as_f64();
    assert!(score.is_some_and(|s| s > 1.0 && s < 40.0), "{text}");
    assert_eq!(found["model_hash"], Value::Null);
    assert_eq!(found["options"]["system"], "copy");

    // What lies there already is not written again.
    let kept = folder.path().join("s.hypotheses/ces_Latn-deu_Latn.txt");
    let written = std::fs::File::options().write(true).open(&kept).unwrap();
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
    written.set_modified(long_ago).unwrap();
    stdout(&mut command);
    let modified = || std::fs::metadata(&kept).unwrap().modified().unwrap();
    assert_eq!(modified(), long_ago);
    // What somebody worked on isn't replaced; what is missing is written.
    std::fs::write(&kept, "edited\n").unwrap();
    command.assert().code(2);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "edited\n");
    std::fs::remove_file(&kept).unwrap();
    stdout(&mut command);
    assert!(kept.exists());
}

#[test]
fn adapters_are_used_and_another_bases_are_refused() {
    let folder = folder();
    let folder = folder.path();
    let (model, other) = (folder.join("model"), folder.join("other"));
    tiny::seeded_model(&other, 2);
    let languages = ["eng_Latn", "deu_Latn"];
    tiny::adapters(&folder.join("adapters"), &model, &languages);
    tiny::adapters(&folder.join("foreign"), &other, &languages);
    let english = ["--languages", "eng_Latn,deu_Latn"];

    let more = [&english[..], &["--adapters", "foreign"]].concat();
    let text = refusal(folder, &more);
    assert!(text.contains("foreign belongs to the base"), "{text}");
    let french = ["--directions", "eng_Latn-fra_Latn"];
    let adapted = ["--adapters", "adapters"];
    let text = refusal(folder, &[&french[..], &adapted].concat());
    assert!(
        text.contains("target-side updates for fra_Latn")
            && text.contains("hint: `--missing base`"),
        "{text}"
    );

    stdout(&mut evaluate(folder, &english));
    let base = scores(folder);
    stdout(&mut evaluate(folder, &[&english[..], &adapted].concat()));
    let found = scores(folder);
    assert_ne!(found["directions"], base["directions"]);
    assert_eq!(found["model_hash"], base["model_hash"]);
    assert_eq!(found["adapters"], "adapters");
    let missing = [&french[..], &adapted, &["--missing", "base"]].concat();
    stdout(&mut evaluate(folder, &missing));
}

#[test]
fn a_direction_that_was_not_trained_is_named_before_anything_is_translated() {
    let folder = folder();
    let folder = folder.path();
    let languages = ["eng_Latn", "deu_Latn", "fra_Latn"];
    let trained = ["eng_Latn-deu_Latn", "deu_Latn-eng_Latn"];
    let adapters = folder.join("adapters");
    tiny::trained_adapters(
        &adapters,
        &folder.join("model"),
        &languages,
        Some(&trained[..]),
    );
    let adapted = ["--adapters", "adapters"];
    let across = ["--directions", "eng_Latn-deu_Latn,deu_Latn-fra_Latn"];
    let text = refusal(folder, &[&across[..], &adapted].concat());
    assert!(
        text.contains("not trained in deu_Latn-fra_Latn")
            && text.contains("hint: `--missing base`"),
        "{text}"
    );
    let directions = |more: &[&str]| {
        stdout(&mut evaluate(folder, &[&across[..], more].concat()));
        scores(folder)["directions"].clone()
    };
    let base = directions(&[]);
    let based = directions(&[&adapted[..], &["--missing", "base"]].concat());
    let combined = directions(&[&adapted[..], &["--missing", "combine"]].concat());
    assert_ne!(based[0], base[0], "trained: the updates act");
    assert_eq!(based[1], base[1]);
    assert_eq!(combined[0], based[0]);
}

/// Without a word about languages, those of the folder are taken; a row without a reference isn't scored.
#[test]
fn all_that_the_folder_holds_is_evaluated_but_missing_translations() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(
        folder.join("text/deu_Latn.txt"),
        "Der Regen fiel auf den alten Hafen.\n\nDas Boot ist spät.\n",
    )
    .unwrap();
    let output = evaluate(folder, &[])
        .assert()
        .success()
        .get_output()
        .clone();
    let text = String::from_utf8(output.stderr).unwrap();
    // Of three pairs of languages, both with German lack a row.
    assert!(
        text.contains("left out 2 of 9 pairs: no text on one side"),
        "{text}"
    );
    let scores = scores(folder);
    let counts = scores["directions"].as_array().unwrap().iter().map(|d| {
        let german = d["direction"].as_str().unwrap().contains("deu_Latn");
        (german, d["sentences"].as_u64().unwrap())
    });
    let mut counts: Vec<(bool, u64)> = counts.collect();
    counts.sort_unstable();
    assert_eq!(counts[..2], [(false, 3); 2]);
    assert_eq!(counts[2..], [(true, 2); 4]);
}

#[test]
fn a_missing_folder_or_model_is_named() {
    let folder = folder();
    for (model, data, word) in [
        ("model", "absent", "cannot open absent"),
        ("absent", "text", "there is no absent"),
        (
            "model",
            "text/eng_Latn.txt",
            "text/eng_Latn.txt is a file: expected a folder",
        ),
        ("text", "text", "text"),
    ] {
        let mut command = Command::cargo_bin("isogloss").unwrap();
        command
            .current_dir(folder.path())
            .args(["evaluate", "--out", "s.json", "--model", model])
            .args(["--data", data, "--languages", "eng_Latn,deu_Latn"]);
        let output = command.assert().code(2).stdout("").get_output().clone();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(word), "{text}");
    }
    // Weights of another vocabulary.
    let path = folder.path().join("model");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(
            tiny::fixtures().join("m2m100/model").join(file),
            path.join(file),
        )
        .unwrap();
    }
    let text = refusal(folder.path(), &["--languages", "eng_Latn,deu_Latn"]);
    assert!(text.contains("in model don't belong together"), "{text}");

    let mut command = Command::cargo_bin("isogloss").unwrap();
    command.args([
        "evaluate", "--out", "s", "--data", "text", "--system", "model",
    ]);
    command.current_dir(folder.path());
    command.args(["--languages", "eng_Latn,deu_Latn"]);
    let output = command.assert().code(2).get_output().clone();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--model DIR"), "{text}");
}

#[test]
fn wrong_input_is_named() {
    let folder = folder();
    let folder = folder.path();
    for (more, word) in [
        (&["--languages", "eng_Latn,xyz_Latn"][..], "xyz_Latn"),
        (&["--languages", "eng_Latn,nld_Latn"], "for nld_Latn"),
        (&["--languages", "eng_Latn"], "fewer than two languages"),
        (&["--data", "model"], "--data"),
        (
            &["--languages", "eng_Latn,deu_Latn", "--rows", "2-9"],
            "rows 2-9 were asked for, but there are 3",
        ),
        (
            &["--languages", "eng_Latn,deu_Latn", "--metric", "spbleu"],
            "hint: name it with --spm FILE",
        ),
        (
            &[
                "--languages",
                "eng_Latn,deu_Latn",
                "--spm",
                "text/eng_Latn.txt",
            ],
            "text/eng_Latn.txt: no usable SentencePiece model",
        ),
        (
            &["--directions", "eng_Latn-deu_Latn,eng_Latn-deu_Latn"],
            "eng_Latn-deu_Latn is asked for twice",
        ),
        (
            &["--languages", "eng_Latn,deu_Latn", "--split", "test"],
            "expected such as deu_Latn.tsv",
        ),
    ] {
        let text = refusal(folder, more);
        assert!(text.contains(word), "{more:?}: {text}");
    }

    // A language of the text that the model has no tag for.
    std::fs::copy(
        folder.join("text/deu_Latn.txt"),
        folder.join("text/bre_Latn.txt"),
    )
    .unwrap();
    let text = refusal(folder, &["--languages", "eng_Latn,bre_Latn"]);
    assert!(text.contains("bre_Latn"), "{text}");

    std::fs::write(folder.join("text/fra_Latn.txt"), "Une ligne.\n").unwrap();
    let text = refusal(folder, &["--languages", "eng_Latn,fra_Latn"]);
    assert!(
        text.contains("fra_Latn.txt has 1 lines, but text/eng_Latn.txt has 3"),
        "{text}"
    );
}
