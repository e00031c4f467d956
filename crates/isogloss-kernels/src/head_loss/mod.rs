//! Tied head and label-smoothed cross-entropy in one operation.

pub(crate) mod best;
#[cfg(target_arch = "x86_64")]
mod best512;
pub(crate) mod fast;
pub mod reference;

use crate::backend::{LabelSmoothing, SmoothingKind};

/// Weights of the target's and of every class's negative log-likelihood: `loss = on_target * nll(target) + on_all * sum over v
/// of nll(v)`.
#[must_use]
pub fn smoothing_weights(smoothing: LabelSmoothing, classes: usize) -> (f64, f64) {
    let eps = f64::from(smoothing.eps);
    match smoothing.kind {
        SmoothingKind::Uniform => (1.0 - eps, eps / classes as f64),
        SmoothingKind::Fairseq => {
            let each = eps / (classes as f64 - 1.0);
            (1.0 - eps - each, each)
        }
    }
}
