//! Plain Adam.

use crate::backend::AdamStep;
use crate::check;
use crate::real::Real;

/// See [`crate::Backend::adam`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn adam<R: Real>(
    step: AdamStep,
    values: &mut [R],
    grads: &[R],
    first: &mut [R],
    second: &mut [R],
) {
    check::adam(values, grads, first, second);
    let [beta1, beta2, eps] = [step.beta1, step.beta2, step.eps].map(R::of);
    let exponent = i32::try_from(step.step).unwrap_or(i32::MAX);
    let correction = |beta: f32| 1.0 - f64::from(beta).powi(exponent);
    let lr = R::from_f64(f64::from(step.lr) / correction(step.beta1)).unwrap_or_else(R::zero);
    let root = R::from_f64(correction(step.beta2).sqrt()).unwrap_or_else(R::one);
    let decay = R::one() - R::of(step.lr) * R::of(step.weight_decay);
    for (i, value) in values.iter_mut().enumerate() {
        let grad = grads[i] * R::of(step.grad_scale);
        first[i] = beta1 * first[i] + (R::one() - beta1) * grad;
        second[i] = beta2 * second[i] + (R::one() - beta2) * grad * grad;
        *value = *value * decay - lr * first[i] / (second[i].sqrt() / root + eps);
    }
}

/// Values summed before the sums are: the same blocks on every path and any number of threads.
pub const SUM_BLOCK: usize = 4096;

/// See [`crate::Backend::sum_squares`].
#[must_use]
pub fn sum_squares<R: Real>(x: &[R]) -> f64 {
    x.chunks(SUM_BLOCK)
        .map(|block| block.iter().map(|x| x.f64() * x.f64()).sum::<f64>())
        .sum()
}
