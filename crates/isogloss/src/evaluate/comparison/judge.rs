//! What the resamples say of each direction and of all.

use super::super::significance::{
    Paired, Test, holm, max_t, percentile_interval, raw_p, resampled_changes,
};
use super::super::{Classes, Metric};
use super::{
    ChangeOfMean, ClassChange, CompareOptions, ComparisonError, Correction, DirectionChange,
    PairedStatistics, Verdict,
};
use crate::language::Direction;

/// That a direction's statistics are of as many sentences, and of the metric.
pub(in super::super) fn check_pair(
    metric: &Metric,
    direction: &Direction,
    base: &[Vec<f64>],
    system: &[Vec<f64>],
) -> Result<(), ComparisonError> {
    if base.len() != system.len() {
        return Err(ComparisonError::Sentences {
            direction: direction.clone(),
            base: base.len(),
            system: system.len(),
        });
    }
    let expected = metric.statistics_len();
    let mut rows = base.iter().chain(system);
    match rows.find(|row| row.len() != expected) {
        None => Ok(()),
        Some(row) => Err(ComparisonError::Statistics {
            direction: direction.clone(),
            metric: metric.name(),
            expected,
            found: row.len(),
        }),
    }
}

/// By how much the system is better in every resample: a list a direction.
pub(super) fn changes(
    metric: &Metric,
    paired: &[Paired],
    test: Test,
    options: &CompareOptions,
) -> Vec<Vec<f32>> {
    let resamples = options.resamples as usize;
    let mut changes = resampled_changes(metric, paired, test, resamples, options.seed);
    if !metric.higher_is_better() {
        changes.iter_mut().flatten().for_each(|x| *x = -*x);
    }
    changes
}

/// Scores, p and verdicts; intervals and bounds are left open.
pub(super) fn judge(
    metric: &Metric,
    pairs: &[PairedStatistics],
    paired: &[Paired],
    options: &CompareOptions,
) -> Vec<DirectionChange> {
    let swapped = changes(metric, paired, Test::Randomisation, options);
    let scores: Vec<(f64, f64)> = paired.iter().map(|p| p.scores(metric)).collect();
    let better = |&(base, score): &(f64, f64)| match metric.higher_is_better() {
        true => score - base,
        false => base - score,
    };
    let observed: Vec<f64> = scores.iter().map(better).collect();
    let p: Vec<f64> = observed
        .iter()
        .zip(&swapped)
        .map(|(&observed, changes)| raw_p(observed, changes))
        .collect();
    let adjusted = match options.correction {
        Correction::MaxT => max_t(&observed, &swapped),
        Correction::Holm => holm(&p),
    };
    let of_direction = |i: usize| {
        let change = observed[i];
        let significant = adjusted[i] <= 1.0 - options.level + 1e-12;
        DirectionChange {
            direction: pairs[i].direction.clone(),
            sentences: paired[i].sentences(),
            base: scores[i].0,
            score: scores[i].1,
            change,
            interval: [change; 2],
            lower_bound: change,
            p: p[i],
            p_adjusted: adjusted[i],
            verdict: match significant {
                true if change > 0.0 => Verdict::Better,
                true if change < 0.0 => Verdict::Worse,
                _ => Verdict::Unclear,
            },
        }
    };
    (0..pairs.len()).map(of_direction).collect()
}

/// Over the directions that are `among` them.
pub(super) fn mean(
    directions: &[DirectionChange],
    bootstrap: &[Vec<f32>],
    level: f64,
    among: impl Fn(&Direction) -> bool,
) -> ChangeOfMean {
    let mut sums = vec![0.0; bootstrap.first().map_or(0, Vec::len)];
    let (mut change, mut count) = (0.0, 0);
    for (direction, changes) in directions.iter().zip(bootstrap) {
        if among(&direction.direction) {
            sums.iter_mut()
                .zip(changes)
                .for_each(|(sum, &x)| *sum += f64::from(x));
            change += direction.change;
            count += 1;
        }
    }
    let of = f64::from(count.max(1));
    sums.iter_mut().for_each(|sum| *sum /= of);
    ChangeOfMean {
        change: change / of,
        interval: percentile_interval(sums, level),
        directions: count as usize,
    }
}

pub(super) fn by_class(
    directions: &[DirectionChange],
    bootstrap: &[Vec<f32>],
    classes: &Classes,
    level: f64,
) -> Vec<ClassChange> {
    let mut found = Vec::new();
    for (source, sources) in classes {
        for (target, targets) in classes {
            let among = |d: &Direction| sources.contains(&d.source) && targets.contains(&d.target);
            if directions.iter().any(|d| among(&d.direction)) {
                found.push(ClassChange {
                    source: source.clone(),
                    target: target.clone(),
                    mean: mean(directions, bootstrap, level, among),
                });
            }
        }
    }
    found
}
