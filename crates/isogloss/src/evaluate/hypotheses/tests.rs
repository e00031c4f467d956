use super::*;

fn made_with(beam: u32) -> MadeWith {
    MadeWith::from([("beam".to_owned(), beam.into())])
}

#[test]
fn the_same_maker_finds_its_translations_of_the_same_text() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("out.hypotheses");
    let direction: Direction = "eng_Latn-deu_Latn".parse().unwrap();
    let lines = ["ein".to_owned(), String::new()];
    let mut kept = Hypotheses::keep(&dir, made_with(5)).unwrap();
    assert_eq!(kept.kept(&direction, &["one", "two"]), None);
    kept.put(&direction, &["one", "two"], &lines).unwrap();

    let again = Hypotheses::keep(&dir, made_with(5)).unwrap();
    assert_eq!(again.kept(&direction, &["one", "two"]).unwrap(), lines);
    assert_eq!(again.kept(&direction, &["one", "three"]), None);
    let other = Hypotheses::keep(&dir, made_with(4)).unwrap();
    assert_eq!(other.kept(&direction, &["one", "two"]), None);
    fs::write(again.path(&direction), "ein\nzwei\n").unwrap();
    assert_eq!(again.kept(&direction, &["one", "two"]), None, "edited");
}

#[test]
fn the_base_alone_is_told_from_systems_without_one_hash_of_adapters() {
    let dir = tempfile::tempdir().unwrap();
    let base = |made_with: serde_json::Value| {
        let made_with = serde_json::from_value(made_with).unwrap();
        let kept = Hypotheses::keep(dir.path(), made_with).unwrap();
        kept.base().map(str::to_owned)
    };
    let (hash, none) = ("abc", serde_json::Value::Null);
    let evaluated = serde_json::json!({ "model_hash": hash, "adapters_hash": none });
    assert_eq!(base(evaluated).as_deref(), Some(hash));
    for (system, adapters, alone) in [
        ("base", &none, true),
        ("lslo", &"def".into(), false),
        // An update for each direction: adapters of several parts.
        ("lora-direction", &none, false),
    ] {
        let made_with = serde_json::json!({
            "system": system, "model_hash": hash, "adapters_hash": adapters
        });
        assert_eq!(base(made_with).is_some(), alone, "{system}");
    }
    assert_eq!(base(serde_json::json!({ "model_hash": hash })), None);
    assert_eq!(base(serde_json::json!({ "system": "copy" })), None);
}

#[test]
fn translations_of_another_text_are_not_compared() {
    let dir = tempfile::tempdir().unwrap();
    let direction: Direction = "eng_Latn-deu_Latn".parse().unwrap();
    fs::write(dir.path().join("eng_Latn-deu_Latn.txt"), "ein\nzwei\n").unwrap();
    let foreign = Hypotheses::open(dir.path()).unwrap();
    let found = foreign.read(&direction, &["one", "two"]).unwrap();
    assert_eq!(found.unwrap(), ["ein", "zwei"]);
    let error = foreign.read(&direction, &["one"]).unwrap_err().to_string();
    assert!(error.contains("has 2 lines, but 1 sentences"), "{error}");
    let back: Direction = "deu_Latn-eng_Latn".parse().unwrap();
    assert!(foreign.read(&back, &["one"]).unwrap().is_none());

    // Nor are they replaced, until they are gone; what was being written when the program was killed is.
    let refused = Hypotheses::keep(dir.path(), made_with(5)).unwrap_err();
    assert!(matches!(refused, HypothesesError::NotOurs { .. }));
    let note = r#"{"made_with":{},"directions":{},"writing":["eng_Latn-deu_Latn"]}"#;
    fs::write(dir.path().join(NOTE), note).unwrap();
    let mut kept = Hypotheses::keep(dir.path(), made_with(5)).unwrap();
    kept.put(&direction, &["one", "two"], &["ein".into(), "zwei".into()])
        .unwrap();
    // Another maker replaces file by file, and goes on where it was stopped.
    kept.put(&back, &["eins"], &["one".into()]).unwrap();
    for _ in 0..2 {
        let mut other = Hypotheses::keep(dir.path(), made_with(4)).unwrap();
        assert!(other.kept(&back, &["eins"]).is_none());
        assert!(
            other.read(&back, &["eins"]).unwrap().is_none(),
            "another maker's"
        );
        other
            .put(&direction, &["one", "two"], &["un".into(), "dos".into()])
            .unwrap();
    }
    fs::write(dir.path().join("deu_Latn-eng_Latn.txt"), "mine\n").unwrap();
    assert!(Hypotheses::keep(dir.path(), made_with(4)).is_err());
    let error = kept.read(&direction, &["one", "three"]).unwrap_err();
    assert!(matches!(error, HypothesesError::OtherText { .. }));

    fs::write(dir.path().join(NOTE), "{}").unwrap();
    let error = Hypotheses::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("hypotheses.json"), "{error}");
    assert!(Hypotheses::open(&dir.path().join("absent")).is_err());
}

/// Two processes that translate directions of their own into one folder.
#[test]
fn what_another_process_has_noted_stays() {
    let dir = tempfile::tempdir().unwrap();
    let [there, back]: [Direction; 2] =
        ["eng_Latn-deu_Latn", "deu_Latn-eng_Latn"].map(|d| d.parse().unwrap());
    let mut one = Hypotheses::keep(dir.path(), made_with(5)).unwrap();
    let mut two = Hypotheses::keep(dir.path(), made_with(5)).unwrap();
    one.put(&there, &["one"], &["eins".into()]).unwrap();
    two.put(&back, &["eins"], &["one".into()]).unwrap();
    let both = Hypotheses::keep(dir.path(), made_with(5)).unwrap();
    assert!(both.kept(&there, &["one"]).is_some() && both.kept(&back, &["eins"]).is_some());
}
