//! The plain matrix product.

use crate::backend::Epilogue;
use crate::check;
use crate::matmul::{Mat, MatMut};
use crate::real::Real;

/// See [`crate::Backend::matmul`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn matmul<R: Real>(
    a: Mat<'_, R>,
    b: Mat<'_, R>,
    epilogue: Epilogue<'_, R>,
    mut c: MatMut<'_, R>,
) {
    check::matmul(&a, &b, &epilogue, &c);
    let mut sums = vec![R::zero(); c.cols()];
    for i in 0..c.rows() {
        sums.fill(R::zero());
        for p in 0..a.cols() {
            let x = a.at(i, p);
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum += x * b.at(p, j);
            }
        }
        for (j, out) in c.row(i).iter_mut().enumerate() {
            let mut y = epilogue.alpha * sums[j];
            if let Some(bias) = epilogue.bias {
                y += bias[j];
            }
            if epilogue.accumulate {
                y += *out;
            }
            // Not `max`: NaN must show.
            *out = if epilogue.relu && y < R::zero() {
                R::zero()
            } else {
                y
            };
        }
    }
}

/// See [`crate::Backend::add_column_sums`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn add_column_sums<R: Real>(x: &[R], sums: &mut [R]) {
    check::add_column_sums(x, sums);
    for row in x.chunks_exact(sums.len().max(1)) {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += x;
        }
    }
}
