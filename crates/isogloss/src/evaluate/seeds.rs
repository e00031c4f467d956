//! A method that was trained with several seeds, against a base: resampled over sentences and seeds.

use super::comparison::check_pair;
use super::significance::{
    Paired, Test, percentile_interval, resampled_changes, simultaneous_lower_bounds,
};
use super::{ChangeOfMean, CompareOptions, Comparison, ComparisonError, Metric};
use crate::language::Direction;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::{Deserialize, Serialize};

/// Statistics of a system's translations: by direction, then by sentence, as [`Metric::corpus_statistics`] gives them.
pub type SystemStatistics = Vec<Vec<Vec<f64>>>;

/// A share with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// 1 is all of it.
    pub share: f64,
    /// Its bootstrap interval.
    pub interval: [f64; 2],
}

/// The changes of many directions, averaged over seeds, with what resampling makes of them.
///
/// A resample draws sentences with replacement, the same ones in all directions and for all seeds, and seeds with replacement, the
/// same ones in all directions; never directions. So an interval is about these directions on other sentences and with other
/// seeds. Two or three seeds say little about how seeds vary: the intervals are then too narrow rather than too wide.
#[derive(Debug, Clone)]
pub struct SeededChanges {
    directions: Vec<Direction>,
    scores: Vec<f64>,
    changes: Vec<f64>,
    /// By direction, then by resample.
    resampled: Vec<Vec<f32>>,
    level: f64,
}

impl SeededChanges {
    /// Compares a system's seeds, one or more, with a base, direction by direction.
    ///
    /// # Errors
    /// [`ComparisonError`]: no directions or seeds, other directions or sentences than the base's, statistics of another metric, and
    /// what [`Comparison::check`] refuses.
    pub fn new(
        metric: &Metric,
        directions: &[Direction],
        base: &SystemStatistics,
        seeds: &[SystemStatistics],
        options: &CompareOptions,
    ) -> Result<Self, ComparisonError> {
        check(metric, directions, base, seeds, options)?;
        let resamples = options.resamples as usize;
        let sign = if metric.higher_is_better() { 1.0 } else { -1.0 };
        let drawn = drawn_seeds(seeds.len(), resamples, options.seed);
        let count = seeds.len() as f64;
        let mut scores = vec![0.0; directions.len()];
        let mut changes = vec![0.0; directions.len()];
        let mut resampled = vec![vec![0.0_f32; resamples]; directions.len()];
        for (at, seed) in seeds.iter().enumerate() {
            let pairs = base.iter().zip(seed);
            let pairs: Vec<Paired> = pairs.map(|(base, seed)| Paired::new(base, seed)).collect();
            for (i, pair) in pairs.iter().enumerate() {
                let (base, system) = pair.scores(metric);
                scores[i] += system / count;
                changes[i] += sign * (system - base) / count;
            }
            let found = resampled_changes(metric, &pairs, Test::Bootstrap, resamples, options.seed);
            for (sums, found) in resampled.iter_mut().zip(found) {
                for ((sum, change), drawn) in sums.iter_mut().zip(found).zip(&drawn) {
                    let times = f64::from(drawn[at]) / count;
                    *sum += (sign * times * f64::from(change)) as f32;
                }
            }
        }
        Ok(SeededChanges {
            directions: directions.to_vec(),
            scores,
            changes,
            resampled,
            level: options.level,
        })
    }

    /// The directions.
    #[must_use]
    pub fn directions(&self) -> &[Direction] {
        &self.directions
    }

    /// The score of each direction, averaged over seeds.
    #[must_use]
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// By how much each direction is better than the base's, averaged over seeds.
    #[must_use]
    pub fn changes(&self) -> &[f64] {
        &self.changes
    }

    /// One-sided lower bounds of the changes, which hold together.
    #[must_use]
    pub fn lower_bounds(&self) -> Vec<f64> {
        simultaneous_lower_bounds(&self.changes, &self.resampled, self.level)
    }

    /// The mean of some directions' scores; none without any.
    #[must_use]
    pub fn mean_score(&self, among: impl Fn(&Direction) -> bool) -> Option<f64> {
        let all = self.directions.iter().zip(&self.scores);
        let scores: Vec<f64> = all.filter(|(d, _)| among(d)).map(|(_, &s)| s).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// The mean change of some directions, each with the same weight; none without any.
    #[must_use]
    pub fn mean(&self, among: impl Fn(&Direction) -> bool) -> Option<ChangeOfMean> {
        let (change, resampled, directions) = self.means(among);
        (directions > 0).then(|| ChangeOfMean {
            change,
            interval: percentile_interval(resampled, self.level),
            directions,
        })
    }

    /// What share of another system's mean change this one's is; none where the other gains nothing or its gain may be chance, since
    /// a share of that means nothing. Both are of the same base, directions and options.
    #[must_use]
    pub fn share_of(&self, other: &Self) -> Option<Share> {
        self.share_among(other, |_| true)
    }

    /// The same, of some directions.
    #[must_use]
    pub fn share_among(&self, other: &Self, among: impl Fn(&Direction) -> bool) -> Option<Share> {
        let (change, resampled, _) = self.means(&among);
        let (whole, of, directions) = other.means(&among);
        let certain = percentile_interval(of.clone(), self.level)[0] > 0.0;
        (directions > 0 && certain).then(|| Share {
            share: change / whole,
            interval: percentile_interval(
                resampled.iter().zip(&of).map(|(a, b)| a / b).collect(),
                self.level,
            ),
        })
    }

    /// The mean change of some directions, that of every resample, and how many directions they are.
    fn means(&self, among: impl Fn(&Direction) -> bool) -> (f64, Vec<f64>, usize) {
        let resamples = self.resampled.first().map_or(0, Vec::len);
        let (mut change, mut sums, mut count) = (0.0, vec![0.0; resamples], 0);
        for ((direction, &of), resampled) in self
            .directions
            .iter()
            .zip(&self.changes)
            .zip(&self.resampled)
        {
            if among(direction) {
                change += of;
                count += 1;
                sums.iter_mut()
                    .zip(resampled)
                    .for_each(|(sum, &x)| *sum += f64::from(x));
            }
        }
        let of = count.max(1) as f64;
        sums.iter_mut().for_each(|sum| *sum /= of);
        (change / of, sums, count)
    }
}

/// That every seed is of the base's directions and sentences and of the metric, and that these can be compared.
fn check(
    metric: &Metric,
    directions: &[Direction],
    base: &SystemStatistics,
    seeds: &[SystemStatistics],
    options: &CompareOptions,
) -> Result<(), ComparisonError> {
    if seeds.is_empty() {
        return Err(ComparisonError::NoDirections);
    }
    let mut systems = std::iter::once(base).chain(seeds);
    if let Some(other) = systems.find(|system| system.len() != directions.len()) {
        return Err(ComparisonError::Directions {
            expected: directions.len(),
            found: other.len(),
        });
    }
    for seed in seeds {
        for ((direction, base), system) in directions.iter().zip(base).zip(seed) {
            check_pair(metric, direction, base, system)?;
        }
    }
    let sentences: Vec<usize> = base.iter().map(Vec::len).collect();
    Comparison::check(directions, &sentences, options)
}

/// How often each resample takes each seed.
fn drawn_seeds(seeds: usize, resamples: usize, seed: u64) -> Vec<Vec<u32>> {
    // Another stream than that of the sentences.
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    let mut draw = || {
        let mut counts = vec![0; seeds];
        for _ in 0..seeds {
            counts[random.random_range(0..seeds)] += 1;
        }
        counts
    };
    (0..resamples).map(|_| draw()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(metric: &Metric, lines: &[String], references: &[String]) -> Vec<Vec<f64>> {
        metric.corpus_statistics(lines, &[references]).unwrap()
    }

    /// Sentences, and translations in which every so many words are wrong.
    fn lines(every: usize, offset: usize) -> Vec<String> {
        let word = |i: usize, j: usize| match (i * 7 + j + offset).is_multiple_of(every) {
            true => "wrong".to_owned(),
            false => format!("word{}", (i + j) % 13),
        };
        let line = |i: usize| (0..9).map(|j| word(i, j)).collect::<Vec<_>>().join(" ");
        (0..60).map(line).collect()
    }

    fn options() -> CompareOptions {
        CompareOptions {
            resamples: 500,
            ..CompareOptions::default()
        }
    }

    fn directions() -> Vec<Direction> {
        ["deu_Latn-eng_Latn", "eng_Latn-deu_Latn"]
            .map(|d| d.parse().unwrap())
            .to_vec()
    }

    /// A system's statistics in both directions.
    fn system(metric: &Metric, every: [usize; 2], offset: usize) -> SystemStatistics {
        let references = lines(usize::MAX, 1);
        let of = |every| statistics(metric, &lines(every, offset), &references);
        every.map(of).to_vec()
    }

    #[test]
    fn seeds_that_agree_vary_no_more_than_one() {
        let metric = Metric::parse("chrf++").unwrap();
        let (base, better) = (system(&metric, [3, 3], 0), system(&metric, [5, 8], 0));
        let of = |seeds: &[SystemStatistics]| {
            SeededChanges::new(&metric, &directions(), &base, seeds, &options()).unwrap()
        };
        let (one, three) = (
            of(std::slice::from_ref(&better)),
            of(&[better.clone(), better.clone(), better]),
        );
        let (one, three) = (one.mean(|_| true).unwrap(), three.mean(|_| true).unwrap());
        assert!((one.change - three.change).abs() < 1e-9 && one.change > 5.0);
        for side in 0..2 {
            assert!((one.interval[side] - three.interval[side]).abs() < 1e-3);
        }
        assert!(one.interval[0] < one.change && one.change < one.interval[1]);
    }

    #[test]
    fn seeds_that_differ_widen_the_interval() {
        let metric = Metric::parse("chrf++").unwrap();
        let base = system(&metric, [3, 3], 0);
        let seeds = [system(&metric, [4, 4], 0), system(&metric, [12, 12], 0)];
        let found = SeededChanges::new(&metric, &directions(), &base, &seeds, &options()).unwrap();
        let alone = |seed: &SystemStatistics| {
            let seeds = [seed.clone()];
            let of = SeededChanges::new(&metric, &directions(), &base, &seeds, &options());
            of.unwrap().mean(|_| true).unwrap()
        };
        let (low, high) = (alone(&seeds[0]), alone(&seeds[1]));
        let both = found.mean(|_| true).unwrap();
        assert!((both.change - (low.change + high.change) / 2.0).abs() < 1e-9);
        // Either seed alone may be drawn.
        assert!(both.interval[0] < low.interval[1] && both.interval[1] > high.interval[0]);
        // Bounds hold together, so each lies below its change.
        for (bound, change) in found.lower_bounds().iter().zip(found.changes()) {
            assert!(bound < change);
        }
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let metric = Metric::parse("chrf++").unwrap();
        let (base, better) = (system(&metric, [3, 3], 0), system(&metric, [5, 8], 0));
        let refused = |base: &SystemStatistics, seeds: &[SystemStatistics], options| {
            let found = SeededChanges::new(&metric, &directions(), base, seeds, &options);
            found.unwrap_err()
        };
        let of =
            |seed: &SystemStatistics| refused(&base, &[better.clone(), seed.clone()], options());
        let error = refused(&base, &[], options());
        assert_eq!(error, ComparisonError::NoDirections);
        let (expected, found) = (2, 1);
        let error = ComparisonError::Directions { expected, found };
        assert_eq!(of(&better[..1].to_vec()), error);
        assert_eq!(
            refused(
                &base[..1].to_vec(),
                std::slice::from_ref(&better),
                options()
            ),
            error
        );
        let mut shorter = better.clone();
        shorter[1].pop();
        assert!(matches!(
            of(&shorter),
            ComparisonError::Sentences { system: 59, .. }
        ));
        let mut narrower = better.clone();
        narrower[1][7].pop();
        assert!(matches!(of(&narrower), ComparisonError::Statistics { .. }));
        let one = |system: &SystemStatistics| system.iter().map(|d| d[..1].to_vec()).collect();
        let error = refused(&one(&base), &[one(&better)], options());
        assert!(matches!(
            error,
            ComparisonError::TooFew { sentences: 1, .. }
        ));

        let seeds = [better];
        let resamples = CompareOptions {
            resamples: 99,
            ..options()
        };
        let error = refused(&base, &seeds, resamples);
        assert!(matches!(
            error,
            ComparisonError::Resamples { needed: 100, .. }
        ));
        let level = CompareOptions {
            level: 1.0,
            ..options()
        };
        assert!(matches!(
            refused(&base, &seeds, level),
            ComparisonError::Setting { .. }
        ));
    }

    #[test]
    fn shares_are_of_a_gain_that_is_one() {
        let metric = Metric::parse("chrf++").unwrap();
        let base = system(&metric, [3, 3], 0);
        let of = |every| {
            let seeds = [system(&metric, every, 0)];
            SeededChanges::new(&metric, &directions(), &base, &seeds, &options()).unwrap()
        };
        let (whole, half, none) = (of([9, 9]), of([4, 4]), of([3, 3]));
        let share = half.share_of(&whole).unwrap();
        assert!(share.interval[0] < share.share && share.share < share.interval[1]);
        assert!(share.share > 0.1 && share.share < 0.9, "{share:?}");
        assert_eq!(whole.share_of(&none), None);
        let own = whole.share_of(&whole).unwrap();
        assert_eq!((own.share, own.interval), (1.0, [1.0, 1.0]));
        // Of one direction the share is that of a comparison of that direction alone.
        let (uneven, first) = (of([9, 3]), directions()[0].clone());
        let share = |of: &Direction| uneven.share_among(&whole, |d| d == of).unwrap().share;
        assert_eq!(share(&first), 1.0);
        assert_eq!(share(&directions()[1]), 0.0);
    }
}
