//! Tests of tiles: on the model, and with the processor's instructions, trapped if need be.

mod bytes;
mod model;
mod products;

use crate::cpu::{Cpu, KernelPath};
use crate::matmul::amx::soft::SOFT;
use crate::matmul::kernel::MicroKernel;

/// The kernels that this machine can run, one way or the other.
fn kernels() -> impl Iterator<Item = &'static MicroKernel> {
    [Some(&SOFT), processors()].into_iter().flatten()
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn processors() -> Option<&'static MicroKernel> {
    // Asked first for the permission, which the tiles need where they are real.
    let _ = KernelPath::AmxBf16.is_available();
    crate::matmul::amx::trap::install();
    KernelPath::Avx512Bf16
        .is_available()
        .then_some(&crate::matmul::amx::BF16)
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn processors() -> Option<&'static MicroKernel> {
    None
}

fn cpus() -> [Cpu; 3] {
    [1, 2, 3].map(|threads| Cpu::with_path(threads, KernelPath::detect()).unwrap())
}

/// Values in -1..1, a function of the seed.
fn values(seed: u64, len: usize) -> Vec<f32> {
    let key = crate::dropout::mix(seed, 1);
    (0..len)
        .map(|i| crate::dropout::draw(key, i as u32) as f32 / 2f32.powi(31) - 1.0)
        .collect()
}
