//! Buffers that a thread keeps: a kernel borrows one and gives it back, so that a training step doesn't allocate.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

/// A cache line, so that packed panels start at one.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// A borrowed buffer of `f32`, at a 64-byte boundary. It holds whatever its last user left.
pub(crate) struct Scratch {
    lines: Vec<Line>,
    len: usize,
}

impl Scratch {
    /// A buffer of `len` values. Several may be borrowed at a time.
    pub(crate) fn take(len: usize) -> Self {
        let mut lines = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
        let need = len.div_ceil(16);
        if lines.len() < need {
            lines.resize(need, Line([0.0; 16]));
        }
        Scratch { lines, len }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        // Fails only while the thread ends; then the buffer is simply freed.
        let _ = FREE.try_with(|free| free.borrow_mut().push(lines));
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `lines` holds at least `len` values, initialised, in lines of 16 without padding.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// Asks for pages of 2 MB where the system gives them on request: a weight is read from its beginning to its end at every step, and with
/// small pages the processor looks up each of thousands of addresses. It is a wish; nothing depends on it.
fn ask_for_huge_pages<T>(memory: &mut [MaybeUninit<T>]) {
    #[cfg(target_os = "linux")]
    {
        const HUGE: usize = 2 << 20;
        let bytes = size_of_val(memory);
        let start = memory.as_mut_ptr() as usize;
        let first = start.next_multiple_of(HUGE);
        let end = (start + bytes) / HUGE * HUGE;
        if first < end {
            let at = memory.as_mut_ptr().cast::<u8>().wrapping_add(first - start);
            // SAFETY: the range lies within memory that is borrowed mutably, at a multiple of the page size; the advice changes how it is
            // backed, not what it holds.
            unsafe { libc::madvise(at.cast(), end - first, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}

/// Zeros to be packed into, at a 64-byte boundary: no vector or row of a tile then lies across two cache lines.
pub(crate) struct Lines {
    lines: Vec<Line>,
    len: usize,
}

impl Lines {
    /// `len` words.
    pub(crate) fn zeros(len: usize) -> Self {
        let count = len.div_ceil(16);
        let mut lines = Vec::with_capacity(count);
        ask_for_huge_pages(lines.spare_capacity_mut());
        lines.resize(count, Line([0.0; 16]));
        Lines { lines, len }
    }
}

impl Deref for Lines {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        // SAFETY: `lines` holds at least `len` values of 32 bits, initialised, in lines of 16 without padding.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [u32] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// A pointer that tasks on several threads write through, each to its own elements.
pub(crate) struct SharedMut<T>(*mut T);

impl<T> Clone for SharedMut<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SharedMut<T> {}

// SAFETY: the pointer comes from a `&mut [T]` that outlives the tasks; users of `get` promise disjoint elements.
unsafe impl<T: Send> Send for SharedMut<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<T> {}

impl<T> SharedMut<T> {
    pub(crate) fn new(values: &mut [T]) -> Self {
        SharedMut(values.as_mut_ptr())
    }

    /// The pointer to element `at`.
    ///
    /// # Safety
    /// `at` is within the slice that this was made of, or one past it.
    pub(crate) unsafe fn at(self, at: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(at) }
    }

    /// Elements `at..at + len`.
    ///
    /// # Safety
    /// They are within the slice that this was made of, the slice's borrow is alive, and no other reference to them is.
    pub(crate) unsafe fn slice<'a>(self, at: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(at), len) }
    }
}
