use isogloss_kernels::Backend;

use crate::adapter::Adapters;
use crate::batch::LanguageId;
use crate::decode::generate::generate;
use crate::decode::{DecodeError, DecodeOptions};
use crate::model::{Context, Model};

/// Default of [`Translator::with_batch_tokens`]. Of the 418M model, the caches of a batch of this size take about 300 MB with a beam
/// of 5.
pub const DEFAULT_BATCH_TOKENS: usize = 512;

/// A sentence to translate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The source's ids, language tag and `</s>` included. Empty: nothing to translate, and no hypotheses.
    pub source_ids: Vec<u32>,
    /// Selects the updates of sites on the source's side.
    pub source_language: LanguageId,
    /// Selects the updates of sites on the target's side.
    pub target_language: LanguageId,
    /// The target's language tag, the first token of every hypothesis.
    pub target_tag: u32,
}

/// A translation.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Its pieces, without language tag and `</s>`.
    pub ids: Vec<u32>,
    /// Sum of log-probabilities over a power of the length, see [`DecodeOptions::length_penalty`].
    pub score: f64,
    /// Whether it came to `</s>`; otherwise it was cut off at the longest length.
    pub ended: bool,
}

/// How far a translation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Sentences that are done.
    pub sentences: usize,
    /// Of how many.
    pub of_sentences: usize,
    /// Source tokens of the sentences that are done; a better measure of the time left, since the longest come first.
    pub tokens: usize,
    /// Of how many.
    pub of_tokens: usize,
}

/// Translates with a model and its updates. Borrows both, and costs nothing to make.
#[derive(Debug)]
pub struct Translator<'a, B: Backend> {
    model: &'a Model<B::Real>,
    cx: Context<'a, B>,
    batch_tokens: usize,
}

impl<B: Backend> Clone for Translator<'_, B> {
    fn clone(&self) -> Self {
        Translator { ..*self }
    }
}

impl<'a, B: Backend> Translator<'a, B> {
    /// A shorter sentence counts as this many tokens of a batch: its hypotheses take room whatever its length.
    pub const SHORTEST: usize = 16;

    /// A translator with the default size of batches. Dropout of the context is ignored.
    #[must_use]
    pub fn new(model: &'a Model<B::Real>, cx: Context<'a, B>) -> Self {
        Translator {
            model,
            cx,
            batch_tokens: DEFAULT_BATCH_TOKENS,
        }
    }

    /// Puts sentences together up to this many source tokens; a longer sentence is a batch of its own. More are faster and take
    /// more memory; results don't change. Default [`DEFAULT_BATCH_TOKENS`].
    #[must_use]
    pub fn with_batch_tokens(self, batch_tokens: usize) -> Self {
        Translator {
            batch_tokens,
            ..self
        }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &'a Model<B::Real> {
        self.model
    }

    /// The updates in use.
    #[must_use]
    pub fn adapters(&self) -> &'a Adapters {
        self.cx.adapters
    }

    /// Translates sentences of any mix of directions; the `n_best` hypotheses of each, best first, in the order of the requests.
    /// `progress` is called after every batch.
    ///
    /// # Errors
    /// If an option or a request is wrong (checked before anything is translated), or if the model computes no finite numbers.
    pub fn translate_ids(
        &self,
        requests: &[Request],
        options: &DecodeOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Vec<Hypothesis>>, DecodeError> {
        options.validate()?;
        for (i, request) in requests.iter().enumerate() {
            self.check(request, i + 1)?;
        }
        let mut found = vec![Vec::new(); requests.len()];
        let mut state = Progress {
            sentences: requests.iter().filter(|r| r.source_ids.is_empty()).count(),
            of_sentences: requests.len(),
            tokens: 0,
            of_tokens: requests.iter().map(|r| r.source_ids.len()).sum(),
        };
        for batch in self.batches(requests) {
            let members: Vec<&Request> = batch.iter().map(|&i| &requests[i]).collect();
            let numbers: Vec<usize> = batch.iter().map(|&i| i + 1).collect();
            let hypotheses = generate(self.model, self.cx, &members, &numbers, options)?;
            for (&i, hypotheses) in batch.iter().zip(hypotheses) {
                found[i] = hypotheses;
                state.tokens += requests[i].source_ids.len();
            }
            state.sentences += batch.len();
            progress(state);
        }
        Ok(found)
    }

    fn check(&self, request: &Request, sentence: usize) -> Result<(), DecodeError> {
        let config = self.model.config();
        let (vocabulary, positions) = (config.vocab_size, config.max_position_embeddings);
        let tokens = request.source_ids.len();
        if tokens == 0 {
            return Ok(());
        }
        if tokens > positions {
            return Err(DecodeError::TooLong {
                sentence,
                tokens,
                positions,
            });
        }
        let tag = request.target_tag;
        let mut ids = request.source_ids.iter().chain([&tag]);
        if let Some(&id) = ids.find(|&&id| id as usize >= vocabulary) {
            return Err(DecodeError::UnknownId {
                sentence,
                id,
                vocabulary,
            });
        }
        if tag == config.eos_token_id || tag == config.pad_token_id {
            return Err(DecodeError::NoTag { sentence, id: tag });
        }
        Ok(())
    }

    /// Sentences of about the same length together, the longest first: a batch takes as many steps as its longest sentence, and
    /// what doesn't fit in memory shows at once.
    fn batches(&self, requests: &[Request]) -> Vec<Vec<usize>> {
        let length = |i: usize| requests[i].source_ids.len();
        let mut order: Vec<usize> = (0..requests.len()).filter(|&i| length(i) > 0).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(length(i)));
        let (mut batches, mut tokens) = (Vec::<Vec<usize>>::new(), 0);
        for i in order {
            let cost = length(i).max(Self::SHORTEST);
            match batches.last_mut() {
                Some(batch) if tokens + cost <= self.batch_tokens => {
                    batch.push(i);
                    tokens += cost;
                }
                _ => {
                    batches.push(vec![i]);
                    tokens = cost;
                }
            }
        }
        batches
    }
}
