//! The best continuations of hypotheses.

use std::cmp::Ordering;

use isogloss_kernels::Real;

/// A hypothesis and one more token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// Which of the sentence's live hypotheses.
    pub parent: usize,
    /// The token.
    pub token: u32,
    /// Sum of log-probabilities, the token's included.
    pub score: f64,
}

/// Blocks of a row that are passed over at once where none of their values is good enough.
const BLOCK: usize = 32;

/// Adds the `count` likeliest tokens of a row of log-probabilities, best first and the lower id first among equals. What is
/// ruled out is minus infinity and never a candidate.
pub(super) fn push_best<R: Real>(
    log_probs: &[R],
    count: usize,
    parent: usize,
    score: f64,
    candidates: &mut Vec<Candidate>,
) {
    let mut best: Vec<(R, u32)> = Vec::with_capacity(count + 1);
    let mut threshold = R::neg_infinity();
    for (b, block) in log_probs.chunks(BLOCK).enumerate() {
        let max = block.iter().copied().fold(R::neg_infinity(), R::max);
        if max <= threshold {
            continue;
        }
        for (i, &x) in block.iter().enumerate() {
            if x > threshold {
                let at = best.partition_point(|&(better, _)| better >= x);
                best.insert(at, (x, (b * BLOCK + i) as u32));
                best.truncate(count);
                if best.len() == count {
                    threshold = best[count - 1].0;
                }
            }
        }
    }
    candidates.extend(best.into_iter().map(|(x, token)| Candidate {
        parent,
        token,
        score: score + x.f64(),
    }));
}

/// Keeps the `count` best of a sentence's candidates, best first; among equals the earlier hypothesis', then the lower id.
pub(super) fn keep_best(candidates: &mut Vec<Candidate>, count: usize) {
    candidates.sort_by(|a, b| {
        let by_score = b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal);
        by_score
            .then(a.parent.cmp(&b.parent))
            .then(a.token.cmp(&b.token))
    });
    candidates.truncate(count);
}

/// Rules out tokens that would repeat an n-gram of `ids`.
pub(super) fn ban_repeats(ids: &[u32], n: usize, mut ban: impl FnMut(u32)) {
    if n == 0 || ids.len() < n {
        return;
    }
    let prefix = &ids[ids.len() + 1 - n..];
    for window in ids.windows(n) {
        if window[..n - 1] == *prefix {
            ban(window[n - 1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repeats_are_ruled_out() {
        let banned = |ids: &[u32], n| {
            let mut row = [0f32; 10];
            ban_repeats(ids, n, |id| row[id as usize] = f32::NEG_INFINITY);
            (0..10).filter(|&i| row[i] < 0.0).collect::<Vec<_>>()
        };
        assert_eq!(banned(&[2, 5, 6, 5], 2), [6]);
        assert_eq!(banned(&[2, 5, 6, 5], 1), [2, 5, 6]);
        assert_eq!(banned(&[5, 6, 7, 5, 6, 8, 5, 6], 3), [7, 8]);
        assert!(banned(&[5, 6], 3).is_empty());
        assert!(banned(&[5, 5], 0).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Few distinct values, so that there are ties.
        #[test]
        fn the_best_are_those_of_a_full_sort(values in prop::collection::vec(-4i8..4, 1..200), count in 1usize..12) {
            let row: Vec<f32> = values.iter().map(|&v| if v == -4 { f32::NEG_INFINITY } else { f32::from(v) }).collect();
            let mut sorted: Vec<(usize, f32)> = row.iter().copied().enumerate().filter(|(_, v)| v.is_finite()).collect();
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
            sorted.truncate(count);
            let mut got = Vec::new();
            push_best(&row, count, 3, 0.5, &mut got);
            let expected: Vec<Candidate> = sorted
                .into_iter()
                .map(|(i, v)| Candidate { parent: 3, token: i as u32, score: 0.5 + f64::from(v) })
                .collect();
            prop_assert_eq!(got, expected);
        }
    }
}
