//! `isogloss score`, whole.

use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

const BLEU: &str = "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0 = ";

// sacreBLEU 2.6.0 on the files of `folder`.
const EXPECTED_CORPUS: &str = "\
38.66 76.5/42.9/27.3/25.0 (BP = 1.000 ratio = 1.062 hyp_len = 17 ref_len = 16)\n\
chrF2++|nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:2.6.0 = 69.50\n\
TER|nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:2.6.0 = 38.46\n";
const EXPECTED_TWO: &str = "\
BLEU|#:2|c:mixed|e:no|tok:13a|s:exp|v:2.6.0 = 80.6024 100.0/92.9/72.7/62.5 (BP = 1.000 ratio = 1.000 hyp_len = 17 ref_len = 17)\n";
const EXPECTED_SENTENCES: &str = "\
BLEU|nrefs:1|case:lc|eff:yes|tok:13a|smooth:exp|version:2.6.0 = 23.64 60.0/25.0/16.7/12.5 (BP = 1.000 ratio = 1.250 hyp_len = 5 ref_len = 4)\n\
BLEU|nrefs:1|case:lc|eff:yes|tok:13a|smooth:exp|version:2.6.0 = 100.00 100.0/100.0/100.0/100.0 (BP = 1.000 ratio = 1.000 hyp_len = 5 ref_len = 5)\n\
BLEU|nrefs:1|case:lc|eff:yes|tok:13a|smooth:exp|version:2.6.0 = 33.44 100.0/50.0/20.0/12.5 (BP = 1.000 ratio = 1.000 hyp_len = 7 ref_len = 7)\n";
const EXPECTED_SPBLEU: &str =
    "BLEU|nrefs:1|case:mixed|eff:no|tok:spm:7d80bf96|smooth:exp|version:2.6.0 = 63.43 ";
const EXPECTED_CHRF: f64 = 69.50167593391923;

/// A folder with a system's output and two references.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in [
        (
            "system",
            "The pump is running.\nClose the valve now.\nThe cat sat on the mat.\n",
        ),
        (
            "first",
            "The pump runs.\r\nClose the valve now.\r\nOn the mat sat the cat.\r\n",
        ),
        (
            "second",
            "The pump is running.\nShut the valve.\nThe cat sat on a mat.\n",
        ),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// `isogloss score --hypotheses system --references first` and what else is given, run in the folder.
fn score(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::cargo_bin("isogloss").unwrap();
    command
        .current_dir(folder)
        .args(["score", "--hypotheses", "system", "--references", "first"])
        .args(more);
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

/// Stderr of a command that must fail with this code, without a word on stdout.
fn stderr(command: &mut Command, code: i32) -> String {
    let assert = command.assert().code(code).stdout("");
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

#[test]
fn lines_are_those_of_sacrebleu() {
    let folder = folder();
    let text = stdout(&mut score(folder.path(), &["--metric", "bleu,chrf++,ter"]));
    assert_eq!(text, BLEU.to_owned() + EXPECTED_CORPUS);
    let text = stdout(&mut score(
        folder.path(),
        &["--references", "second", "--short", "--width", "4"],
    ));
    assert_eq!(text, EXPECTED_TWO);
    let text = stdout(&mut score(folder.path(), &["--sentence", "--lowercase"]));
    assert_eq!(text, EXPECTED_SENTENCES);
}

#[test]
fn json_is_unrounded_and_says_what_was_asked_for() {
    let folder = folder();
    let text = stdout(&mut score(
        folder.path(),
        &["--metric", "chrF++,ter", "--json"],
    ));
    let value: Value = serde_json::from_str(&text).unwrap();
    let scores = value["scores"].as_array().unwrap();
    assert_eq!(scores[0]["metric"], "chrf++");
    assert_eq!(scores[0]["name"], "chrF2++");
    assert_eq!(
        scores[0]["signature"],
        "nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:2.6.0"
    );
    assert!((scores[0]["score"].as_f64().unwrap() - EXPECTED_CHRF).abs() < 1e-9);
    assert_eq!(scores[1]["metric"], "ter");

    let text = stdout(&mut score(
        folder.path(),
        &["--metric", "bleu", "--json", "--sentence"],
    ));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["sentences"][1]["line"], 2);
    assert_eq!(value["sentences"].as_array().unwrap().len(), 3);
    let second = value["sentences"][1]["scores"][0]["score"]
        .as_f64()
        .unwrap();
    assert!((second - 100.0).abs() < 1e-9);
}

#[test]
fn stdin_is_a_dash() {
    let folder = folder();
    let mut command = Command::cargo_bin("isogloss").unwrap();
    command.current_dir(folder.path()).args([
        "score",
        "--hypotheses",
        "-",
        "--references",
        "first",
    ]);
    command.write_stdin("The pump is running.\nClose the valve now.\nThe cat sat on the mat.\n");
    let piped = stdout(&mut command);
    assert_eq!(piped, stdout(&mut score(folder.path(), &[])));

    command.args(["--references", "-"]);
    assert!(stderr(&mut command, 2).contains("more than once"));
}

#[test]
fn wrong_input_is_named() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("short", b"one\ntwo\n");
    let text = stderr(&mut score(folder.path(), &["--references", "short"]), 2);
    assert!(
        text.starts_with("error: short has 2 lines, system has 3: they must be parallel\nhint: "),
        "{text}"
    );

    write("latin", b"caf\n\xe9\n\n");
    let text = stderr(&mut score(folder.path(), &["--references", "latin"]), 2);
    assert!(
        text.starts_with("error: latin:2: invalid UTF-8 at byte 4 of the (decompressed) file; "),
        "{text}"
    );

    let text = stderr(&mut score(folder.path(), &["--references", "absent"]), 2);
    assert!(text.starts_with("error: cannot open absent: "), "{text}");

    write("empty", b"");
    let mut command = Command::cargo_bin("isogloss").unwrap();
    command.current_dir(folder.path()).args([
        "score",
        "--hypotheses",
        "empty",
        "--references",
        "empty",
    ]);
    assert!(stderr(&mut command, 2).contains("no hypotheses"));
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let folder = folder();
    for (arguments, word) in [
        (&["--metric", "meteor"][..], "unknown metric `meteor`"),
        (&["--metric", "spbleu"], "hint: name it with --spm FILE"),
        (&["--tokenize", "ja-mecab"], "MeCab"),
        (&["--smooth", "laplace"], "unknown smoothing"),
        (
            &["--smooth", "floor", "--smooth-value=-1"],
            "smoothing value -1",
        ),
        (&["--json", "--short"], "cannot be used with"),
    ] {
        let text = stderr(&mut score(folder.path(), arguments), 2);
        assert!(text.contains(word), "{arguments:?}: {text}");
    }
}

#[test]
fn spbleu_takes_the_pieces_of_a_model() {
    let folder = folder();
    let model = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../isogloss/tests/fixtures/tokenize/unigram_bytes.model");
    std::fs::copy(model, folder.path().join("spm")).unwrap();
    let spbleu = stdout(&mut score(
        folder.path(),
        &["--metric", "spbleu", "--spm", "spm"],
    ));
    assert!(spbleu.starts_with(EXPECTED_SPBLEU), "{spbleu}");
    let bleu = stdout(&mut score(
        folder.path(),
        &["--tokenize", "spm", "--spm", "spm"],
    ));
    assert_eq!(bleu, spbleu);

    let text = stderr(
        &mut score(folder.path(), &["--metric", "spbleu", "--spm", "first"]),
        2,
    );
    assert!(
        text.contains("first: no usable SentencePiece model"),
        "{text}"
    );
}

#[test]
fn help_has_examples() {
    for arguments in [&["--help"][..], &["score", "--help"]] {
        let text = stdout(Command::cargo_bin("isogloss").unwrap().args(arguments));
        assert!(
            text.contains("Examples:\n  isogloss ") && text.contains("  isogloss score --"),
            "{text}"
        );
    }
    Command::cargo_bin("isogloss").unwrap().assert().code(2);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let folder = folder();
    // A pipe whose reading end is gone before anything is written.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = std::process::Command::new(assert_cmd::cargo::cargo_bin("isogloss"))
        .current_dir(folder.path())
        .args(["score", "--hypotheses", "system", "--references", "first"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(status.status.code(), Some(0));
    assert!(status.stderr.is_empty());
}

/// What sacreBLEU 2.6.0 prints with `-ci`, `-pbs` and `-par` for these files.
#[test]
fn confidence_and_paired_tests_are_those_of_sacrebleu() {
    let folder = folder();
    let metrics = ["--metric", "bleu,chrf++"];
    let text = stdout(&mut score(
        folder.path(),
        &[&metrics[..], &["--confidence"]].concat(),
    ));
    assert_eq!(
        text,
        "BLEU|nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0 = 38.66 (μ = 41.13 ± 45.23) \
         76.5/42.9/27.3/25.0 (BP = 1.000 ratio = 1.062 hyp_len = 17 ref_len = 16)\n\
         chrF2++|nrefs:1|bs:1000|seed:12345|case:mixed|eff:yes|nc:6|nw:2|space:no|version:2.6.0 = 69.50 (μ = 70.22 ± 24.05)\n"
    );
    let paired = |more: &[&str]| {
        let mut command = Command::cargo_bin("isogloss").unwrap();
        let files = ["--hypotheses", "second", "--hypotheses", "system"];
        command
            .current_dir(folder.path())
            .args(["score", "--references", "first"])
            .args([&files[..], &metrics, more].concat());
        stdout(&mut command)
    };
    let text = paired(&["--paired-bs"]);
    for cell in [
        "baseline: second  11.45 (11.62 ± 6.04)                41.58 (42.16 ± 8.15)\n",
        "system            38.66 (41.13 ± 45.23) (p = 0.1808)  69.50 (70.22 ± 24.05) (p = 0.0480)*\n",
        "chrF2++|nrefs:1|bs:1000|seed:12345|case:mixed|eff:yes|nc:6|nw:2|space:no|version:2.6.0\n",
    ] {
        assert!(text.contains(cell), "{text}");
    }
    let text = paired(&["--paired-ar", "--short"]);
    assert!(
        text.contains("system            38.66 (p = 0.0001)*  69.50 (p = 0.0001)*\n"),
        "{text}"
    );
    assert!(
        text.contains("BLEU|#:1|ar:10000|rs:12345|c:mixed|e:no|tok:13a|s:exp|v:2.6.0\n"),
        "{text}"
    );
    let found: Value = serde_json::from_str(&paired(&["--paired-ar", "--json"])).unwrap();
    let system = &found["systems"][1];
    assert_eq!(system["system"], "system");
    let p = system["scores"]["chrf++"]["p_value"].as_f64().unwrap();
    assert!((p - 1.0 / 10_001.0).abs() < 1e-12);
    assert_eq!(
        found["systems"][0]["scores"]["bleu"]["p_value"],
        Value::Null
    );

    for (arguments, word) in [
        (&["--paired-ar"][..], "at least two systems"),
        (
            &["--hypotheses", "second"],
            "hint: add --paired-ar or --paired-bs",
        ),
        (
            &["--hypotheses", "second", "--paired-ar", "--paired-bs"],
            "cannot be used with",
        ),
        (&["--confidence", "--sentence"], "cannot be used with"),
    ] {
        let text = stderr(&mut score(folder.path(), arguments), 2);
        assert!(text.contains(word), "{arguments:?}: {text}");
    }
}
