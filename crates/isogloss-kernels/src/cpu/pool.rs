//! Threads that wait for the next operation.
//!
//! An operation of decoding takes some ten microseconds, and waking a thread takes as long, so workers look out for the next one for a
//! while before they sleep. The caller works too; tasks are handed out one by one, in order.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread::{JoinHandle, Thread};

/// How often a worker looks for an operation before it lets others run, and how often it does that before it sleeps.
const SPINS: usize = 1_000;
const YIELDS: usize = 16;

/// Of [`Shared::state`]: workers may join.
const OPEN: usize = 1 << (usize::BITS - 1);

thread_local! {
    /// Whether this thread runs a task: what a task calls runs within it.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread runs a task of a pool.
pub(super) fn in_a_task() -> bool {
    IN_TASK.get()
}

/// Threads beside the caller's.
pub(super) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller whose operation runs.
    caller: Mutex<()>,
}

/// The operation that runs.
#[derive(Clone, Copy)]
struct Job {
    /// Runs a task of what `data` points at.
    run: unsafe fn(*const (), usize),
    data: *const (),
    tasks: usize,
}

struct Shared {
    /// [`OPEN`], and how many workers have joined.
    state: AtomicUsize,
    /// Counts operations, for workers to see that there is a new one.
    epoch: AtomicUsize,
    /// The next task.
    next: AtomicUsize,
    stop: AtomicBool,
    /// Written while the state is 0, by who holds [`Pool::caller`]; read by workers that have joined.
    job: UnsafeCell<Job>,
    /// For each worker: whether it sleeps, or is about to.
    asleep: Vec<AtomicBool>,
    /// What a worker's task panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is the only field that isn't `Sync` by itself. It is written only while no worker has joined and none can, and read only
// by workers that have; the state's release and acquire order the two. What it points at is a `Sync` closure, see `Pool::run`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer in `job` is used only while the caller of `Pool::run` waits.
unsafe impl Send for Shared {}

impl Pool {
    /// Starts so many threads beside the caller's.
    pub(super) fn new(workers: usize) -> std::io::Result<Self> {
        unsafe fn nothing(_: *const (), _: usize) {}
        let shared = Arc::new(Shared {
            state: AtomicUsize::new(0),
            epoch: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            job: UnsafeCell::new(Job {
                run: nothing,
                data: std::ptr::null(),
                tasks: 0,
            }),
            asleep: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            panic: Mutex::new(None),
        });
        let mut pool = Pool {
            shared: Arc::clone(&shared),
            workers: Vec::with_capacity(workers),
            caller: Mutex::new(()),
        };
        for i in 0..workers {
            let shared = Arc::clone(&shared);
            let builder = std::thread::Builder::new().name(format!("isogloss-{}", i + 1));
            // On failure, those that run are stopped as the pool is dropped.
            pool.workers.push(builder.spawn(move || shared.work(i))?);
        }
        Ok(pool)
    }

    /// Number of threads, the caller's included.
    pub(super) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `f` for each task, in any order and on any thread, and returns when all are done. Within a task, or while another thread's
    /// operation runs, the calling thread does all itself. A single task is none: it runs as if the caller ran it.
    pub(super) fn run<F: Fn(usize) + Sync>(&self, tasks: usize, f: F) {
        /// # Safety
        /// `data` points at an `F`.
        unsafe fn call<F: Fn(usize)>(data: *const (), task: usize) {
            // SAFETY: the caller's promise.
            let f = unsafe { &*data.cast::<F>() };
            f(task);
        }
        // Without the lock: what a single task calls may use all threads.
        if tasks < 2 || in_a_task() {
            return (0..tasks).for_each(f);
        }
        let held = match self.caller.try_lock() {
            Ok(held) => held,
            // A panic of an earlier operation left nothing behind but what is cleared below.
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            Err(TryLockError::WouldBlock) => return (0..tasks).for_each(f),
        };
        let shared = &*self.shared;
        // Where the caller's own task panicked as well, a worker's panic was never taken.
        shared.take_panic();
        // SAFETY: this thread holds `caller`, and the state is 0: no worker reads the job.
        unsafe {
            *shared.job.get() = Job {
                run: call::<F>,
                data: (&raw const f).cast(),
                tasks,
            };
        }
        shared.next.store(0, Ordering::Relaxed);
        shared.state.store(OPEN, Ordering::Release);
        // From here on `f` must not go before the workers have left, whatever happens.
        let closing = Closing(shared);
        shared.epoch.fetch_add(1, Ordering::SeqCst);
        let sleepers = self.workers.iter().zip(&shared.asleep);
        for (worker, asleep) in sleepers.take(tasks - 1) {
            if asleep.load(Ordering::SeqCst) && asleep.swap(false, Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        in_task(|| shared.take_tasks(tasks, &f));
        drop(closing);
        let panic = shared.take_panic();
        drop(held);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// Ends an operation as it is dropped: no worker joins any more, and those that have are waited for.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        // What is left, after a panic, needn't be done.
        self.0.next.store(usize::MAX / 2, Ordering::Relaxed);
        self.0.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0;
        while self.0.state.load(Ordering::Acquire) != 0 {
            spins += 1;
            match spins < SPINS {
                true => std::hint::spin_loop(),
                // A worker may have lost its processor.
                false => std::thread::yield_now(),
            }
        }
    }
}

/// Marks the thread as running a task.
fn in_task(f: impl FnOnce()) {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            IN_TASK.set(self.0);
        }
    }
    let _reset = Reset(IN_TASK.replace(true));
    f();
}

impl Shared {
    /// What a worker's task panicked with, if one did.
    fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        match self.panic.lock() {
            Ok(mut panic) => panic.take(),
            Err(poisoned) => poisoned.into_inner().take(),
        }
    }

    fn take_tasks(&self, tasks: usize, f: impl Fn(usize)) {
        loop {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return;
            }
            f(task);
        }
    }

    /// The life of worker `me`.
    fn work(&self, me: usize) {
        let mut seen = 0;
        while !self.stop.load(Ordering::Acquire) {
            let epoch = self.epoch.load(Ordering::Acquire);
            if epoch == seen {
                self.wait(me, seen);
                continue;
            }
            seen = epoch;
            if self.join() {
                // SAFETY: joined, so the job is that of a caller who waits until this worker has left.
                let job = unsafe { *self.job.get() };
                let run = || {
                    in_task(|| {
                        self.take_tasks(job.tasks, |task| {
                            // SAFETY: as above: what the data points at is alive.
                            unsafe { (job.run)(job.data, task) }
                        });
                    });
                };
                if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                    let mut first = match self.panic.lock() {
                        Ok(first) => first,
                        Err(poisoned) => poisoned.into_inner(),
                    };
                    first.get_or_insert(panic);
                }
                self.state.fetch_sub(1, Ordering::Release);
            }
        }
    }

    /// Joins the operation, if it is still open.
    fn join(&self) -> bool {
        let joined = |state: usize| (state & OPEN != 0).then_some(state + 1);
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, joined)
            .is_ok()
    }

    /// Waits for an operation after `seen`: looking out at first, then asleep.
    fn wait(&self, me: usize, seen: usize) {
        let news =
            || self.epoch.load(Ordering::Acquire) != seen || self.stop.load(Ordering::Acquire);
        for _ in 0..YIELDS {
            for _ in 0..SPINS / YIELDS {
                if news() {
                    return;
                }
                std::hint::spin_loop();
            }
            std::thread::yield_now();
        }
        self.asleep[me].store(true, Ordering::SeqCst);
        // Either this sees the new epoch, or who counted it up sees that this sleeps.
        while self.asleep[me].load(Ordering::SeqCst)
            && self.epoch.load(Ordering::SeqCst) == seen
            && !self.stop.load(Ordering::SeqCst)
        {
            std::thread::park();
        }
        self.asleep[me].store(false, Ordering::SeqCst);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let threads: Vec<&Thread> = self.workers.iter().map(JoinHandle::thread).collect();
        threads.iter().for_each(|thread| thread.unpark());
        for worker in self.workers.drain(..) {
            // Workers catch what their tasks panic with.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn every_task_runs_once() {
        for workers in [0, 1, 3] {
            let pool = Pool::new(workers).unwrap();
            assert_eq!(pool.threads(), workers + 1);
            for round in 0..500 {
                let tasks = round % 7;
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(tasks, |task| {
                    counts[task].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn tasks_may_call_the_pool_again_and_threads_share_it() {
        let pool = Pool::new(2).unwrap();
        let total = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        pool.run(4, |_| {
                            pool.run(3, |_| {
                                total.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(total.load(Ordering::Relaxed), 3 * 200 * 12);
    }

    #[test]
    fn workers_wake_after_they_slept() {
        let pool = Pool::new(1).unwrap();
        let both = std::sync::Barrier::new(2);
        for _ in 0..3 {
            // Two tasks that wait for each other need two threads.
            pool.run(2, |_| {
                both.wait();
            });
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    #[test]
    fn what_a_single_task_calls_uses_all_threads() {
        let pool = Pool::new(1).unwrap();
        let both = std::sync::Barrier::new(2);
        pool.run(1, |_| {
            pool.run(2, |_| {
                both.wait();
            });
        });
    }

    #[test]
    fn a_panic_of_two_tasks_at_once_is_over_with_its_operation() {
        let pool = Pool::new(1).unwrap();
        let both = std::sync::Barrier::new(2);
        let run = || {
            pool.run(2, |task| {
                both.wait();
                panic!("task {task}");
            });
        };
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        pool.run(4, |_| ());
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2).unwrap();
        for bad in 0..8 {
            let run = || {
                pool.run(8, |task| {
                    assert!(task != bad, "task {task}");
                });
            };
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
        let total = AtomicU64::new(0);
        pool.run(8, |task| {
            total.fetch_add(task as u64, Ordering::Relaxed);
        });
        assert_eq!(total.load(Ordering::Relaxed), 28);
    }
}
