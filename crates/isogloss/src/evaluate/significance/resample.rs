//! The change of a score in every resample.

use super::super::Metric;
use super::draws::weights;
use isogloss_kernels::{Backend as _, Cpu, Epilogue, KernelPath, Mat, MatData, MatMut};
use rayon::prelude::*;

/// Resamples that one task works on: enough that the statistics are packed once for many, few enough that their weights
/// stay in the cache.
const BLOCK: usize = 256;

/// Sentences of one product. Statistics are whole numbers, and their sum over this many sentences stays far below 2^24:
/// sums are exact in `f32`, so their order doesn't matter.
const ROWS: usize = 4096;

/// What a resample does with the sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Test {
    /// Draws sentences with replacement.
    Bootstrap,
    /// Swaps the systems' translations of some sentences.
    Randomisation,
}

/// The statistics of two systems' translations of the same sentences, `(sentences, statistics)`, and their sums.
#[derive(Debug)]
pub(in super::super) struct Paired {
    sentences: usize,
    width: usize,
    /// The base's statistics, then the system's, a row a sentence.
    both: Vec<f32>,
    /// What the system has more than the base.
    excess: Vec<f32>,
    base_sum: Vec<f64>,
    system_sum: Vec<f64>,
}

impl Paired {
    /// Both have as many rows, all of the same length.
    pub fn new(base: &[Vec<f64>], system: &[Vec<f64>]) -> Self {
        let sentences = base.len();
        let width = base.first().map_or(0, Vec::len);
        let (mut base_sum, mut system_sum) = (vec![0.0; width], vec![0.0; width]);
        let mut both = Vec::with_capacity(2 * width * sentences);
        let mut excess = Vec::with_capacity(width * sentences);
        for (base, system) in base.iter().zip(system) {
            both.extend(base.iter().chain(system).map(|&x| x as f32));
            excess.extend(base.iter().zip(system).map(|(b, s)| (s - b) as f32));
            base_sum.iter_mut().zip(base).for_each(|(sum, x)| *sum += x);
            system_sum
                .iter_mut()
                .zip(system)
                .for_each(|(sum, x)| *sum += x);
        }
        Paired {
            sentences,
            width,
            both,
            excess,
            base_sum,
            system_sum,
        }
    }

    pub fn sentences(&self) -> usize {
        self.sentences
    }

    /// The scores of base and system.
    pub fn scores(&self, metric: &Metric) -> (f64, f64) {
        (metric.value(&self.base_sum), metric.value(&self.system_sum))
    }

    /// The system's score less the base's in each resample of a block, whose weights are `(resamples, sentences)`.
    fn changes(&self, metric: &Metric, test: Test, weights: &[f32], cpu: &Cpu) -> Vec<f32> {
        match test {
            Test::Bootstrap => {
                let columns = 2 * self.width;
                let sums = products(weights, &self.both, self.sentences, columns, cpu);
                let of_resample = |sums: &[f64]| {
                    let (base, system) = sums.split_at(self.width);
                    (metric.value(system) - metric.value(base)) as f32
                };
                sums.chunks_exact(columns).map(of_resample).collect()
            }
            Test::Randomisation => {
                let scores = self.swapped(metric, weights, cpu);
                scores
                    .map(|(base, system)| (system - base) as f32)
                    .collect()
            }
        }
    }

    /// The scores of base and system in each resample of a block, their translations swapped where the weight is 1.
    pub fn swapped(
        &self,
        metric: &Metric,
        weights: &[f32],
        cpu: &Cpu,
    ) -> impl Iterator<Item = (f64, f64)> {
        let sums = products(weights, &self.excess, self.sentences, self.width, cpu);
        let (mut base, mut system) = (vec![0.0; self.width], vec![0.0; self.width]);
        let resamples = weights.len() / self.sentences;
        (0..resamples).map(move |resample| {
            for i in 0..self.width {
                let moved = sums[resample * self.width + i];
                base[i] = self.base_sum[i] + moved;
                system[i] = self.system_sum[i] - moved;
            }
            (metric.value(&base), metric.value(&system))
        })
    }
}

/// `weights` (resamples, sentences) times `statistics` (sentences, columns).
pub(super) fn products(
    weights: &[f32],
    statistics: &[f32],
    sentences: usize,
    columns: usize,
    cpu: &Cpu,
) -> Vec<f64> {
    let resamples = weights.len() / sentences;
    let mut sums = vec![0.0; resamples * columns];
    let mut part = vec![0.0_f32; resamples * columns];
    for first in (0..sentences).step_by(ROWS) {
        let rows = ROWS.min(sentences - first);
        let a = Mat::strided(MatData::Real(&weights[first..]), resamples, rows, sentences);
        let of_rows = &statistics[first * columns..(first + rows) * columns];
        let b = Mat::new(of_rows, rows, columns);
        let c = MatMut::new(&mut part, resamples, columns);
        cpu.matmul(a, b, Epilogue::default(), c);
        sums.iter_mut()
            .zip(&part)
            .for_each(|(sum, &x)| *sum += f64::from(x));
    }
    sums
}

/// A backend on the caller's thread. Every path gives these sums exactly, so one that cannot be had is no error.
pub(super) fn cpu() -> Cpu {
    let Ok(cpu) = Cpu::new(1).or_else(|_| Cpu::with_path(1, KernelPath::Portable)) else {
        unreachable!("the portable path on the caller's thread is always there");
    };
    cpu
}

/// The change of the score (system less base) of every pair in every resample: a list a pair, in the order of the
/// resamples. In `f32`: rounding keeps the order, and values that differ in their last digits only count as equal.
///
/// Takes 4 bytes for each pair and resample.
pub(in super::super) fn resampled_changes(
    metric: &Metric,
    pairs: &[Paired],
    test: Test,
    resamples: usize,
    seed: u64,
) -> Vec<Vec<f32>> {
    let cpu = cpu();
    let mut lengths: Vec<usize> = pairs.iter().map(Paired::sentences).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let of_block = |first: usize| {
        let block = BLOCK.min(resamples - first);
        let mut changes = vec![Vec::new(); pairs.len()];
        for &sentences in &lengths {
            let mut drawn = vec![0.0; block * sentences];
            for (resample, row) in (first..).zip(drawn.chunks_exact_mut(sentences)) {
                weights(test, seed, resample, row);
            }
            for (pair, changes) in pairs.iter().zip(&mut changes) {
                if pair.sentences == sentences {
                    *changes = pair.changes(metric, test, &drawn, &cpu);
                }
            }
        }
        changes
    };
    let firsts: Vec<usize> = (0..resamples).step_by(BLOCK).collect();
    let blocks: Vec<Vec<Vec<f32>>> = firsts.into_par_iter().map(of_block).collect();
    let joined = |pair: usize| blocks.iter().flat_map(|b| &b[pair]).copied().collect();
    (0..pairs.len()).into_par_iter().map(joined).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

    fn statistics(rng: &mut ChaCha8Rng, sentences: usize, width: usize) -> Vec<Vec<f64>> {
        let mut row = || {
            (0..width)
                .map(|_| f64::from(rng.next_u32() % 90 + 1))
                .collect()
        };
        (0..sentences).map(|_| row()).collect()
    }

    /// The sums sentence by sentence.
    fn plainly(metric: &Metric, weights: &[f32], rows: [&[Vec<f64>]; 2], test: Test) -> f32 {
        let mut sums = [vec![0.0; rows[0][0].len()], vec![0.0; rows[0][0].len()]];
        for (sentence, &weight) in weights.iter().enumerate() {
            let weight = f64::from(weight);
            for side in 0..2 {
                let (own, other) = (&rows[side][sentence], &rows[1 - side][sentence]);
                for (i, sum) in sums[side].iter_mut().enumerate() {
                    *sum += match test {
                        Test::Bootstrap => weight * own[i],
                        Test::Randomisation => weight * other[i] + (1.0 - weight) * own[i],
                    };
                }
            }
        }
        (metric.value(&sums[1]) - metric.value(&sums[0])) as f32
    }

    #[test]
    fn resamples_are_those_of_plain_sums_on_any_number_of_threads() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for name in ["chrf++", "bleu", "ter"] {
            let metric = Metric::parse(name).unwrap();
            // More rows than one product takes, and two numbers of sentences.
            let rows: Vec<_> = [11, ROWS + 5, 11]
                .map(|n| [(); 2].map(|()| statistics(&mut rng, n, metric.statistics_len())))
                .into();
            let pairs: Vec<Paired> = rows.iter().map(|[b, s]| Paired::new(b, s)).collect();
            for test in [Test::Bootstrap, Test::Randomisation] {
                let of_threads = |threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                    let resampled = || resampled_changes(&metric, &pairs, test, BLOCK + 3, 5);
                    pool.build().unwrap().install(resampled)
                };
                let found = of_threads(1);
                assert_eq!(found, of_threads(3));
                for resample in [0, 1, BLOCK - 1, BLOCK, BLOCK + 2] {
                    for ([base, system], found) in rows.iter().zip(&found) {
                        let mut drawn = vec![0.0; base.len()];
                        weights(test, 5, resample, &mut drawn);
                        let expected = plainly(&metric, &drawn, [base, system], test);
                        assert_eq!(found[resample], expected, "{name} {test:?} {resample}");
                    }
                }
            }
        }
    }
}
