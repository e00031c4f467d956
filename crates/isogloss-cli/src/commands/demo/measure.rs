//! Translates the demo's test text with each method's model and scores it.

use super::{Args, HARM, Plan, Row};
use crate::failure::{Failure, Outcome};
use isogloss::adapter::{self, AdapterSet};
use isogloss::batch::LanguageId;
use isogloss::checkpoint::{self, Checkpoint};
use isogloss::corpus::{Corpus, DataConfig, DirectionFilter};
use isogloss::decode::{DecodeOptions, Request, Translator};
use isogloss::evaluate::Metric;
use isogloss::language::{Direction, Language};
use isogloss::model::{Context, Model};
use isogloss::params::ParamStore;
use isogloss::tokenize::Tokenizer;
use isogloss::train::{self, Adaptation};
use isogloss_kernels::Cpu;

/// Where no update is selected.
const NO_UPDATE: LanguageId = LanguageId(u16::MAX);

/// Scores of some directions.
#[derive(Debug)]
pub(super) struct Evaluation {
    pub directions: Vec<DirectionScore>,
    /// Of the metric, as sacreBLEU writes it.
    pub signature: String,
}

/// chrF++ of a direction, and its translations.
#[derive(Debug)]
pub(super) struct DirectionScore {
    pub direction: Direction,
    pub chrf: f64,
    pub sources: Vec<String>,
    pub references: Vec<String>,
    pub hypotheses: Vec<String>,
}

impl Evaluation {
    /// Mean chrF++ of the directions that `keep` keeps.
    pub(super) fn mean(&self, keep: impl Fn(&Direction) -> bool) -> Option<f64> {
        let scores = self.directions.iter().filter(|d| keep(&d.direction));
        let scores: Vec<f64> = scores.map(|d| d.chrf).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }
}

/// The test text and the base.
pub(super) struct Measure {
    backend: Cpu,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    adapted: Test,
    others: Test,
    quiet: bool,
}

/// Text of some directions.
struct Test {
    corpus: Corpus,
    sentences: usize,
}

/// A model with its updates.
struct Loaded<'a> {
    model: Model<f32>,
    set: AdapterSet,
    store: ParamStore<f32>,
    tokenizer: &'a Tokenizer,
}

fn text(args: &Args, folder: &str, directions: Vec<Direction>, sentences: usize) -> Outcome<Test> {
    let section = serde_json::json!({
        "format": "tsv-rows", "path": "{lang}.tsv", "key": "id", "text": "text", "where": { "split": "test" },
    });
    let section: DataConfig = serde_json::from_value(section).map_err(Failure::internal)?;
    let base = args.root.join("examples").join(folder);
    let wanted = DirectionFilter::Only(directions.into_iter().collect());
    let corpus = Corpus::load(&[section], &base, &wanted).map_err(Failure::input)?;
    Ok(Test { corpus, sentences })
}

impl Measure {
    pub(super) fn new(args: &Args, plan: &Plan, quiet: bool) -> Outcome<Self> {
        let model_dir = plan.dir.join(&plan.config.model);
        let english: Language = "eng_Latn".parse().map_err(Failure::internal)?;
        let mut others = Vec::new();
        for code in HARM {
            let language: Language = code.parse().map_err(Failure::internal)?;
            let out = Direction::new(english.clone(), language);
            others.extend([out.reversed(), out]);
        }
        let sentences = if args.quick { 26 } else { usize::MAX };
        Ok(Measure {
            backend: train::backend(plan.config.compute).map_err(Failure::input)?,
            checkpoint: checkpoint::open(&model_dir).map_err(Failure::input)?,
            tokenizer: Tokenizer::open(&model_dir).map_err(Failure::input)?,
            adapted: text(args, "factory", plan.directions(), sentences)?,
            others: text(args, "everyday", others, sentences)?,
            quiet,
        })
    }

    pub(super) fn base_parameters(&self) -> usize {
        self.checkpoint.config.parameters()
    }

    /// The untouched model.
    pub(super) fn base(&self) -> Outcome<Row> {
        let tensors = self.checkpoint.tensors.clone();
        let loaded = Loaded {
            model: Model::new(&self.checkpoint.config, tensors, None).map_err(Failure::input)?,
            set: AdapterSet::none(Vec::new()),
            store: ParamStore::new(),
            tokenizer: &self.tokenizer,
        };
        self.row("base", 0, 0.0, &loaded)
    }

    /// A method, from the files that training left.
    pub(super) fn method(&self, method: &'static str, adapted: &Adaptation) -> Outcome<Row> {
        let mut store = ParamStore::new();
        let (model, set) = if method == "full" {
            let saved = checkpoint::open(&adapted.result).map_err(Failure::input)?;
            let model = Model::new(&saved.config, saved.tensors, None);
            (model, AdapterSet::none(Vec::new()))
        } else {
            let (config, hash) = (&self.checkpoint.config, self.checkpoint.hash().to_string());
            let set = adapter::load(&adapted.result, config, &hash, &mut store)
                .map_err(Failure::input)?;
            let tensors = self.checkpoint.tensors.clone();
            (Model::new(config, tensors, None), set)
        };
        let loaded = Loaded {
            model: model.map_err(Failure::input)?,
            set,
            store,
            tokenizer: &self.tokenizer,
        };
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
        loaded: &Loaded<'_>,
    ) -> Outcome<Row> {
        let apart = method == "lslo";
        Ok(Row {
            method,
            trainable,
            seconds,
            adapted: self.evaluate(method, loaded, &self.adapted, false)?,
            // A language-specific update is served where it was trained; everything else runs on the base.
            others: self.evaluate(method, loaded, &self.others, apart)?,
            combined: apart
                .then(|| self.evaluate(method, loaded, &self.others, false))
                .transpose()?,
        })
    }

    /// Translates greedily and scores; `on_base` selects no update whatever the language.
    fn evaluate(
        &self,
        method: &str,
        loaded: &Loaded<'_>,
        test: &Test,
        on_base: bool,
    ) -> Outcome<Evaluation> {
        let mut requests = Vec::new();
        // The shared update is every language's; the others' is looked up.
        let shared = loaded.set.updates.iter().any(|u| u.name == "shared");
        let id = |language: &Language| match loaded.set.language_id(language) {
            _ if on_base => NO_UPDATE,
            None if shared => LanguageId(0),
            id => id.unwrap_or(NO_UPDATE),
        };
        for (direction, _) in test.corpus.directions() {
            let tag = loaded
                .tokenizer
                .language_id(&direction.target)
                .map_err(Failure::input)?;
            for (source, _) in test.corpus.pairs(direction).take(test.sentences) {
                let source_ids = loaded.tokenizer.source_ids(source, &direction.source);
                requests.push(Request {
                    source_ids: source_ids.map_err(Failure::input)?,
                    source_language: id(&direction.source),
                    target_language: id(&direction.target),
                    target_tag: tag,
                });
            }
        }
        let bar = super::show::translating(method, requests.len(), self.quiet);
        let cx = Context {
            backend: &self.backend,
            store: &loaded.store,
            adapters: &loaded.set.adapters,
            dropout: None,
        };
        let translator = Translator::new(&loaded.model, cx).with_batch_tokens(2048);
        let found = self.backend.install(|| {
            translator.translate_ids(&requests, &DecodeOptions::greedy(), &mut |p| {
                bar.set_position(p.sentences as u64);
            })
        });
        bar.finish_and_clear();
        let texts = found
            .map_err(Failure::input)?
            .into_iter()
            .map(|hypotheses| {
                let best = hypotheses.into_iter().next();
                best.map_or_else(String::new, |h| loaded.tokenizer.decode(&h.ids))
            });
        score(test, texts)
    }
}

fn score(test: &Test, mut texts: impl Iterator<Item = String>) -> Outcome<Evaluation> {
    let metric = Metric::parse("chrf++").map_err(Failure::internal)?;
    let mut directions = Vec::new();
    for (direction, _) in test.corpus.directions() {
        let pairs = test.corpus.pairs(direction).take(test.sentences);
        let (sources, references): (Vec<String>, Vec<String>) =
            pairs.map(|(s, t)| (s.to_owned(), t.to_owned())).unzip();
        let hypotheses: Vec<String> = texts.by_ref().take(sources.len()).collect();
        let score = metric
            .corpus_score(&hypotheses, &[&references])
            .map_err(Failure::internal)?;
        directions.push(DirectionScore {
            direction: direction.clone(),
            chrf: score.value(),
            sources,
            references,
            hypotheses,
        });
    }
    Ok(Evaluation {
        directions,
        signature: metric.signature(1).to_string(),
    })
}
