#[cfg(target_arch = "x86_64")]
mod amx;
mod backend;
mod path;
mod pool;

use std::fmt;
use std::sync::OnceLock;

use crate::scratch::SharedMut;
#[cfg(target_arch = "x86_64")]
pub(crate) use amx::multiplies_bytes as amx_multiplies_bytes;
pub(crate) use path::Supported;
pub use path::{CpuError, KernelPath, Precision};
use path::{MAX_THREADS, PATH_VARIABLE};
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
    /// If this machine lacks the path, if there are more than 1,024 threads, or if no threads can be started.
    pub fn with_path(threads: usize, path: KernelPath) -> Result<Self, CpuError> {
        let path = Supported::new(path).ok_or(CpuError::UnavailablePath { path })?;
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            1..=MAX_THREADS => threads,
            _ => return Err(CpuError::TooMany { threads }),
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
