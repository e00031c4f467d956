//! BLEU (Papineni et al. 2002), as `metrics/bleu.py` of sacreBLEU computes it.

use super::ngram::{Windows, number};
use super::score::{Details, Score};
use super::signature::{Signature, case, yes_no};
use super::text::{trim_end, words};
use super::{EvaluateError, Tokenizer};
use std::collections::HashMap;

/// Highest order of n-grams. It is not part of the signature, so it is fixed.
const ORDER: usize = 4;

/// What stands in for the logarithm of zero.
const LOG_OF_ZERO: f64 = -9_999_999_999.0;

/// How a precision of zero is kept from making BLEU zero (Chen and Cherry 2014).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Smoothing {
    /// `exp`: the n-th zero precision counts as `1 / 2^n` matches (their method 3, NIST's); the default.
    #[default]
    Exp,
    /// `floor`: no matches count as this many (method 1), usually 0.1.
    Floor(f64),
    /// `add-k`: this much is added to matches and totals above order 1 (method 2), usually 1.
    AddK(f64),
    /// `none`.
    None,
}

impl Smoothing {
    /// The smoothing of this name in sacreBLEU; `value` replaces the default of `floor` (0.1) and `add-k` (1) and is
    /// ignored by the others, as in sacreBLEU.
    ///
    /// # Errors
    /// An unknown name, or a value that is negative or not finite.
    pub fn parse(name: &str, value: Option<f64>) -> Result<Self, EvaluateError> {
        let smoothing = match name {
            "exp" => Self::Exp,
            "floor" => Self::Floor(value.unwrap_or(0.1)),
            "add-k" => Self::AddK(value.unwrap_or(1.0)),
            "none" => Self::None,
            _ => return Err(EvaluateError::UnknownSmoothing { name: name.into() }),
        };
        smoothing.check()?;
        Ok(smoothing)
    }

    fn check(self) -> Result<(), EvaluateError> {
        match self {
            Self::Floor(value) | Self::AddK(value) if !(value.is_finite() && value >= 0.0) => {
                Err(EvaluateError::SmoothingValue { value })
            }
            _ => Ok(()),
        }
    }

    fn signature(self) -> String {
        match self {
            Self::Exp => "exp".into(),
            Self::Floor(value) => format!("floor[{value:.2}]"),
            Self::AddK(value) => format!("add-k[{value:.2}]"),
            Self::None => "none".into(),
        }
    }
}

/// BLEU's settings; the default is sacreBLEU's.
#[derive(Debug, Clone, Default)]
pub struct Bleu {
    /// Cuts lines into tokens; default `13a`.
    pub tokenizer: Tokenizer,
    /// Smoothing; default `exp`.
    pub smoothing: Smoothing,
    /// Whether to lower-case first; default no.
    pub lowercase: bool,
    /// Whether orders without any n-gram are left out, as is usual for single sentences; default no.
    pub effective_order: bool,
}

impl Bleu {
    /// Numbers in a sentence's statistics: both lengths, then matches and totals of each order.
    pub(super) const STATISTICS: usize = 2 + 2 * ORDER;

    pub(super) fn check(&self) -> Result<(), EvaluateError> {
        self.smoothing.check()
    }

    pub(super) fn signature(&self, references: usize) -> Signature {
        Signature::new(references)
            .with("case", "c", case(self.lowercase))
            .with("eff", "e", yes_no(self.effective_order))
            .with("tok", "tok", self.tokenizer.name())
            .with("smooth", "s", self.smoothing.signature())
    }

    pub(super) fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let hypothesis = self.prepare(hypothesis);
        let references: Vec<String> = references
            .iter()
            .map(|reference| self.prepare(reference))
            .collect();
        let mut ids = HashMap::new();
        let hypothesis = windows(&hypothesis, &mut ids);
        let references: Vec<Windows> = references
            .iter()
            .map(|reference| windows(reference, &mut ids))
            .collect();

        let length = hypothesis.total(1);
        let closest = references
            .iter()
            .map(|reference| reference.total(1))
            .min_by_key(|&reference| (reference.abs_diff(length), reference))
            .unwrap_or(0);
        let mut statistics = vec![length as f64, closest as f64];
        statistics.extend((1..=ORDER).map(|n| hypothesis.matches(&references, n) as f64));
        statistics.extend((1..=ORDER).map(|n| hypothesis.total(n) as f64));
        statistics
    }

    /// The tokens of a line, parted by white space.
    fn prepare(&self, line: &str) -> String {
        if self.lowercase {
            self.tokenizer
                .apply(trim_end(&line.to_lowercase()))
                .into_owned()
        } else {
            self.tokenizer.apply(trim_end(line)).into_owned()
        }
    }

    /// `sum` is [`Bleu::STATISTICS`] numbers long.
    pub(super) fn score(&self, sum: &[f64], references: usize) -> Score {
        let (value, details) = self.figures(sum);
        Score {
            name: "BLEU".into(),
            value,
            signature: self.signature(references),
            details,
            confidence: None,
        }
    }

    /// The bare score of a sum.
    pub(super) fn value(&self, sum: &[f64]) -> f64 {
        self.figures(sum).0
    }

    fn figures(&self, sum: &[f64]) -> (f64, Details) {
        let (length, closest) = (sum[0], sum[1]);
        let mut counts = [0.0; ORDER];
        let mut totals = [0.0; ORDER];
        counts.copy_from_slice(&sum[2..2 + ORDER]);
        totals.copy_from_slice(&sum[2 + ORDER..]);
        let brevity_penalty = match () {
            () if length >= closest => 1.0,
            () if length > 0.0 => (1.0 - closest / length).exp(),
            () => 0.0,
        };
        let mut precisions = [0.0; ORDER];
        let mut value = 0.0;
        if counts.iter().any(|&count| count != 0.0) {
            let order = self.precisions(&mut counts, &mut totals, &mut precisions);
            let logs: f64 = precisions[..order]
                .iter()
                .map(|&p| if p == 0.0 { LOG_OF_ZERO } else { p.ln() })
                .sum();
            value = brevity_penalty * (logs / order as f64).exp();
        }
        let details = Details::Bleu {
            counts,
            totals,
            precisions,
            brevity_penalty,
            hypothesis_length: length as u64,
            reference_length: closest as u64,
        };
        (value, details)
    }

    /// Fills in the smoothed precisions, in percent, and returns the number of orders to average over.
    fn precisions(
        &self,
        counts: &mut [f64; ORDER],
        totals: &mut [f64; ORDER],
        precisions: &mut [f64; ORDER],
    ) -> usize {
        let mut order = ORDER;
        let mut doubled = 1.0;
        for n in 0..ORDER {
            if let Smoothing::AddK(k) = self.smoothing
                && n > 0
            {
                counts[n] += k;
                totals[n] += k;
            }
            if totals[n] == 0.0 {
                break;
            }
            if self.effective_order {
                order = n + 1;
            }
            precisions[n] = match self.smoothing {
                _ if counts[n] != 0.0 => 100.0 * counts[n] / totals[n],
                Smoothing::Exp => {
                    doubled *= 2.0;
                    100.0 / (doubled * totals[n])
                }
                Smoothing::Floor(value) => 100.0 * value / totals[n],
                Smoothing::AddK(_) | Smoothing::None => 0.0,
            };
        }
        order
    }
}

/// The windows over the words of `line`; `ids` numbers the words of a sentence and its references from 1.
fn windows<'a>(line: &'a str, ids: &mut HashMap<&'a str, u32>) -> Windows {
    let symbols: Vec<u32> = words(line).map(|word| number(word, ids)).collect();
    Windows::new(&symbols, ORDER, u32::BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_values_must_make_sense() {
        assert_eq!(Smoothing::parse("floor", None), Ok(Smoothing::Floor(0.1)));
        assert_eq!(
            Smoothing::parse("add-k", Some(0.5)),
            Ok(Smoothing::AddK(0.5))
        );
        assert!(matches!(
            Smoothing::parse("add-k", Some(-1.0)),
            Err(EvaluateError::SmoothingValue { .. })
        ));
        assert!(matches!(
            Smoothing::parse("floor", Some(f64::NAN)),
            Err(EvaluateError::SmoothingValue { .. })
        ));
        assert!(matches!(
            Smoothing::parse("laplace", None),
            Err(EvaluateError::UnknownSmoothing { .. })
        ));
    }

    #[test]
    fn the_closest_reference_counts_and_the_shorter_of_two() {
        let bleu = Bleu::default();
        assert_eq!(
            bleu.statistics("a b c", &["a b c d", "a b"])[..2],
            [3.0, 2.0]
        );
        assert_eq!(bleu.statistics("a b c", &["a b c d", "a"])[..2], [3.0, 4.0]);
    }
}
