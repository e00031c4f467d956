//! Input of `isogloss train` that is odd, or can't be used: text, languages, settings, folders, bases.

use crate::workshop::{Workshop, base, handbook, isogloss, refusal, stdout};

/// Sentences that differ, in both languages of the base.
fn sentences(n: usize) -> (String, String) {
    let line = |words: [&str; 2], i: usize| format!("{} {i} {}\n", words[0], words[1]);
    let english = (0..n).map(|i| line(["Check pump", "before the shift."], i));
    let german = (0..n).map(|i| line(["Prüfen Sie die Pumpe", "vor der Schicht."], i));
    (english.collect(), german.collect())
}

#[test]
fn text_that_cannot_be_used_is_refused() {
    let (english, german) = sentences(20);
    let cut = &german.as_bytes()[..german.len() / 2];
    let lines = cut.iter().filter(|&&b| b == b'\n').count() + 1;
    Workshop::new()
        .with_files(english.as_bytes(), cut)
        .refuses(&[
            "eng_Latn.txt has 20",
            &format!("deu_Latn.txt has {lines}"),
            "equally many",
        ]);
    Workshop::new()
        .with_files(b"", b"")
        .refuses(&["_Latn.txt: empty corpus"]);
    let bad = german.replacen("ü", "\u{0}", 1).into_bytes();
    Workshop::new()
        .with_files(english.as_bytes(), &bad)
        .refuses(&["deu_Latn.txt:1:", "NUL"]);
    let mut bad = german.clone().into_bytes();
    let second = german.find('\n').unwrap() + 2;
    bad[second] = 0xff;
    Workshop::new()
        .with_files(english.as_bytes(), &bad)
        .refuses(&["deu_Latn.txt:2:", "invalid UTF-8"]);
    let mut workshop = Workshop::new();
    workshop.data = workshop.data.replace("1-30", "1-3000");
    workshop.refuses(&["rows 1-3000 were asked for"]);
    let mut workshop = Workshop::new();
    workshop.data = workshop.data.replace("factory", "factories");
    workshop.refuses(&["factories"]);
}

/// A mark at the start, carriage returns and Unicode's line separator are text as other tools write it.
#[test]
fn marks_of_other_systems_are_no_trouble() {
    let (english, german) = sentences(20);
    let plain = Workshop::new().with_files(english.as_bytes(), german.as_bytes());
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let other =
        Workshop::new().with_files(windows(&english).as_bytes(), windows(&german).as_bytes());
    let events = |workshop: &Workshop| {
        let _ = stdout(&mut workshop.train());
        std::fs::read_to_string(workshop.path().join("run/events.jsonl")).unwrap()
    };
    assert_eq!(events(&plain), events(&other));
    let separated = english.replace("Check pump", "Check\u{2028}pump");
    let separated = Workshop::new().with_files(separated.as_bytes(), german.as_bytes());
    assert_eq!(
        events(&separated).lines().count(),
        events(&plain).lines().count()
    );
}

#[test]
fn long_sentences_are_left_out_and_counted() {
    let (mut english, mut german) = sentences(20);
    english += &format!("{}\n", "Check every pump. ".repeat(50));
    german += &format!("{}\n", "Jede Pumpe prüfen. ".repeat(50));
    let workshop = Workshop::new().with_files(english.as_bytes(), german.as_bytes());
    let output = workshop.train().assert().success().get_output().clone();
    let messages = String::from_utf8(output.stderr).unwrap();
    // In both directions.
    assert!(
        messages.contains("left out: too long") && messages.contains("pairs=2 max_tokens=128"),
        "{messages}"
    );

    let long = |text: &str| -> String {
        let lines = text
            .lines()
            .map(|l| format!("{}\n", format!("{l} ").repeat(20)));
        lines.collect()
    };
    let (english, german) = sentences(5);
    Workshop::new()
        .with_files(long(&english).as_bytes(), long(&german).as_bytes())
        .refuses(&[
            "no training pair has at most 128 tokens",
            "raise `training.max_tokens`",
        ]);
}

/// Nothing that is measured on training text tells how new text fares.
#[test]
fn validation_text_that_is_training_text_is_named() {
    let mut workshop = Workshop::new();
    workshop.validation = handbook("validation.data", "train", "20-40");
    for dry in [true, false] {
        let mut command = workshop.train();
        command.args(if dry { &["--dry-run"][..] } else { &[] });
        let output = command.assert().success().get_output().clone();
        let messages = String::from_utf8(output.stderr).unwrap();
        let said =
            "10 of 18 validation pairs in 2 directions are training pairs as well, 5 of 9 in";
        assert!(messages.contains(said), "{messages}");
    }
    let output = Workshop::new()
        .train()
        .assert()
        .success()
        .get_output()
        .clone();
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(!messages.contains("training pairs as well"), "{messages}");
}

#[test]
fn languages_that_cannot_be_are_refused() {
    let mut workshop = Workshop::new();
    workshop.languages = workshop.languages.replace("deu_Latn", "klingon");
    workshop.refuses(&["train.toml", "line 5", "klingon"]);
    // Known, and in the data, but without a tag in this base.
    let mut workshop = Workshop::new();
    workshop.languages = workshop.languages.replace("deu_Latn", "fra_Latn");
    workshop.refuses(&["no language `fra_Latn`", "deu_Latn"]);
    // Known, and not in the data.
    let mut workshop = Workshop::new();
    workshop.languages = workshop.languages.replace("deu_Latn", "oci_Latn");
    workshop.refuses(&["oci_Latn", "data sections"]);
    let mut workshop = Workshop::new();
    workshop.languages = workshop.languages.replace("deu_Latn", "eng_Latn");
    workshop.refuses(&["`languages`: eng_Latn stands twice"]);
    // On one side of what is trained, and not among the languages: nothing could be saved of it.
    for directions in ["{ pivot = \"fra_Latn\" }", "[\"deu_Latn-fra_Latn\"]"] {
        let mut workshop = Workshop::new();
        workshop.top += &format!("directions = {directions}\n");
        workshop.refuses(&["`directions`: names fra_Latn", "`[languages]`"]);
    }
    // In another script than its code says, so that the filter leaves nothing.
    let (english, _) = sentences(20);
    let cyrillic = "Проверьте насос и затяните болт.\n".repeat(20);
    Workshop::new()
        .with_files(english.as_bytes(), cyrillic.as_bytes())
        .refuses(&[
            "all 20 sentence pairs with deu_Latn",
            "in another script",
            "keep_all",
        ]);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let mut workshop = Workshop::new();
    workshop.more += "learning_rat = 0.1\n";
    workshop.refuses(&["train.toml", "line ", "learning_rat", "learning_rate"]);
    let mut workshop = Workshop::new();
    workshop.more += "[adapter]\nrank = 0\n";
    workshop.refuses(&["every rank is 0", "at least one"]);
    let mut workshop = Workshop::new();
    workshop.more += "[compute]\nreuse_prefix_mb = 10\n";
    workshop.refuses(&[
        "`compute.reuse_prefix_mb`: is 10",
        "set `training.dropout` to 0",
    ]);
    let mut workshop = Workshop::new();
    workshop.more += "[adapter]\nrank = 99\n";
    workshop.refuses(&["rank 99", "lower the rank"]);
    let mut workshop = Workshop::new();
    workshop.more = workshop.more.replace("max_tokens = 128", "max_tokens = 3");
    workshop.refuses(&["no validation sentence of at most 3 tokens"]);
    for (key, reason) in [
        (
            "seed = 18446744073709551615\n",
            "`seed`: is 18446744073709551615; at most 9223372036854775807",
        ),
        ("", "`run`: is empty"),
    ] {
        let mut workshop = Workshop::new();
        workshop.top += key;
        if key.is_empty() {
            workshop.top = workshop.top.replace("\"run\"", "\"\"");
        }
        workshop.refuses(&[reason]);
    }
    let workshop = Workshop::new();
    workshop.train();
    let many = ["train", "train.toml", "--threads", "100000"];
    let text = refusal(isogloss(workshop.path()).args(many));
    assert!(
        text.contains("100000 threads are asked for: at most 1024"),
        "{text}"
    );
    assert!(!workshop.path().join("run").exists());
    let text = refusal(isogloss(workshop.path()).args(["train", "nowhere.toml"]));
    assert!(text.contains("cannot read nowhere.toml"), "{text}");
}

/// A run's folder never takes the place of a file that a person wrote, nor does a dry run promise what training refuses.
#[test]
fn a_folder_with_something_else_in_it_is_refused() {
    let mut workshop = Workshop::new();
    workshop.top = workshop.top.replace("\"run\"", "\".\"");
    let own = "# My notes\nrun = \".\"\n";
    workshop.write("config.toml", own);
    workshop.refuses(&["config.toml is no file of a run", "a folder of its own"]);
    let after = std::fs::read_to_string(workshop.path().join("config.toml")).unwrap();
    assert_eq!(after, own);
    assert!(!workshop.path().join("checkpoints").exists());

    let mut workshop = Workshop::new();
    stdout(&mut workshop.train());
    stdout(workshop.train().arg("--dry-run"));
    workshop.more = workshop.more.replace("epochs = 2", "epochs = 3");
    let text = refusal(workshop.train().arg("--dry-run"));
    assert!(
        text.contains("`training.epochs` was 2, now it is 3"),
        "{text}"
    );
    // The folder above that of the adapters.
    let text = refusal(isogloss(workshop.path()).args(["adapters", "inspect", "run"]));
    assert!(text.contains("did you mean run/adapters?"), "{text}");
}

#[test]
fn a_place_that_cannot_be_written_is_refused() {
    let mut workshop = Workshop::new();
    workshop.write("file", "");
    workshop.top = workshop.top.replace("\"run\"", "\"file/run\"");
    workshop.refuses(&["cannot make the directory", "file/run"]);
}

/// A copy of the base with other weights.
fn with_damaged_base(damage: impl FnOnce(&mut Vec<u8>)) -> Workshop {
    let mut workshop = Workshop::new();
    let copy = workshop.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(base()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let weights = copy.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    damage(&mut bytes);
    std::fs::write(&weights, bytes).unwrap();
    workshop.top = "run = \"run\"\nmodel = \"copy\"\n".to_owned();
    workshop
}

#[test]
fn a_damaged_base_is_refused() {
    with_damaged_base(|bytes| bytes.truncate(bytes.len() / 2))
        .refuses(&["model.safetensors", "damaged"]);
    with_damaged_base(|bytes| {
        let end = bytes.len();
        bytes[end - 2..].copy_from_slice(&[0xc0, 0x7f]);
    })
    .refuses(&["model.safetensors", "should be finite, got NaN"]);
    let mut workshop = Workshop::new();
    workshop.top = "run = \"run\"\nmodel = \"nowhere\"\n".to_owned();
    workshop.refuses(&["nowhere"]);
}
