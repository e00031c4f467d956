//! Scores of translations, each with its signature.
//!
//! BLEU, spBLEU, chrF, chrF++ and TER with the numbers and signatures of sacreBLEU 2.6 (Post 2018). Every metric goes
//! the same way: a line and its references become a few numbers ([`Metric::statistics`]), those of a corpus are summed
//! in the order of its lines, and the score is worked out of the sum ([`Metric::score_from`]). Lines are independent, so
//! they are worked on in parallel; the sum does not depend on the number of threads.
//!
//! ```
//! use isogloss::evaluate::Metric;
//!
//! let hypotheses = ["The pump is running.", "Close the valve."];
//! let references = [["The pump runs.", "Close the valve."]];
//! let score = Metric::parse("chrf++")?.corpus_score(&hypotheses, &references)?;
//! assert_eq!(score.to_string(), "chrF2++|nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:2.6.0 = 76.65");
//! # Ok::<(), isogloss::evaluate::EvaluateError>(())
//! ```
//!
//! [`Evaluation`] translates and scores many directions at once; a [`ScoresFile`] keeps what came out. A [`Comparison`] says
//! which of the changes between two systems are more than chance.
//!
//! Two things stay with the Python original: lower-casing follows the Unicode version of the interpreter there and of the
//! Rust compiler here, which may differ for letters added lately; and a reference that is missing for some lines only
//! (`nrefs:var`) is not supported.

mod bleu;
mod chrf;
mod comparison;
mod directions;
mod error;
mod groups;
mod hypotheses;
mod ngram;
mod sacrebleu;
mod score;
mod scores_file;
mod search;
mod seeds;
mod signature;
mod significance;
mod spm;
mod ter;
mod text;
mod tokenizer;

pub use bleu::{Bleu, Smoothing};
pub use chrf::Chrf;
pub use comparison::{
    ChangeOfMean, ClassChange, CompareOptions, Comparison, ComparisonError, Correction,
    DirectionChange, PairedStatistics, Verdict,
};
pub use directions::{Evaluation, EvaluationError, NamedMetric, Progress};
pub use error::EvaluateError;
pub use groups::Groups;
pub use hypotheses::{Hypotheses, HypothesesError, MadeWith};
pub use sacrebleu::{Confidence, PairedTest, SACREBLEU_SEED, Tested};
pub use score::{Details, Score};
pub use scores_file::{
    ClassMean, Classes, DirectionScores, Mean, MetricScore, ScoresFile, ScoresFileError,
};
pub use search::{OtherSearch, search_of, searched_alike, searched_by, searched_otherwise};
pub use seeds::{SeededChanges, Share, SystemStatistics};
pub use signature::{SACREBLEU_VERSION, Signature};
pub use ter::Ter;
pub use tokenizer::{Pieces, Tokenizer, sentencepiece_name};

use rayon::prelude::*;
use std::str::FromStr;

/// A metric with its settings.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Metric {
    /// BLEU; with a SentencePiece tokenizer it is spBLEU.
    Bleu(Bleu),
    /// chrF and chrF++.
    Chrf(Chrf),
    /// TER.
    Ter(Ter),
}

impl Metric {
    /// The metric of this name (`bleu`, `chrf`, `chrf+`, `chrf++`, `ter`, in any case) with sacreBLEU's default settings.
    ///
    /// # Errors
    /// An unknown name; `spbleu`, which needs a model: see [`Metric::spbleu`].
    pub fn parse(name: &str) -> Result<Self, EvaluateError> {
        match name.to_ascii_lowercase().as_str() {
            "bleu" => Ok(Self::Bleu(Bleu::default())),
            "spbleu" => Err(EvaluateError::NeedsSentencePiece { name: name.into() }),
            "chrf" => Ok(Self::Chrf(Chrf::default())),
            "chrf+" => Ok(Self::Chrf(Chrf {
                word_order: 1,
                ..Chrf::default()
            })),
            "chrf++" => Ok(Self::Chrf(Chrf::plus_plus())),
            "ter" => Ok(Self::Ter(Ter::default())),
            _ => Err(EvaluateError::UnknownMetric { name: name.into() }),
        }
    }

    /// spBLEU (Goyal et al. 2022): BLEU over SentencePiece pieces. For the arguments see [`Tokenizer::sentencepiece`].
    pub fn spbleu(
        name: impl Into<String>,
        pieces: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::Bleu(Bleu {
            tokenizer: Tokenizer::sentencepiece(name, pieces),
            ..Bleu::default()
        })
    }

    /// The same metric as is usual for single sentences: BLEU in effective order, others unchanged. This is what
    /// sacreBLEU's program does for `--sentence-level`.
    #[must_use]
    pub fn for_sentences(mut self) -> Self {
        if let Self::Bleu(bleu) = &mut self {
            bleu.effective_order = true;
        }
        self
    }

    /// The name that scores bear: `BLEU`, `chrF2`, `chrF2++`, `TER`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Bleu(_) => "BLEU".into(),
            Self::Chrf(chrf) => chrf.name(),
            Self::Ter(_) => "TER".into(),
        }
    }

    /// The signature of scores against this many references.
    #[must_use]
    pub fn signature(&self, references: usize) -> Signature {
        match self {
            Self::Bleu(bleu) => bleu.signature(references),
            Self::Chrf(chrf) => chrf.signature(references),
            Self::Ter(ter) => ter.signature(references),
        }
    }

    /// Whether a greater score is a better one; not so for TER.
    #[must_use]
    pub fn higher_is_better(&self) -> bool {
        !matches!(self, Self::Ter(_))
    }

    /// The score of a corpus: `references` are streams, each as long as `hypotheses`.
    ///
    /// # Errors
    /// No hypotheses, no references, a stream that is empty or of another length, or settings out of range.
    pub fn corpus_score<H, S, R>(
        &self,
        hypotheses: &[H],
        references: &[S],
    ) -> Result<Score, EvaluateError>
    where
        H: AsRef<str> + Sync,
        S: AsRef<[R]> + Sync,
        R: AsRef<str> + Sync,
    {
        let statistics = self.corpus_statistics(hypotheses, references)?;
        self.score_from(&sacrebleu::sum(&statistics), references.len())
    }

    /// The score of one sentence against its references, as a corpus of one line.
    ///
    /// The settings are taken as they are; [`Metric::for_sentences`] gives the usual ones.
    ///
    /// # Errors
    /// No references, or settings out of range.
    pub fn sentence_score<R: AsRef<str>>(
        &self,
        hypothesis: &str,
        references: &[R],
    ) -> Result<Score, EvaluateError> {
        self.score_from(&self.statistics(hypothesis, references)?, references.len())
    }

    /// The statistics of every line of a corpus, in order: for scores of parts of it or of resampled lines.
    ///
    /// # Errors
    /// Those of [`Metric::corpus_score`].
    pub fn corpus_statistics<H, S, R>(
        &self,
        hypotheses: &[H],
        references: &[S],
    ) -> Result<Vec<Vec<f64>>, EvaluateError>
    where
        H: AsRef<str> + Sync,
        S: AsRef<[R]> + Sync,
        R: AsRef<str> + Sync,
    {
        self.check()?;
        check_lengths(
            hypotheses.len(),
            references.iter().map(|stream| stream.as_ref().len()),
        )?;
        let of_line = |(line, hypothesis): (usize, &H)| {
            let references: Vec<&str> = references
                .iter()
                .map(|stream| stream.as_ref()[line].as_ref())
                .collect();
            self.line_statistics(hypothesis.as_ref(), &references)
        };
        Ok(hypotheses.par_iter().enumerate().map(of_line).collect())
    }

    /// The statistics of one sentence; those of several add up, number by number.
    ///
    /// BLEU: length, length of the closest reference, matches of the orders 1 to 4, n-grams of the orders 1 to 4. chrF:
    /// n-grams of the hypothesis, of the best reference, and matches, for every order of characters, then of words. TER:
    /// edits, mean reference length.
    ///
    /// # Errors
    /// No references, or settings out of range.
    pub fn statistics<R: AsRef<str>>(
        &self,
        hypothesis: &str,
        references: &[R],
    ) -> Result<Vec<f64>, EvaluateError> {
        self.check()?;
        if references.is_empty() {
            return Err(EvaluateError::NoReferences { hypotheses: 1 });
        }
        let references: Vec<&str> = references.iter().map(AsRef::as_ref).collect();
        Ok(self.line_statistics(hypothesis, &references))
    }

    /// The score that summed statistics amount to; `references`, the number of streams, is for the signature.
    ///
    /// # Errors
    /// Statistics of another metric, or settings out of range.
    pub fn score_from(
        &self,
        statistics: &[f64],
        references: usize,
    ) -> Result<Score, EvaluateError> {
        self.check()?;
        let expected = self.statistics_len();
        if statistics.len() != expected {
            return Err(EvaluateError::Statistics {
                metric: self.name(),
                expected,
                found: statistics.len(),
            });
        }
        Ok(match self {
            Self::Bleu(bleu) => bleu.score(statistics, references),
            Self::Chrf(chrf) => chrf.score(statistics, references),
            Self::Ter(ter) => ter.score(statistics, references),
        })
    }

    /// How many numbers a sentence's statistics have.
    #[must_use]
    pub fn statistics_len(&self) -> usize {
        match self {
            Self::Bleu(_) => Bleu::STATISTICS,
            Self::Chrf(chrf) => chrf.statistics_len(),
            Self::Ter(_) => Ter::STATISTICS,
        }
    }

    /// The bare score of summed statistics, of which there are as many as a sentence has.
    fn value(&self, sum: &[f64]) -> f64 {
        match self {
            Self::Bleu(bleu) => bleu.value(sum),
            Self::Chrf(chrf) => chrf.value(sum),
            Self::Ter(ter) => ter.value(sum),
        }
    }

    fn line_statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        match self {
            Self::Bleu(bleu) => bleu.statistics(hypothesis, references),
            Self::Chrf(chrf) => chrf.statistics(hypothesis, references),
            Self::Ter(ter) => ter.statistics(hypothesis, references),
        }
    }

    fn check(&self) -> Result<(), EvaluateError> {
        match self {
            Self::Bleu(bleu) => bleu.check(),
            Self::Chrf(chrf) => chrf.check(),
            Self::Ter(_) => Ok(()),
        }
    }
}

impl FromStr for Metric {
    type Err = EvaluateError;
    fn from_str(name: &str) -> Result<Self, EvaluateError> {
        Self::parse(name)
    }
}

fn check_lengths(
    hypotheses: usize,
    references: impl ExactSizeIterator<Item = usize>,
) -> Result<(), EvaluateError> {
    if hypotheses == 0 {
        return Err(EvaluateError::NoHypotheses);
    }
    if references.len() == 0 {
        return Err(EvaluateError::NoReferences { hypotheses });
    }
    for (stream, references) in (1..).zip(references) {
        if references == 0 {
            return Err(EvaluateError::EmptyReferences { stream, hypotheses });
        }
        if references != hypotheses {
            return Err(EvaluateError::LineCounts {
                stream,
                references,
                hypotheses,
            });
        }
    }
    Ok(())
}
