//! The plain matrix product.

use crate::backend::Epilogue;
use crate::matmul::{Mat, MatMut};
use crate::real::Real;

/// See [`crate::Backend::matmul`].
///
/// # Panics
/// If the shapes don't agree.
pub fn matmul<R: Real>(
    a: Mat<'_, R>,
    b: Mat<'_, R>,
    epilogue: Epilogue<'_, R>,
    mut c: MatMut<'_, R>,
) {
    assert_eq!(a.cols(), b.rows(), "inner dimensions of a product");
    assert_eq!(
        (a.rows(), b.cols()),
        (c.rows(), c.cols()),
        "shape of a product"
    );
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
pub fn add_column_sums<R: Real>(x: &[R], sums: &mut [R]) {
    for row in x.chunks_exact(sums.len()) {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += x;
        }
    }
}
