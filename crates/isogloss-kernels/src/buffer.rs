use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

use crate::real::Real;

/// Buffers that a thread has given back, by capacity.
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct FreeBuffers<R>(Vec<Vec<R>>);

/// Free buffers of one kind of scalar, of this thread.
#[doc(hidden)]
pub type FreeList<R> = LocalKey<RefCell<FreeBuffers<R>>>;

/// Activations and their gradients: values whose memory is kept when they are dropped, for the next buffer of about the same size on
/// this thread. A pass through the model takes the same sizes again and again; fresh memory for each would have to be mapped and
/// cleared by the system, page by page.
pub struct Buffer<R: Real> {
    values: Vec<R>,
}

/// Capacities are rounded up to eighths of a power of two, so that batches of nearly the same size share them.
fn capacity(len: usize) -> usize {
    let step = (len.max(64).next_power_of_two() / 8).max(64);
    len.next_multiple_of(step).max(64)
}

/// The place of the smallest capacity that will do. One of more than twice the size is kept for others: it would be missed.
fn fitting(capacities: impl Iterator<Item = usize>, wanted: usize) -> Option<usize> {
    capacities
        .enumerate()
        .filter(|&(_, capacity)| (wanted..=2 * wanted).contains(&capacity))
        .min_by_key(|&(_, capacity)| capacity)
        .map(|(at, _)| at)
}

impl<R: Real> Buffer<R> {
    /// `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let mut values = Self::take(len);
        values.clear();
        values.resize(len, R::zero());
        Buffer { values }
    }

    /// `len` values that whoever takes them overwrites: they hold anything, and NaN where debug assertions are on.
    #[must_use]
    pub fn unset(len: usize) -> Self {
        let mut values = Self::take(len);
        if cfg!(debug_assertions) {
            values.clear();
        }
        values.resize(len, R::nan());
        Buffer { values }
    }

    /// A copy.
    #[must_use]
    pub fn copy_of(values: &[R]) -> Self {
        let mut copy = Self::take(values.len());
        copy.clear();
        copy.extend_from_slice(values);
        Buffer { values: copy }
    }

    /// Gives what this thread keeps for later buffers back to the system: worth it before and after a pass of other sizes, whose buffers
    /// would otherwise lie beside those of the passes around it.
    pub fn release_free() {
        R::free_buffers().with_borrow_mut(|free| free.0 = Vec::new());
    }

    /// A free vector that has room for `len` values, holding what its last user left.
    fn take(len: usize) -> Vec<R> {
        let wanted = capacity(len);
        let free = R::free_buffers().with_borrow_mut(|free| {
            let at = fitting(free.0.iter().map(Vec::capacity), wanted)?;
            Some(free.0.swap_remove(at))
        });
        free.unwrap_or_else(|| Vec::with_capacity(wanted))
    }
}

impl<R: Real> Drop for Buffer<R> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        if values.capacity() == 0 {
            return;
        }
        // Fails only while the thread ends; then the memory is simply freed.
        let _ = R::free_buffers().try_with(|free| free.borrow_mut().0.push(values));
    }
}

impl<R: Real> Clone for Buffer<R> {
    fn clone(&self) -> Self {
        Self::copy_of(self)
    }
}

impl<R: Real> Default for Buffer<R> {
    fn default() -> Self {
        Buffer { values: Vec::new() }
    }
}

impl<R: Real> PartialEq for Buffer<R> {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl<R: Real> fmt::Debug for Buffer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.values.fmt(f)
    }
}

impl<R: Real> Deref for Buffer<R> {
    type Target = [R];

    fn deref(&self) -> &[R] {
        &self.values
    }
}

impl<R: Real> DerefMut for Buffer<R> {
    fn deref_mut(&mut self) -> &mut [R] {
        &mut self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_round() {
        let first = Buffer::<f32>::zeroed(1000);
        let place = first.as_ptr();
        drop(first);
        let other_size = Buffer::<f32>::zeroed(5000);
        let mut again = Buffer::<f32>::unset(1010);
        assert_eq!((again.as_ptr(), again.len()), (place, 1010));
        assert_ne!(other_size.as_ptr(), place);
        again.fill(3.0);
        drop(again);
        let cleared = Buffer::<f32>::zeroed(990);
        assert_eq!(cleared.as_ptr(), place);
        assert!(cleared.iter().all(|&x| x == 0.0));
        assert_eq!(*Buffer::copy_of(&[1.0f64, 2.0]), [1.0, 2.0]);
        assert_eq!(Buffer::<f64>::zeroed(0).len(), 0);
    }

    #[test]
    fn what_is_free_is_released() {
        let kept = || f64::free_buffers().with_borrow(|free| free.0.len());
        let in_use = Buffer::<f64>::zeroed(3);
        drop(Buffer::<f64>::zeroed(1000));
        drop(Buffer::<f64>::default());
        assert_eq!(kept(), 1, "nothing is kept of a buffer without memory");
        Buffer::<f64>::release_free();
        assert_eq!(kept(), 0);
        drop(in_use);
        assert_eq!(kept(), 1);
    }

    #[test]
    fn the_smallest_that_will_do_is_taken() {
        let free = [64, 1024, 640, 4096];
        let of = |wanted| fitting(free.into_iter(), wanted);
        assert_eq!((of(64), of(512), of(700)), (Some(0), Some(2), Some(1)));
        assert_eq!((of(128), of(2048), of(5000)), (None, Some(3), None));
    }

    #[test]
    fn sizes_of_nearly_the_same_length_share_a_capacity() {
        assert_eq!(capacity(1), capacity(64));
        assert_eq!(capacity(1000), capacity(1024));
        assert!(capacity(1025) > 1024 && capacity(1025) <= 1280);
        for len in [0, 1, 100, 12_345, 1 << 20] {
            assert!(capacity(len) >= len && capacity(len) <= len + len / 4 + 64);
        }
    }
}
