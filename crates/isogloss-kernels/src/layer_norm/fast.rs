//! Layer norm by blocks of rows; gradients of the parameters by blocks of columns, in order of the rows.

use crate::backend::NormGradients;
use crate::check;
use crate::cpu::Cpu;
use crate::simd::{multiversion, sum, sum2};

/// Rows of a task.
const ROWS: usize = 16;
/// Columns of a task of the parameters' gradients.
const COLS: usize = 64;
/// Rows whose gradients are summed before the sums are added up.
const ROW_BLOCK: usize = 64;

/// [`crate::Backend::layer_norm`] for [`Cpu`].
pub(crate) fn forward(
    cpu: &Cpu,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
    y: &mut [f32],
    stats: &mut [f32],
) {
    let width = gamma.len();
    check::layer_norm(x, gamma, beta, y, stats);
    cpu.chunks2((y, ROWS * width), (stats, 2 * ROWS), 6, |task, y, stats| {
        let x = &x[task * ROWS * width..];
        let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width));
        for ((x, y), stats) in rows.zip(stats.as_chunks_mut::<2>().0) {
            forward_row(cpu.supported(), x, gamma, beta, eps, y, stats);
        }
    });
}

multiversion! {
    fn forward_row(
        x: &[f32],
        gamma: &[f32],
        beta: &[f32],
        eps: f32,
        y: &mut [f32],
        stats: &mut [f32; 2],
    ) {
        let inverse = 1.0 / x.len() as f32;
        let mean = sum(x, |x| x) * inverse;
        let variance = sum(x, |x| (x - mean) * (x - mean)) * inverse;
        let rstd = 1.0 / (variance + eps).sqrt();
        for ((y, &x), (&gamma, &beta)) in y.iter_mut().zip(x).zip(gamma.iter().zip(beta)) {
            *y = (x - mean) * rstd * gamma + beta;
        }
        *stats = [mean, rstd];
    }
}

/// [`crate::Backend::layer_norm_backward`] for [`Cpu`].
pub(crate) fn backward(
    cpu: &Cpu,
    dy: &[f32],
    x: &[f32],
    stats: &[f32],
    gamma: &[f32],
    dx: &mut [f32],
    parameters: NormGradients<'_, f32>,
) {
    let width = gamma.len();
    check::layer_norm_backward(dy, x, stats, gamma, dx, &parameters);
    cpu.chunks(dx, ROWS * width, 8, |task, dx| {
        let (row, at) = (task * ROWS, task * ROWS * width);
        let rows = x[at..]
            .chunks_exact(width)
            .zip(dy[at..].chunks_exact(width));
        let stats = &stats.as_chunks::<2>().0[row..];
        for ((dx, (x, dy)), stats) in dx.chunks_exact_mut(width).zip(rows).zip(stats) {
            backward_row(cpu.supported(), dy, x, stats, gamma, dx);
        }
    });
    if let Some((dgamma, dbeta)) = parameters {
        let rows = stats.len() / 2;
        cpu.chunks2(
            (dgamma, COLS),
            (dbeta, COLS),
            4 * rows,
            |task, dgamma, dbeta| {
                parameter_gradients(
                    cpu.supported(),
                    dy,
                    x,
                    stats,
                    width,
                    task * COLS,
                    dgamma,
                    dbeta,
                );
            },
        );
    }
}

multiversion! {
    fn backward_row(
        dy: &[f32],
        x: &[f32],
        stats: &[f32; 2],
        gamma: &[f32],
        dx: &mut [f32],
    ) {
        // With g = dy * gamma and n = (x - mean) * rstd: dx = rstd * (g - mean(g) - n * mean(g * n)).
        let [mean, rstd] = *stats;
        let inverse = 1.0 / x.len() as f32;
        // The first pass needs g twice; it's stored nowhere, as a row may be of any length.
        let mean_g = sum2(dy, gamma, |dy, gamma| dy * gamma) * inverse;
        let mut lanes = [0.0f32; crate::simd::LANES];
        for ((dy, x), gamma) in dy
            .chunks(lanes.len())
            .zip(x.chunks(lanes.len()))
            .zip(gamma.chunks(lanes.len()))
        {
            for (lane, ((&dy, &x), &gamma)) in lanes.iter_mut().zip(dy.iter().zip(x).zip(gamma)) {
                *lane += dy * gamma * ((x - mean) * rstd);
            }
        }
        let mean_gn = sum(&lanes, |x| x) * inverse;
        for ((dx, &x), (&dy, &gamma)) in dx.iter_mut().zip(x).zip(dy.iter().zip(gamma)) {
            let n = (x - mean) * rstd;
            *dx += rstd * (dy * gamma - mean_g - n * mean_gn);
        }
    }
}

multiversion! {
    fn parameter_gradients(
        dy: &[f32],
        x: &[f32],
        stats: &[f32],
        width: usize,
        col: usize,
        dgamma: &mut [f32],
        dbeta: &mut [f32],
    ) {
        let block = ROW_BLOCK * width;
        for ((dy, x), stats) in dy.chunks(block).zip(x.chunks(block)).zip(stats.chunks(2 * ROW_BLOCK)) {
            let (mut gamma, mut beta) = ([0.0f32; COLS], [0.0f32; COLS]);
            let (gamma, beta) = (&mut gamma[..dgamma.len()], &mut beta[..dgamma.len()]);
            let rows = dy.chunks_exact(width).zip(x.chunks_exact(width));
            for ((dy, x), stats) in rows.zip(stats.as_chunks::<2>().0) {
                let [mean, rstd] = *stats;
                let sums = gamma.iter_mut().zip(beta.iter_mut());
                for ((gamma, beta), (&dy, &x)) in sums.zip(dy[col..].iter().zip(&x[col..])) {
                    *gamma += dy * ((x - mean) * rstd);
                    *beta += dy;
                }
            }
            for (sum, &x) in dgamma.iter_mut().zip(&*gamma) {
                *sum += x;
            }
            for (sum, &x) in dbeta.iter_mut().zip(&*beta) {
                *sum += x;
            }
        }
    }
}
