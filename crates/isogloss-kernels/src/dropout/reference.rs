//! Plain dropout and the smallest elementwise operations.

use crate::backend::Dropout;
use crate::check;
use crate::dropout::{draw, mix, threshold};
use crate::real::Real;

/// See [`crate::Backend::dropout`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn dropout<R: Real>(dropout: Dropout, row_keys: &[u64], width: usize, y: &mut [R]) {
    check::dropout(row_keys, width, y);
    let drop_below = threshold(dropout.rate);
    let keep = R::of(1.0 / (1.0 - dropout.rate));
    for (&row_key, row) in row_keys.iter().zip(y.chunks_exact_mut(width.max(1))) {
        let key = mix(dropout.key, row_key);
        for (j, y) in (0u32..).zip(row) {
            *y = if draw(key, j) < drop_below {
                R::zero()
            } else {
                *y * keep
            };
        }
    }
}

/// See [`crate::Backend::add`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn add<R: Real>(x: &[R], y: &mut [R]) {
    check::add(x, y);
    for (y, &x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

/// See [`crate::Backend::relu`].
pub fn relu<R: Real>(y: &mut [R]) {
    for y in y {
        // Not `max`: NaN must show.
        if *y < R::zero() {
            *y = R::zero();
        }
    }
}

/// See [`crate::Backend::relu_backward`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn relu_backward<R: Real>(y: &[R], dy: &mut [R]) {
    check::relu_backward(y, dy);
    for (dy, &y) in dy.iter_mut().zip(y) {
        if y <= R::zero() {
            *dy = R::zero();
        }
    }
}
