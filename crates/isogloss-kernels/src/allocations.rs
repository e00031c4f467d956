//! An allocator that counts, for tests of what a step allocates. It lives here because an allocator is unsafe code.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static COUNT: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted. A test binary makes it its own with `#[global_allocator]`.
#[derive(Debug, Clone, Copy)]
pub struct Counting;

/// What a piece of code allocated, growth of what there was included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocations {
    /// How often.
    pub count: usize,
    /// The most bytes at a time.
    pub largest: usize,
}

/// What `f` allocates, and whatever else the process does meanwhile on any thread; nothing unless [`Counting`] is the allocator.
pub fn during(f: impl FnOnce()) -> Allocations {
    COUNT.store(0, Ordering::SeqCst);
    LARGEST.store(0, Ordering::SeqCst);
    f();
    Allocations {
        count: COUNT.load(Ordering::SeqCst),
        largest: LARGEST.load(Ordering::SeqCst),
    }
}

fn note(bytes: usize) {
    COUNT.fetch_add(1, Ordering::SeqCst);
    LARGEST.fetch_max(bytes, Ordering::SeqCst);
}

// SAFETY: all is left to the system's allocator; counting allocates nothing and doesn't panic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; `at` is the system's.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's promise; `at` is the system's.
        unsafe { System.realloc(at, layout, size) }
    }
}
