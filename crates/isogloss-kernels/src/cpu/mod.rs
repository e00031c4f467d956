#[cfg(target_arch = "x86_64")]
mod amx;
mod path;
mod pool;

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use crate::attention::cached::{KeptRows, RowLists};
use crate::backend::{
    AdamStep, AttentionShape, Backend, Dropout, Epilogue, LabelSmoothing, NormGradients, Span,
};
use crate::low_rank::LowRankTerm;
use crate::matmul::{Mat, MatMut, PackedWeight};
use crate::{adam, attention, dropout, embedding, head_loss, layer_norm, low_rank, matmul};

use crate::scratch::SharedMut;
use path::PATH_VARIABLE;
pub(crate) use path::Supported;
pub use path::{CpuError, KernelPath, Precision};
use pool::Pool;

/// Below this many multiply-adds (or values, times the operations on each) threads cost more than they give: handing tasks to the pool
/// takes about a microsecond.
const MIN_PARALLEL_WORK: usize = 100_000;

/// The backend for processors: `f32`, SIMD chosen at run time, its own threads.
///
/// Bits of a result depend on the [`KernelPath`] and the [`Precision`], never on the number of threads.
pub struct Cpu {
    /// None with a single thread: the caller's does the work.
    pool: Option<Pool>,
    /// For parallel iterators, started when they are first asked for.
    iterators: OnceLock<Option<rayon::ThreadPool>>,
    path: Supported,
    precision: Precision,
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cpu")
            .field("threads", &self.threads())
            .field("path", &self.path())
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
        let path = Supported::new(path).ok_or(CpuError::UnavailablePath { path })?;
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n,
        };
        let pool = match threads {
            1 => None,
            _ => Some(
                Pool::new(threads - 1).map_err(|source| CpuError::Threads { threads, source })?,
            ),
        };
        Ok(Cpu {
            pool,
            iterators: OnceLock::new(),
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
        self.pool.as_ref().map_or(1, Pool::threads)
    }

    /// The instructions in use.
    #[must_use]
    pub fn path(&self) -> KernelPath {
        self.path.path()
    }

    /// The same, with the proof that this machine has them.
    pub(crate) fn supported(&self) -> Supported {
        self.path
    }

    /// The precision of matrix products.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Runs `f` such that parallel iterators of `rayon` in it use as many threads as the backend.
    pub fn install<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(self.threads());
        // Where no more threads can be started, those of the process do.
        match self.iterators.get_or_init(|| builder.build().ok()) {
            Some(pool) => pool.install(f),
            None => f(),
        }
    }

    /// The pool, if `work` multiply-adds are worth the threads, and this one isn't in a task already.
    fn pool_for(&self, work: usize) -> Option<&Pool> {
        let worth = work >= MIN_PARALLEL_WORK && !pool::in_a_task();
        self.pool.as_ref().filter(|_| worth)
    }

    /// Number of threads that `work` multiply-adds are given.
    pub(crate) fn threads_for(&self, work: usize) -> usize {
        self.pool_for(work).map_or(1, Pool::threads)
    }

    /// Runs `f` for each task, in any order and on any thread. `work` is the total, in multiply-adds.
    pub(crate) fn run(&self, tasks: usize, work: usize, f: impl Fn(usize) + Sync) {
        match self.pool_for(work) {
            Some(pool) => pool.run(tasks, f),
            None => (0..tasks).for_each(f),
        }
    }

    /// Runs `f(chunk index, chunk)` over chunks of `size` values of `y`. `cost` is what a value costs, in multiply-adds.
    pub(crate) fn chunks<T: Send>(
        &self,
        y: &mut [T],
        size: usize,
        cost: usize,
        f: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let nothing: &mut [()] = &mut [];
        self.chunks2((y, size), (nothing, 0), cost, |i, y, _| f(i, y));
    }

    /// [`chunks`](Self::chunks) over two arrays side by side, with a size for each. There are as many chunks as the first has; the
    /// second's may be shorter, or empty.
    pub(crate) fn chunks2<T: Send, U: Send>(
        &self,
        (y, y_size): (&mut [T], usize),
        (z, z_size): (&mut [U], usize),
        cost: usize,
        f: impl Fn(usize, &mut [T], &mut [U]) + Sync,
    ) {
        let (y_len, z_len) = (y.len(), z.len());
        let (y_size, z_size) = (y_size.max(1), z_size);
        let (y, z) = (SharedMut::new(y), SharedMut::new(z));
        self.run(y_len.div_ceil(y_size), y_len * cost, |i| {
            let part = |len: usize, size: usize| {
                let start = len.min(i * size);
                (start, len.min(start + size) - start)
            };
            let ((y_at, y_part), (z_at, z_part)) = (part(y_len, y_size), part(z_len, z_size));
            // SAFETY: within the slices, which are borrowed for all tasks; the parts of two tasks don't overlap.
            unsafe { f(i, y.slice(y_at, y_part), z.slice(z_at, z_part)) }
        });
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

    fn pack_weight_by_rows(
        &self,
        weight: Mat<'_, f32>,
        backward: bool,
        read: &mut dyn FnMut(Range<usize>),
    ) -> Option<PackedWeight> {
        PackedWeight::new(self, weight, backward, read)
    }

    fn packing_quantizes(&self) -> bool {
        self.precision == Precision::Int8
    }

    fn packing_replaces(&self, backward: bool) -> bool {
        PackedWeight::replaces(self, backward)
    }

    fn rounds_to_bf16(&self) -> bool {
        self.precision == Precision::Bf16
    }

    fn packed_bytes(&self, rows: usize, cols: usize, backward: bool) -> usize {
        PackedWeight::bytes_of(self, rows, cols, backward)
    }

    fn low_rank(
        &self,
        terms: &[LowRankTerm],
        parameters: &[f32],
        x: (&[f32], usize),
        y: (&mut [f32], usize),
        relu: bool,
    ) {
        low_rank::fast::forward(self, terms, parameters, x, y, relu);
    }

    fn low_rank_backward(
        &self,
        terms: &[LowRankTerm],
        parameters: &[f32],
        x: (&[f32], usize),
        dy: (&[f32], usize),
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
    ) {
        low_rank::fast::backward(self, terms, parameters, x, dy, dx, gradients);
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

    fn cached_attention(
        &self,
        shape: AttentionShape,
        q: &[f32],
        keys: &KeptRows<f32>,
        values: &KeptRows<f32>,
        lists: RowLists<'_>,
        out: &mut [f32],
    ) {
        attention::cached::forward(self, shape, q, keys, values, lists, out);
    }

    fn keep(&self, rows: &[u32], values: &[f32], kept: &mut KeptRows<f32>) {
        attention::cached::keep(self, rows, values, kept);
    }

    fn keeps_bf16(&self) -> bool {
        self.precision != Precision::F32
    }

    fn threads(&self) -> usize {
        Cpu::threads(self)
    }

    fn in_parallel(&self, tasks: usize, f: &(dyn Fn(usize) + Sync)) {
        self.run(tasks, usize::MAX, f);
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

    fn head_best(
        &self,
        h: &[f32],
        table: Mat<'_, f32>,
        count: usize,
        best: &mut [(f32, u32)],
        lse: &mut [f32],
    ) {
        head_loss::best::head_best(self, h, table, count, best, lse);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_needs_its_instructions() {
        for path in KernelPath::ALL {
            match Cpu::with_path(1, path) {
                Ok(cpu) => assert!(path.is_available() && cpu.path() == path),
                Err(error) => assert!(!path.is_available(), "{error}"),
            }
        }
        assert!(KernelPath::detect().is_available());
    }

    #[test]
    fn threads_are_as_many_as_asked_for() {
        for threads in [1, 3] {
            let cpu = Cpu::with_path(threads, KernelPath::Portable).unwrap();
            assert_eq!(cpu.threads(), threads);
        }
        assert!(Cpu::new(0).unwrap().threads() >= 1);
    }
}
