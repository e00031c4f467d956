//! The numerical operations of Isogloss: one folder an operation, in it the plain reference, the fast versions and
//! the dispatch between them.
//!
//! [`Backend`] is the seam: the model speaks to it alone. [`Reference`] implements it in plain loops, for `f32` and
//! for `f64` (finite differences run the real model code in `f64`); [`Cpu`] implements it with SIMD and threads.
//!
//! Results never depend on the number of threads: work is cut by fixed tile sizes, the inner dimension of a product
//! is never split between threads, and sums run over fixed blocks in a fixed order. A row of a product never depends
//! on the other rows, so a sentence gives the same bits alone and in a batch.

pub mod adam;
#[cfg(feature = "count-allocations")]
pub mod allocations;
pub mod attention;
mod backend;
mod buffer;
mod check;
mod cpu;
pub mod dropout;
pub mod embedding;
pub mod head_loss;
pub mod layer_norm;
pub mod low_rank;
pub mod matmul;
mod real;
mod reference;
mod scratch;
mod simd;
#[cfg(target_arch = "x86_64")]
mod simd512;

pub use attention::cached::{KeptRows, RowLists};
pub use backend::{
    AdamStep, AttentionShape, Backend, Dropout, Epilogue, LabelSmoothing, NormGradients,
    SmoothingKind, Span,
};
pub use buffer::Buffer;
pub use cpu::{Cpu, CpuError, KernelPath, Precision};
pub use half::bf16;
pub use low_rank::{Factors, KeptFactors, LowRankTerm};
pub use matmul::{Mat, MatData, MatMut, PackedWeight};
pub use real::Real;
pub use reference::Reference;
