//! Runs of which something is missing or damaged.

use super::{FOLDER, input, pages};
use isogloss::report::{
    Gain, Harm, Input, Missing, Price, Recommendation, Report, ReportError, ReportOptions,
};
use std::path::{Path, PathBuf};

/// A run that nothing but its configuration is there of.
fn bare(dir: &Path) -> PathBuf {
    let run = dir.join("bare");
    std::fs::create_dir(&run).unwrap();
    std::fs::write(
        run.join("config.toml"),
        "method = \"lslo\"\nmodel = \"base\"\n[languages]\nlow = [\"deu_Latn\"]\n",
    )
    .unwrap();
    run
}

#[test]
fn a_run_with_nothing_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let run = bare(dir.path());
    let report = Report::read(&[input(&run)], ReportOptions::default()).unwrap();
    assert_eq!(report.conclusion.recommendation, Recommendation::Train);
    let missing: Vec<Missing> = report.runs[0].gaps.iter().map(|g| g.what).collect();
    let expected = [
        Missing::Result,
        Missing::Cost,
        Missing::Curve,
        Missing::Exploration,
        Missing::Scores,
    ];
    assert_eq!(missing, expected);
    let [english, _] = pages(&report);
    assert!(english.contains("Finish training first."));
    assert!(english.contains("isogloss train CONFIG.toml"));
    assert!(english.contains("--against base --out"));

    // With a result it is the scores that are missing first.
    std::fs::create_dir(run.join("adapters")).unwrap();
    std::fs::copy(
        Path::new(FOLDER).join("run/adapters/adapters.json"),
        run.join("adapters/adapters.json"),
    )
    .unwrap();
    let report = Report::read(&[input(&run)], ReportOptions::default()).unwrap();
    assert_eq!(report.conclusion.recommendation, Recommendation::Evaluate);
    pages(&report);
}

#[test]
fn scores_without_a_comparison_are_compared_but_not_tested() {
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(format!("{FOLDER}/run/scores.json")).unwrap();
    let mut scores: serde_json::Value = serde_json::from_str(&text).unwrap();
    scores.as_object_mut().unwrap().remove("comparison");
    let path = dir.path().join("plain.json");
    std::fs::write(&path, scores.to_string()).unwrap();
    let inputs = [Input {
        run: format!("{FOLDER}/run").into(),
        scores: Some(path.clone()),
    }];
    let base = Some(format!("{FOLDER}/base.json").into());
    let report = Report::read(
        &inputs,
        ReportOptions {
            base,
            ..ReportOptions::default()
        },
    )
    .unwrap();
    let quality = report.runs[0].quality.as_ref().unwrap();
    let changes: Vec<_> = quality
        .directions
        .iter()
        .map(|d| (d.change, d.verdict))
        .collect();
    assert_eq!(
        changes,
        [(Some(3.0), None), (Some(0.25), None), (Some(-2.0), None)]
    );
    assert_eq!(report.conclusion.recommendation, Recommendation::Compare);
    assert!(matches!(
        report.conclusion.gain,
        Gain::Untested { up: 2, .. }
    ));
    assert!(
        matches!(&report.conclusion.harm, Harm::Untested { down: 1, worst: Some(w), .. } if w.change == -2.0)
    );
    let [english, _] = pages(&report);
    assert!(english.contains("whether by chance was not tested"));

    // Without the base's scores there is nothing to compare.
    let report = Report::read(&inputs, ReportOptions::default()).unwrap();
    assert_eq!(report.conclusion.gain, Gain::Unknown);
    pages(&report);

    // Scores of another signature are not compared.
    let text = std::fs::read_to_string(format!("{FOLDER}/base.json")).unwrap();
    let other = dir.path().join("other.json");
    std::fs::write(&other, text.replace("nw:2", "nw:1")).unwrap();
    let options = ReportOptions {
        base: Some(other),
        ..ReportOptions::default()
    };
    let report = Report::read(&inputs, options).unwrap();
    assert!(
        report.runs[0]
            .quality
            .as_ref()
            .unwrap()
            .directions
            .iter()
            .all(|d| d.change.is_none())
    );
}

#[test]
fn what_is_damaged_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let run = bare(dir.path());
    let refused = |run: &Path| {
        let error = Report::read(&[input(run)], ReportOptions::default()).unwrap_err();
        error.to_string()
    };
    assert!(refused(&dir.path().join("none")).contains("there is no such folder"));
    assert!(refused(dir.path()).contains("it has no config.toml"));
    for (name, content, part) in [
        ("scores.json", "{", "scores.json: EOF"),
        (
            "scores.json",
            "{\"model_hash\":null,\"adapters\":null,\"options\":{},\"directions\":[],\"mean\":[]}",
            "holds no scores",
        ),
        (
            "explore.json",
            "{\"demand\":{\"languages\":[\"deu_Latn\"],\"layers\":[\"encoder.layers.0\"],\"share\":[[0.5,0.5]]}}",
            "1 rows (languages) of 1 numbers",
        ),
        ("cost.json", "3", "cost.json"),
        ("inputs.json", "{\"base\":1}", "inputs.json"),
    ] {
        let path = run.join(name);
        std::fs::write(&path, content).unwrap();
        let error = refused(&run);
        assert!(error.contains(part), "{error}");
        std::fs::remove_file(path).unwrap();
    }
    let twice = [input(&run), input(&dir.path().join("bare/"))];
    let error = Report::read(&twice, ReportOptions::default()).unwrap_err();
    assert!(matches!(error, ReportError::Twice { .. }), "{error}");
    for (per_hour, currency) in [(-1.0, "EUR"), (f64::NAN, "EUR"), (1.0, "euro")] {
        let price = Some(Price {
            per_hour,
            currency: currency.into(),
        });
        let options = ReportOptions {
            price,
            ..ReportOptions::default()
        };
        let error = Report::read(&[input(&run)], options).unwrap_err();
        assert!(matches!(error, ReportError::Price { .. }), "{error}");
    }
}
