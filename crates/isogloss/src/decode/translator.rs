use std::sync::{Mutex, PoisonError};

use isogloss_kernels::Backend;

use crate::adapter::Adapters;
use crate::batch::LanguageId;
use crate::decode::generate::Run;
use crate::decode::pool::{PARTS, Pool, Waiting};
use crate::decode::work::{Work, lock};
use crate::decode::{DecodeError, DecodeOptions, Heads};
use crate::model::{Context, Model};

/// Default of [`Translator::with_batch_tokens`]. Of the 418M model, the caches of so many tokens take about 150 MB with a beam of 5, in
/// `f32` 300.
const DEFAULT_BATCH_TOKENS: usize = 512;

/// What each thread has at least by default.
const THREAD_TOKENS: usize = 256;

/// A thread has sentences of its own where each has at least so many tokens: with less at a time, products of all threads together are
/// faster than each for itself.
const WORKER_TOKENS: usize = 128;

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

impl Request {
    /// A shorter sentence counts as this many tokens of those translated at a time: its hypotheses take room whatever its length.
    const SHORTEST: usize = 16;

    /// What the sentence counts of the tokens translated at a time.
    pub(crate) fn cost(&self) -> usize {
        self.source_ids.len().max(Self::SHORTEST)
    }

    /// Whether its source, as the encoder sees it, is that of another.
    pub(crate) fn has_source_of(&self, other: &Request) -> bool {
        self.source_language == other.source_language && self.source_ids == other.source_ids
    }
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
    heads: Option<&'a Heads<B::Real>>,
}

impl<B: Backend> Clone for Translator<'_, B> {
    fn clone(&self) -> Self {
        Translator { ..*self }
    }
}

impl<'a, B: Backend> Translator<'a, B> {
    /// A translator with the default size of batches. Dropout of the context is ignored.
    #[must_use]
    pub fn new(model: &'a Model<B::Real>, cx: Context<'a, B>) -> Self {
        Translator {
            model,
            cx,
            batch_tokens: DEFAULT_BATCH_TOKENS.max(THREAD_TOKENS * cx.backend.threads()),
            heads: None,
        }
    }

    /// Translates sentences of up to this many source tokens at a time; a longer one is alone. Whenever about a quarter is
    /// done, others enter. More are faster and take more memory; results don't change. Default 512, and 256 for each
    /// of more than two threads.
    #[must_use]
    pub fn with_batch_tokens(self, batch_tokens: usize) -> Self {
        Translator {
            batch_tokens,
            ..self
        }
    }

    /// Chooses the pieces of some target languages' translations from their vocabulary alone. Results may change: a piece that isn't
    /// in it is never written, and scores are log-probabilities over what is.
    #[must_use]
    pub fn with_heads(self, heads: &'a Heads<B::Real>) -> Self {
        Translator {
            heads: Some(heads),
            ..self
        }
    }

    /// Pieces that translations into a language are chosen from; none if that is all.
    #[must_use]
    pub fn pieces(&self, target: LanguageId) -> Option<usize> {
        self.heads?.pieces(target)
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
    /// `progress` is called about as often as sentences of a quarter of
    /// [`with_batch_tokens`](Self::with_batch_tokens) are done, and at the end.
    ///
    /// # Errors
    /// If an option or a request is wrong (checked before anything is translated), or if the model computes no finite numbers.
    pub fn translate_ids(
        &self,
        requests: &[Request],
        options: &DecodeOptions,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Vec<Vec<Hypothesis>>, DecodeError> {
        options.validate()?;
        for (i, request) in requests.iter().enumerate() {
            self.check(request, i + 1)?;
        }
        let waiting = self.longest_first(requests);
        let run = Run {
            model: self.model,
            cx: Context {
                dropout: None,
                ..self.cx
            },
            options,
            heads: self.heads,
        };
        let (workers, budget) = self.share(&waiting);
        let work = Mutex::new(Work::new(
            requests,
            &waiting,
            workers,
            self.batch_tokens / PARTS,
            progress,
        ));
        self.cx.backend.in_parallel(workers, &|_| {
            let mut pool = Pool::new(run, budget);
            loop {
                let entering = lock(&work).next(pool.wants());
                pool.enter(entering);
                if pool.is_empty() {
                    return;
                }
                let done = pool.step();
                if !lock(&work).take(done) {
                    return;
                }
            }
        });
        let work = work.into_inner().unwrap_or_else(PoisonError::into_inner);
        work.into_found()
    }

    /// How many workers share the sentences, and how many tokens each translates at a time: as many workers as threads, each with a pool
    /// of its own, where each has enough to do; else one, whose operations use all threads.
    fn share(&self, waiting: &[Waiting<'_>]) -> (usize, usize) {
        let threads = self.cx.backend.threads();
        let tokens: usize = waiting.iter().map(|w| w.cost).sum();
        let workers = match tokens.min(self.batch_tokens) >= threads * WORKER_TOKENS {
            true => threads,
            false => 1,
        };
        // Few sentences are dealt out evenly: were one left over, it would be translated alone at the end.
        let longest = waiting.first().map_or(0, |w| w.cost);
        let even = tokens.div_ceil(workers) + longest;
        (workers, even.min(self.batch_tokens / workers))
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

    /// The sentences, the longest first: sentences of about the same length need about as many steps, what doesn't fit in memory
    /// shows at once, and short ones are left for the end, when the batch runs empty. Those with the same source lie beside each other, since
    /// they share what the encoder makes of it.
    fn longest_first<'r>(&self, requests: &'r [Request]) -> Vec<Waiting<'r>> {
        let all = requests.iter().enumerate();
        let waiting = all.filter(|(_, request)| !request.source_ids.is_empty());
        let mut waiting: Vec<Waiting<'_>> = waiting
            .map(|(index, request)| Waiting {
                index,
                request,
                cost: request.cost(),
            })
            .collect();
        waiting.sort_by(|a, b| {
            let (a, b) = (a.request, b.request);
            let longer = b.source_ids.len().cmp(&a.source_ids.len());
            let same =
                || (a.source_language, &a.source_ids).cmp(&(b.source_language, &b.source_ids));
            longer.then_with(same)
        });
        waiting
    }
}
