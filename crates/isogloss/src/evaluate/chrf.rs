//! chrF (Popović 2015) and chrF++ (Popović 2017), as `metrics/chrf.py` of sacreBLEU computes them.

use super::EvaluateError;
use super::ngram::{Windows, number};
use super::score::{Details, Score};
use super::signature::{Signature, case, yes_no};
use super::text::{is_space, words};
use std::borrow::Cow;
use std::collections::HashMap;

/// Bits of a character: one more than its scalar value, at most 0x110000.
const CHARACTER_BITS: u32 = 21;

/// Precision or recall of an order without n-grams, in the F score that picks a reference or is smoothed.
const EPSILON: f64 = 1e-16;

/// chrF's settings; the default is sacreBLEU's chrF, [`Chrf::plus_plus`] is chrF++.
#[derive(Debug, Clone)]
pub struct Chrf {
    /// Highest order of character n-grams, 1 to 6; default 6.
    pub character_order: usize,
    /// Highest order of word n-grams, 0 to 4; 0 is chrF, 2 is chrF++.
    pub word_order: usize,
    /// Weight of recall against precision; default 2. Shown in the name: `chrF2`.
    pub beta: u32,
    /// Whether to lower-case first; default no.
    pub lowercase: bool,
    /// Whether white space counts as characters; default no.
    pub whitespace: bool,
    /// Whether orders without n-grams count as almost zero (as in `chrF++.py`, NLTK and Moses) instead of being left out;
    /// default no.
    pub epsilon_smoothing: bool,
}

impl Default for Chrf {
    fn default() -> Self {
        Self {
            character_order: 6,
            word_order: 0,
            beta: 2,
            lowercase: false,
            whitespace: false,
            epsilon_smoothing: false,
        }
    }
}

impl Chrf {
    /// chrF++: with word n-grams up to order 2.
    #[must_use]
    pub fn plus_plus() -> Self {
        Self {
            word_order: 2,
            ..Self::default()
        }
    }

    pub(super) fn check(&self) -> Result<(), EvaluateError> {
        // More would not fit the 128 bits of a window.
        range("character order", self.character_order, 1, 6)?;
        range("word order", self.word_order, 0, 4)
    }

    pub(super) fn name(&self) -> String {
        format!("chrF{}{}", self.beta, "+".repeat(self.word_order))
    }

    pub(super) fn signature(&self, references: usize) -> Signature {
        Signature::new(references)
            .with("case", "c", case(self.lowercase))
            .with("eff", "e", yes_no(!self.epsilon_smoothing))
            .with("nc", "nc", self.character_order.to_string())
            .with("nw", "nw", self.word_order.to_string())
            .with("space", "s", yes_no(self.whitespace))
    }

    /// Numbers in a sentence's statistics: n-grams of the hypothesis, of the reference, and of both, for each order.
    pub(super) fn statistics_len(&self) -> usize {
        3 * (self.character_order + self.word_order)
    }

    /// Those against the reference with the highest F score, the first of equals.
    pub(super) fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let cased = |line| {
            if self.lowercase {
                Cow::Owned(str::to_lowercase(line))
            } else {
                Cow::Borrowed(line)
            }
        };
        let hypothesis = cased(hypothesis);
        let references: Vec<_> = references
            .iter()
            .map(|&reference| cased(reference))
            .collect();
        let mut ids = HashMap::new();
        let hypothesis = self.windows(&hypothesis, &mut ids);
        let mut best = Vec::new();
        let mut best_score = -1.0;
        for reference in &references {
            let reference = self.windows(reference, &mut ids);
            let mut statistics = Vec::with_capacity(self.statistics_len());
            for (ours, theirs, orders) in [
                (&hypothesis.0, &reference.0, self.character_order),
                (&hypothesis.1, &reference.1, self.word_order),
            ] {
                for n in 1..=orders {
                    let total = theirs.total(n);
                    // Without any n-gram in the reference the hypothesis is not held to have missed one.
                    let hits = if total == 0 { 0 } else { ours.total(n) };
                    let matches = ours.matches(std::slice::from_ref(theirs), n);
                    statistics.extend([hits as f64, total as f64, matches as f64]);
                }
            }
            let score = self.f_score(&statistics);
            if score > best_score {
                best_score = score;
                best = statistics;
            }
        }
        best
    }

    /// The windows over the characters and over the words.
    fn windows<'a>(&self, line: &'a str, ids: &mut HashMap<&'a str, u32>) -> (Windows, Windows) {
        let characters: Vec<u32> = line
            .chars()
            .filter(|&c| self.whitespace || !is_space(c))
            .map(|c| u32::from(c) + 1)
            .collect();
        let mut numbered = Vec::new();
        if self.word_order > 0 {
            for word in words(line) {
                let (first, second) = part_punctuation(word);
                numbered.extend(
                    [first, second]
                        .into_iter()
                        .flatten()
                        .map(|part| number(part, ids)),
                );
            }
        }
        (
            Windows::new(&characters, self.character_order, CHARACTER_BITS),
            Windows::new(&numbered, self.word_order, u32::BITS),
        )
    }

    /// The bare score of a sum.
    pub(super) fn value(&self, sum: &[f64]) -> f64 {
        self.f_score(sum)
    }

    /// 0 to 100.
    fn f_score(&self, statistics: &[f64]) -> f64 {
        let factor = f64::from(self.beta).powi(2);
        let (mut smoothed, mut precision, mut recall) = (0.0, 0.0, 0.0);
        let mut orders = 0;
        for figures in statistics.chunks_exact(3) {
            let (ours, theirs, matches) = (figures[0], figures[1], figures[2]);
            let p = if ours > 0.0 { matches / ours } else { EPSILON };
            let r = if theirs > 0.0 {
                matches / theirs
            } else {
                EPSILON
            };
            let weight = factor * p + r;
            smoothed += if weight > 0.0 {
                (1.0 + factor) * p * r / weight
            } else {
                EPSILON
            };
            if ours > 0.0 && theirs > 0.0 {
                precision += p;
                recall += r;
                orders += 1;
            }
        }
        if self.epsilon_smoothing {
            return 100.0 * smoothed / (self.character_order + self.word_order) as f64;
        }
        if orders == 0 || precision + recall == 0.0 {
            return 0.0;
        }
        precision /= f64::from(orders);
        recall /= f64::from(orders);
        let score = (1.0 + factor) * precision * recall;
        100.0 * (score / (factor * precision + recall))
    }

    /// `sum` is [`Chrf::statistics_len`] numbers long.
    pub(super) fn score(&self, sum: &[f64], references: usize) -> Score {
        Score {
            name: self.name(),
            value: self.value(sum),
            signature: self.signature(references),
            details: Details::Chrf,
            confidence: None,
        }
    }
}

fn range(
    setting: &'static str,
    found: usize,
    lowest: usize,
    highest: usize,
) -> Result<(), EvaluateError> {
    if (lowest..=highest).contains(&found) {
        return Ok(());
    }
    Err(EvaluateError::Setting {
        setting,
        found,
        lowest,
        highest,
    })
}

/// Parts one punctuation mark from a word: from its end or, if there is none, from its start, as `chrF++.py` does. So
/// `(hi)` gives `(hi` and `)`.
fn part_punctuation(word: &str) -> (Option<&str>, Option<&str>) {
    let mut chars = word.chars();
    let (first, last) = (chars.next(), chars.next_back());
    match (first, last) {
        (Some(_), Some(last)) if last.is_ascii_punctuation() => {
            let (rest, mark) = word.split_at(word.len() - 1);
            (Some(rest), Some(mark))
        }
        (Some(first), Some(_)) if first.is_ascii_punctuation() => {
            let (mark, rest) = word.split_at(1);
            (Some(mark), Some(rest))
        }
        _ => (Some(word), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_is_parted() {
        assert_eq!(part_punctuation("(hi)"), (Some("(hi"), Some(")")));
        assert_eq!(part_punctuation("«hi»"), (Some("«hi»"), None));
        assert_eq!(part_punctuation("\"hi"), (Some("\""), Some("hi")));
        assert_eq!(part_punctuation("."), (Some("."), None));
        assert_eq!(part_punctuation("é."), (Some("é"), Some(".")));
    }

    #[test]
    fn orders_have_limits() {
        let chrf = Chrf {
            character_order: 7,
            ..Chrf::default()
        };
        assert_eq!(
            chrf.check().unwrap_err().to_string(),
            "character order of chrF is 7: expected 1 to 6"
        );
        assert!(
            Chrf {
                character_order: 0,
                ..Chrf::default()
            }
            .check()
            .is_err()
        );
        assert!(
            Chrf {
                word_order: 5,
                ..Chrf::default()
            }
            .check()
            .is_err()
        );
    }
}
