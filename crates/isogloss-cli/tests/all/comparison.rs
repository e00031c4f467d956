//! `isogloss evaluate --against`, whole, with a random model; and the translations that an evaluation keeps.

use crate::tiny;
use assert_cmd::Command;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const DIRECTIONS: &str = "eng_Latn-deu_Latn,deu_Latn-eng_Latn";

/// A folder with a model, adapters of it, and text.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    tiny::model(&path.join("model"));
    let languages = ["eng_Latn", "deu_Latn"];
    tiny::adapters(&path.join("adapters"), &path.join("model"), &languages);
    fs::create_dir(path.join("text")).unwrap();
    let english = "The rain fell.\nWe counted herons.\nThe boat is late.\nCome in.\n";
    let german = "Der Regen fiel.\nWir zählten Reiher.\nDas Boot kommt spät.\nHerein.\n";
    fs::write(path.join("text/eng_Latn.txt"), english).unwrap();
    fs::write(path.join("text/deu_Latn.txt"), german).unwrap();
    folder
}

fn evaluate(folder: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = Command::cargo_bin("isogloss").unwrap();
    command
        .current_dir(folder)
        .args(["evaluate", "--model", "model", "--data", "text"])
        .args(["--directions", DIRECTIONS, "--max-length", "6"])
        .args(["--beam", "2", "--threads", "1", "--out", out])
        .args(more);
    command
}

/// What is on stdout and stderr.
fn output(command: &mut Command) -> [String; 2] {
    let output = command.assert().success().get_output().clone();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
}

fn refusal(command: &mut Command) -> String {
    let output = command.assert().code(2).stdout("").get_output().clone();
    String::from_utf8(output.stderr).unwrap()
}

fn scores(folder: &Path, out: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join(out)).unwrap()).unwrap()
}

const ADAPTED: [&str; 2] = ["--adapters", "adapters"];

/// Somebody's own translations aren't replaced by the system's, nor the text by its scores.
#[test]
fn translations_of_others_are_left_alone() {
    let folder = folder();
    let folder = folder.path();
    fs::create_dir(folder.join("human")).unwrap();
    let own = "eins\nzwei\ndrei\nvier\n";
    let written = |dir: &str| folder.join(dir).join("eng_Latn-deu_Latn.txt");
    fs::write(written("human"), own).unwrap();
    let into = |dir: &'static str| ["--hypotheses", dir];
    let text = refusal(&mut evaluate(folder, "a.json", &into("human")));
    assert!(text.contains("would be replaced"), "{text}");
    assert_eq!(fs::read_to_string(written("human")).unwrap(), own);

    // The system's own are, unless somebody worked on them since.
    let _ = output(&mut evaluate(folder, "a.json", &into("ours")));
    let adapted = [&ADAPTED[..], &into("ours")].concat();
    let _ = output(&mut evaluate(folder, "a.json", &adapted));
    fs::write(written("ours"), own).unwrap();
    let _ = refusal(&mut evaluate(folder, "a.json", &into("ours")));
    assert_eq!(fs::read_to_string(written("ours")).unwrap(), own);

    let text = folder.join("text/deu_Latn.txt");
    let before = fs::read(&text).unwrap();
    let _ = refusal(&mut evaluate(folder, "text/deu_Latn.txt", &[]));
    assert_eq!(fs::read(&text).unwrap(), before);
}

/// Scores remember what they are of: translations that took the place of theirs aren't compared in their name.
#[test]
fn translations_that_took_the_place_of_others_are_not_compared_with() {
    let folder = folder();
    let folder = folder.path();
    let kept = ["--hypotheses", "kept"];
    let _ = output(&mut evaluate(folder, "base.json", &kept));
    let adapted = [&ADAPTED[..], &kept].concat();
    let _ = output(&mut evaluate(folder, "adapted.json", &adapted));
    let against = |scores| ["--against", scores, "--resamples", "100"];
    let text = refusal(&mut evaluate(folder, "new.json", &against("base.json")));
    assert!(
        text.contains("are not those that base.json scores"),
        "{text}"
    );
    let _ = output(&mut evaluate(folder, "new.json", &against("adapted.json")));
}

#[test]
fn a_system_is_compared_with_its_base() {
    let folder = folder();
    let folder = folder.path();
    let classes = ["--class", "a=eng_Latn", "--class", "b=deu_Latn"];
    let base = ["--against", "base", "--resamples", "500"];
    let more = [&ADAPTED[..], &base, &classes].concat();
    let [table, _] = output(&mut evaluate(folder, "run/a.json", &more));
    let found = scores(folder, "run/a.json");
    let comparison = &found["comparison"];
    let expected: [(&str, Value); 6] = [
        ("against", "base".into()),
        ("metric", "chrf++".into()),
        ("resamples", 500.into()),
        ("seed", 12345.into()),
        ("correction", "max-t".into()),
        ("margin", (-0.5).into()),
    ];
    for (key, value) in expected {
        assert_eq!(comparison[key], value, "{key}");
    }
    assert_eq!(
        comparison["signature"],
        found["directions"][0]["scores"][0]["signature"]
    );
    assert_eq!(comparison["classes"].as_array().unwrap().len(), 2);

    output(&mut evaluate(folder, "base.json", &[]));
    let of_base = scores(folder, "base.json");
    assert_eq!(of_base["comparison"], Value::Null);
    assert_eq!(of_base["text_hash"], found["text_hash"]);
    for (i, direction) in comparison["directions"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let number = |key: &str| direction[key].as_f64().unwrap();
        assert_eq!(
            direction["base"],
            of_base["directions"][i]["scores"][0]["score"]
        );
        assert_eq!(
            direction["score"],
            found["directions"][i]["scores"][0]["score"]
        );
        assert_eq!(number("change"), number("score") - number("base"));
        assert!(number("p") > 0.0 && number("p") <= number("p_adjusted"));
        let cell = format!("{:+.2}", number("change"));
        assert!(table.contains(&cell), "{table}");
    }
    assert!(table.contains("against base in chrf++: "), "{table}");
    assert!(
        table.contains("corrected over directions (max-T)"),
        "{table}"
    );

    // Against what another evaluation of the base has left, by its scores or its folder, nothing changes.
    for other in ["base.json", "base.hypotheses", "run/a.base.hypotheses"] {
        let base = ["--against", other, "--resamples", "500"];
        output(&mut evaluate(
            folder,
            "run/a.json",
            &[&ADAPTED[..], &base, &classes].concat(),
        ));
        assert_eq!(scores(folder, "run/a.json")["comparison"], *comparison);
    }
}

#[test]
fn what_is_translated_is_not_translated_again() {
    let folder = folder();
    let folder = folder.path();
    let [first, told] = output(&mut evaluate(folder, "a.json", &ADAPTED));
    assert!(!told.contains("translated already"), "{told}");
    let [again, told] = output(&mut evaluate(folder, "a.json", &ADAPTED));
    assert!(
        told.contains("2 of 2 directions are translated already"),
        "{told}"
    );
    assert_eq!(first, again);

    // Of an evaluation that was cut short, one direction is there; the other gets the same bits alone.
    let path = folder.join("a.hypotheses/deu_Latn-eng_Latn.txt");
    let lines = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let [again, told] = output(&mut evaluate(folder, "a.json", &ADAPTED));
    assert!(
        told.contains("1 of 2 directions are translated already"),
        "{told}"
    );
    assert_eq!(first, again);
    assert_eq!(fs::read_to_string(&path).unwrap(), lines);

    // Another system, other options, other sentences: nothing is taken over.
    for more in [
        &[][..],
        &["--beam", "1"],
        &["--adapters", "adapters", "--vocabulary", "full"],
        &["--adapters", "adapters", "--rows", "1-3"],
    ] {
        let mut command = Command::cargo_bin("isogloss").unwrap();
        command
            .current_dir(folder)
            .args(["evaluate", "--model", "model", "--data", "text"])
            .args(["--directions", DIRECTIONS, "--max-length", "6"])
            .args(["--threads", "1", "--out", "a.json"])
            .args(more);
        let [_, told] = output(&mut command);
        assert!(!told.contains("translated already"), "{more:?}: {told}");
    }
}

#[test]
fn a_system_equals_itself() {
    let folder = folder();
    let folder = folder.path();
    output(&mut evaluate(folder, "a.json", &[]));
    let same = ["--against", "a.json", "--resamples", "200"];
    let [table, _] = output(&mut evaluate(folder, "b.json", &same));
    assert!(
        table.contains("0 better, 0 worse, 2 unclear of 2 directions"),
        "{table}"
    );
    assert!(table.contains("every change lies above -0.5"), "{table}");
    let found = scores(folder, "b.json");
    for direction in found["comparison"]["directions"].as_array().unwrap() {
        assert_eq!(direction["p"], 1.0);
        assert_eq!(direction["interval"], serde_json::json!([0.0, 0.0]));
    }
    assert_eq!(found["comparison"]["unproven"], serde_json::json!([]));
}

#[test]
fn another_search_is_no_secret() {
    let folder = folder();
    let folder = folder.path();
    let ours = ["--no-repeat-ngram", "3"];
    output(&mut evaluate(folder, "a.json", &ours));
    let against = ["--against", "a.json", "--resamples", "200"];
    let [_, told] = output(&mut evaluate(folder, "b.json", &against));
    let warning = "no_repeat_ngram is 0 here, and 3 of the translations in a.hypotheses";
    assert!(told.contains(warning), "{told}");
    let [_, told] = output(&mut evaluate(
        folder,
        "c.json",
        &[&ours[..], &against].concat(),
    ));
    assert!(!told.contains("here, and"), "{told}");
}

#[test]
fn what_cannot_be_compared_is_named_before_anything_is_translated() {
    let folder = folder();
    let folder = folder.path();
    fs::create_dir(folder.join("short")).unwrap();
    fs::write(folder.join("short/eng_Latn-deu_Latn.txt"), "eins\nzwei\n").unwrap();
    fs::create_dir(folder.join("none")).unwrap();
    output(&mut evaluate(folder, "rows.json", &["--rows", "1-2"]));
    fs::write(folder.join("text/note.json"), "{}").unwrap();
    for (more, word) in [
        (
            &["--against", "base"][..],
            "the base would be compared with itself",
        ),
        (
            &["--against", "copy", "--system", "copy"],
            "the copy would be compared with itself",
        ),
        (&["--against", "absent.json"], "cannot read absent.json"),
        (
            &["--against", "text/note.json"],
            "text/note.json holds no scores",
        ),
        (
            &["--against", "none"],
            "none has translations of none of the directions",
        ),
        (
            &["--against", "short"],
            "has 2 lines, but 4 sentences are evaluated",
        ),
        (
            &["--against", "rows.json"],
            "has 2 lines, but 4 sentences are evaluated",
        ),
        (
            &["--against", "rows.json", "--rows", "3-4"],
            "translates other sentences",
        ),
        (
            &["--against", "copy", "--rows", "1"],
            "has 1 sentences: at least 2",
        ),
        (&["--resamples", "500"], "--against"),
        (
            &["--against", "copy", "--resamples", "50"],
            "50 is not in 100",
        ),
    ] {
        let text = refusal(&mut evaluate(folder, "out.json", more));
        assert!(text.contains(word), "{more:?}: {text}");
        assert!(!folder.join("out.json").exists());
        assert!(!folder.join("out.hypotheses/hypotheses.json").exists());
    }
    // A direction that the other system lacks is left out, and that is told.
    fs::create_dir(folder.join("one")).unwrap();
    fs::copy(
        folder.join("text/deu_Latn.txt"),
        folder.join("one/eng_Latn-deu_Latn.txt"),
    )
    .unwrap();
    let one = ["--against", "one", "--correction", "holm"];
    let [table, told] = output(&mut evaluate(folder, "out.json", &one));
    assert!(
        told.contains("absent from one: deu_Latn-eng_Latn"),
        "{told}"
    );
    assert!(table.contains("of 1 directions"), "{table}");
    assert!(table.contains("(Holm)"), "{table}");
}
