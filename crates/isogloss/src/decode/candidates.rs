//! The best continuations of hypotheses.

use std::cmp::Ordering;

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
}
