//! Plain layer norm.

use crate::backend::NormGradients;
use crate::check;
use crate::real::Real;

/// See [`crate::Backend::layer_norm`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn layer_norm<R: Real>(
    x: &[R],
    gamma: &[R],
    beta: &[R],
    eps: f32,
    y: &mut [R],
    stats: &mut [R],
) {
    check::layer_norm(x, gamma, beta, y, stats);
    let width = gamma.len();
    let inverse = R::one() / R::of(width as f32);
    let chunk = width.max(1);
    let rows = x.chunks_exact(chunk).zip(y.chunks_exact_mut(chunk));
    for ((x, y), stats) in rows.zip(stats.chunks_exact_mut(2)) {
        let mean = x.iter().copied().sum::<R>() * inverse;
        let variance = x.iter().map(|&x| (x - mean) * (x - mean)).sum::<R>() * inverse;
        let rstd = R::one() / (variance + R::of(eps)).sqrt();
        for j in 0..width {
            y[j] = (x[j] - mean) * rstd * gamma[j] + beta[j];
        }
        stats.copy_from_slice(&[mean, rstd]);
    }
}

/// See [`crate::Backend::layer_norm_backward`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn layer_norm_backward<R: Real>(
    dy: &[R],
    x: &[R],
    stats: &[R],
    gamma: &[R],
    dx: &mut [R],
    mut parameters: NormGradients<'_, R>,
) {
    check::layer_norm_backward(dy, x, stats, gamma, dx, &parameters);
    let width = gamma.len();
    let inverse = R::one() / R::of(width as f32);
    for i in 0..stats.len() / 2 {
        let row = i * width..(i + 1) * width;
        let (dy, x, dx) = (&dy[row.clone()], &x[row.clone()], &mut dx[row]);
        let (mean, rstd) = (stats[2 * i], stats[2 * i + 1]);
        // With g = dy * gamma and n = (x - mean) * rstd: dx = rstd * (g - mean(g) - n * mean(g * n)).
        let (mut sum_g, mut sum_gn) = (R::zero(), R::zero());
        for j in 0..width {
            let (g, n) = (dy[j] * gamma[j], (x[j] - mean) * rstd);
            sum_g += g;
            sum_gn += g * n;
        }
        let (mean_g, mean_gn) = (sum_g * inverse, sum_gn * inverse);
        for j in 0..width {
            let (g, n) = (dy[j] * gamma[j], (x[j] - mean) * rstd);
            dx[j] += rstd * (g - mean_g - n * mean_gn);
            if let Some((dgamma, dbeta)) = &mut parameters {
                dgamma[j] += dy[j] * n;
                dbeta[j] += dy[j];
            }
        }
    }
}
