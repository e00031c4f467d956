//! Plain head and loss, a row of logits at a time.

use crate::backend::LabelSmoothing;
use crate::check;
use crate::head_loss::smoothing_weights;
use crate::matmul::Mat;
use crate::real::Real;

/// See [`crate::Backend::head_loss`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn head_loss<R: Real>(
    h: &[R],
    table: Mat<'_, R>,
    targets: &[u32],
    smoothing: LabelSmoothing,
    loss: &mut [R],
    nll: &mut [R],
    mut dh: Option<&mut [R]>,
    mut dtable: Option<&mut [R]>,
) {
    check::head_loss(
        h,
        &table,
        targets,
        loss,
        nll,
        dh.as_deref(),
        dtable.as_deref(),
    );
    let (classes, width) = (table.rows(), table.cols());
    let (on_target, on_all) = smoothing_weights(smoothing, classes);
    let real = |x: f64| R::from_f64(x).unwrap_or_else(R::zero);
    for (i, &target) in targets.iter().enumerate() {
        let row = &h[i * width..(i + 1) * width];
        let mut scores: Vec<R> = (0..classes)
            .map(|v| (0..width).map(|j| row[j] * table.at(v, j)).sum())
            .collect();
        log_softmax(classes, &mut scores);
        nll[i] = -scores[target as usize];
        let all = -scores.iter().copied().sum::<R>();
        loss[i] = real(on_target) * nll[i] + real(on_all) * all;
        // d loss / d logit_v = p_v * (total weight) - (weight of v), and the total weight is 1.
        let total = real(on_target + on_all * classes as f64);
        if let Some(dh) = &mut dh {
            dh[i * width..(i + 1) * width].fill(R::zero());
        }
        for (v, &score) in scores.iter().enumerate() {
            let mut d = score.exp() * total - real(on_all);
            if v == target as usize {
                d = d - real(on_target);
            }
            for j in 0..width {
                if let Some(dh) = &mut dh {
                    dh[i * width + j] += d * table.at(v, j);
                }
                if let Some(dtable) = &mut dtable {
                    dtable[v * width + j] += d * row[j];
                }
            }
        }
    }
}

/// See [`crate::Backend::head_best`]; from logits `(N, V)`.
pub(crate) fn best<R: Real>(logits: &[R], count: usize, best: &mut [(R, u32)], lse: &mut [R]) {
    let classes = logits.len() / lse.len().max(1);
    let rows = logits.chunks_exact(classes.max(1));
    for ((row, best), lse) in rows.zip(best.chunks_exact_mut(count)).zip(lse) {
        let mut sorted: Vec<(R, u32)> = row.iter().copied().zip(0..).collect();
        sorted.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(std::cmp::Ordering::Equal));
        best.copy_from_slice(&sorted[..count]);
        let max = sorted[0].0;
        let total = row.iter().map(|&x| (x - max).exp()).sum::<R>();
        *lse = match row.iter().all(|x| x.is_finite()) {
            true => max + total.ln(),
            false => R::nan(),
        };
    }
}

/// In place log-softmax of rows of `width`.
///
/// # Panics
/// If `logits` are no whole rows.
pub fn log_softmax<R: Real>(width: usize, logits: &mut [R]) {
    check::log_softmax(width, logits);
    for row in logits.chunks_exact_mut(width.max(1)) {
        let max = row.iter().copied().fold(R::neg_infinity(), R::max);
        let total = row.iter().map(|&x| (x - max).exp()).sum::<R>();
        let log_total = max + total.ln();
        for x in row {
            *x = *x - log_total;
        }
    }
}
