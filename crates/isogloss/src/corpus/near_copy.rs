//! How close sentences that should be new come to sentences that were trained on.

use std::collections::BTreeMap;

use rayon::prelude::*;

/// Longest character n-gram, as in chrF.
const ORDER: usize = 6;
/// Recall counts `BETA` times as much as precision, as in chrF2.
const BETA: f64 = 2.0;

/// The character n-grams of a sentence, for [`chrf`](Self::chrf).
#[derive(Debug, Clone)]
pub struct NgramProfile {
    /// For each order: hashes of the n-grams, sorted, with their counts.
    orders: [Vec<(u64, u32)>; ORDER],
    totals: [u32; ORDER],
}

impl NgramProfile {
    /// Counts n-grams of one to six characters; white space is left out, as in chrF.
    #[must_use]
    pub fn new(sentence: &str) -> Self {
        let characters: Vec<char> = sentence.chars().filter(|c| !c.is_whitespace()).collect();
        let mut profile = NgramProfile {
            orders: Default::default(),
            totals: [0; ORDER],
        };
        for n in 1..=ORDER {
            let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
            for gram in characters.windows(n) {
                *counts.entry(hash(gram)).or_default() += 1;
                profile.totals[n - 1] += 1;
            }
            profile.orders[n - 1] = counts.into_iter().collect();
        }
        profile
    }

    /// chrF2 of `self` as hypothesis against `reference`, 0 to 100, as sacreBLEU's sentence score with its defaults
    /// (`nc:6|nw:0|space:no`, Popović 2015): precision and recall are averaged over the orders that both sentences have.
    #[must_use]
    pub fn chrf(&self, reference: &NgramProfile) -> f64 {
        let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
        for n in 0..ORDER {
            let (mine, theirs) = (self.totals[n], reference.totals[n]);
            if mine == 0 || theirs == 0 {
                break;
            }
            let matches = f64::from(overlap(&self.orders[n], &reference.orders[n]));
            precision += matches / f64::from(mine);
            recall += matches / f64::from(theirs);
            orders += 1.0;
        }
        if orders == 0.0 || precision + recall == 0.0 {
            return 0.0;
        }
        let (precision, recall) = (precision / orders, recall / orders);
        100.0 * (1.0 + BETA * BETA) * precision * recall / (BETA * BETA * precision + recall)
    }
}

/// FNV-1a over the characters' code points.
fn hash(gram: &[char]) -> u64 {
    gram.iter().fold(0xCBF2_9CE4_8422_2325, |h, &c| {
        (h ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01B3)
    })
}

/// Sum over common n-grams of the smaller count.
fn overlap(a: &[(u64, u32)], b: &[(u64, u32)]) -> u32 {
    let (mut i, mut j, mut sum) = (0, 0, 0);
    while let (Some(&(gram_a, count_a)), Some(&(gram_b, count_b))) = (a.get(i), b.get(j)) {
        if gram_a == gram_b {
            sum += count_a.min(count_b);
        }
        i += usize::from(gram_a <= gram_b);
        j += usize::from(gram_b <= gram_a);
    }
    sum
}

/// The training sentence that comes closest to a held-out one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearest {
    /// Index of the training sentence.
    pub index: usize,
    /// Its chrF2 as hypothesis with the held-out sentence as reference, 0 to 100.
    pub chrf: f64,
}

/// For each held-out sentence the training sentence with the highest chrF, the first of equals; `None` if there is no
/// training sentence. Compares every held-out sentence with every training sentence, a few microseconds each, on all cores.
#[must_use]
pub fn nearest_copies<S: AsRef<str> + Sync, T: AsRef<str> + Sync>(
    held_out: &[S],
    training: &[T],
) -> Vec<Option<Nearest>> {
    let training: Vec<NgramProfile> = training
        .par_iter()
        .map(|s| NgramProfile::new(s.as_ref()))
        .collect();
    held_out
        .par_iter()
        .map(|sentence| {
            let reference = NgramProfile::new(sentence.as_ref());
            let mut best: Option<Nearest> = None;
            for (index, hypothesis) in training.iter().enumerate() {
                let chrf = hypothesis.chrf(&reference);
                if best.is_none_or(|b| chrf > b.chrf) {
                    best = Some(Nearest { index, chrf });
                }
            }
            best
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of sacreBLEU 2.6, `CHRF().sentence_score(hypothesis, [reference])`.
    #[test]
    fn agrees_with_sacrebleu() {
        for (hypothesis, reference, score) in [
            (
                "Close the inlet valve before you open the drain.",
                "Open the drain only after the inlet valve is closed.",
                53.72572003600349,
            ),
            (
                "Никогда не открывайте крышку.",
                "Не открывайте крышку насоса никогда.",
                65.28898554073731,
            ),
            (
                "蓋を閉めてください。",
                "蓋を開けてください。",
                48.80952380952381,
            ),
            ("abc", "abc", 100.0),
            ("ab", "abcdefgh", 23.404255319148938),
            ("xyz", "abc", 0.0),
            ("a b c", "abc", 100.0),
            ("", "abc", 0.0),
        ] {
            let chrf = NgramProfile::new(hypothesis).chrf(&NgramProfile::new(reference));
            assert!(
                (chrf - score).abs() < 1e-9,
                "{hypothesis} | {reference}: {chrf} {score}"
            );
        }
    }

    #[test]
    fn the_nearest_is_found_and_the_first_of_equals_wins() {
        let training = [
            "Close the valve.",
            "Open the valve.",
            "Open the valve.",
            "Call the shift leader.",
        ];
        let found = nearest_copies(&["Open the valve!", "zzz"], &training);
        assert_eq!(found[0].map(|n| n.index), Some(1));
        assert!(found[0].is_some_and(|n| n.chrf > 80.0 && n.chrf < 100.0));
        assert_eq!(
            found[1],
            Some(Nearest {
                index: 0,
                chrf: 0.0
            })
        );
        assert_eq!(nearest_copies(&["a"], &[] as &[&str]), [None]);
    }
}
