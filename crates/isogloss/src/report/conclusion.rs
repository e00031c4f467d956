//! What follows from the numbers: gain, harm, and what to roll out. Rules, not words; the words are in `text`.

use serde::Serialize;

use super::data::{DirectionChange, MeanChange, Quality, Run};
use crate::evaluate::Verdict;
use crate::language::Direction;

/// Answers to whether a run helps and whether it harms, and what to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Conclusion {
    /// Does it help?
    pub gain: Gain,
    /// Does it harm anyone?
    pub harm: Harm,
    /// What to do.
    pub recommendation: Recommendation,
    /// The directions by what to do with them; empty unless changes were tested.
    pub rollout: Rollout,
}

/// Does it help?
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Gain {
    /// There is nothing to tell by.
    Unknown,
    /// The scores differ by so much; whether by chance was not tested.
    Untested {
        /// The mean change.
        mean: MeanChange,
        /// Directions with a greater score.
        up: usize,
    },
    /// Tested.
    Tested {
        /// The mean change.
        mean: MeanChange,
        /// Directions that are proven better.
        better: usize,
        /// Of so many.
        directions: usize,
    },
}

/// A direction with its change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Worst {
    /// The direction.
    pub direction: Direction,
    /// Its change, below 0.
    pub change: f64,
}

/// Does it harm anyone?
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Harm {
    /// There is nothing to tell by.
    Unknown,
    /// So many directions score less; whether by chance was not tested.
    Untested {
        /// Directions with a smaller score.
        down: usize,
        /// Of so many.
        directions: usize,
        /// The one that lost most.
        worst: Option<Worst>,
    },
    /// Tested.
    Tested {
        /// Directions that are proven worse.
        worse: usize,
        /// The one of them that lost most.
        worst: Option<Worst>,
        /// Others, whose loss may exceed the margin.
        unproven: usize,
        /// The margin, in points.
        margin: f64,
    },
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recommendation {
    /// Finish training.
    Train,
    /// Score it.
    Evaluate,
    /// Compare it with the base.
    Compare,
    /// Stay with the base: no direction is proven better.
    Keep,
    /// Use it in every direction.
    All,
    /// Use it where it is proven better.
    Some,
}

/// Directions by what to do with them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Rollout {
    /// Proven better.
    pub adapted: Vec<Direction>,
    /// Better, but not proven: for a share of the traffic.
    pub trial: Vec<Direction>,
    /// Not better.
    pub base: Vec<Direction>,
}

fn worst<'a>(all: impl Iterator<Item = &'a DirectionChange>) -> Option<Worst> {
    let changes = all.filter_map(|d| Some((d, d.change?)));
    let worst = changes.min_by(|a, b| a.1.total_cmp(&b.1))?;
    (worst.1 < 0.0).then(|| Worst {
        direction: worst.0.direction.clone(),
        change: worst.1,
    })
}

fn count(quality: &Quality, which: impl Fn(&DirectionChange) -> bool) -> usize {
    quality.directions.iter().filter(|d| which(d)).count()
}

/// Directions that were tested.
fn tested(quality: &Quality) -> usize {
    count(quality, |d| d.verdict.is_some())
}

impl Conclusion {
    /// What follows for a run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let unknown = |recommendation| Conclusion {
            gain: Gain::Unknown,
            harm: Harm::Unknown,
            recommendation,
            rollout: Rollout::default(),
        };
        let Some(quality) = &run.quality else {
            return unknown(match run.has_result() {
                true => Recommendation::Evaluate,
                false => Recommendation::Train,
            });
        };
        let Some(mean) = quality.mean.clone() else {
            return unknown(Recommendation::Compare);
        };
        match (&quality.test, tested(quality)) {
            (Some(test), directions @ 1..) => Self::of_test(quality, mean, directions, test.margin),
            _ => Conclusion {
                gain: Gain::Untested {
                    mean,
                    up: count(quality, |d| d.change.is_some_and(|c| c > 0.0)),
                },
                harm: Harm::Untested {
                    down: count(quality, |d| d.change.is_some_and(|c| c < 0.0)),
                    directions: count(quality, |d| d.change.is_some()),
                    worst: worst(quality.directions.iter()),
                },
                recommendation: Recommendation::Compare,
                rollout: Rollout::default(),
            },
        }
    }

    fn of_test(quality: &Quality, mean: MeanChange, directions: usize, margin: f64) -> Self {
        let mut rollout = Rollout::default();
        for d in &quality.directions {
            let list = match (d.verdict, d.change) {
                (Some(Verdict::Better), _) => &mut rollout.adapted,
                (Some(Verdict::Unclear), Some(change)) if change > 0.0 => &mut rollout.trial,
                _ => &mut rollout.base,
            };
            list.push(d.direction.clone());
        }
        let is_worse = |d: &&DirectionChange| d.verdict == Some(Verdict::Worse);
        let unproven = quality.unproven.iter();
        let unproven = unproven.filter(|d| !quality.harmed.contains(d)).count();
        let better = rollout.adapted.len();
        Conclusion {
            gain: Gain::Tested {
                mean,
                better,
                directions,
            },
            harm: Harm::Tested {
                worse: count(quality, |d| is_worse(&d)),
                worst: worst(quality.directions.iter().filter(is_worse)),
                unproven,
                margin,
            },
            recommendation: match better {
                0 => Recommendation::Keep,
                n if n == quality.directions.len() && quality.missing.is_empty() => {
                    Recommendation::All
                }
                _ => Recommendation::Some,
            },
            rollout,
        }
    }
}

/// The run to speak of first: of those that are not proven to harm any direction the one with the greatest mean change, else the one
/// with the greatest mean change, else the first.
#[must_use]
pub(super) fn lead(runs: &[Run]) -> usize {
    let rank = |run: &Run| {
        let quality = run.quality.as_ref()?;
        let mean = quality.mean.as_ref()?.change;
        let proven = quality.test.is_some();
        Some((proven, quality.harmless(), mean))
    };
    let better = |a: (bool, bool, f64), b: (bool, bool, f64)| {
        (a.0, a.1)
            .cmp(&(b.0, b.1))
            .then(a.2.total_cmp(&b.2))
            .is_gt()
    };
    let mut best = (0, None);
    for (i, run) in runs.iter().enumerate() {
        let now = rank(run);
        if now.is_some_and(|now| best.1.is_none_or(|before| better(now, before))) {
            best = (i, now);
        }
    }
    best.0
}
