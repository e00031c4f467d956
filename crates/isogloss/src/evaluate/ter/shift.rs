//! The greedy search for shifts that lower the edit distance.

use super::edits::{Distances, Edit};

/// Longest run of words that is shifted.
const LONGEST: usize = 10;

/// Greatest distance between the places of a run in hypothesis and reference.
const FARTHEST: usize = 50;

/// Candidates looked at in a sentence, after which no further shift is made.
const CANDIDATES: usize = 1000;

/// Shifts and edits that make `reference` from `hypothesis`, both as numbered words.
///
/// One shift at a time, the one that lowers the edit distance most, until none does. Which candidates are looked at and
/// how ties are broken follows Tercom by way of sacreBLEU: the number depends on it.
pub(super) fn translation_edits(hypothesis: &[u32], reference: &[u32]) -> usize {
    if reference.is_empty() {
        return hypothesis.len();
    }
    let mut current = hypothesis.to_vec();
    let mut distances = Distances::new(hypothesis, reference);
    let mut shifts = 0;
    let mut seen = 0;
    while let Some(shifted) = best_shift(&current, reference, &mut distances, &mut seen) {
        current = shifted;
        distances.set(&current);
        shifts += 1;
    }
    shifts + distances.distance()
}

/// A shift and how it ranks: the greatest gain, then the longest run, the earliest start, the earliest target.
struct Candidate {
    gain: i64,
    length: usize,
    start: usize,
    target: usize,
    words: Vec<u32>,
}

impl Candidate {
    fn beats(&self, other: &Self) -> bool {
        // A later start and target rank lower, hence the swapped sides.
        (self.gain, self.length, other.start, other.target)
            > (other.gain, other.length, self.start, self.target)
    }
}

/// The hypothesis after the best shift, unless none lowers the distance or too many candidates were `seen`.
fn best_shift(
    hypothesis: &[u32],
    reference: &[u32],
    distances: &mut Distances<'_>,
    seen: &mut usize,
) -> Option<Vec<u32>> {
    let alignment = Alignment::new(&distances.edits(), reference.len());
    let distance = distances.distance() as i64;
    let mut best: Option<Candidate> = None;
    let mut shifted = Vec::with_capacity(hypothesis.len());
    for run in runs(hypothesis, reference) {
        if !alignment.worth_shifting(&run) {
            continue;
        }
        let mut last = None;
        for place in run.reference..=run.reference + run.length {
            // Before the first word, or after the word aligned with the one before `place`.
            let target = match place.checked_sub(1) {
                None => 0,
                Some(word) => match alignment.targets.get(word) {
                    None => break,
                    Some(&target) => target,
                },
            };
            if last == Some(target) {
                continue;
            }
            last = Some(target);
            let changed = shift(hypothesis, run.hypothesis, run.length, target, &mut shifted);
            let gain =
                distance - distances.distance_of(&shifted, changed.start, changed.end) as i64;
            *seen += 1;
            let candidate = Candidate {
                gain,
                length: run.length,
                start: run.hypothesis,
                target,
                words: Vec::new(),
            };
            if best.as_ref().is_none_or(|best| candidate.beats(best)) {
                best = Some(Candidate {
                    words: shifted.clone(),
                    ..candidate
                });
            }
        }
        if *seen >= CANDIDATES {
            return None;
        }
    }
    best.filter(|best| best.gain > 0).map(|best| best.words)
}

/// A run of words in both lines.
struct Run {
    hypothesis: usize,
    reference: usize,
    length: usize,
}

/// All runs, by their place in the hypothesis, in the reference, by length.
fn runs(hypothesis: &[u32], reference: &[u32]) -> impl Iterator<Item = Run> {
    (0..hypothesis.len()).flat_map(move |h| {
        let near = h.saturating_sub(FARTHEST)..reference.len().min(h + FARTHEST + 1);
        near.flat_map(move |r| {
            let pairs = hypothesis[h..].iter().zip(&reference[r..]).take(LONGEST);
            let longest = pairs.take_while(|(a, b)| a == b).count();
            (1..=longest).map(move |length| Run {
                hypothesis: h,
                reference: r,
                length,
            })
        })
    })
}

/// What the edits say about each word.
struct Alignment {
    /// For each word of the reference, the place after the hypothesis' word that it is aligned with.
    targets: Vec<usize>,
    wrong_in_reference: Vec<bool>,
    wrong_in_hypothesis: Vec<bool>,
}

impl Alignment {
    fn new(edits: &[Edit], reference: usize) -> Self {
        let mut targets = Vec::with_capacity(reference);
        let mut wrong_in_reference = Vec::with_capacity(reference);
        let mut wrong_in_hypothesis = Vec::with_capacity(edits.len());
        for &edit in edits {
            let wrong = edit != Edit::Keep;
            if edit != Edit::Insert {
                wrong_in_hypothesis.push(wrong);
            }
            if edit != Edit::Delete {
                wrong_in_reference.push(wrong);
                targets.push(wrong_in_hypothesis.len());
            }
        }
        Self {
            targets,
            wrong_in_reference,
            wrong_in_hypothesis,
        }
    }

    /// Whether both places of the run hold an error, and the run would move.
    fn worth_shifting(&self, run: &Run) -> bool {
        let wrong =
            |errors: &[bool], start: usize| errors[start..start + run.length].contains(&true);
        let inside = run.hypothesis + 1..run.hypothesis + run.length + 1;
        wrong(&self.wrong_in_hypothesis, run.hypothesis)
            && wrong(&self.wrong_in_reference, run.reference)
            && !inside.contains(&self.targets[run.reference])
    }
}

/// Writes `words` with the `length` words from `start` moved to before `target` into `out`; returns the places between
/// which it differs. A target within the run moves it on by as many words as the target lies behind its start.
fn shift(
    words: &[u32],
    start: usize,
    length: usize,
    target: usize,
    out: &mut Vec<u32>,
) -> std::ops::Range<usize> {
    let end = start + length;
    let run = &words[start..end];
    out.clear();
    if target < start {
        for part in [&words[..target], run, &words[target..start], &words[end..]] {
            out.extend_from_slice(part);
        }
        return target..end;
    }
    let behind = if target > end {
        target
    } else {
        (target + length).min(words.len())
    };
    for part in [&words[..start], &words[end..behind], run, &words[behind..]] {
        out.extend_from_slice(part);
    }
    start..behind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ter(hypothesis: &str, reference: &str) -> usize {
        let number = |text: &str| text.bytes().map(u32::from).collect::<Vec<_>>();
        translation_edits(&number(hypothesis), &number(reference))
    }

    #[test]
    fn a_moved_run_is_one_edit() {
        assert_eq!(ter("defabc", "abcdef"), 1);
        assert_eq!(ter("abcdef", "abcdef"), 0);
        assert_eq!(ter("xabcdef", "abcdef"), 1);
        assert_eq!(ter("", "abc"), 3);
        assert_eq!(ter("abc", ""), 3);
        assert_eq!(ter("", ""), 0);
    }

    #[test]
    fn shifting_within_the_run() {
        let mut out = Vec::new();
        let words = [0, 1, 2, 3, 4, 5];
        assert_eq!(shift(&words, 1, 2, 2, &mut out), 1..4);
        assert_eq!(out, [0, 3, 1, 2, 4, 5]);
        shift(&words, 3, 2, 1, &mut out);
        assert_eq!(out, [0, 3, 4, 1, 2, 5]);
        shift(&words, 1, 2, 5, &mut out);
        assert_eq!(out, [0, 3, 4, 1, 2, 5]);
        shift(&words, 3, 3, 6, &mut out);
        assert_eq!(out, words);
    }
}
