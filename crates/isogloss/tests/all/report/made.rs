//! Made-up runs: recommendations, few and many languages, hostile text.

use super::{pages, parsed};
use isogloss::evaluate::Verdict;
use isogloss::language::{Direction, Language};
use isogloss::report::{
    Conclusion, Curve, DirectionChange, Example, MeanChange, Quality, Recommendation, Report, Run,
    RunLanguage, Test, Tongue,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Languages that are known by name, and directions between all of them.
fn languages(n: usize) -> Vec<Language> {
    Language::all_known().take(n).collect()
}

fn change(direction: Direction, change: f64, verdict: Verdict) -> DirectionChange {
    DirectionChange {
        direction,
        sentences: 1012,
        score: 20.0 + change,
        base: Some(20.0),
        change: Some(change),
        interval: Some([change - 0.5, change + 0.5]),
        lower_bound: Some(change - 0.75),
        p: Some(0.01),
        p_adjusted: Some(0.02),
        verdict: Some(verdict),
    }
}

/// A tested run of languages whose directions change as `of` says; those of which it says nothing failed.
fn tested(languages: &[Language], of: impl Fn(usize) -> Option<(f64, Verdict)>) -> Run {
    let from = |a: &Language| {
        let others = languages.iter().filter(move |b| *b != a);
        others
            .map(|b| Direction::new(a.clone(), b.clone()))
            .collect::<Vec<_>>()
    };
    let all: Vec<Direction> = languages.iter().flat_map(from).collect();
    let (mut directions, mut missing) = (Vec::new(), Vec::new());
    for (i, direction) in all.iter().enumerate() {
        match of(i) {
            Some((points, verdict)) => directions.push(change(direction.clone(), points, verdict)),
            None => missing.push(direction.clone()),
        }
    }
    let worse = directions
        .iter()
        .filter(|d| d.verdict == Some(Verdict::Worse));
    let worse: Vec<Direction> = worse.map(|d| d.direction.clone()).collect();
    let unproven = directions.iter().filter(|d| d.lower_bound.unwrap() <= -0.5);
    let n = directions.len().max(1) as f64;
    let mean = MeanChange {
        change: directions.iter().filter_map(|d| d.change).sum::<f64>() / n,
        interval: Some([0.0, 1.0]),
        directions: directions.len(),
    };
    Run {
        name: "made".into(),
        path: "made".into(),
        method: Some("lslo".into()),
        languages: languages
            .iter()
            .map(|language| RunLanguage {
                language: language.clone(),
                class: Some("low".into()),
                parameters: Some(1000),
            })
            .collect(),
        trained: all,
        quality: Some(Quality {
            metric: "chrf++".into(),
            signature: "nrefs:1".into(),
            higher_is_better: true,
            metrics: Vec::new(),
            options: BTreeMap::new(),
            missing,
            mean: Some(mean),
            classes: Vec::new(),
            test: Some(Test {
                against: "base".into(),
                resamples: 20_000,
                seed: 1,
                level: 0.95,
                margin: -0.5,
                correction: "max-t".into(),
            }),
            unproven: unproven.map(|d| d.direction.clone()).collect(),
            harmed: worse,
            directions,
        }),
        ..Run::default()
    }
}

#[test]
fn recommendations_follow_from_what_is_proven() {
    use Verdict::{Better, Unclear, Worse};
    let three = languages(3);
    let (up, flat, down) = (
        Some((2.0, Better)),
        Some((0.3, Unclear)),
        Some((-2.0, Worse)),
    );
    for (changes, recommendation, rollout) in [
        ([up; 6], Recommendation::All, [6, 0, 0]),
        ([up, up, up, up, up, None], Recommendation::Some, [5, 0, 0]),
        (
            [up, flat, flat, flat, down, Some((-0.1, Unclear))],
            Recommendation::Some,
            [1, 3, 2],
        ),
        ([flat; 6], Recommendation::Keep, [0, 6, 0]),
        ([down; 6], Recommendation::Keep, [0, 0, 6]),
    ] {
        let conclusion = Conclusion::of(&tested(&three, |i| changes[i]));
        assert_eq!(conclusion.recommendation, recommendation);
        let lists = [
            &conclusion.rollout.adapted,
            &conclusion.rollout.trial,
            &conclusion.rollout.base,
        ];
        assert_eq!(lists.map(Vec::len), rollout);
    }
}

#[test]
fn the_page_speaks_of_the_run_that_gains_most_without_harm() {
    use Verdict::{Better, Unclear, Worse};
    let three = languages(3);
    let run = |name: &str, of: &dyn Fn(usize) -> Option<(f64, Verdict)>| Run {
        path: name.into(),
        ..tested(&three, of)
    };
    let harmless = run("harmless", &|_| Some((1.0, Better)));
    let small = run("small", &|_| Some((0.5, Unclear)));
    let harmful = run("harmful", &|i| {
        Some(if i == 0 { (-3.0, Worse) } else { (5.0, Better) })
    });
    let untested = Run {
        path: "untested".into(),
        quality: None,
        ..harmful.clone()
    };
    let lead = |runs: &[&Run]| {
        let report = Report::of(runs.iter().map(|run| (*run).clone()).collect(), None, None);
        pages(&report);
        report.lead_run().unwrap().name.clone()
    };
    assert_eq!(lead(&[&untested, &harmful, &small, &harmless]), "harmless");
    assert_eq!(lead(&[&harmful, &small]), "small");
    assert_eq!(lead(&[&untested, &harmful]), "harmful");
    assert_eq!(lead(&[&untested]), "untested");
}

#[test]
fn one_language_and_no_run_are_pages() {
    pages(&Report::of(Vec::new(), None, None));
    for n in 0..=2 {
        let report = Report::of(vec![tested(&languages(n), |_| None)], None, None);
        pages(&report);
    }
}

#[test]
fn two_hundred_languages_are_a_page() {
    use Verdict::{Better, Unclear, Worse};
    let run = tested(&languages(200), |i| match i % 7 {
        0 => None,
        1 => Some((-3.0, Worse)),
        2 => Some((4.0 + (i % 5) as f64, Better)),
        _ => Some((0.2, Unclear)),
    });
    let report = Report::of(vec![run], None, None);
    for page in pages(&report) {
        assert!(page.len() < 4_000_000, "{} bytes", page.len());
        assert!(page.contains("39,800") || page.contains("34,114"));
        assert!(page.contains("class=\"big-map\""));
    }
    // Up to 32 languages the map is a table that a screen reader reads.
    let report = Report::of(
        vec![tested(&languages(30), |_| Some((1.0, Better)))],
        None,
        None,
    );
    let [page, _] = pages(&report);
    assert!(page.contains("<table class=\"map small\">") && !page.contains("class=\"big-map\""));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever stands in the files of a run, it is text on the page.
    #[test]
    fn nothing_in_a_run_becomes_markup(text in "[<>&\"' a-z/={}\\u{0}\\u{1b}\\u{202e}א-ת。]{0,24}") {
        let direction: Direction = "deu_Latn-eng_Latn".parse().unwrap();
        let mut run = tested(&languages(2), |_| Some((1.0, Verdict::Better)));
        run.path = PathBuf::from("a").join(text.replace(['\0', '/'], "_"));
        for field in [&mut run.method, &mut run.preset, &mut run.base, &mut run.config] {
            *field = Some(text.clone());
        }
        run.languages[0].class = Some(text.clone());
        run.hashes.insert(text.clone(), text.clone());
        run.commands = vec![text.clone()];
        run.curve = Curve { training: vec![(1.0, 2.0)], validation: vec![(1.0, f64::NAN)], best: None };
        run.examples = vec![Example {
            direction,
            sentence: 1,
            source: Some(text.clone()),
            reference: Some(text.clone()),
            before: text.clone(),
            after: format!("{text}<b>"),
            change: Some(1.0),
        }];
        let quality = run.quality.as_mut().unwrap();
        quality.metric.clone_from(&text);
        quality.options.insert(text.clone(), serde_json::json!({ text.clone(): text.clone() }));
        let test = quality.test.as_mut().unwrap();
        test.against.clone_from(&text);
        test.correction.clone_from(&text);
        for tongue in Tongue::ALL {
            let page = Report::of(vec![run.clone()], None, Some(text.clone())).html(tongue);
            let (tags, _) = parsed(&page);
            prop_assert_eq!(page.matches("<script").count(), 1);
            prop_assert!(tags.iter().all(|tag| !tag.starts_with("b ") || tag == "b"));
            let control = page.contains(['\0', '\u{1b}']);
            prop_assert!(!control);
        }
    }
}
