use std::fmt;
use std::str::FromStr;

use rayon::prelude::*;

use crate::backend::{
    AdamStep, AttentionShape, Backend, Dropout, Epilogue, LabelSmoothing, NormGradients, Span,
};
use crate::matmul::{Mat, MatMut};
use crate::{adam, attention, dropout, embedding, head_loss, layer_norm, matmul};

/// The variable that forces a [`KernelPath`], so that tests can run every path that a machine has.
const PATH_VARIABLE: &str = "ISOGLOSS_KERNEL_PATH";

/// Below this many multiply-adds (or values, times the operations on each) threads cost more than they give: waking the
/// pool takes about ten microseconds.
const MIN_PARALLEL_WORK: usize = 500_000;

/// The instructions that the kernels use. Paths differ in the last bits of a result; within a path results are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KernelPath {
    /// Plain Rust, whatever the compiler makes of it. Every machine has it.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
    /// The same with AVX512-BF16: products of bf16 pairs in one instruction.
    Avx512Bf16,
}

impl KernelPath {
    /// All paths, slowest first.
    pub const ALL: [KernelPath; 4] = [
        KernelPath::Portable,
        KernelPath::Avx2,
        KernelPath::Avx512,
        KernelPath::Avx512Bf16,
    ];

    /// The name that [`FromStr`] reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KernelPath::Portable => "portable",
            KernelPath::Avx2 => "avx2",
            KernelPath::Avx512 => "avx512",
            KernelPath::Avx512Bf16 => "avx512bf16",
        }
    }

    /// Whether this machine can run it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            KernelPath::Portable => true,
            #[cfg(target_arch = "x86_64")]
            KernelPath::Avx2 => {
                std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
            }
            #[cfg(target_arch = "x86_64")]
            KernelPath::Avx512 => {
                KernelPath::Avx2.is_available()
                    && std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512bw")
                    && std::is_x86_feature_detected!("avx512dq")
                    && std::is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            KernelPath::Avx512Bf16 => {
                KernelPath::Avx512.is_available() && std::is_x86_feature_detected!("avx512bf16")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The paths that this machine can run, slowest first.
    pub fn available() -> impl Iterator<Item = KernelPath> {
        Self::ALL.into_iter().filter(|path| path.is_available())
    }

    /// The fastest path of this machine.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().last().unwrap_or(KernelPath::Portable)
    }
}

impl fmt::Display for KernelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KernelPath {
    type Err = CpuError;

    fn from_str(name: &str) -> Result<Self, CpuError> {
        Self::ALL
            .into_iter()
            .find(|path| path.name() == name)
            .ok_or_else(|| CpuError::UnknownPath { name: name.into() })
    }
}

/// What the operands of matrix products are rounded to; sums are always `f32`. Attention, norms and the optimiser compute in
/// `f32` in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Precision {
    /// Operands as they are (bf16 storage is widened).
    #[default]
    F32,
    /// Both operands rounded to bf16, to nearest even: about twice as fast where the machine has AVX512-BF16, emulated
    /// elsewhere.
    Bf16,
}

/// Why a [`Cpu`] can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpuError {
    /// A name that is no path.
    #[error(
        "no kernel path is called {name:?}: use one of portable, avx2, avx512, avx512bf16, or unset {PATH_VARIABLE} for the fastest"
    )]
    UnknownPath {
        /// What was asked for.
        name: String,
    },
    /// A path whose instructions this machine lacks.
    #[error(
        "this machine can't run the kernel path {path}; it has: {}",
        names(KernelPath::available())
    )]
    UnavailablePath {
        /// What was asked for.
        path: KernelPath,
    },
    /// The operating system gave no threads.
    #[error("can't start {threads} threads")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the thread pool says.
        source: rayon::ThreadPoolBuildError,
    },
}

fn names(paths: impl Iterator<Item = KernelPath>) -> String {
    paths.map(KernelPath::name).collect::<Vec<_>>().join(", ")
}

/// The backend for processors: `f32`, SIMD chosen at run time, its own threads.
///
/// Bits of a result depend on the [`KernelPath`] and the [`Precision`], never on the number of threads.
pub struct Cpu {
    /// None with a single thread: the caller's does the work.
    pool: Option<rayon::ThreadPool>,
    /// Private, and set only after [`KernelPath::is_available`] was checked: calls of kernels rely on it.
    path: KernelPath,
    precision: Precision,
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cpu")
            .field("threads", &self.threads())
            .field("path", &self.path)
            .field("precision", &self.precision)
            .finish()
    }
}

impl Cpu {
    /// A backend with `threads` threads (0: as many as the machine offers), in `f32`, on the path that the environment
    /// variable `ISOGLOSS_KERNEL_PATH` names, else on the fastest.
    ///
    /// # Errors
    /// If the variable names no path or one that this machine lacks, or if no threads can be started.
    pub fn new(threads: usize) -> Result<Self, CpuError> {
        let path = match std::env::var_os(PATH_VARIABLE) {
            Some(name) if !name.is_empty() => name.to_string_lossy().parse()?,
            _ => KernelPath::detect(),
        };
        Self::with_path(threads, path)
    }

    /// A backend with `threads` threads (0: as many as the machine offers), in `f32`, on a given path.
    ///
    /// # Errors
    /// If this machine lacks the path, or if no threads can be started.
    pub fn with_path(threads: usize, path: KernelPath) -> Result<Self, CpuError> {
        if !path.is_available() {
            return Err(CpuError::UnavailablePath { path });
        }
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n,
        };
        let pool = if threads == 1 {
            None
        } else {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|i| format!("isogloss-{i}"))
                .build()
                .map_err(|source| CpuError::Threads { threads, source })?;
            Some(pool)
        };
        Ok(Cpu {
            pool,
            path,
            precision: Precision::F32,
        })
    }

    /// The same with another precision of matrix products.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool
            .as_ref()
            .map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// The instructions in use.
    #[must_use]
    pub fn path(&self) -> KernelPath {
        self.path
    }

    /// The precision of matrix products.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Runs `f` on a thread of the backend's pool: operations called inside start without waking the pool, and parallel
    /// iterators of `rayon` share its threads.
    pub fn install<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(f),
            None => f(),
        }
    }

    /// Whether `work` multiply-adds are worth the threads.
    fn pool_for(&self, work: usize) -> Option<&rayon::ThreadPool> {
        self.pool.as_ref().filter(|_| work >= MIN_PARALLEL_WORK)
    }

    /// Number of threads that `work` multiply-adds are given.
    pub(crate) fn threads_for(&self, work: usize) -> usize {
        self.pool_for(work)
            .map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// Runs `f` for each task, in any order and on any thread. `work` is the total, in multiply-adds.
    pub(crate) fn run(&self, tasks: usize, work: usize, f: impl Fn(usize) + Send + Sync) {
        match self.pool_for(work) {
            Some(pool) if tasks > 1 => pool.install(|| (0..tasks).into_par_iter().for_each(f)),
            _ => (0..tasks).for_each(f),
        }
    }

    /// Runs `f(chunk index, chunk)` over chunks of `size` values of `y`. `cost` is what a value costs, in multiply-adds.
    pub(crate) fn chunks<T: Send>(
        &self,
        y: &mut [T],
        size: usize,
        cost: usize,
        f: impl Fn(usize, &mut [T]) + Send + Sync,
    ) {
        let size = size.max(1);
        match self.pool_for(y.len() * cost) {
            Some(pool) if y.len() > size => pool.install(|| {
                y.par_chunks_mut(size)
                    .enumerate()
                    .for_each(|(i, y)| f(i, y));
            }),
            _ => y.chunks_mut(size).enumerate().for_each(|(i, y)| f(i, y)),
        }
    }

    /// [`chunks`](Self::chunks) over two arrays side by side, with a size for each.
    pub(crate) fn chunks2<T: Send>(
        &self,
        (y, y_size): (&mut [T], usize),
        (z, z_size): (&mut [T], usize),
        cost: usize,
        f: impl Fn(usize, &mut [T], &mut [T]) + Send + Sync,
    ) {
        let (y_size, z_size) = (y_size.max(1), z_size.max(1));
        match self.pool_for(y.len() * cost) {
            Some(pool) if y.len() > y_size => pool.install(|| {
                y.par_chunks_mut(y_size)
                    .zip(z.par_chunks_mut(z_size))
                    .enumerate()
                    .for_each(|(i, (y, z))| f(i, y, z));
            }),
            _ => y
                .chunks_mut(y_size)
                .zip(z.chunks_mut(z_size))
                .enumerate()
                .for_each(|(i, (y, z))| f(i, y, z)),
        }
    }
}

impl Backend for Cpu {
    type Real = f32;

    fn matmul(
        &self,
        a: Mat<'_, f32>,
        b: Mat<'_, f32>,
        epilogue: Epilogue<'_, f32>,
        c: MatMut<'_, f32>,
    ) {
        matmul::fast(self, a, b, epilogue, c);
    }

    fn add_column_sums(&self, x: &[f32], sums: &mut [f32]) {
        matmul::add_column_sums(self, x, sums);
    }

    fn layer_norm(
        &self,
        x: &[f32],
        gamma: &[f32],
        beta: &[f32],
        eps: f32,
        y: &mut [f32],
        stats: &mut [f32],
    ) {
        layer_norm::fast::forward(self, x, gamma, beta, eps, y, stats);
    }

    fn layer_norm_backward(
        &self,
        dy: &[f32],
        x: &[f32],
        stats: &[f32],
        gamma: &[f32],
        dx: &mut [f32],
        parameters: NormGradients<'_, f32>,
    ) {
        layer_norm::fast::backward(self, dy, x, stats, gamma, dx, parameters);
    }

    fn attention(
        &self,
        shape: AttentionShape,
        q: &[f32],
        k: &[f32],
        v: &[f32],
        spans: &[Span],
        dropout: Option<Dropout>,
        out: &mut [f32],
        lse: &mut [f32],
    ) {
        attention::fast::forward(self, shape, q, k, v, spans, dropout, out, lse);
    }

    fn attention_backward(
        &self,
        shape: AttentionShape,
        q: &[f32],
        k: &[f32],
        v: &[f32],
        out: &[f32],
        lse: &[f32],
        dout: &[f32],
        spans: &[Span],
        dropout: Option<Dropout>,
        dq: &mut [f32],
        dk: &mut [f32],
        dv: &mut [f32],
    ) {
        attention::fast::backward(
            self, shape, q, k, v, out, lse, dout, spans, dropout, dq, dk, dv,
        );
    }

    fn embed(
        &self,
        ids: &[u32],
        table: Mat<'_, f32>,
        scale: f32,
        position_ids: &[u32],
        positions: &[f32],
        y: &mut [f32],
    ) {
        embedding::fast::forward(self, ids, table, scale, position_ids, positions, y);
    }

    fn embed_backward(
        &self,
        ids: &[u32],
        scale: f32,
        width: usize,
        dy: &[f32],
        dtable: &mut [f32],
    ) {
        embedding::fast::backward(self, ids, scale, width, dy, dtable);
    }

    fn dropout(&self, dropout: Dropout, row_keys: &[u64], width: usize, y: &mut [f32]) {
        dropout::fast::apply(self, dropout, row_keys, width, y);
    }

    fn add(&self, x: &[f32], y: &mut [f32]) {
        dropout::fast::add(self, x, y);
    }

    fn relu(&self, y: &mut [f32]) {
        dropout::fast::relu(self, y);
    }

    fn relu_backward(&self, y: &[f32], dy: &mut [f32]) {
        dropout::fast::relu_backward(self, y, dy);
    }

    fn head_loss(
        &self,
        h: &[f32],
        table: Mat<'_, f32>,
        targets: &[u32],
        smoothing: LabelSmoothing,
        loss: &mut [f32],
        nll: &mut [f32],
        dh: Option<&mut [f32]>,
        dtable: Option<&mut [f32]>,
    ) {
        head_loss::fast::head_loss(self, h, table, targets, smoothing, loss, nll, dh, dtable);
    }

    fn log_softmax(&self, width: usize, logits: &mut [f32]) {
        head_loss::fast::log_softmax(self, width, logits);
    }

    fn adam(
        &self,
        step: AdamStep,
        values: &mut [f32],
        grads: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        adam::fast::step(self, step, values, grads, first, second);
    }

    fn sum_squares(&self, x: &[f32]) -> f64 {
        adam::fast::sum_squares(self, x)
    }
}
