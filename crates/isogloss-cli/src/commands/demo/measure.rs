//! Translates the demo's test text with each method's model and scores it.

use super::{Args, HARM, Plan, Row, show};
use crate::failure::{Failure, Outcome};
use isogloss::corpus::{Corpus, DataConfig, DirectionFilter};
use isogloss::decode::{DecodeOptions, Loaded, MissingUpdates, TextOptions};
use isogloss::evaluate::{Evaluation, Metric, NamedMetric};
use isogloss::language::{Direction, Language};
use isogloss::train::Adaptation;
use isogloss_kernels::Cpu;
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
    pub(super) fn new(args: &Args, plan: &Plan, quiet: bool) -> Outcome<Self> {
        let english: Language = "eng_Latn".parse().map_err(Failure::internal)?;
        let mut others = Vec::new();
        for code in HARM {
            let language: Language = code.parse().map_err(Failure::internal)?;
            let out = Direction::new(english.clone(), language);
            others.extend([out.reversed(), out]);
        }
        Ok(Measure {
            backend: plan.config.compute.backend().map_err(Failure::input)?,
            base: plan.dir.join(&plan.config.model),
            adapted: text(args, "factory", plan.directions())?,
            others: text(args, "everyday", others)?,
            quiet,
        })
    }

    /// Test text of the adapted directions.
    pub(super) fn adapted(&self) -> &Corpus {
        &self.adapted
    }

    /// Parameters of the base, and its scores.
    pub(super) fn base(&self) -> Outcome<(usize, Row)> {
        let loaded = Loaded::open(&self.base, None).map_err(Failure::input)?;
        let loaded = loaded.packed(&self.backend);
        let parameters = loaded.model.config().parameters();
        Ok((parameters, self.row("base", 0, 0.0, &loaded)?))
    }

    /// A method, from the files that training left.
    pub(super) fn method(&self, method: &'static str, adapted: &Adaptation) -> Outcome<Row> {
        let loaded = match method {
            "full" => Loaded::open(&adapted.result, None),
            _ => Loaded::open(&self.base, Some(&adapted.result)),
        };
        let loaded = loaded.map_err(Failure::input)?.packed(&self.backend);
        self.row(
            method,
            adapted.trainable,
            adapted.trained.state.seconds,
            &loaded,
        )
    }

    fn row(
        &self,
        method: &'static str,
        trainable: usize,
        seconds: f64,
        loaded: &Loaded,
    ) -> Outcome<Row> {
        let scores = |text, missing| self.evaluate(method, loaded, text, missing);
        Ok(Row {
            method,
            trainable,
            seconds,
            adapted: scores(&self.adapted, MissingUpdates::Error)?,
            others: scores(&self.others, MissingUpdates::Base)?,
            combined: (!loaded.set.updates.is_empty())
                .then(|| scores(&self.others, MissingUpdates::Combine))
                .transpose()?,
        })
    }

    /// Translates greedily and scores.
    fn evaluate(
        &self,
        method: &str,
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
        let bar = show::translating(method, evaluation.sentences(), self.quiet);
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
