//! `isogloss translate`, whole, with a random model.

use crate::tiny;
use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

const INPUT: &str = "The rain fell on the old harbour.\n\nWe counted seven herons by the river.\n";

/// A folder with a model, and nothing else.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    tiny::model(&folder.path().join("model"));
    folder
}

fn translate(folder: &Path, more: &[&str]) -> Command {
    translate_to(folder, "deu_Latn", more)
}

fn translate_to(folder: &Path, language: &str, more: &[&str]) -> Command {
    let mut command = Command::cargo_bin("isogloss").unwrap();
    command
        .current_dir(folder)
        .args([
            "translate",
            "--model",
            "model",
            "--from",
            "eng_Latn",
            "--to",
            language,
        ])
        .args(["--max-length", "6", "--threads", "1"])
        .args(more)
        .write_stdin(INPUT);
    command
}

/// The same as a command of which every stream may be another; it reads the text from a file.
#[cfg(target_os = "linux")]
fn by_hand(folder: &Path, more: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("isogloss"));
    let arguments = translate(folder, more);
    command.current_dir(folder).args(arguments.get_args());
    let input = folder.join("in.txt");
    std::fs::write(&input, INPUT).unwrap();
    command.stdin(std::fs::File::open(input).unwrap());
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

fn refusal(command: &mut Command) -> String {
    let output = command.assert().failure().code(2).get_output().clone();
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_line_in_is_a_line_out() {
    let folder = folder();
    let text = stdout(&mut translate(folder.path(), &[]));
    let lines: Vec<&str> = text.split_terminator('\n').collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].is_empty());
    assert!(!lines[0].is_empty() && !lines[2].is_empty());

    // The same in every form.
    let ids = stdout(&mut translate(folder.path(), &["--ids"]));
    let table = stdout(&mut translate(folder.path(), &["--n-best", "2"]));
    let json = stdout(&mut translate(
        folder.path(),
        &["--n-best", "2", "--json", "--ids", "--batch-tokens", "1"],
    ));
    let rows: Vec<Value> = json
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[1]["hypotheses"].as_array().unwrap().len(), 0);
    assert_eq!(table.lines().count(), 5);
    assert_eq!(table.lines().nth(2), Some("2\t\t"));
    for (row, (line, ids)) in rows.iter().zip(lines.iter().zip(ids.lines())) {
        let Some(best) = row["hypotheses"].get(0) else {
            continue;
        };
        assert_eq!(best["text"], *line);
        let expected: Vec<u32> = ids
            .split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect();
        assert_eq!(best["ids"], serde_json::json!(expected));
    }
}

/// Rounded weights score nearly as the model does, and not the same: so they are in use.
#[test]
fn every_precision_translates() {
    let folder = folder();
    let scores = |more: &[&str]| -> Vec<f64> {
        let json = ["--json", "--n-best", "1"];
        let text = stdout(translate(folder.path(), &json).args(more));
        let rows = text.lines().map(|l| serde_json::from_str(l).unwrap());
        let best = |row: Value| row["hypotheses"][0]["score"].as_f64();
        rows.filter_map(best).collect()
    };
    let numbers = scores(&[]);
    assert_eq!(numbers.len(), 2);
    for precision in ["bf16", "int8"] {
        let rounded = scores(&["--precision", precision]);
        assert_eq!(rounded.len(), numbers.len());
        assert_ne!(rounded, numbers, "{precision}");
        for (rounded, number) in rounded.iter().zip(&numbers) {
            assert!(
                (rounded - number).abs() < 0.05 * number.abs(),
                "{precision}"
            );
        }
    }
    let refused = refusal(&mut translate(folder.path(), &["--precision", "int4"]));
    assert!(refused.contains("f32, bf16, int8"), "{refused}");
}

#[test]
fn files_are_read_and_written() {
    let folder = folder();
    let expected = stdout(&mut translate(folder.path(), &[]));
    std::fs::write(folder.path().join("in"), INPUT).unwrap();
    let mut command = translate(folder.path(), &["--input", "in", "--output", "out"]);
    assert!(stdout(command.write_stdin("")).is_empty());
    let written = std::fs::read_to_string(folder.path().join("out")).unwrap();
    assert_eq!(written, expected);
    assert!(stdout(translate(folder.path(), &[]).write_stdin("")).is_empty());
}

#[test]
fn adapters_are_used_and_a_language_without_is_refused() {
    let folder = folder();
    let folder = folder.path();
    tiny::adapters(
        &folder.join("adapters"),
        &folder.join("model"),
        &["eng_Latn", "deu_Latn"],
    );
    let adapted = ["--adapters", "adapters"];
    assert_ne!(
        stdout(&mut translate(folder, &adapted)),
        stdout(&mut translate(folder, &[]))
    );
    let text = refusal(&mut translate_to(folder, "fra_Latn", &adapted));
    assert!(
        text.contains("target-side updates for fra_Latn")
            && text.contains("hint: `--missing base`"),
        "{text}"
    );
    let base = [&adapted[..], &["--missing", "base"]].concat();
    let text = stdout(&mut translate_to(folder, "fra_Latn", &base));
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn a_direction_that_was_not_trained_is_refused() {
    let folder = folder();
    let folder = folder.path();
    tiny::trained_adapters(
        &folder.join("adapters"),
        &folder.join("model"),
        &["eng_Latn", "deu_Latn"],
        Some(&["deu_Latn-eng_Latn"]),
    );
    let adapted = ["--adapters", "adapters"];
    let text = refusal(&mut translate(folder, &adapted));
    assert!(
        text.contains("not trained in eng_Latn-deu_Latn")
            && text.contains("hint: `--missing base`")
            && text.contains("`--missing combine`"),
        "{text}"
    );
    let untouched = stdout(&mut translate(folder, &[]));
    let with = |missing| {
        let more = [&adapted[..], &["--missing", missing]].concat();
        stdout(&mut translate(folder, &more))
    };
    assert_eq!(with("base"), untouched);
    assert_ne!(with("combine"), untouched);
}

#[test]
fn wrong_usage_is_refused() {
    let folder = folder();
    let text = refusal(&mut translate(folder.path(), &["--n-best", "6"]));
    assert!(text.contains("n-best is 6"), "{text}");
    let mut command = translate(folder.path(), &["--long-lines", "refuse"]);
    let text = refusal(command.write_stdin("The rain fell. ".repeat(60)));
    assert!(
        text.contains("1 line is too long") && text.contains("hint:"),
        "{text}"
    );
}

/// As with lines from a file, and directions change on the way.
#[test]
fn lines_are_translated_as_they_are_entered() {
    let folder = folder();
    let folder = folder.path();
    let expected = stdout(&mut translate(folder, &[]));
    assert_eq!(stdout(&mut translate(folder, &["--interactive"])), expected);

    // A random model says much the same in every language, but not with the same score.
    let text = INPUT.lines().next().unwrap();
    let hypotheses = |output: &[u8]| -> Vec<Value> {
        let rows = std::str::from_utf8(output).unwrap().lines();
        let rows = rows.map(|row| serde_json::from_str::<Value>(row).unwrap());
        rows.map(|row| row["hypotheses"].clone()).collect()
    };
    let [german, french] = ["deu_Latn", "fra_Latn"].map(|language| {
        let json = stdout(translate_to(folder, language, &["--json"]).write_stdin(text));
        hypotheses(json.as_bytes()).remove(0)
    });
    assert_ne!(german, french);
    let typed = format!(
        "{text}\n:to fra_Latn\n{text}\n:swap\n:swap\n:to deu_Latn\n{text}\n:quit\n{text}\n"
    );
    let mut command = translate(folder, &["--interactive", "--json"]);
    let output = command.write_stdin(typed).assert().success();
    let output = output.get_output().clone();
    assert_eq!(hypotheses(&output.stdout), [german.clone(), french, german]);
    let prompts = String::from_utf8(output.stderr).unwrap();
    let order: Vec<&str> = prompts
        .split("> ")
        .filter_map(|part| part.lines().last())
        .collect();
    let [german, french] = ["eng_Latn-deu_Latn", "eng_Latn-fra_Latn"];
    assert_eq!(
        order,
        [
            german,
            german,
            french,
            french,
            "fra_Latn-eng_Latn",
            french,
            german,
            german
        ]
    );
}

#[test]
fn a_mistake_while_typing_costs_a_line_and_not_the_session() {
    let folder = folder();
    let folder = folder.path();
    let good = INPUT.lines().next().unwrap();
    let translated = stdout(translate(folder, &[]).write_stdin(format!("{good}\n")));
    let mut typed = b":to tlh_Piqd\n:to nowhere\n:help\n:languages\nbad \xff\n".to_vec();
    typed.extend("x".repeat((1 << 20) + 1).as_bytes());
    typed.push(b'\n');
    typed.extend(good.as_bytes());
    let mut command = translate(folder, &["--interactive"]);
    let output = command.write_stdin(typed).assert().success();
    let output = output.get_output().clone();
    let stderr = String::from_utf8(output.stderr).unwrap();
    // A line out for a line of text in, also where it could not be read.
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout, format!("\n\n{translated}"));
    for said in [
        "tlh_Piqd",
        "unknown language `nowhere`",
        "longer than 1048576 bytes",
        ":to LANGUAGE",
        "deu_Latn   German",
        "not UTF-8",
    ] {
        assert!(stderr.contains(said), "{said:?} is not in {stderr}");
    }
    // A direction without its own update is reported; going back works.
    tiny::adapters(
        &folder.join("adapters"),
        &folder.join("model"),
        &["eng_Latn", "deu_Latn"],
    );
    let adapted = ["--adapters", "adapters", "--interactive"];
    let expected = self::stdout(translate(folder, &adapted[..2]).write_stdin(format!("{good}\n")));
    let typed = format!(":to fra_Latn\n{good}\n:to deu_Latn\n{good}\n");
    let mut command = translate(folder, &adapted);
    let output = command.write_stdin(typed).assert().success();
    let output = output.get_output().clone();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        stderr.matches("updates for fra_Latn").count(),
        2,
        "{stderr}"
    );
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("\n{expected}")
    );
}

/// A program's text may start with what looks like a command, and its first line with a byte order mark.
#[test]
fn a_program_stays_in_step_whatever_its_text() {
    let folder = folder();
    let folder = folder.path();
    let lines = [":) Fine.", ":q", ":wrong", "The end."];
    let expected = stdout(translate(folder, &[]).write_stdin(lines.join("\n")));
    let mut command = translate(folder, &["--interactive"]);
    let text = format!("\u{feff}{}\n", lines.join("\n"));
    assert_eq!(stdout(command.write_stdin(text)), expected);
}

/// What is said beside the results may go to a log that is full; what is asked for is done all the same.
#[cfg(target_os = "linux")]
#[test]
fn a_log_that_takes_nothing_more_stops_nothing() {
    let folder = folder();
    let folder = folder.path();
    let expected = stdout(&mut translate(folder, &[]));
    let run = |more: &[&str]| {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let mut command = by_hand(folder, more);
        command.stderr(full.unwrap()).output().unwrap()
    };
    for more in [&[][..], &["--interactive"]] {
        let output = run(more);
        assert!(output.status.success(), "{more:?}: {}", output.status);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
    assert_eq!(run(&["--beam", "0"]).status.code(), Some(2));
    // Messages of the library go the same way.
    let output = run(&["--long-lines", "split", "-vv"]);
    assert!(output.status.success(), "{}", output.status);
}

/// A descriptor that is redirected into a file keeps what the file has.
#[cfg(target_os = "linux")]
#[test]
fn what_goes_to_dev_stdout_goes_behind_what_is_there() {
    let folder = folder();
    let folder = folder.path();
    let expected = stdout(&mut translate(folder, &[]));
    let log = folder.join("log.txt");
    std::fs::write(&log, "before\n").unwrap();
    let mut command = by_hand(folder, &["--output", "/dev/stdout"]);
    let to = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    assert!(command.stdout(to).status().unwrap().success());
    assert_eq!(
        std::fs::read_to_string(&log).unwrap(),
        format!("before\n{expected}")
    );
}

#[test]
fn typing_starts_in_a_direction_that_there_is() {
    let folder = folder();
    let folder = folder.path();
    let text = refusal(&mut translate_to(folder, "tlh_Piqd", &["--interactive"]));
    assert!(text.contains("tlh_Piqd"), "{text}");
    let text = refusal(&mut translate(folder, &["--interactive", "--input", "in"]));
    assert!(text.contains("cannot be used with"), "{text}");
}

/// A script that tries a direction without text finds out, too.
#[test]
fn a_direction_that_cannot_be_is_refused_without_text() {
    let folder = folder();
    let mut command = translate_to(folder.path(), "tlh_Piqd", &[]);
    let text = refusal(command.write_stdin(""));
    assert!(text.contains("tlh_Piqd"), "{text}");
    assert_eq!(
        stdout(translate(folder.path(), &[]).write_stdin("")),
        "",
        "one that can be has nothing to say"
    );
}
