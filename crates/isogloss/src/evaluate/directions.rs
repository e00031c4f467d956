//! Many directions, translated in one pass and scored one by one.

use std::cell::Cell;
use std::time::{Duration, Instant};

use isogloss_kernels::Backend;

use super::hypotheses::hash_of_lines;
use super::{
    Classes, CompareOptions, Comparison, ComparisonError, DirectionScores, EvaluateError, Metric,
    MetricScore, PairedStatistics,
};
use crate::corpus::{Corpus, clean_text};
use crate::decode::{DecodeError, DecodeOptions, TextOptions, TextTranslator};
use crate::language::Direction;

/// Why directions cannot be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// Nothing is asked for.
    #[error("no {what}: expected at least one")]
    Nothing {
        /// What there is none of.
        what: &'static str,
    },
    /// A direction or a metric stands in its list twice.
    #[error("{what} is asked for twice")]
    Twice {
        /// The direction or the metric.
        what: String,
    },
    /// The text holds nothing of a direction.
    #[error("the evaluation text has no sentences for {direction}")]
    NoText {
        /// The direction.
        direction: Direction,
    },
    /// Translations that are not those of the text.
    #[error("{direction} has {expected} sentences, but {got} translations")]
    Translations {
        /// The direction.
        direction: Direction,
        /// Sentences of the text.
        expected: usize,
        /// Translations given; 0 also where the direction's are missing.
        got: usize,
    },
    /// One sentence cannot be translated; the error's sentence counts within the direction.
    #[error("{direction}, {error}")]
    Sentence {
        /// The direction.
        direction: Direction,
        /// Why.
        error: DecodeError,
    },
    /// Nothing can be translated as asked.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A score cannot be computed.
    #[error(transparent)]
    Score(#[from] EvaluateError),
    /// Systems cannot be compared.
    #[error(transparent)]
    Compare(#[from] ComparisonError),
}

/// A metric under the name by which it was asked for, which tells spBLEU from BLEU.
#[derive(Debug, Clone)]
pub struct NamedMetric {
    /// The name, such as `chrf++` or `spbleu`.
    pub name: String,
    /// The metric.
    pub metric: Metric,
}

/// How far the translation of all directions has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Sentences that are done, of all directions.
    pub sentences: usize,
    /// Of how many.
    pub of_sentences: usize,
    /// The share of the source tokens that is done, 0 to 1.
    pub done: f64,
    /// How long the rest will take if it goes on as before.
    pub left: Duration,
}

impl Progress {
    /// The progress of a part as that of `all` sentences, of which `before` were done when the part began. Parts that wait are taken
    /// to go as this one does.
    #[must_use]
    pub fn within(self, before: usize, all: usize) -> Self {
        let share = self.of_sentences as f64 / all.max(1) as f64;
        let behind = before as f64 / all.max(1) as f64;
        let waiting = (1.0 - behind - share) / share.max(1e-9);
        let of_part = self.left.as_secs_f64() / (1.0 - self.done).max(1e-9);
        let left = self.left.as_secs_f64() + waiting.max(0.0) * of_part;
        Progress {
            sentences: before + self.sentences,
            of_sentences: all,
            done: behind + share * self.done,
            left: Duration::try_from_secs_f64(left).unwrap_or(self.left),
        }
    }
}

/// Parallel text, the directions that are to be evaluated on it, and the metrics.
///
/// The text is cleaned as training text is ([`clean_text`]), and so are translations; a score of a line with white space at
/// its ends doesn't change by that.
#[derive(Debug)]
pub struct Evaluation<'a> {
    text: &'a Corpus,
    directions: Vec<Direction>,
    metrics: Vec<NamedMetric>,
}

impl<'a> Evaluation<'a> {
    /// An evaluation; results keep the order of `directions` and `metrics`.
    ///
    /// # Errors
    /// If there is no direction or no metric, if one is there twice, or if the text has nothing for a direction.
    pub fn new(
        text: &'a Corpus,
        directions: Vec<Direction>,
        metrics: Vec<NamedMetric>,
    ) -> Result<Self, EvaluationError> {
        for (what, len) in [("directions", directions.len()), ("metrics", metrics.len())] {
            if len == 0 {
                return Err(EvaluationError::Nothing { what });
            }
        }
        for (i, direction) in directions.iter().enumerate() {
            if directions[..i].contains(direction) {
                let what = direction.to_string();
                return Err(EvaluationError::Twice { what });
            }
            if text.len(direction) == 0 {
                let direction = direction.clone();
                return Err(EvaluationError::NoText { direction });
            }
        }
        for (i, metric) in metrics.iter().enumerate() {
            if metrics[..i].iter().any(|m| m.name == metric.name) {
                let what = format!("the metric {}", metric.name);
                return Err(EvaluationError::Twice { what });
            }
        }
        Ok(Evaluation {
            text,
            directions,
            metrics,
        })
    }

    /// The directions, in the order of results.
    #[must_use]
    pub fn directions(&self) -> &[Direction] {
        &self.directions
    }

    /// Sentences of all directions.
    #[must_use]
    pub fn sentences(&self) -> usize {
        self.directions.iter().map(|d| self.text.len(d)).sum()
    }

    /// Translates all directions: for each, its lines in the order of the text. All sentences go through the model together,
    /// those of like length about the same time whatever their languages, and a source is encoded once for all its targets. The best of
    /// several hypotheses is taken. [`Groups`](crate::evaluate::Groups) divides what would take long.
    ///
    /// # Errors
    /// If the model has no tag for a language, or the adapters no update for it (see
    /// [`MissingUpdates`](crate::decode::MissingUpdates)), both before anything is translated; or if the model computes no finite
    /// numbers.
    pub fn translate<B: Backend>(
        &self,
        translator: &TextTranslator<'_, B>,
        text: TextOptions,
        options: &DecodeOptions,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Vec<Vec<String>>, EvaluationError> {
        let lines: Vec<(&str, &Direction)> = self
            .directions
            .iter()
            .flat_map(|d| self.text.pairs(d).map(move |(source, _)| (source, d)))
            .collect();
        let lines = translator.prepare(&lines, text)?;
        let start = Instant::now();
        let found = translator.translate_lines(&lines, options, &mut |p| {
            let done = p.tokens as f64 / p.of_tokens.max(1) as f64;
            let left = start.elapsed().as_secs_f64() * (1.0 / done.max(1e-9) - 1.0);
            progress(Progress {
                sentences: p.sentences,
                of_sentences: p.of_sentences,
                done,
                left: Duration::try_from_secs_f64(left.max(0.0)).unwrap_or(Duration::MAX),
            });
        });
        // A blank line has no translation: it stays blank.
        let mut best = found.map_err(|e| self.located(e))?.into_iter().map(|line| {
            line.first()
                .map_or_else(String::new, |t| clean_text(&t.text).into())
        });
        let by_direction = self
            .directions
            .iter()
            .map(|d| best.by_ref().take(self.text.len(d)).collect());
        Ok(by_direction.collect())
    }

    /// The sources as they are in place of translations: what a system scores that does nothing.
    #[must_use]
    pub fn copies(&self) -> Vec<Vec<String>> {
        let sources = |d| self.text.pairs(d).map(|(source, _)| source.to_owned());
        self.directions
            .iter()
            .map(|d| sources(d).collect())
            .collect()
    }

    /// Scores translations of all directions, as [`translate`](Self::translate) gives them, with every metric.
    ///
    /// # Errors
    /// If translations are missing or too many, or if a metric's settings are out of range.
    pub fn score(
        &self,
        translations: &[Vec<String>],
    ) -> Result<Vec<DirectionScores>, EvaluationError> {
        let mut scored = Vec::with_capacity(self.directions.len());
        for (i, direction) in self.directions.iter().enumerate() {
            let translations = translations.get(i).map_or(&[][..], Vec::as_slice);
            let references: Vec<&str> = self.text.pairs(direction).map(|(_, r)| r).collect();
            if translations.len() != references.len() {
                return Err(EvaluationError::Translations {
                    direction: direction.clone(),
                    expected: references.len(),
                    got: translations.len(),
                });
            }
            let scores = self.metrics.iter().map(|NamedMetric { name, metric }| {
                let score = metric.corpus_score(translations, &[&references])?;
                Ok(MetricScore {
                    metric: name.clone(),
                    score: score.value(),
                    signature: score.signature().to_string(),
                })
            });
            scored.push(DirectionScores {
                direction: direction.clone(),
                sentences: references.len(),
                scores: scores.collect::<Result<_, EvaluateError>>()?,
            });
        }
        Ok(scored)
    }

    /// The sentences of a direction, in their order.
    #[must_use]
    pub fn sources(&self, direction: &Direction) -> Vec<&'a str> {
        self.text
            .pairs(direction)
            .map(|(source, _)| source)
            .collect()
    }

    /// The same text and metrics, other directions.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_directions(&self, directions: Vec<Direction>) -> Result<Self, EvaluationError> {
        Evaluation::new(self.text, directions, self.metrics.clone())
    }

    /// Whether every direction can be translated at all, by its first sentence.
    ///
    /// # Errors
    /// Those of [`translate`](Self::translate) that are found before anything is translated.
    pub fn check<B: Backend>(
        &self,
        translator: &TextTranslator<'_, B>,
        text: TextOptions,
    ) -> Result<(), EvaluationError> {
        let first = |d| self.text.pairs(d).next().map(|(source, _)| (source, d));
        let lines: Vec<_> = self.directions.iter().filter_map(first).collect();
        translator.prepare(&lines, text)?;
        Ok(())
    }

    /// Hash of all sentences, sources and references, whatever the order of the directions: 64 hexadecimal digits.
    #[must_use]
    pub fn text_hash(&self) -> String {
        let mut directions: Vec<&Direction> = self.directions.iter().collect();
        directions.sort_by_key(ToString::to_string);
        let mut lines = Vec::new();
        for direction in directions {
            lines.push(direction.to_string());
            lines.extend(self.text.pairs(direction).map(|(s, r)| format!("{s}\t{r}")));
        }
        hash_of_lines(&lines)
    }

    /// Compares translations of all directions with another system's, in the first metric; directions that the other
    /// lacks are left out.
    ///
    /// # Errors
    /// If translations are missing or too many, or as [`Comparison::new`].
    pub fn compare(
        &self,
        against: &str,
        base: &[Option<Vec<String>>],
        system: &[Vec<String>],
        classes: &Classes,
        options: &CompareOptions,
    ) -> Result<Comparison, EvaluationError> {
        let metric = &self.metrics[0];
        let mut pairs = Vec::new();
        for (i, direction) in self.directions.iter().enumerate() {
            let Some(Some(base)) = base.get(i) else {
                continue;
            };
            let references: Vec<&str> = self.text.pairs(direction).map(|(_, r)| r).collect();
            let statistics =
                |lines: &[String]| metric.metric.corpus_statistics(lines, &[&references]);
            pairs.push(PairedStatistics {
                direction: direction.clone(),
                base: statistics(base)?,
                system: statistics(system.get(i).map_or(&[], Vec::as_slice))?,
            });
        }
        Ok(Comparison::new(
            against, metric, 1, &pairs, classes, options,
        )?)
    }

    /// Says in which direction a sentence stands that could not be translated.
    fn located(&self, error: DecodeError) -> EvaluationError {
        let place = Cell::new(None);
        let error = error.renumbered(|sentence| {
            let mut within = sentence;
            for direction in &self.directions {
                let len = self.text.len(direction);
                if within <= len {
                    place.set(Some(direction));
                    return within;
                }
                within -= len;
            }
            sentence
        });
        match place.get() {
            Some(direction) => EvaluationError::Sentence {
                direction: direction.clone(),
                error,
            },
            None => EvaluationError::Decode(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_waits_for_those_behind_it() {
        // Half of 100 sentences in 5 seconds; 100 of 400 were done before, so 200 wait for 20 seconds.
        let part = Progress {
            sentences: 50,
            of_sentences: 100,
            done: 0.5,
            left: Duration::from_secs(5),
        };
        let whole = part.within(100, 400);
        assert_eq!((whole.sentences, whole.of_sentences), (150, 400));
        assert!((whole.done - 0.375).abs() < 1e-9, "{}", whole.done);
        assert!((whole.left.as_secs_f64() - 25.0).abs() < 1e-6);
        // Alone it is the whole.
        let alone = part.within(0, 100);
        assert!((alone.left.as_secs_f64() - 5.0).abs() < 1e-6);
        assert_eq!((alone.sentences, alone.done), (50, 0.5));
        // No time is too long, and no text too short.
        let endless = Progress {
            left: Duration::MAX,
            ..part
        };
        assert_eq!(endless.within(0, 400).left, Duration::MAX);
        let nothing = Progress {
            of_sentences: 0,
            ..part
        };
        assert_eq!(nothing.within(0, 0).of_sentences, 0);
    }
}
