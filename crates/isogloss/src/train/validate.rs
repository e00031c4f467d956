use isogloss_kernels::Backend;
use serde::{Deserialize, Serialize};

use crate::batch::LanguageId;
use crate::corpus::Corpus;
use crate::decode::{DecodeOptions, Request, Translator};
use crate::evaluate::Metric;
use crate::model::{Context, Model};
use crate::tokenize::Tokenizer;
use crate::train::TrainError;
use crate::train::data::{Example, Examples, LanguageIds, pack};

/// Most source tokens that are translated at a time, twice the default of a translator: here the head isn't packed ahead, so a step costs the
/// more the fewer sentences share it. No more than a batch of training has either, which keeps several times as much of a token.
const TRANSLATED: usize = 1024;

/// A measurement on held-out text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Negative log-likelihood for each target token in nats, averaged over directions.
    pub nll: f64,
    /// chrF++ of greedy translations, averaged over directions, where it is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chrf: Option<f64>,
}

impl Validation {
    /// More is better: chrF++ where it is measured, otherwise the log-likelihood.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.chrf.unwrap_or(-self.nll)
    }
}

/// Measures a model on held-out text.
pub trait Validate<B: Backend>: std::fmt::Debug {
    /// The measurement, with the store's values as they are.
    ///
    /// # Errors
    /// If text can't be translated or scored.
    fn validate(
        &self,
        cx: &Context<'_, B>,
        model: &Model<B::Real>,
    ) -> Result<Validation, TrainError>;
}

/// Held-out pairs of some directions.
#[derive(Debug)]
pub struct HeldOut<'a> {
    tokenizer: &'a Tokenizer,
    /// For the loss, by direction.
    examples: Vec<Vec<Example>>,
    /// For chrF++, by direction.
    translate: Vec<(Vec<Request>, Vec<String>)>,
    batch_tokens: usize,
}

impl<'a> HeldOut<'a> {
    /// The first `sentences` pairs of each direction for the loss, the first `translate` for chrF++.
    ///
    /// # Errors
    /// If the tokenizer doesn't know a language, or if no sentence is short enough.
    pub fn new(
        corpus: &Corpus,
        tokenizer: &'a Tokenizer,
        languages: &LanguageIds,
        sentences: usize,
        translate: usize,
        max_tokens: usize,
        batch_tokens: usize,
    ) -> Result<Self, TrainError> {
        let examples =
            Examples::new(corpus, tokenizer, languages, max_tokens, 0.0)?.first(sentences)?;
        if examples.iter().all(Vec::is_empty) {
            return Err(TrainError::NoValidation { max_tokens });
        }
        let mut translated = Vec::new();
        for (direction, _) in corpus.directions() {
            let (mut requests, mut references) = (Vec::new(), Vec::new());
            for (source, target) in corpus.pairs(direction).take(translate) {
                let source_ids = tokenizer.source_ids(source, &direction.source)?;
                if source_ids.len() > max_tokens {
                    continue;
                }
                requests.push(Request {
                    source_ids,
                    source_language: languages.id(&direction.source),
                    target_language: languages.id(&direction.target),
                    target_tag: tokenizer.language_id(&direction.target)?,
                });
                references.push(target.to_owned());
            }
            translated.push((requests, references));
        }
        Ok(HeldOut {
            tokenizer,
            examples,
            translate: translated,
            batch_tokens,
        })
    }

    /// Negative log-likelihood for each target token in nats, averaged over directions.
    pub(super) fn nll<B: Backend>(&self, cx: &Context<'_, B>, model: &Model<B::Real>) -> f64 {
        mean(
            self.examples
                .iter()
                .map(|examples| self.nll_of(cx, model, examples)),
        )
        .unwrap_or(0.0)
    }

    /// Negative log-likelihood for each target token in nats, averaged over the directions from and to a language; none if there is none.
    pub(super) fn nll_with<B: Backend>(
        &self,
        cx: &Context<'_, B>,
        model: &Model<B::Real>,
        language: LanguageId,
    ) -> Option<f64> {
        let own = |examples: &&Vec<Example>| {
            let first = examples.first();
            first.is_some_and(|example| example.languages().contains(&language))
        };
        let own = self.examples.iter().filter(own);
        mean(own.map(|examples| self.nll_of(cx, model, examples)))
    }

    /// The loss of a direction; none without examples.
    fn nll_of<B: Backend>(
        &self,
        cx: &Context<'_, B>,
        model: &Model<B::Real>,
        examples: &[Example],
    ) -> Option<f64> {
        let (mut nll, mut tokens) = (0.0, 0);
        let mut rest = examples;
        while !rest.is_empty() {
            let mut size = 0;
            let fits = |e: &&Example| {
                size += e.tokens();
                size <= self.batch_tokens
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (now, later) = rest.split_at(count);
            let loss = model.loss(cx, &pack(now, model.layout()), Default::default());
            nll += loss.nll;
            tokens += loss.tokens;
            rest = later;
        }
        (tokens > 0).then(|| nll / tokens as f64)
    }

    fn chrf<B: Backend>(
        &self,
        cx: &Context<'_, B>,
        model: &Model<B::Real>,
    ) -> Result<Option<f64>, TrainError> {
        let metric = Metric::parse("chrf++")?;
        let translator =
            Translator::new(model, *cx).with_batch_tokens(self.batch_tokens.min(TRANSLATED));
        let all: Vec<Request> = self
            .translate
            .iter()
            .flat_map(|(r, _)| r.iter().cloned())
            .collect();
        let options = DecodeOptions::greedy();
        let found = translator.translate_ids(&all, &options, &mut |_| ())?;
        let mut found = found.into_iter().map(|hypotheses| {
            let best = hypotheses.into_iter().next();
            best.map_or_else(String::new, |h| self.tokenizer.decode(&h.ids))
        });
        let (mut sum, mut directions) = (0.0, 0usize);
        for (requests, references) in self.translate.iter().filter(|(r, _)| !r.is_empty()) {
            let hypotheses: Vec<String> = found.by_ref().take(requests.len()).collect();
            sum += metric.corpus_score(&hypotheses, &[references])?.value();
            directions += 1;
        }
        Ok((directions > 0).then(|| sum / directions as f64))
    }
}

/// The mean of what there is.
fn mean(all: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0usize);
    for x in all.flatten() {
        sum += x;
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

impl<B: Backend> Validate<B> for HeldOut<'_> {
    fn validate(
        &self,
        cx: &Context<'_, B>,
        model: &Model<B::Real>,
    ) -> Result<Validation, TrainError> {
        Ok(Validation {
            nll: self.nll(cx, model),
            chrf: self.chrf(cx, model)?,
        })
    }
}
