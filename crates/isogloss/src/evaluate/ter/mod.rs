//! TER, the translation edit rate (Snover et al. 2006), as `metrics/ter.py` and `lib_ter.py` of sacreBLEU compute it
//! after Tercom.

mod edits;
mod shift;
mod tokenizer;

use super::ngram::number;
use super::score::{Details, Score};
use super::signature::{Signature, case, yes_no};
use super::text::{trim_end, words};
use std::collections::HashMap;

/// TER's settings; the default is sacreBLEU's: lower-cased, split at white space only.
#[derive(Debug, Clone, Default)]
pub struct Ter {
    /// Whether to set punctuation apart and undo XML's entities; default no.
    pub normalized: bool,
    /// Whether to drop punctuation; default no.
    pub no_punctuation: bool,
    /// Whether `normalized` also parts Chinese characters and `no_punctuation` also drops East Asian punctuation;
    /// default no.
    pub asian_support: bool,
    /// Whether case matters; default no.
    pub case_sensitive: bool,
}

impl Ter {
    /// Numbers in a sentence's statistics: edits and reference length.
    pub(super) const STATISTICS: usize = 2;

    pub(super) fn signature(&self, references: usize) -> Signature {
        Signature::new(references)
            .with("case", "c", case(!self.case_sensitive))
            .with("tok", "t", "tercom")
            .with("norm", "nr", yes_no(self.normalized))
            .with("punct", "pn", yes_no(!self.no_punctuation))
            .with("asian", "as", yes_no(self.asian_support))
    }

    /// The edits of the reference that needs fewest, and the mean length of all of them.
    pub(super) fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let hypothesis = self.prepare(hypothesis);
        // sacreBLEU tokenizes references twice, which shows where an entity hides another: `&amp;lt;`.
        let references: Vec<String> = references
            .iter()
            .map(|reference| self.prepare(&self.prepare(reference)))
            .collect();
        let mut ids = HashMap::new();
        let hypothesis: Vec<u32> = words(&hypothesis)
            .map(|word| number(word, &mut ids))
            .collect();
        let mut fewest = usize::MAX;
        let mut length = 0;
        for reference in &references {
            let reference: Vec<u32> = words(reference)
                .map(|word| number(word, &mut ids))
                .collect();
            fewest = fewest.min(shift::translation_edits(&hypothesis, &reference));
            length += reference.len();
        }
        vec![fewest as f64, length as f64 / references.len() as f64]
    }

    fn prepare(&self, line: &str) -> String {
        tokenizer::tokenize(trim_end(line), self)
    }

    /// `sum` is [`Ter::STATISTICS`] numbers long.
    pub(super) fn score(&self, sum: &[f64], references: usize) -> Score {
        let (edits, reference_length) = (sum[0], sum[1]);
        Score {
            name: "TER".into(),
            value: self.value(sum),
            signature: self.signature(references),
            details: Details::Ter {
                edits: edits as u64,
                reference_length,
            },
            confidence: None,
        }
    }
    /// The bare score of a sum.
    pub(super) fn value(&self, sum: &[f64]) -> f64 {
        let (edits, reference_length) = (sum[0], sum[1]);
        let rate = match () {
            () if reference_length > 0.0 => edits / reference_length,
            () if edits > 0.0 => 1.0,
            () => 0.0,
        };
        100.0 * rate
    }
}
