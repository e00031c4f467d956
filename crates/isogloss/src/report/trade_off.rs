//! Quality against size.

use serde::Serialize;

use super::data::Run;
use crate::language::Direction;
use std::collections::{BTreeMap, BTreeSet};

/// Runs by the size of what they train and by how well they translate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TradeOff {
    /// The metric.
    pub metric: String,
    /// Whether a greater score is a better one.
    pub higher_is_better: bool,
    /// Directions that all these runs were scored in; scores are means over them.
    pub directions: usize,
    /// The base's mean, where it is known in all of them.
    pub base: Option<f64>,
    /// The runs, smallest first.
    pub points: Vec<TradeOffPoint>,
}

/// Scores of a run and of its base, by direction.
type Scores<'a> = BTreeMap<&'a Direction, (f64, Option<f64>)>;

/// One of the runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TradeOffPoint {
    /// Its index.
    pub run: usize,
    /// Trainable parameters.
    pub trainable: u64,
    /// Mean score.
    pub score: f64,
    /// Whether no other run is at least as small and better.
    pub best_of_size: bool,
}

impl TradeOff {
    /// Compares runs whose scores have the same signature as those of the run `lead`; none if that one has no scores or no size, or if
    /// they have no direction in common.
    #[must_use]
    pub(super) fn of(runs: &[Run], lead: usize) -> Option<Self> {
        let quality = runs.get(lead)?.quality.as_ref()?;
        let comparable: Vec<(usize, u64, Scores<'_>)> = runs
            .iter()
            .enumerate()
            .filter_map(|(i, run)| {
                let own = run.quality.as_ref()?;
                let same = own.metric == quality.metric && own.signature == quality.signature;
                let trainable = run.parameters.trainable.filter(|_| same)?;
                let scores = own.directions.iter();
                let scores = scores.map(|d| (&d.direction, (d.score, d.base)));
                Some((i, trainable, scores.collect()))
            })
            .collect();
        if comparable.iter().all(|(i, ..)| *i != lead) {
            return None;
        }
        let mut common: BTreeSet<&Direction> =
            quality.directions.iter().map(|d| &d.direction).collect();
        for (_, _, scores) in &comparable {
            common.retain(|d| scores.contains_key(d));
        }
        if common.is_empty() {
            return None;
        }
        let n = common.len() as f64;
        let mean = |scores: &Scores<'_>| common.iter().map(|d| scores[d].0).sum::<f64>() / n;
        let base = |scores: &Scores<'_>| {
            let sum = common.iter().map(|d| scores[d].1).sum::<Option<f64>>();
            sum.map(|sum| sum / n)
        };
        let mut points: Vec<TradeOffPoint> = comparable
            .iter()
            .map(|(run, trainable, scores)| TradeOffPoint {
                run: *run,
                trainable: *trainable,
                score: mean(scores),
                best_of_size: false,
            })
            .collect();
        let higher = quality.higher_is_better;
        mark(&mut points, higher);
        Some(TradeOff {
            metric: quality.metric.clone(),
            higher_is_better: higher,
            directions: common.len(),
            base: comparable.iter().find_map(|(_, _, scores)| base(scores)),
            points,
        })
    }
}

/// Sorts by size and marks the Pareto line.
fn mark(points: &mut [TradeOffPoint], higher_is_better: bool) {
    let better = |a: f64, b: f64| if higher_is_better { a > b } else { a < b };
    points.sort_by(|a, b| {
        let by_score = match higher_is_better {
            true => b.score.total_cmp(&a.score),
            false => a.score.total_cmp(&b.score),
        };
        a.trainable.cmp(&b.trainable).then(by_score)
    });
    let mut best: Option<f64> = None;
    for point in points {
        point.best_of_size = best.is_none_or(|best| better(point.score, best));
        if point.best_of_size {
            best = Some(point.score);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(all: &[(u64, f64)], higher: bool) -> Vec<(u64, f64, bool)> {
        let point = |&(trainable, score): &(u64, f64)| TradeOffPoint {
            run: 0,
            trainable,
            score,
            best_of_size: false,
        };
        let mut points: Vec<_> = all.iter().map(point).collect();
        mark(&mut points, higher);
        points
            .iter()
            .map(|p| (p.trainable, p.score, p.best_of_size))
            .collect()
    }

    #[test]
    fn larger_must_be_better() {
        let all = [
            (300, 21.0),
            (100, 20.0),
            (200, 19.0),
            (100, 18.0),
            (400, 21.0),
        ];
        assert_eq!(
            front(&all, true),
            [
                (100, 20.0, true),
                (100, 18.0, false),
                (200, 19.0, false),
                (300, 21.0, true),
                (400, 21.0, false)
            ]
        );
        assert_eq!(
            front(&all, false),
            [
                (100, 18.0, true),
                (100, 20.0, false),
                (200, 19.0, false),
                (300, 21.0, false),
                (400, 21.0, false)
            ]
        );
    }
}
