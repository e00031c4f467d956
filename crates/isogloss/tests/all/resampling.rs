//! Confidence intervals and paired tests with the numbers of sacreBLEU 2.6, from a fixture that
//! `scripts/fixtures/resampling.py` wrote: sentences of FLORES-200 in fourteen scripts.

use crate::scores::{metric, rows, strings};
use isogloss::evaluate::{EvaluateError, Metric, PairedTest, SACREBLEU_SEED};
use serde_json::Value;
use std::collections::BTreeSet;

const RESAMPLING: &str = include_str!("../fixtures/scores/resampling.jsonl");
const RESAMPLES: u32 = 200;

/// sacreBLEU computes resampled scores in single precision.
fn near(found: f64, expected: &Value) -> bool {
    (found - expected.as_f64().unwrap()).abs() < 1e-3
}

fn lists(value: &Value) -> Vec<Vec<String>> {
    value.as_array().unwrap().iter().map(strings).collect()
}

#[test]
fn confidence_and_paired_tests_are_those_of_sacrebleu_in_fourteen_scripts() {
    let languages = rows(RESAMPLING).split_off(1);
    let script = |row: &Value| row["language"].as_str().unwrap()[4..].to_owned();
    let scripts: BTreeSet<String> = languages.iter().map(script).collect();
    assert_eq!(scripts.len(), 14);
    for row in &languages {
        let references = [strings(&row["references"])];
        let systems = lists(&row["systems"]);
        for result in row["results"].as_array().unwrap() {
            let case = format!(
                "{} {} {}",
                row["language"], result["metric"], result["options"]
            );
            let metric = metric(result);
            let score = metric
                .corpus_score_with_confidence(&systems[0], &references, RESAMPLES, SACREBLEU_SEED)
                .unwrap();
            assert_eq!(
                score.to_string(),
                result["line"].as_str().unwrap(),
                "{case}"
            );
            assert_eq!(score.signature().short(), result["short"].as_str().unwrap());
            let confidence = score.confidence().unwrap();
            assert!(near(confidence.mean, &result["mean"]), "{case}");
            assert!(near(confidence.half_width, &result["ci"]), "{case}");

            let statistics: Vec<_> = systems
                .iter()
                .map(|system| metric.corpus_statistics(system, &references).unwrap())
                .collect();
            for (key, test) in [
                ("bs", PairedTest::Bootstrap),
                ("ar", PairedTest::Randomisation),
            ] {
                let expected = &result[key];
                let signature = metric.paired_signature(1, test, RESAMPLES, SACREBLEU_SEED);
                assert_eq!(
                    signature.to_string(),
                    expected["signature"].as_str().unwrap()
                );
                assert_eq!(signature.short(), expected["short"].as_str().unwrap());
                let found = metric
                    .paired_test(&statistics, test, RESAMPLES, SACREBLEU_SEED)
                    .unwrap();
                for (found, expected) in found.iter().zip(expected["systems"].as_array().unwrap()) {
                    assert!((found.score - expected["score"].as_f64().unwrap()).abs() < 1e-9);
                    let p = expected["p_value"].as_f64();
                    assert_eq!(found.p.is_some(), p.is_some(), "{case} {key}");
                    let apart = found.p.zip(p).map_or(0.0, |(a, b)| a - b);
                    assert!(apart.abs() < 1e-12, "{case} {key}: {:?}, {p:?}", found.p);
                    assert_eq!(found.confidence.is_some(), expected["mean"].is_f64());
                    if let Some(confidence) = found.confidence {
                        assert!(near(confidence.mean, &expected["mean"]), "{case} {key}");
                        assert!(near(confidence.half_width, &expected["ci"]), "{case} {key}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_tested_is_named() {
    let bleu = Metric::parse("bleu").unwrap();
    let statistics = |lines: &[&str]| bleu.corpus_statistics(lines, &[lines]).unwrap();
    let test = |systems: &[_], resamples| {
        bleu.paired_test(systems, PairedTest::Bootstrap, resamples, 1)
            .unwrap_err()
    };
    let (one, two) = (statistics(&["a"]), statistics(&["a", "b"]));
    assert_eq!(test(&[], 9), EvaluateError::NoHypotheses);
    assert_eq!(
        test(&[one.clone(), one.clone()], 0),
        EvaluateError::NoResamples
    );
    assert_eq!(
        test(&[two, one.clone()], 9).to_string(),
        "system 2 has 1 lines, the baseline has 2: they must be parallel"
    );
    assert!(matches!(
        test(&[one, vec![vec![1.0]]], 9),
        EvaluateError::Statistics { found: 1, .. }
    ));
    let none = bleu.corpus_score_with_confidence(&["a"], &[["a"]], 0, 1);
    assert_eq!(none, Err(EvaluateError::NoResamples));
}
