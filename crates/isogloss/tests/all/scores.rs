//! The numbers and signatures of sacreBLEU 2.6, from fixtures that `scripts/fixtures/scores.py` wrote.

use isogloss::evaluate::{Bleu, Chrf, EvaluateError, Metric, Smoothing, Ter, Tokenizer};
use proptest::prelude::*;
use serde_json::Value;
use std::path::Path;

const METRICS: &str = include_str!("../fixtures/scores/metrics.jsonl");
const CASES: &str = include_str!("../fixtures/scores/cases.jsonl");
/// Written by `scripts/fixtures/spbleu.py`.
const SPBLEU: &str = include_str!("../fixtures/scores/spbleu.jsonl");

pub(crate) fn rows(text: &str) -> Vec<Value> {
    text.split_terminator('\n')
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

pub(crate) fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

/// The metric with the options that sacreBLEU's constructor was given.
pub(crate) fn metric(row: &Value) -> Metric {
    let options = &row["options"];
    let flag = |key: &str| options[key].as_bool().unwrap_or(false);
    let order = |key: &str, default: usize| options[key].as_u64().map_or(default, |n| n as usize);
    match row["metric"].as_str().unwrap() {
        "bleu" => Metric::Bleu(Bleu {
            tokenizer: Tokenizer::parse(options["tokenize"].as_str().unwrap_or("13a")).unwrap(),
            smoothing: Smoothing::parse(
                options["smooth_method"].as_str().unwrap_or("exp"),
                options["smooth_value"].as_f64(),
            )
            .unwrap(),
            lowercase: flag("lowercase"),
            effective_order: flag("effective_order"),
        }),
        "chrf" => Metric::Chrf(Chrf {
            character_order: order("char_order", 6),
            word_order: order("word_order", 0),
            beta: order("beta", 2) as u32,
            lowercase: flag("lowercase"),
            whitespace: flag("whitespace"),
            epsilon_smoothing: flag("eps_smoothing"),
        }),
        "ter" => Metric::Ter(Ter {
            normalized: flag("normalized"),
            no_punctuation: flag("no_punct"),
            asian_support: flag("asian_support"),
            case_sensitive: flag("case_sensitive"),
        }),
        other => panic!("unknown metric {other}"),
    }
}

#[test]
fn numbers_and_lines_are_those_of_sacrebleu() {
    let metrics: Vec<(Value, Metric)> = rows(METRICS)
        .into_iter()
        .map(|row| (row.clone(), metric(&row)))
        .collect();
    let cases = rows(CASES);
    assert!(cases.len() >= 250);
    let mut wrong = Vec::new();
    for case in &cases {
        let hypotheses = strings(&case["hypotheses"]);
        let references: Vec<Vec<String>> = case["references"]
            .as_array()
            .unwrap()
            .iter()
            .map(strings)
            .collect();
        for (i, (row, metric)) in metrics.iter().enumerate() {
            let score = metric.corpus_score(&hypotheses, &references).unwrap();
            let expected = case["scores"][i].as_f64().unwrap();
            if (score.value() - expected).abs() >= 1e-9 {
                wrong.push(format!(
                    "{row} {hypotheses:?} {references:?}: {} instead of {expected}",
                    score.value()
                ));
            }
            if let Some(line) = case["lines"][i].as_str() {
                assert_eq!(score.to_string(), line);
            }
            let signatures = &row["signatures"][references.len() - 1];
            assert_eq!(
                score.signature().to_string(),
                signatures[0].as_str().unwrap()
            );
            assert_eq!(score.signature().short(), signatures[1].as_str().unwrap());
            assert_eq!(score.name(), row["name"].as_str().unwrap());
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_sentence_is_a_corpus_of_one_line() {
    for case in rows(CASES)
        .iter()
        .filter(|case| case["lines"].is_null())
        .step_by(7)
    {
        let hypotheses = strings(&case["hypotheses"]);
        let references: Vec<Vec<String>> = case["references"]
            .as_array()
            .unwrap()
            .iter()
            .map(strings)
            .collect();
        let of_line: Vec<&String> = references.iter().flatten().collect();
        for row in rows(METRICS) {
            let metric = metric(&row);
            let score = metric.sentence_score(&hypotheses[0], &of_line).unwrap();
            assert_eq!(
                score,
                metric.corpus_score(&hypotheses, &references).unwrap()
            );
        }
    }
}

#[test]
fn a_corpus_is_the_sum_of_its_lines_on_any_number_of_threads() {
    for case in rows(CASES)
        .iter()
        .filter(|case| !case["lines"].is_null())
        .step_by(5)
    {
        let hypotheses = strings(&case["hypotheses"]);
        let references: Vec<Vec<String>> = case["references"]
            .as_array()
            .unwrap()
            .iter()
            .map(strings)
            .collect();
        for metric in rows(METRICS).iter().map(metric) {
            let mut sum = vec![0.0; metric.statistics_len()];
            for (line, hypothesis) in hypotheses.iter().enumerate() {
                let of_line: Vec<&str> = references
                    .iter()
                    .map(|stream| stream[line].as_str())
                    .collect();
                let statistics = metric.statistics(hypothesis, &of_line).unwrap();
                sum.iter_mut()
                    .zip(statistics)
                    .for_each(|(sum, number)| *sum += number);
            }
            let summed = metric.score_from(&sum, references.len()).unwrap();
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                let score = pool
                    .install(|| metric.corpus_score(&hypotheses, &references))
                    .unwrap();
                assert_eq!(score, summed);
            }
        }
    }
}

#[test]
fn pieces_are_tokens_and_their_name_is_in_the_signature() {
    let by_character = |line: &str| line.chars().map(String::from).collect::<Vec<_>>().join(" ");
    let spbleu = Metric::spbleu("flores200", by_character);
    let characters = Metric::Bleu(Bleu {
        tokenizer: Tokenizer::Char,
        ..Bleu::default()
    });
    let (hypotheses, references) = (["ein kurzer Satz"], [["ein kürzerer Satz"]]);
    let score = spbleu.corpus_score(&hypotheses, &references).unwrap();
    assert_eq!(
        score.value(),
        characters
            .corpus_score(&hypotheses, &references)
            .unwrap()
            .value()
    );
    assert_eq!(
        score.signature().to_string(),
        "nrefs:1|case:mixed|eff:no|tok:flores200|smooth:exp|version:2.6.0"
    );
    assert_eq!(score.signature().get("tok"), Some("flores200"));
}

/// The pieces that a tokenizer cuts a line into, which a tokenizer shows to nobody but BLEU.
fn pieces(tokenizer: &Tokenizer, line: &str) -> String {
    match tokenizer {
        Tokenizer::SentencePiece { pieces, .. } => pieces(line),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pieces_of_a_model_file_are_those_of_sacrebleu() {
    let rows = rows(SPBLEU);
    let (lines, models) = rows.split_first().unwrap();
    let hypotheses = strings(&lines["hypotheses"]);
    let references = strings(&lines["references"]);
    assert!(hypotheses.len() >= 50 && models.len() == 5);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenize");
    for row in models {
        let model = row["model"].as_str().unwrap();
        let tokenizer = Tokenizer::open_sentencepiece(&folder.join(model)).unwrap();
        assert_eq!(tokenizer.name(), row["name"].as_str().unwrap());
        let metric = Metric::Bleu(Bleu {
            tokenizer: tokenizer.clone(),
            ..Bleu::default()
        });
        let scores = row["scores"].as_array().unwrap();
        let expected = strings(&row["pieces"]).into_iter().zip(scores);
        for ((hypothesis, reference), (cut, score)) in
            hypotheses.iter().zip(&references).zip(expected)
        {
            assert_eq!(
                pieces(&tokenizer, hypothesis),
                cut,
                "{model}: {hypothesis:?}"
            );
            let found = metric.sentence_score(hypothesis, &[reference]).unwrap();
            let score = score.as_f64().unwrap();
            assert!(
                (found.value() - score).abs() < 1e-9,
                "{model}: {hypothesis:?}"
            );
        }
        let found = metric.corpus_score(&hypotheses, &[&references]).unwrap();
        assert!((found.value() - row["score"].as_f64().unwrap()).abs() < 1e-9);
    }

    let error = Tokenizer::open_sentencepiece(&folder.join("expected.json")).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("expected.json: no usable SentencePiece model"),
        "{message}"
    );
    let error = Tokenizer::open_sentencepiece(&folder.join("absent")).unwrap_err();
    assert!(
        error.to_string().contains("absent: cannot read it: "),
        "{error}"
    );
}

#[test]
fn names_are_parsed() {
    for (name, printed) in [
        ("bleu", "BLEU"),
        ("chrF", "chrF2"),
        ("chrf+", "chrF2+"),
        ("chrF++", "chrF2++"),
        ("TER", "TER"),
    ] {
        assert_eq!(name.parse::<Metric>().unwrap().name(), printed);
    }
    assert!(matches!(
        Metric::parse("spBLEU"),
        Err(EvaluateError::NeedsSentencePiece { .. })
    ));
    let message = Metric::parse("meteor").unwrap_err().to_string();
    assert_eq!(
        message,
        "unknown metric `meteor`: expected bleu, spbleu, chrf, chrf+, chrf++ or ter"
    );
}

#[test]
fn streams_must_be_parallel() {
    let bleu = Metric::parse("bleu").unwrap();
    let none: [&str; 0] = [];
    let error = |hypotheses: &[&str], references: &[&[&str]]| {
        bleu.corpus_score(hypotheses, references).unwrap_err()
    };
    assert_eq!(error(&none, &[&none]), EvaluateError::NoHypotheses);
    assert_eq!(
        error(&["a"], &[]),
        EvaluateError::NoReferences { hypotheses: 1 }
    );
    assert_eq!(
        error(&["a"], &[&["a"], &none]),
        EvaluateError::EmptyReferences {
            stream: 2,
            hypotheses: 1
        }
    );
    let error = error(&["a", "b"], &[&["a", "b"], &["a", "b", "c"]]);
    assert_eq!(
        error,
        EvaluateError::LineCounts {
            stream: 2,
            references: 3,
            hypotheses: 2
        }
    );
    assert_eq!(
        error.to_string(),
        "reference stream 2 has 3 lines, the hypotheses have 2: they must be parallel"
    );
    assert_eq!(
        bleu.sentence_score("a", &none),
        Err(EvaluateError::NoReferences { hypotheses: 1 })
    );
    assert!(matches!(
        bleu.score_from(&[1.0, 2.0], 1),
        Err(EvaluateError::Statistics {
            expected: 10,
            found: 2,
            ..
        })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_gets_a_score(hypothesis in "\\PC{0,40}|[a-c .,'0-9&;-]{0,40}", reference in "\\PC{0,40}|[a-c .,]{0,40}") {
        for metric in rows(METRICS).iter().map(metric) {
            let score = metric.sentence_score(&hypothesis, &[&reference]).unwrap().value();
            prop_assert!(score.is_finite() && score >= 0.0);
            let same = metric.sentence_score(&reference, &[&reference]).unwrap().value();
            if !metric.higher_is_better() && !reference.contains(['&', '\'']) {
                prop_assert_eq!(same, 0.0);
            }
        }
    }
}
