use std::collections::HashMap;

use isogloss_kernels::dropout::mix;

use crate::batch::{Batch, LanguageId, Layout, Sentence};
use crate::corpus::{Corpus, Sample, Sampler};
use crate::language::Language;
use crate::tokenize::{TokenizeError, Tokenizer};

/// The run's languages: id, tag.
#[derive(Debug, Clone)]
pub struct LanguageIds {
    ids: HashMap<Language, LanguageId>,
}

impl LanguageIds {
    /// Numbers languages in the order given.
    #[must_use]
    pub fn new<'a>(languages: impl IntoIterator<Item = &'a Language>) -> Self {
        let numbered = (0u16..).map(LanguageId);
        LanguageIds {
            ids: languages.into_iter().cloned().zip(numbered).collect(),
        }
    }

    /// The id of a language; an unknown one gets an id that no update has.
    #[must_use]
    pub fn id(&self, language: &Language) -> LanguageId {
        self.ids
            .get(language)
            .copied()
            .unwrap_or(LanguageId(u16::MAX))
    }
}

/// One training or validation example as ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    source: Vec<u32>,
    target: Vec<u32>,
    source_language: LanguageId,
    target_language: LanguageId,
    key: u64,
}

impl Example {
    /// A pair of texts, each with its language and the id of that.
    pub(super) fn new(
        tokenizer: &Tokenizer,
        source: (&str, &Language, LanguageId),
        target: (&str, &Language, LanguageId),
        key: u64,
    ) -> Result<Self, TokenizeError> {
        Ok(Example {
            source: tokenizer.source_ids(source.0, source.1)?,
            target: tokenizer.target_ids(target.0, target.1)?,
            source_language: source.2,
            target_language: target.2,
            key,
        })
    }

    /// Tokens of the longer side.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.source.len().max(self.target.len())
    }

    /// Source's and target's language.
    pub(super) fn languages(&self) -> [LanguageId; 2] {
        [self.source_language, self.target_language]
    }

    fn sentence(&self) -> Sentence<'_> {
        Sentence {
            source: &self.source,
            target: &self.target,
            source_language: self.source_language,
            target_language: self.target_language,
            key: self.key,
        }
    }
}

/// Packs examples.
#[must_use]
pub fn pack(examples: &[Example], layout: Layout) -> Batch {
    let sentences: Vec<Sentence<'_>> = examples.iter().map(Example::sentence).collect();
    Batch::new(&sentences, layout)
}

/// Turns pairs of a corpus into examples. Text is tokenized when it is needed: it costs a fraction of a percent of an update.
#[derive(Debug)]
pub struct Examples<'a> {
    corpus: &'a Corpus,
    tokenizer: &'a Tokenizer,
    directions: Vec<(Language, Language, LanguageId, LanguageId, usize)>,
    /// Longest side in tokens.
    max_tokens: usize,
    /// Share of examples made of several pairs.
    concatenate: f64,
}

impl<'a> Examples<'a> {
    /// Examples of a corpus.
    ///
    /// # Errors
    /// If the tokenizer has no tag for a language.
    pub fn new(
        corpus: &'a Corpus,
        tokenizer: &'a Tokenizer,
        languages: &LanguageIds,
        max_tokens: usize,
        concatenate: f64,
    ) -> Result<Self, TokenizeError> {
        let mut directions = Vec::new();
        for (direction, pairs) in corpus.directions() {
            let (source, target) = (direction.source.clone(), direction.target.clone());
            tokenizer.language_id(&source)?;
            tokenizer.language_id(&target)?;
            let (source_id, target_id) = (languages.id(&source), languages.id(&target));
            directions.push((source, target, source_id, target_id, pairs));
        }
        Ok(Examples {
            corpus,
            tokenizer,
            directions,
            max_tokens,
            concatenate,
        })
    }

    /// Longest side of an example in tokens.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Pairs of each direction, in the corpus's order.
    #[must_use]
    pub fn counts(&self) -> Vec<usize> {
        self.directions.iter().map(|d| d.4).collect()
    }

    /// The example of a sample, or `None` if it is too long. `key` is its key for dropout, and decides with which other pairs it
    /// is joined.
    ///
    /// # Errors
    /// None in practice: the tags were checked before.
    pub fn example(&self, sample: Sample, key: u64) -> Result<Option<Example>, TokenizeError> {
        let at = sample.direction as usize;
        let (source_language, target_language, source_id, target_id, pairs) = &self.directions[at];
        let Some((source, target)) = self.corpus.pair_at(at, sample.pair as usize) else {
            return Ok(None);
        };
        let mut text = (source.to_owned(), target.to_owned());
        let draw = mix(key, 0xc0_4ca7);
        if self.concatenate > 0.0 && (draw >> 11) as f64 / (1u64 << 53) as f64 <= self.concatenate {
            for i in 0..1 + mix(draw, 1) % 3 {
                let other = mix(draw, 2 + i) % *pairs as u64;
                if let Some((source, target)) = self.corpus.pair_at(at, other as usize) {
                    text = (
                        format!("{} {source}", text.0),
                        format!("{} {target}", text.1),
                    );
                }
            }
        }
        let source = (&text.0[..], source_language, *source_id);
        let target = (&text.1[..], target_language, *target_id);
        let example = Example::new(self.tokenizer, source, target, key)?;
        if example.tokens() <= self.max_tokens {
            return Ok(Some(example));
        }
        // Joined pairs may exceed the limit where the first alone doesn't.
        if self.concatenate > 0.0 {
            let alone = Examples {
                directions: self.directions.clone(),
                concatenate: 0.0,
                ..*self
            };
            return alone.example(sample, key);
        }
        Ok(None)
    }

    /// All examples of the first `limit` pairs of each direction, by direction.
    ///
    /// # Errors
    /// None in practice: the tags were checked before.
    pub fn first(&self, limit: usize) -> Result<Vec<Vec<Example>>, TokenizeError> {
        let mut all = Vec::new();
        for (direction, &pairs) in (0u32..).zip(&self.counts()) {
            let mut examples = Vec::new();
            for pair in 0..pairs.min(limit) as u32 {
                examples.extend(self.example(Sample { direction, pair }, 0)?);
            }
            all.push(examples);
        }
        Ok(all)
    }
}

/// An epoch's examples, batch by batch.
#[derive(Debug)]
pub struct Epoch<'a> {
    examples: &'a Examples<'a>,
    samples: Vec<Sample>,
    key: u64,
    /// Samples used so far.
    pub cursor: usize,
    /// Samples left out so far because they are too long.
    pub too_long: usize,
}

impl<'a> Epoch<'a> {
    /// The epoch `number` (from 0), from sample `cursor` on.
    #[must_use]
    pub fn new(
        examples: &'a Examples<'a>,
        sampler: &Sampler,
        seed: u64,
        number: u64,
        cursor: usize,
    ) -> Self {
        Epoch {
            examples,
            samples: sampler.epoch(number),
            key: mix(seed, number),
            cursor,
            too_long: 0,
        }
    }

    /// Samples of the epoch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The next batch of at most `batch_tokens`, empty at the end of the epoch.
    ///
    /// # Errors
    /// None in practice: the tags were checked before.
    pub fn batch(&mut self, batch_tokens: usize) -> Result<Vec<Example>, TokenizeError> {
        let (mut batch, mut tokens) = (Vec::new(), 0);
        while let Some(&sample) = self.samples.get(self.cursor) {
            match self
                .examples
                .example(sample, mix(self.key, self.cursor as u64))?
            {
                None => self.too_long += 1,
                Some(example) if tokens + example.tokens() > batch_tokens => break,
                Some(example) => {
                    tokens += example.tokens();
                    batch.push(example);
                }
            }
            self.cursor += 1;
        }
        Ok(batch)
    }
}
