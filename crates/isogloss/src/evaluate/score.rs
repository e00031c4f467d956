//! A score and the figures it came from.

use super::{Confidence, Signature};
use std::fmt;

/// A score with the signature that says how it was computed; neither is to be had without the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) signature: Signature,
    pub(super) details: Details,
    pub(super) confidence: Option<Confidence>,
}

/// The figures behind a score.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Details {
    /// Of BLEU, for the orders 1 to 4.
    Bleu {
        /// N-grams found in a reference, clipped; with `add-k`, `k` is added above order 1.
        counts: [f64; 4],
        /// N-grams of the hypotheses; with `add-k`, `k` is added above order 1.
        totals: [f64; 4],
        /// Smoothed precisions, 0 to 100.
        precisions: [f64; 4],
        /// 0 to 1; 1 when the hypotheses are not shorter than the references.
        brevity_penalty: f64,
        /// Tokens of the hypotheses.
        hypothesis_length: u64,
        /// Tokens of the references, of each sentence the one closest in length.
        reference_length: u64,
    },
    /// Of chrF: nothing but the score.
    Chrf,
    /// Of TER.
    Ter {
        /// Insertions, deletions, substitutions and shifts against the reference that needs fewest.
        edits: u64,
        /// Words of the references, averaged over the references of a sentence.
        reference_length: f64,
    },
}

impl Score {
    /// The metric's name as sacreBLEU writes it: `BLEU`, `chrF2`, `chrF2++`, `TER`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The score, unrounded: 0 to 100 for BLEU and chrF (higher is better), 0 upwards for TER (lower is better).
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// How it was computed.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What it was computed from.
    #[must_use]
    pub fn details(&self) -> &Details {
        &self.details
    }

    /// Where it lies on other test sets of the kind, if that was asked for
    /// ([`Metric::corpus_score_with_confidence`](super::Metric::corpus_score_with_confidence)).
    #[must_use]
    pub fn confidence(&self) -> Option<Confidence> {
        self.confidence
    }

    /// The line that sacreBLEU prints in its text format, with `width` decimals and the given form of the signature.
    #[must_use]
    pub fn line(&self, width: usize, short: bool) -> String {
        let signature = if short {
            self.signature.short()
        } else {
            self.signature.to_string()
        };
        let mut line = format!("{}|{signature} = {:.width$}", self.name, self.value);
        // sacreBLEU takes a mean of 0 for one that wasn't asked for.
        if let Some(Confidence { mean, half_width }) = self.confidence.filter(|c| c.mean > 0.0) {
            line += &format!(" (μ = {mean:.width$} ± {half_width:.width$})");
        }
        if let Details::Bleu {
            precisions,
            brevity_penalty,
            hypothesis_length,
            reference_length,
            ..
        } = &self.details
        {
            let ratio = match reference_length {
                0 => 0.0,
                _ => *hypothesis_length as f64 / *reference_length as f64,
            };
            let [p1, p2, p3, p4] = precisions;
            line += &format!(
                " {p1:.1}/{p2:.1}/{p3:.1}/{p4:.1} (BP = {brevity_penalty:.3} ratio = {ratio:.3} \
                 hyp_len = {hypothesis_length} ref_len = {reference_length})"
            );
        }
        line
    }
}

impl fmt::Display for Score {
    /// [`Score::line`] with two decimals and the long signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line(2, false))
    }
}
