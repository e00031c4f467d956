//! `isogloss train --add`: a language more, beside adapters that are in use.

use crate::demo;
use crate::workshop::{Workshop, isogloss, refusal, stdout};

#[test]
fn a_language_is_added_beside_what_is_in_use() {
    let mut workshop = Workshop::new();
    workshop.languages = "[languages]\nhigh = [\"eng_Latn\"]\nlow = [\"deu_Latn\"]\n".to_owned();
    workshop.more += "[adapter]\nlanguage_ranks = { deu_Latn = 0 }\n";
    let _ = stdout(&mut workshop.train());
    let run = workshop.path().join("run");
    let before = std::fs::read(run.join("adapters/eng_Latn.safetensors")).unwrap();

    workshop.more = workshop
        .more
        .replace("[adapter]\nlanguage_ranks = { deu_Latn = 0 }\n", "");
    let dry = stdout(workshop.train().args(["--add", "deu_Latn", "--dry-run"]));
    assert!(
        dry.contains("trainable for deu_Latn") && !dry.contains("trainable for eng_Latn"),
        "{dry}"
    );
    let out = stdout(workshop.train().args(["--add", "deu_Latn"]));
    let added = workshop.path().join("run+deu_Latn/adapters");
    assert!(out.trim_end().ends_with("run+deu_Latn/adapters"), "{out}");
    assert!(std::fs::read(added.join("eng_Latn.safetensors")).unwrap() == before);
    assert!(
        added.join("deu_Latn.safetensors").exists()
            && !run.join("adapters/deu_Latn.safetensors").exists()
    );
    let adapters = added.display().to_string();
    let mut translate = isogloss(workshop.path());
    translate
        .args([
            "translate",
            "--model",
            &crate::workshop::base().display().to_string(),
            "--adapters",
            &adapters,
        ])
        .args(["--from", "deu_Latn", "--to", "eng_Latn", "--threads", "1"])
        .write_stdin("Prüfen Sie die Pumpe.\n");
    assert_eq!(stdout(&mut translate).lines().count(), 1);

    let text = refusal(workshop.train().args(["--add", "nld_Latn"]));
    assert!(
        text.contains("`languages` don't name nld_Latn") && text.contains("hint"),
        "{text}"
    );
}

/// A run whose adapters are in use, with some of its languages left out that are to be added.
fn in_use(run: &str, languages: &str, later: &str) -> Workshop {
    let mut workshop = Workshop::new();
    let base = workshop.path().join("base");
    demo::base(&base);
    workshop.top = format!("run = {run:?}\nmodel = {base:?}\n");
    workshop.languages = format!("[languages]\n{languages}\n");
    let whole = workshop.more.clone();
    workshop.more += &format!("[adapter]\nlanguage_ranks = {{ {later} }}\n");
    let _ = stdout(&mut workshop.train());
    workshop.more = whole;
    workshop
}

#[test]
fn an_added_language_gets_its_share_of_a_batch() {
    let languages = "high = [\"eng_Latn\", \"deu_Latn\"]\nlow = [\"nld_Latn\"]";
    let workshop = in_use("run", languages, "nld_Latn = 0");
    let mut add = workshop.train();
    let output = add.args(["--add", "nld_Latn", "--dry-run"]).assert();
    let told = String::from_utf8(output.success().get_output().stderr.clone()).unwrap();
    let expected = "4 of 6 directions are trained: an update takes 533 tokens in place of 800";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn only_what_is_named_is_added() {
    let languages = "high = [\"eng_Latn\", \"deu_Latn\"]\nlow = [\"nld_Latn\", \"fra_Latn\"]";
    let workshop = in_use("run/", languages, "nld_Latn = 0, fra_Latn = 0");
    // Neither the other language without an update, nor, for a slash, a folder within the one in use.
    let _ = stdout(workshop.train().args(["--add", "nld_Latn"]));
    let added = workshop.path().join("run+nld_Latn/adapters");
    assert!(added.join("nld_Latn.safetensors").exists());
    assert!(!added.join("fra_Latn.safetensors").exists());
    // It has one.
    let text = refusal(workshop.train().args(["--add", "deu_Latn"]));
    assert!(text.contains("deu_Latn has an update in"), "{text}");
}
