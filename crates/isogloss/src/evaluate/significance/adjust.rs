//! One p for each direction, and what is left of it when there are many.
//!
//! `changes` are those of [`resampled_changes`](super::resampled_changes): a list a direction, in all of them the same
//! resamples in the same order.

/// The share of resamples whose change is at least as large, in either direction; the one that was observed counts as a
/// resample, so p is never 0 (Phipson and Smyth 2010).
pub(in super::super) fn raw_p(observed: f64, changes: &[f32]) -> f64 {
    share(changes.iter().map(|x| x.abs()), (observed as f32).abs())
}

/// `(1 + how many reach it) / (1 + how many there are)`.
fn share(values: impl ExactSizeIterator<Item = f32>, observed: f32) -> f64 {
    let all = values.len();
    let reach = values.filter(|&x| x >= observed).count();
    (reach + 1) as f64 / (all + 1) as f64
}

/// Adjusted p by the step-down max-T of Westfall and Young (1993, algorithm 4.1): the family-wise error rate over all
/// directions is kept whatever their dependence, because a resample shows the largest change that chance brings to any of
/// them. Changes are measured in their own standard deviation under the null, else noisy directions would set the bar
/// for all.
pub(in super::super) fn max_t(observed: &[f64], changes: &[Vec<f32>]) -> Vec<f64> {
    let scales: Vec<f32> = changes.iter().map(|c| root_mean_square(c)).collect();
    let t: Vec<f32> = observed
        .iter()
        .zip(&scales)
        .map(|(&x, &scale)| in_units(x as f32, scale))
        .collect();
    let mut order: Vec<usize> = (0..t.len()).collect();
    order.sort_by(|&a, &b| t[b].total_cmp(&t[a]).then(a.cmp(&b)));
    let mut largest = vec![0.0_f32; changes.first().map_or(0, Vec::len)];
    let mut adjusted = vec![1.0; t.len()];
    // From the least: each is compared with itself and all those below it.
    for &at in order.iter().rev() {
        for (largest, &x) in largest.iter_mut().zip(&changes[at]) {
            *largest = largest.max(in_units(x, scales[at]));
        }
        adjusted[at] = share(largest.iter().copied(), t[at]);
    }
    keep_order(&order, &mut adjusted);
    adjusted
}

/// Adjusted p of Holm (1979): no resample is looked at, hence nothing is gained from dependence.
pub(in super::super) fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]).then(a.cmp(&b)));
    let mut adjusted = vec![1.0; p.len()];
    for (place, &at) in order.iter().enumerate() {
        adjusted[at] = ((p.len() - place) as f64 * p[at]).min(1.0);
    }
    keep_order(&order, &mut adjusted);
    adjusted
}

/// What stands later in the order has no smaller p.
fn keep_order(order: &[usize], adjusted: &mut [f64]) {
    let mut least = 0.0_f64;
    for &at in order {
        least = least.max(adjusted[at]);
        adjusted[at] = least;
    }
}

/// One-sided lower bounds that all hold together with probability `level`: `observed - q sd`, where `q` is the quantile of
/// the largest standardised excess over all directions, `max (resampled - observed) / sd`.
pub(in super::super) fn simultaneous_lower_bounds(
    observed: &[f64],
    changes: &[Vec<f32>],
    level: f64,
) -> Vec<f64> {
    let deviations: Vec<f32> = changes.iter().map(|c| deviation(c)).collect();
    let mut largest = vec![f32::NEG_INFINITY; changes.first().map_or(0, Vec::len)];
    for ((&observed, changes), &deviation) in observed.iter().zip(changes).zip(&deviations) {
        // One that never varies is its own bound.
        if deviation > 0.0 {
            for (largest, &x) in largest.iter_mut().zip(changes) {
                *largest = largest.max((x - observed as f32) / deviation);
            }
        }
    }
    largest.sort_unstable_by(f32::total_cmp);
    let place = (largest.len() as f64 * level - 1e-9).ceil() as usize;
    let quantile = largest
        .get(place.saturating_sub(1))
        .map_or(0.0, |&q| f64::from(q));
    let bound = |(&observed, &deviation): (&f64, &f32)| match deviation > 0.0 {
        true => observed - quantile * f64::from(deviation),
        false => observed,
    };
    observed.iter().zip(&deviations).map(bound).collect()
}

fn in_units(x: f32, scale: f32) -> f32 {
    if scale > 0.0 { x.abs() / scale } else { 0.0 }
}

fn root_mean_square(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
    (sum / values.len().max(1) as f64).sqrt() as f32
}

/// Their standard deviation.
fn deviation(values: &[f32]) -> f32 {
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len().max(1) as f64;
    let sum: f64 = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum();
    (sum / values.len().max(1) as f64).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_counts_either_sign_and_the_observed() {
        let changes = [-3.0, -1.0, 0.0, 2.0];
        assert_eq!(raw_p(2.0, &changes), 3.0 / 5.0);
        assert_eq!(raw_p(-3.0, &changes), 2.0 / 5.0);
        assert_eq!(raw_p(4.0, &changes), 1.0 / 5.0);
        assert_eq!(raw_p(0.0, &[0.0; 9]), 1.0);
    }

    #[test]
    fn holm_steps_down() {
        let close = |found: Vec<f64>, expected: [f64; 4]| {
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
            assert!(found.iter().zip(&expected).all(near), "{found:?}");
        };
        close(holm(&[0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02]);
        close(holm(&[0.5, 0.6, 0.9, 0.3]), [1.0; 4]);
    }

    /// Worked by hand: scales are 1, so `t` is what was observed.
    #[test]
    fn max_t_compares_with_the_largest_below() {
        let changes = vec![vec![1.0, -1.0, 1.0, 1.0], vec![1.0, 1.0, -1.0, 1.0]];
        // Ranked 2 then 0.5: the second is reached by its own changes in all resamples, the first by none.
        assert_eq!(max_t(&[2.0, 0.5], &changes), [0.2, 1.0]);
        // A direction that never varies, as of identical systems, is no evidence.
        let changes = vec![vec![0.0; 4], vec![1.0, -1.0, 1.0, 1.0]];
        assert_eq!(max_t(&[0.0, 3.0], &changes), [1.0, 0.2]);
    }

    #[test]
    fn max_t_of_one_direction_is_its_raw_p() {
        let changes: Vec<f32> = (0..999).map(|i| (i as f32 * 0.37).sin()).collect();
        for observed in [0.1, 0.7, 0.99, 1.5] {
            let adjusted = max_t(&[observed], std::slice::from_ref(&changes));
            assert!((adjusted[0] - raw_p(observed, &changes)).abs() < 0.003);
        }
    }

    #[test]
    fn bounds_lie_below_and_further_below_of_many() {
        let wave = |phase: f32| -> Vec<f32> {
            (0..2000)
                .map(|i| 1.0 + (i as f32 * 0.7 + phase).sin())
                .collect()
        };
        let one = simultaneous_lower_bounds(&[1.0], &[wave(0.0)], 0.95)[0];
        // The 95% quantile of a sine is 0.988.
        assert!((one - 0.012).abs() < 0.01, "{one}");
        let two = simultaneous_lower_bounds(&[1.0, 5.0], &[wave(0.0), vec![5.0; 2000]], 0.95);
        assert!((two[0] - one).abs() < 1e-9);
        assert_eq!(two[1], 5.0);
    }
}
