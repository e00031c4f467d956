use super::*;
use crate::evaluate::{ChangeOfMean, Comparison, Correction, DirectionChange, ScoresFile, Verdict};

/// Direction, change, lower bound, verdict.
type Row = (&'static str, f64, f64, Verdict);

const ROWS: [Row; 5] = [
    ("eng_Latn-deu_Latn", 2.0, 1.5, Verdict::Better),
    ("deu_Latn-eng_Latn", -1.0, -1.5, Verdict::Worse),
    ("eng_Latn-fra_Latn", 0.3, -0.2, Verdict::Unclear),
    ("fra_Latn-eng_Latn", 0.4, -0.9, Verdict::Unclear),
    ("deu_Latn-fra_Latn", -0.1, -0.6, Verdict::Unclear),
];

fn scores(rows: &[Row], text: &str) -> ScoresFile {
    let of_row = |&(direction, change, lower_bound, verdict): &Row| DirectionChange {
        direction: direction.parse().unwrap(),
        sentences: 100,
        base: 40.0,
        score: 40.0 + change,
        change,
        interval: [change - 0.5, change + 0.5],
        lower_bound,
        p: 0.01,
        p_adjusted: 0.04,
        verdict,
    };
    let directions: Vec<DirectionChange> = rows.iter().map(of_row).collect();
    let comparison = Comparison {
        against: "base".into(),
        metric: "chrf++".into(),
        signature: "nrefs:1".into(),
        resamples: 20_000,
        seed: 12_345,
        level: 0.95,
        margin: -0.5,
        correction: Correction::MaxT,
        mean: ChangeOfMean {
            change: 0.3,
            interval: [0.1, 0.5],
            directions: rows.len(),
        },
        classes: Vec::new(),
        harmed: directions
            .iter()
            .filter(|d| d.verdict == Verdict::Worse)
            .map(|d| d.direction.clone())
            .collect(),
        unproven: Vec::new(),
        directions,
    };
    ScoresFile {
        model_hash: Some("m".into()),
        adapters_hash: Some("a".into()),
        text_hash: Some(text.into()),
        comparison: Some(comparison),
        ..ScoresFile::new(Vec::new(), &Vec::new())
    }
}

fn choices(rules: Rules) -> Vec<Choice> {
    let valid = scores(&ROWS, "valid");
    let plan = plan((Path::new("v.json"), &valid), &[], rules, false).unwrap();
    plan.decided.iter().map(|d| d.choice).collect()
}

#[test]
fn rules_decide() {
    use Choice::{Adapted, Base, Trial};
    let usual = Rules::default();
    assert_eq!(choices(usual), [Adapted, Base, Trial, Trial, Base]);
    let safe_trials = true;
    let safe = Rules {
        safe_trials,
        ..usual
    };
    assert_eq!(choices(safe), [Adapted, Base, Trial, Base, Base]);
    let none = Rules {
        trial_share: 0.0,
        ..usual
    };
    assert_eq!(choices(none), [Adapted, Base, Base, Base, Base]);
    let gain = Rules {
        min_gain: 0.4,
        ..usual
    };
    assert_eq!(choices(gain), [Adapted, Base, Base, Trial, Base]);
    let gain = Rules {
        min_gain: 2.5,
        ..usual
    };
    assert_eq!(choices(gain), [Base; 5]);
    let valid = scores(&ROWS, "valid");
    let valid = (Path::new("v.json"), &valid);
    for rules in [
        Rules {
            trial_share: 1.5,
            ..usual
        },
        Rules {
            trial_share: f64::NAN,
            ..usual
        },
        Rules {
            min_gain: -1.0,
            ..usual
        },
    ] {
        let error = plan(valid, &[], rules, false).unwrap_err();
        assert!(matches!(error, RolloutError::Rule { .. }), "{error}");
    }
}

#[test]
fn a_plan_is_reported_on_data_that_took_no_part() {
    let valid = scores(&ROWS, "valid");
    let test = [
        ("eng_Latn-deu_Latn", 1.0, 0.5, Verdict::Better),
        ("deu_Latn-eng_Latn", -2.0, -2.5, Verdict::Worse),
        ("eng_Latn-fra_Latn", -1.0, -1.5, Verdict::Worse),
    ];
    let test = scores(&test, "test");
    let (v, t) = (Path::new("v.json"), Path::new("t\n.json"));
    let found = plan((v, &valid), &[(t, &test)], Rules::default(), false).unwrap();
    let reported = &found.reported[0];
    assert!((reported.planned - (1.0 - 0.1) / 3.0).abs() < 1e-12);
    assert!((reported.adapted - -2.0 / 3.0).abs() < 1e-12);
    assert_eq!(reported.directions, 3);
    let harmed: Vec<String> = reported.harmed(&found).map(ToString::to_string).collect();
    // The one that stays on the base isn't harmed.
    assert_eq!(harmed, ["eng_Latn-fra_Latn"]);

    let text = found.to_toml();
    for words in [
        "# 1 adapted, 2 on trial, 2 on the base.",
        "# On t .json: mean change +0.30 as planned, -0.67 were everything adapted, over 3 directions.",
        "#   WORSE there although served: eng_Latn-fra_Latn",
        "# significantly better: 40.00 -> 42.00, +2.00 [+1.50, +2.50], p 0.0400",
        "#   on t .json: 40.00 -> 39.00, -1.00 [-1.50, -0.50], p 0.0400, significantly worse",
        "\"eng_Latn-fra_Latn\" = \"trial\"",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rollout.toml");
    found.write(&path).unwrap();
    assert_eq!(Rollout::read(&path).unwrap(), found.rollout);
}

#[test]
fn a_share_of_trials_is_a_round_percentage() {
    let valid = scores(&ROWS, "valid");
    // 100 times 0.07 is 7.000000000000001.
    for (trial_share, shown) in [
        (0.07, ", 7% of"),
        (0.1255, ", 12.55% of"),
        (1.0, ", 100% of"),
    ] {
        let rules = Rules {
            trial_share,
            ..Rules::default()
        };
        let found = plan((Path::new("v.json"), &valid), &[], rules, false).unwrap();
        let text = found.to_toml();
        assert!(text.contains(shown), "{trial_share}: {text}");
    }
}

#[test]
fn the_data_that_decides_is_not_reported_on() {
    let valid = scores(&ROWS, "valid");
    let (v, t) = (Path::new("v.json"), Path::new("t.json"));
    let with = |options: [Option<&str>; 3], text: &str| {
        let keys = ["data", "rows", "split"].map(str::to_owned);
        let options = options.map(serde_json::Value::from);
        ScoresFile {
            options: keys.into_iter().zip(options).collect(),
            ..scores(&ROWS, text)
        }
    };
    let shared = |a: [Option<&str>; 3], b: [Option<&str>; 3]| {
        shared_data(&with(a, "a"), &with(b, "b")).is_some()
    };
    let (d, e) = (Some("/d"), Some("/e"));
    assert!(shared([d, Some("1-100"), None], [d, Some("90-"), None]));
    assert!(shared([d, Some("1-100"), None], [d, None, None]));
    assert!(!shared([d, Some("1-100"), None], [d, Some("101-"), None]));
    assert!(!shared([d, None, Some("valid")], [d, None, Some("test")]));
    assert!(!shared([d, None, None], [e, None, None]));

    let error = plan((v, &valid), &[(t, &valid)], Rules::default(), false).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("t.json has the same data as v.json"),
        "{error}"
    );
    let found = plan((v, &valid), &[(t, &valid)], Rules::default(), true).unwrap();
    assert!(found.reported[0].same_data && found.to_toml().contains("CAUTION"));
}

#[test]
fn scores_that_cannot_decide_are_named() {
    let path = Path::new("v.json");
    let error = |scores: &ScoresFile| {
        let found = plan((path, scores), &[], Rules::default(), false);
        found.unwrap_err().to_string()
    };
    let mut none = scores(&ROWS, "x");
    none.comparison = None;
    assert!(error(&none).contains("v.json compares nothing"));
    let mut other = scores(&ROWS, "x");
    other.comparison.as_mut().unwrap().against = "copy".into();
    assert!(error(&other).contains("compares with copy"));
    let mut old = scores(&ROWS, "x");
    old.adapters_hash = None;
    assert!(error(&old).contains("scores no adapters"));
    let mut strange = scores(&ROWS, "test");
    strange.adapters_hash = Some("b".into());
    let valid = scores(&ROWS, "valid");
    let others = [(Path::new("t.json"), &strange)];
    let error = plan((path, &valid), &others, Rules::default(), false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "t.json scores another adapters than v.json"
    );
}

#[test]
fn a_trial_takes_its_share_of_the_lines_always_the_same() {
    let direction = "eng_Latn-deu_Latn".parse().unwrap();
    let taken = |trial_share: f64| -> Vec<usize> {
        let rollout = Rollout {
            model_hash: String::new(),
            adapters_hash: String::new(),
            decided_with: MadeWith::new(),
            trial_share,
            others: Choice::Trial,
            directions: BTreeMap::new(),
        };
        let lines = (0..5000).map(|i| format!("line {i}"));
        let adapted = lines
            .enumerate()
            .filter(|(_, line)| rollout.adapts(&direction, line));
        adapted.map(|(i, _)| i).collect()
    };
    let tenth = taken(0.1);
    assert!((430..570).contains(&tenth.len()), "{}", tenth.len());
    assert_eq!(tenth, taken(0.1));
    let fifth = taken(0.2);
    assert!(tenth.iter().all(|i| fifth.contains(i)) && fifth.len() > tenth.len());
    assert_eq!((taken(0.0).len(), taken(1.0).len()), (0, 5000));
}

#[test]
fn a_file_that_is_no_rollout_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.toml");
    let head = "model_hash = \"m\"\nadapters_hash = \"a\"\n";
    for (text, word) in [
        (
            "trial_share = 0.1\n[directions]\n\"eng-xx\" = \"base\"\n",
            "`xx`",
        ),
        (
            "trial_share = 7\n[directions]\n",
            "trial_share is 7: expected 0 to 1",
        ),
        (
            "trial_share = 0.1\n[directions]\n\"en->de\" = \"maybe\"\n",
            "maybe",
        ),
        ("trial_share = 0.1\nshare = 1\n[directions]\n", "share"),
        (
            "trial_share = 0.1\n[directions]\n\"en->de\" = \"base\"\n\"eng_Latn-deu_Latn\" = \"base\"\n",
            "listed twice",
        ),
    ] {
        std::fs::write(&path, format!("{head}{text}")).unwrap();
        let error = Rollout::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("r.toml is no rollout") && error.contains(word),
            "{error}"
        );
    }
    std::fs::write(
        &path,
        format!("{head}trial_share = 0\n[directions]\n\"en->de\" = \"adapted\"\n"),
    )
    .unwrap();
    let found = Rollout::read(&path).unwrap();
    assert_eq!(
        found.choice(&"eng_Latn-deu_Latn".parse().unwrap()),
        Choice::Adapted
    );
    assert_eq!(
        found.choice(&"deu_Latn-eng_Latn".parse().unwrap()),
        Choice::Base
    );
}
