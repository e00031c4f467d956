//! Edit distance within a band, with its operations.

/// Half the width of the band around the diagonal, in words.
const BEAM: usize = 25;

/// Cost of a cell that was not reached. Far above any distance, far below overflow.
const UNREACHED: u32 = u32::MAX / 2;

/// An operation that makes the reference from the hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// The same word.
    Keep,
    /// Another word.
    Substitute,
    /// A word of the reference that the hypothesis lacks.
    Insert,
    /// A word of the hypothesis that the reference lacks.
    Delete,
}

/// Distances from hypotheses of one length, permutations of each other, to one reference.
///
/// The cells outside the band around the length-adjusted diagonal are never reached, as in sacreBLEU, so on very long
/// lines the distance may exceed the true one. All rows for the current hypothesis are kept: a hypothesis that shares
/// its start with it goes on from there, and stops where it meets the kept rows again.
pub(super) struct Distances<'a> {
    reference: &'a [u32],
    base: Vec<u32>,
    /// Row-major, `base.len() + 1` rows of `reference.len() + 1`.
    rows: Vec<u32>,
    scratch: [Vec<u32>; 2],
    ratio: f64,
    beam: usize,
}

impl<'a> Distances<'a> {
    /// `hypothesis` is the first current one.
    pub(super) fn new(hypothesis: &[u32], reference: &'a [u32]) -> Self {
        let ratio = if hypothesis.is_empty() {
            1.0
        } else {
            reference.len() as f64 / hypothesis.len() as f64
        };
        // Where the reference is more than 50 times as long, a fixed band would leave a gap between two rows.
        let beam = if (BEAM as f64) < ratio / 2.0 {
            (ratio / 2.0 + BEAM as f64).ceil() as usize
        } else {
            BEAM
        };
        let width = reference.len() + 1;
        let mut rows = vec![UNREACHED; width * (hypothesis.len() + 1)];
        for (cost, cell) in (0u32..).zip(&mut rows[..width]) {
            *cell = cost;
        }
        let scratch = [vec![UNREACHED; width], vec![UNREACHED; width]];
        let mut distances = Self {
            reference,
            base: Vec::new(),
            rows,
            scratch,
            ratio,
            beam,
        };
        distances.set(hypothesis);
        distances
    }

    /// Makes `hypothesis`, as long as the first, the current one.
    pub(super) fn set(&mut self, hypothesis: &[u32]) {
        let width = self.reference.len() + 1;
        for (i, &word) in (1..).zip(hypothesis) {
            let band = self.band(i, hypothesis.len());
            let (above, row) = self.rows.split_at_mut(i * width);
            fill(
                &above[(i - 1) * width..],
                &mut row[..width],
                band,
                word,
                self.reference,
            );
        }
        self.base = hypothesis.to_vec();
    }

    /// Distance of the current hypothesis.
    pub(super) fn distance(&self) -> usize {
        self.rows.last().map_or(0, |&cost| cost as usize)
    }

    /// Distance of another permutation, which differs from the current hypothesis between `start` and `end` only.
    pub(super) fn distance_of(&mut self, other: &[u32], start: usize, end: usize) -> usize {
        let width = self.reference.len() + 1;
        let [mut above, mut row] = std::mem::take(&mut self.scratch);
        above.copy_from_slice(&self.rows[start * width..][..width]);
        let mut met = start >= end;
        for i in start + 1..=other.len() {
            if met {
                break;
            }
            fill(
                &above,
                &mut row,
                self.band(i, other.len()),
                other[i - 1],
                self.reference,
            );
            // From here on the words are the same: equal rows stay equal.
            met = i >= end && row == self.rows[i * width..][..width];
            std::mem::swap(&mut above, &mut row);
        }
        let distance = if met {
            self.distance()
        } else {
            above[width - 1] as usize
        };
        self.scratch = [above, row];
        distance
    }

    /// The columns of row `i` that are worked out; all up to the last in the last row.
    fn band(&self, i: usize, rows: usize) -> std::ops::Range<usize> {
        let diagonal = (i as f64 * self.ratio).floor() as usize;
        let width = self.reference.len() + 1;
        let end = if i == rows {
            width
        } else {
            width.min(diagonal + self.beam)
        };
        diagonal.saturating_sub(self.beam)..end
    }

    /// The operations for the current hypothesis, from the start.
    pub(super) fn edits(&self) -> Vec<Edit> {
        let width = self.reference.len() + 1;
        let (mut i, mut j) = (self.base.len(), self.reference.len());
        let mut edits = Vec::with_capacity(i.max(j));
        while i > 0 || j > 0 {
            let edit = self.edit(i, j, width);
            match edit {
                Edit::Keep | Edit::Substitute => (i, j) = (i - 1, j - 1),
                Edit::Insert => j -= 1,
                Edit::Delete => i -= 1,
            }
            edits.push(edit);
        }
        edits.reverse();
        edits
    }

    /// The operation that leads into a cell: of the cheapest a substitution or none before a deletion before an insertion.
    fn edit(&self, i: usize, j: usize, width: usize) -> Edit {
        if i == 0 {
            return Edit::Insert;
        }
        if j == 0 {
            return Edit::Delete;
        }
        let same = self.base[i - 1] == self.reference[j - 1];
        let cost = self.rows[i * width + j];
        if cost == self.rows[(i - 1) * width + j - 1] + u32::from(!same) {
            if same { Edit::Keep } else { Edit::Substitute }
        } else if cost == self.rows[(i - 1) * width + j] + 1 {
            Edit::Delete
        } else {
            Edit::Insert
        }
    }
}

/// Works out one row, `above` being the one before.
fn fill(
    above: &[u32],
    row: &mut [u32],
    band: std::ops::Range<usize>,
    word: u32,
    reference: &[u32],
) {
    row[..band.start].fill(UNREACHED);
    row[band.end..].fill(UNREACHED);
    let mut before = UNREACHED;
    for j in band {
        let cost = if j == 0 {
            above[0] + 1
        } else {
            let replaced = above[j - 1] + u32::from(word != reference[j - 1]);
            replaced.min(above[j] + 1).min(before + 1).min(UNREACHED)
        };
        row[j] = cost;
        before = cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The recurrence without band.
    fn plain(hypothesis: &[u32], reference: &[u32]) -> usize {
        let mut row: Vec<usize> = (0..=reference.len()).collect();
        for (i, word) in hypothesis.iter().enumerate() {
            let mut diagonal = row[0];
            row[0] = i + 1;
            for j in 1..=reference.len() {
                let cost = (diagonal + usize::from(*word != reference[j - 1]))
                    .min(row[j] + 1)
                    .min(row[j - 1] + 1);
                diagonal = std::mem::replace(&mut row[j], cost);
            }
        }
        row[reference.len()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn short_lines_get_the_true_distance(
            hyp in prop::collection::vec(0u32..4, 0..20),
            reference in prop::collection::vec(0u32..4, 1..20),
            (a, b) in (0usize..20, 0usize..20),
        ) {
            let mut distances = Distances::new(&hyp, &reference);
            prop_assert_eq!(distances.distance(), plain(&hyp, &reference));
            let edits = distances.edits();
            prop_assert_eq!(edits.iter().filter(|&&e| e != Edit::Keep).count(), distances.distance());
            prop_assert_eq!(edits.iter().filter(|&&e| e != Edit::Insert).count(), hyp.len());

            let (start, end) = (a.min(b).min(hyp.len()), a.max(b).min(hyp.len()));
            let mut other = hyp.clone();
            other[start..end].reverse();
            prop_assert_eq!(distances.distance_of(&other, start, end), plain(&other, &reference));
            distances.set(&other);
            prop_assert_eq!(distances.distance(), plain(&other, &reference));
        }
    }
}
