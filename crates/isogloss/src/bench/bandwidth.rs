use std::hint::black_box;
use std::time::Instant;

use isogloss_kernels::Cpu;
use rayon::prelude::*;
use serde::Serialize;

/// Bytes that are read: several times the caches of most processors.
const BYTES: usize = 256 << 20;

/// Bytes that a thread reads at a time.
const PART: usize = 1 << 20;

/// What the memory allows a sentence that is translated alone: each of its steps reads the decoder's weights once, whatever the beam.
/// Weights that stay in a cache are read faster, so a small model may exceed it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MemoryLimit {
    /// Bytes of weights that a step reads: the decoder's linear maps, less those of cross-attention's keys and values, and the whole
    /// head, as they are packed. Neither updates nor biases nor cached keys and values are counted.
    pub step_weight_bytes: usize,
    /// What all threads read together from memory in this run, in thousand million bytes a second.
    pub memory_gb_per_s: f64,
    /// Steps a second if nothing took time but to read the weights: the most target tokens a second of one sentence.
    pub limit_tokens_per_s: f64,
}

impl MemoryLimit {
    /// Measures the memory.
    pub(super) fn measure(backend: &Cpu, step_weight_bytes: usize) -> Self {
        let memory_gb_per_s = bandwidth(backend);
        MemoryLimit {
            step_weight_bytes,
            memory_gb_per_s,
            limit_tokens_per_s: memory_gb_per_s * 1e9 / step_weight_bytes as f64,
        }
    }
}

/// Thousand million bytes a second that all threads of the backend read from memory, one part after the other: the fastest of as many
/// passes over 256 MiB as fit in half a second, at least three.
#[must_use]
pub fn bandwidth(backend: &Cpu) -> f64 {
    let size = size_of::<[u64; 8]>();
    // Not zero: pages of zeros may all be the same one.
    let data = vec![[1u64; 8]; BYTES / size];
    let (begun, mut best, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < 3 || begun.elapsed().as_secs_f64() < 0.5 {
        let started = Instant::now();
        backend.install(|| {
            black_box(&data).par_chunks(PART / size).for_each(|part| {
                black_box(sum(part));
            });
        });
        best = best.min(started.elapsed().as_secs_f64());
        runs += 1;
    }
    BYTES as f64 / best / 1e9
}

/// Far cheaper than to read the values: eight sums side by side.
fn sum(lines: &[[u64; 8]]) -> [u64; 8] {
    let mut sums = [0u64; 8];
    for line in lines {
        for (sum, x) in sums.iter_mut().zip(line) {
            *sum = sum.wrapping_add(*x);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_read() {
        let lines: Vec<[u64; 8]> = (0..5).map(|i| [i, 1, 2, 3, 4, 5, 6, 7 * i]).collect();
        assert_eq!(sum(&lines), [10, 5, 10, 15, 20, 25, 30, 70]);
    }

    #[test]
    fn the_limit_is_bytes_over_bytes() {
        let cpu = Cpu::with_path(1, isogloss_kernels::KernelPath::detect()).unwrap();
        let limit = MemoryLimit::measure(&cpu, 1_000_000);
        assert!(limit.memory_gb_per_s > 0.0 && limit.memory_gb_per_s.is_finite());
        let steps = limit.memory_gb_per_s * 1000.0;
        assert!((limit.limit_tokens_per_s / steps - 1.0).abs() < 1e-9);
    }
}
