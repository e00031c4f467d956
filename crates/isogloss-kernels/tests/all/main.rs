//! The fast kernels against the plain reference, on every path that the machine has.

#![allow(clippy::unwrap_used)]

mod attention;
mod bits;
mod decoding;
mod elementwise;
mod gradients;
mod head_loss;
mod int8;
mod lengths;
mod low_rank;
mod matmul;

use isogloss_kernels::{Cpu, KernelPath, Precision, bf16};
use proptest::test_runner::Config;

/// A backend for each path of this machine and each number of threads.
fn backends() -> impl Iterator<Item = Cpu> {
    KernelPath::available()
        .flat_map(|path| [1, 2].map(|threads| Cpu::with_path(threads, path).unwrap()))
}

/// The same in either precision.
fn backends_of(precision: Precision) -> impl Iterator<Item = Cpu> {
    backends().map(move |cpu| cpu.with_precision(precision))
}

fn cases(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

/// Values in -1..1, a function of the seed.
fn values(seed: u64, len: usize) -> Vec<f32> {
    let key = isogloss_kernels::dropout::mix(seed, 1);
    (0..len)
        .map(|i| isogloss_kernels::dropout::draw(key, i as u32) as f32 / 2f32.powi(31) - 1.0)
        .collect()
}

fn to_bf16(x: &[f32]) -> Vec<bf16> {
    x.iter().map(|&x| bf16::from_f32(x)).collect()
}

/// Values rounded to bf16 and widened again.
fn rounded(x: &[f32]) -> Vec<f32> {
    x.iter().map(|&x| bf16::from_f32(x).to_f32()).collect()
}

fn widen(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Asserts that `got` is within `tolerance` of `expected`, absolutely and relatively.
#[track_caller]
fn assert_close(cpu: &Cpu, what: &str, got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(
            error <= tolerance * (1.0 + expected.abs()),
            "{what}[{i}]: {got}, expected {expected} ({cpu:?})"
        );
    }
}

#[track_caller]
fn assert_same_bits(cpu: &Cpu, what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert_eq!(
            got.to_bits(),
            expected.to_bits(),
            "{what}[{i}]: {got} and {expected} ({cpu:?})"
        );
    }
}
