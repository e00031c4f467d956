//! Translates the demo's test text with each method's model and scores it.

use super::plan::{Plan, Size};
use super::{Args, HARM, Row, show};
use crate::failure::{Failure, Outcome};
use isogloss::corpus::{Corpus, DataConfig, DirectionFilter};
use isogloss::decode::{DecodeOptions, Loaded, MissingUpdates, TextOptions};
use isogloss::evaluate::{Evaluation, Metric, NamedMetric};
use isogloss::language::{Direction, Language};
use isogloss::train::Adaptation;
use isogloss_kernels::{Cpu, Precision};
use std::path::PathBuf;

/// Source tokens translated together.
const BATCH_TOKENS: usize = 2048;

/// Scores of some directions.
#[derive(Debug)]
pub(super) struct Scores {
    pub directions: Vec<DirectionScore>,
    /// Of the metric, as sacreBLEU writes it.
    pub signature: String,
}

/// chrF++ of a direction, and its translations.
#[derive(Debug)]
pub(super) struct DirectionScore {
    pub direction: Direction,
    pub chrf: f64,
    pub hypotheses: Vec<String>,
}

impl Scores {
    /// Mean chrF++ of the directions that `keep` keeps.
    pub(super) fn mean(&self, keep: impl Fn(&Direction) -> bool) -> Option<f64> {
        let scores = self.directions.iter().filter(|d| keep(&d.direction));
        let scores: Vec<f64> = scores.map(|d| d.chrf).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }
}

/// The test text, and what translates it.
pub(super) struct Measure {
    backend: Cpu,
    base: PathBuf,
    adapted: Corpus,
    others: Corpus,
    /// Whether adapters are tried where they weren't trained, too.
    combined: bool,
    quiet: bool,
}

fn text(args: &Args, folder: &str, directions: Vec<Direction>) -> Outcome<Corpus> {
    let section = serde_json::json!({
        "format": "tsv-rows", "path": "{lang}.tsv", "key": "id", "text": "text", "where": { "split": "test" },
    });
    let section: DataConfig = serde_json::from_value(section).map_err(Failure::internal)?;
    let base = args.root.join("examples").join(folder);
    let wanted = DirectionFilter::Only(directions.into_iter().collect());
    Corpus::load(&[section], &base, &wanted).map_err(Failure::input)
}

impl Measure {
    pub(super) fn new(args: &Args, plan: &Plan, size: &Size, quiet: bool) -> Outcome<Self> {
        let english: Language = "eng_Latn".parse().map_err(Failure::internal)?;
        let mut others = Vec::new();
        for code in HARM {
            let language: Language = code.parse().map_err(Failure::internal)?;
            let out = Direction::new(english.clone(), language);
            others.extend([out.reversed(), out]);
        }
        let backend = plan.config.compute.backend().map_err(Failure::input)?;
        Ok(Measure {
            backend: backend.with_precision(Precision::Int8),
            base: plan.dir.join(&plan.config.model),
            adapted: text(args, "factory", plan.directions())?,
            others: text(args, "everyday", others)?,
            combined: size.combined,
            quiet,
        })
    }

    /// Test text of the adapted directions.
    pub(super) fn adapted(&self) -> &Corpus {
        &self.adapted
    }

    /// Test sentences, all directions together: of the adapted ones, and of the others.
    pub(super) fn sentences(&self) -> [usize; 2] {
        [&self.adapted, &self.others]
            .map(|text| text.directions().map(|(_, sentences)| sentences).sum())
    }

    /// Parameters of the base, and its scores.
    pub(super) fn base(&self, step: &str) -> Outcome<(usize, Row)> {
        let loaded = Loaded::open(&self.base, None).map_err(Failure::input)?;
        let loaded = loaded.packed(&self.backend);
        let parameters = loaded.model.config().parameters();
        Ok((parameters, self.row("base", step, (0, 0.0), &loaded)?))
    }

    /// A method, from the files that training left.
    pub(super) fn method(
        &self,
        method: &'static str,
        step: &str,
        adapted: &Adaptation,
    ) -> Outcome<Row> {
        let loaded = match method {
            "full" => Loaded::open(&adapted.result, None),
            _ => Loaded::open(&self.base, Some(&adapted.result)),
        };
        let loaded = loaded.map_err(Failure::input)?.packed(&self.backend);
        let cost = (adapted.trainable, adapted.trained.state.seconds);
        self.row(method, step, cost, &loaded)
    }

    fn row(
        &self,
        method: &'static str,
        step: &str,
        (trainable, seconds): (usize, f64),
        loaded: &Loaded,
    ) -> Outcome<Row> {
        let scores = |text, missing| self.evaluate(step, loaded, text, missing);
        Ok(Row {
            method,
            trainable,
            seconds,
            adapted: scores(&self.adapted, MissingUpdates::Error)?,
            others: scores(&self.others, MissingUpdates::Base)?,
            combined: (self.combined && !loaded.set.updates.is_empty())
                .then(|| scores(&self.others, MissingUpdates::Combine))
                .transpose()?,
        })
    }

    /// Translates greedily in int8 and scores.
    fn evaluate(
        &self,
        step: &str,
        loaded: &Loaded,
        text: &Corpus,
        missing: MissingUpdates,
    ) -> Outcome<Scores> {
        let metric = Metric::parse("chrf++").map_err(Failure::internal)?;
        let signature = metric.signature(1).to_string();
        let directions = text.directions().map(|(d, _)| d.clone()).collect();
        let metrics = vec![NamedMetric {
            name: "chrf++".to_owned(),
            metric,
        }];
        let evaluation = Evaluation::new(text, directions, metrics).map_err(Failure::input)?;
        let bar = show::translating(step, evaluation.sentences(), self.quiet);
        let translator = loaded
            .translator(&self.backend, Some(BATCH_TOKENS))
            .map_err(Failure::input)?;
        let options = TextOptions {
            missing,
            ..TextOptions::default()
        };
        let greedy = DecodeOptions::greedy();
        let translations = evaluation.translate(&translator, options, &greedy, &mut |p| {
            bar.set_position(p.sentences as u64);
        });
        bar.finish_and_clear();
        let translations = translations.map_err(Failure::input)?;
        let scored = evaluation.score(&translations).map_err(Failure::internal)?;
        let directions = scored
            .into_iter()
            .zip(translations)
            .map(|(scored, hypotheses)| {
                let chrf = scored.scores.first().map_or(f64::NAN, |s| s.score);
                DirectionScore {
                    direction: scored.direction,
                    chrf,
                    hypotheses,
                }
            });
        Ok(Scores {
            directions: directions.collect(),
            signature,
        })
    }
}
