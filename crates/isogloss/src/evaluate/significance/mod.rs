//! Whether a change of scores may be chance: resampling of sentences, for many directions at once.
//!
//! Both tests work on the sums of sentences' statistics, so that a resample costs a few additions instead of another look
//! at the text. Sums of all resamples are one matrix product: how often a resample takes each sentence, times the
//! sentences' statistics.
//!
//! - *Bootstrap* (Efron 1979; for BLEU Koehn 2004): a resample draws as many sentences as there are, with replacement. How
//!   the change varies between resamples is how it would vary between test sets: intervals and bounds.
//! - *Approximate randomisation* (Noreen 1989; Riezler and Maxwell 2005): a resample swaps the two systems' translations of
//!   each sentence or not, with even odds. If it doesn't matter which system a translation is from, the change that was
//!   found is one draw among these: p.
//!
//! All directions see the same draws: translations of one sentence into many languages are good or bad together, and a
//! correction over directions that knows this loses less. Row `i` of every direction is taken for the same sentence, as
//! in multi-parallel text. Directions with another number of sentences cannot be paired row by row: those of equal number
//! share draws, those of different number have independent ones.

mod adjust;
mod draws;
mod numpy;
mod replay;
mod resample;

pub(super) use adjust::{holm, max_t, raw_p, simultaneous_lower_bounds};
pub(super) use replay::{bootstrap_scores, swapped_differences};
pub(super) use resample::{Paired, Test, resampled_changes};

/// The interval that holds the middle `level` of the values, by rank as sacreBLEU takes it: with 1,000 values at 0.95
/// the 26th smallest and the 26th largest.
pub(super) fn percentile_interval(mut values: Vec<f64>, level: f64) -> [f64; 2] {
    values.sort_unstable_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else {
        return [f64::NAN; 2];
    };
    // A hair more, so that 0.95 of 1,000 leaves 25 on each side although 1 - 0.95 isn't 0.05.
    let outside = (values.len() as f64 * (1.0 - level) / 2.0 + 1e-9) as usize;
    let outside = outside.min(last / 2);
    [values[outside], values[last - outside]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_leave_as_much_on_either_side() {
        let values: Vec<f64> = (0..1000).rev().map(f64::from).collect();
        assert_eq!(percentile_interval(values, 0.95), [25.0, 974.0]);
        assert_eq!(percentile_interval(vec![3.0], 0.95), [3.0, 3.0]);
        assert_eq!(percentile_interval(vec![4.0, 3.0], 0.0), [3.0, 4.0]);
    }
}
