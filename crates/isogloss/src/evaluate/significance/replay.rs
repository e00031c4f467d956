//! The resamples of sacreBLEU, drawn again.

use super::super::Metric;
use super::numpy::NumpyRng;
use super::resample::{Paired, cpu, products};

/// Resamples that are drawn at a time.
const BLOCK: usize = 256;

/// The scores of systems in each resample of the bootstrap, a list a system; all have the same number of sentences.
pub(in super::super) fn bootstrap_scores(
    metric: &Metric,
    systems: &[&[Vec<f64>]],
    resamples: u32,
    seed: u64,
) -> Vec<Vec<f64>> {
    let sentences = systems.first().map_or(0, |s| s.len());
    let width = metric.statistics_len();
    let flat =
        |system: &&[Vec<f64>]| -> Vec<f32> { system.iter().flatten().map(|&x| x as f32).collect() };
    let systems: Vec<Vec<f32>> = systems.iter().map(flat).collect();
    let (mut rng, cpu) = (NumpyRng::new(seed), cpu());
    let mut scores = vec![Vec::with_capacity(resamples as usize); systems.len()];
    let mut draw = |weights: &mut [f32]| {
        for _ in 0..weights.len() {
            weights[rng.choice(sentences as u32) as usize] += 1.0;
        }
    };
    blocks(sentences, resamples, &mut draw, &mut |weights| {
        for (system, scores) in systems.iter().zip(&mut scores) {
            let sums = products(weights, system, sentences, width, &cpu);
            scores.extend(sums.chunks_exact(width).map(|sum| metric.value(sum)));
        }
    });
    scores
}

/// How far two systems' scores lie apart in each resample that swaps their translations.
pub(in super::super) fn swapped_differences(
    metric: &Metric,
    base: &[Vec<f64>],
    system: &[Vec<f64>],
    resamples: u32,
    seed: u64,
) -> Vec<f64> {
    let (paired, cpu) = (Paired::new(base, system), cpu());
    let mut rng = NumpyRng::new(seed);
    let mut differences = Vec::with_capacity(resamples as usize);
    let mut draw = |weights: &mut [f32]| {
        for weight in weights {
            *weight = if rng.bool() { 1.0 } else { 0.0 };
        }
    };
    blocks(base.len(), resamples, &mut draw, &mut |weights| {
        let swapped = paired.swapped(metric, weights, &cpu);
        differences.extend(swapped.map(|(a, b)| (a - b).abs()));
    });
    differences
}

/// Draws the weights of all resamples in their order, and hands them on a block at a time.
fn blocks(
    sentences: usize,
    resamples: u32,
    draw: &mut dyn FnMut(&mut [f32]),
    take: &mut dyn FnMut(&[f32]),
) {
    let resamples = resamples as usize;
    for first in (0..resamples).step_by(BLOCK) {
        let mut weights = vec![0.0; BLOCK.min(resamples - first) * sentences];
        weights.chunks_exact_mut(sentences).for_each(&mut *draw);
        take(&weights);
    }
}
