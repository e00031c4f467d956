use serde::{Deserialize, Serialize};

use crate::compare::LeastConfig;
use crate::config::TrainConfig;
use crate::train::Estimate;

/// Shares of an epoch's pairs that are tried, largest first.
const SHARES: [f64; 9] = [1.0, 0.75, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05];

/// How much of an experiment is done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extent {
    /// Share of the pairs of an epoch; warm-up shrinks with it.
    pub pairs: f64,
    /// Most seeds of a method: its first ones.
    pub seeds: usize,
    /// Whether the test's fewer directions are scored in place of all.
    pub fewer_directions: bool,
    /// Most sentences that are scored in a direction: the first ones.
    pub sentences: usize,
}

impl Extent {
    /// Takes its share of the pairs of an epoch; warm-up shrinks with it.
    pub(super) fn reduce(&self, config: &mut TrainConfig, estimate: &Estimate) {
        if self.pairs >= 1.0 {
            return;
        }
        let pairs = (estimate.pairs_per_epoch as f64 * self.pairs).round() as usize;
        let pairs = pairs.max(estimate.directions.len());
        config.training.sample.pairs_per_epoch = Some(pairs);
        config.training.shrink_warmup(self.pairs);
    }
}

/// What an experiment is at most, and may be at least.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    pub whole: Extent,
    /// Whether fewer directions are named.
    pub fewer: bool,
    pub least: &'a LeastConfig,
}

impl Bounds<'_> {
    /// The experiment, whole, and then less and less of it: fewer pairs an epoch, then fewer seeds, then fewer directions, then fewer
    /// sentences. Nothing ever grows again on the way.
    pub fn ladder(&self) -> Vec<Extent> {
        let least = self.least;
        let mut steps = vec![self.whole];
        let mut now = self.whole;
        let shares = SHARES.into_iter().filter(|&share| share > least.pairs);
        for share in shares.skip(1).chain([least.pairs.min(1.0)]) {
            now.pairs = share;
            steps.push(now);
        }
        while now.seeds > least.seeds.max(1) {
            now.seeds -= 1;
            steps.push(now);
        }
        if self.fewer {
            now.fewer_directions = true;
            steps.push(now);
        }
        while now.sentences > least.sentences {
            now.sentences = now.sentences.div_ceil(2).max(least.sentences);
            steps.push(now);
        }
        steps.dedup();
        steps
    }

    /// The most that fits into so many hours, by what each extent takes; or, if nothing does, what the least takes.
    ///
    /// # Errors
    /// The hours of the smallest extent.
    pub fn choose(&self, hours: f64, takes: impl Fn(&Extent) -> f64) -> Result<Extent, f64> {
        let ladder = self.ladder();
        let fits = ladder.iter().find(|extent| takes(extent) <= hours);
        let least = || ladder.last().map_or(0.0, &takes);
        fits.copied().ok_or_else(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(least: &LeastConfig) -> Bounds<'_> {
        let whole = Extent {
            pairs: 1.0,
            seeds: 3,
            fewer_directions: false,
            sentences: 1012,
        };
        Bounds {
            whole,
            fewer: true,
            least,
        }
    }

    /// Hours in which training weighs as much as scoring.
    fn takes(extent: &Extent) -> f64 {
        let directions = if extent.fewer_directions { 36.0 } else { 132.0 };
        let scoring = directions * extent.sentences as f64 / (132.0 * 1012.0);
        extent.seeds as f64 * (5.0 * extent.pairs + 5.0 * scoring)
    }

    #[test]
    fn a_smaller_budget_never_gets_more_of_anything() {
        let least = LeastConfig::default();
        let bounds = bounds(&least);
        let mut last = bounds.whole;
        let mut hours = 31.0;
        while let Ok(extent) = bounds.choose(hours, takes) {
            assert!(takes(&extent) <= hours, "{extent:?} in {hours}");
            let less = extent.pairs <= last.pairs
                && extent.seeds <= last.seeds
                && extent.fewer_directions >= last.fewer_directions
                && extent.sentences <= last.sentences;
            assert!(less, "{extent:?} after {last:?}");
            last = extent;
            hours *= 0.97;
        }
        assert_eq!(
            (
                last.pairs,
                last.seeds,
                last.fewer_directions,
                last.sentences
            ),
            (0.1, 1, true, 100)
        );
    }

    #[test]
    fn pairs_go_first_then_seeds_then_what_is_scored() {
        let least = LeastConfig::default();
        let bounds = bounds(&least);
        let at = |hours| bounds.choose(hours, takes).unwrap();
        assert_eq!(at(30.0), bounds.whole);
        assert_eq!(at(25.0).pairs, 0.5);
        assert_eq!(at(25.0).seeds, 3);
        assert_eq!((at(12.0).pairs, at(12.0).seeds), (0.1, 2));
        assert!(!at(6.0).fewer_directions && at(6.0).seeds == 1);
        assert!(at(2.0).fewer_directions && at(2.0).sentences == 1012);
        assert!(bounds.choose(0.1, takes).unwrap_err() > 0.1);
    }

    #[test]
    fn what_is_at_its_least_already_stays() {
        let least = LeastConfig {
            pairs: 1.0,
            seeds: 5,
            sentences: 5000,
        };
        let bounds = Bounds {
            fewer: false,
            ..bounds(&least)
        };
        assert_eq!(bounds.ladder(), [bounds.whole]);
    }
}
