//! Speed, measured: training steps and decoding on a model folder, beside the ceiling of matrix products and the bandwidth of the memory
//! in the same run.
//!
//! Loading, tokenizing and packing aren't timed; everything that a step or a translation does is. Tokens are real ones: there is no
//! padding, so none is counted.

mod bandwidth;
mod decode;
mod operations;
mod train;
mod updates;

use std::time::Instant;

use isogloss_kernels::{Backend, Cpu, Epilogue, Mat, MatMut, Precision, bf16};
use serde::Serialize;

pub use bandwidth::{MemoryLimit, bandwidth};
pub use decode::{BenchUpdates, DecodeBench, DecodeBenchError, decode};
pub use operations::{decoding_operations, step_operations};
pub use train::{BenchSites, TrainBench, train};

use crate::memory;

/// What a benchmark found. Its serialised form is the line that `isogloss bench … --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Target tokens a second, at the median.
    pub target_tokens_per_s: f64,
    /// Median of the repetitions, in seconds.
    pub median_s: f64,
    /// The fastest repetition.
    pub min_s: f64,
    /// The slowest.
    pub max_s: f64,
    /// Repetitions that count; those for warming up don't.
    pub repetitions: usize,
    /// Sentences of a repetition.
    pub sentences: usize,
    /// Source tokens of a repetition, language tag and `</s>` counted.
    pub source_tokens: usize,
    /// Target tokens of a repetition.
    pub target_tokens: usize,
    /// Trained parameters (training) or parameters of the updates in memory (decoding).
    pub trainable: usize,
    /// Most memory that the process ever held, in bytes; 0 where the system doesn't say.
    pub peak_rss_bytes: u64,
    /// Threads.
    pub threads: usize,
    /// The instructions in use.
    pub kernel_path: String,
    /// What products are computed from.
    pub precision: &'static str,
    /// Counted operations of a repetition (see [`step_operations`], [`decoding_operations`]) a second, in thousand millions.
    pub gflops: f64,
    /// What a large product reaches in this run, same threads, path and precision.
    pub ceiling_gflops: f64,
    /// Sentences of a batch; none if that is all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Steps of a repetition of training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Of decoding: what the memory allows.
    #[serde(flatten)]
    pub memory: Option<MemoryLimit>,
    /// Of decoding with pruned updates: the same with them compacted, in turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compacted: Option<CompactedBench>,
}

/// The same work with updates that were compacted, a repetition after each of the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CompactedBench {
    /// Target tokens a second, at the median.
    pub target_tokens_per_s: f64,
    /// Median of the repetitions, in seconds.
    pub median_s: f64,
    /// The fastest repetition.
    pub min_s: f64,
    /// The slowest.
    pub max_s: f64,
    /// Parameters of the updates in memory.
    pub trainable: usize,
    /// How much faster it is: tokens a second over those with the updates before.
    pub ratio: f64,
}

/// Repetitions of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// Repetitions that warm up and don't count.
    pub warm_up: usize,
    /// Repetitions that count, at least 1.
    pub count: usize,
}

impl Default for Repeat {
    fn default() -> Self {
        Repeat {
            warm_up: 2,
            count: 10,
        }
    }
}

impl Repeat {
    /// Seconds of each repetition of `work` that counts. `done` is called after every one, also of the warm-up.
    fn time<E>(
        self,
        mut work: impl FnMut() -> Result<(), E>,
        done: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<f64>, E> {
        let [seconds] = self.time_in_turn(|_| work(), done)?;
        Ok(seconds)
    }

    /// The same for `K` works, given by their numbers, in turn.
    fn time_in_turn<E, const K: usize>(
        self,
        mut work: impl FnMut(usize) -> Result<(), E>,
        done: &mut dyn FnMut(usize, usize),
    ) -> Result<[Vec<f64>; K], E> {
        let all = self.warm_up + self.count.max(1);
        let mut seconds = [const { Vec::new() }; K];
        for i in 0..all {
            for (which, seconds) in seconds.iter_mut().enumerate() {
                let started = Instant::now();
                work(which)?;
                if i >= self.warm_up {
                    seconds.push(started.elapsed().as_secs_f64());
                }
            }
            done(i + 1, all);
        }
        Ok(seconds)
    }
}

/// What was repeated: how much of it there is.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    sentences: usize,
    source_tokens: usize,
    target_tokens: usize,
    trainable: usize,
    operations: f64,
}

/// The median, of sorted values.
fn median(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2])
}

fn report(backend: &Cpu, amount: Amount, mut seconds: Vec<f64>) -> Report {
    seconds.sort_by(f64::total_cmp);
    let n = seconds.len();
    let median = median(&seconds);
    // Before the ceiling is measured: its operands are no part of the work.
    let peak = memory::peak_bytes().unwrap_or(0);
    Report {
        target_tokens_per_s: amount.target_tokens as f64 / median,
        median_s: median,
        min_s: seconds[0],
        max_s: seconds[n - 1],
        repetitions: n,
        sentences: amount.sentences,
        source_tokens: amount.source_tokens,
        target_tokens: amount.target_tokens,
        trainable: amount.trainable,
        peak_rss_bytes: peak,
        threads: backend.threads(),
        kernel_path: backend.path().to_string(),
        precision: backend.precision().name(),
        gflops: amount.operations / median / 1e9,
        ceiling_gflops: ceiling(backend),
        batch: None,
        steps: None,
        memory: None,
        compacted: None,
    }
}

impl CompactedBench {
    /// What `seconds` are beside the report of what was timed in turn.
    fn new(mut seconds: Vec<f64>, trainable: usize, beside: &Report) -> Self {
        seconds.sort_by(f64::total_cmp);
        let median = median(&seconds);
        CompactedBench {
            target_tokens_per_s: beside.target_tokens as f64 / median,
            median_s: median,
            min_s: seconds[0],
            max_s: seconds[seconds.len() - 1],
            trainable,
            ratio: beside.median_s / median,
        }
    }
}

/// GFLOP/s of a product of 2,048 x 2,048 with 2,048 x 2,048 weights that are stored in bf16 (in [`Precision::Int8`] packed ahead, since
/// nothing else is multiplied in bytes, and operations of integers are counted): the fastest of as many as fit in a second, at least
/// three.
#[must_use]
pub fn ceiling(backend: &Cpu) -> f64 {
    const SIDE: usize = 2048;
    let x = vec![0.5f32; SIDE * SIDE];
    let w = vec![bf16::from_f32(0.25); SIDE * SIDE];
    let mut y = vec![0.0f32; SIDE * SIDE];
    let weight = Mat::bf16(&w, SIDE, SIDE);
    let packed = match backend.precision() {
        Precision::Int8 => backend.pack_weight(weight, false),
        Precision::F32 | Precision::Bf16 => None,
    };
    let weight = weight.with_packed(packed.as_ref());
    let (begun, mut best, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < 3 || begun.elapsed().as_secs_f64() < 1.0 {
        let started = Instant::now();
        backend.matmul(
            Mat::new(&x, SIDE, SIDE),
            weight.t(),
            Epilogue::default(),
            MatMut::new(&mut y, SIDE, SIDE),
        );
        best = best.min(started.elapsed().as_secs_f64());
        runs += 1;
    }
    2.0 * (SIDE as f64).powi(3) / best / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warming_up_does_not_count() {
        let (mut calls, mut told) = (0, Vec::new());
        let repeat = Repeat {
            warm_up: 2,
            count: 3,
        };
        let seconds = repeat.time(
            || {
                calls += 1;
                Ok::<(), ()>(())
            },
            &mut |i, of| told.push((i, of)),
        );
        assert_eq!((calls, seconds.unwrap().len()), (5, 3));
        assert_eq!(told.last(), Some(&(5, 5)));
        let mut order = Vec::new();
        let work = |which| {
            order.push(which);
            Ok::<(), ()>(())
        };
        let both: [Vec<f64>; 2] = repeat.time_in_turn(work, &mut |_, _| ()).unwrap();
        assert_eq!(both.map(|seconds| seconds.len()), [3, 3]);
        assert_eq!(order, [0, 1].repeat(5));
    }

    #[test]
    fn the_median_is_the_middle() {
        let amount = Amount {
            target_tokens: 10,
            operations: 4e9,
            ..Amount::default()
        };
        let cpu = Cpu::with_path(1, isogloss_kernels::KernelPath::detect()).unwrap();
        let odd = report(&cpu, amount, vec![4.0, 1.0, 2.0]);
        assert_eq!((odd.median_s, odd.target_tokens_per_s), (2.0, 5.0));
        assert_eq!((odd.gflops, odd.min_s, odd.max_s), (2.0, 1.0, 4.0));
        assert_eq!(report(&cpu, amount, vec![4.0, 1.0]).median_s, 2.5);
    }
}
