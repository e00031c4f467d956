use isogloss_kernels::{AdamStep, Backend, Real};
use serde::{Deserialize, Serialize};

use crate::params::{Gradients, ParamStore};

/// Settings of [`Adam`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamOptions {
    /// Decay of the first moment. Default 0.9.
    #[serde(serialize_with = "crate::decimal::serialize")]
    pub beta1: f32,
    /// Decay of the second moment. Default 0.98.
    #[serde(serialize_with = "crate::decimal::serialize")]
    pub beta2: f32,
    /// Added to the root of the second moment. Default 1e-8.
    #[serde(serialize_with = "crate::decimal::serialize")]
    pub eps: f32,
    /// Decoupled weight decay. Default 0.
    #[serde(serialize_with = "crate::decimal::serialize")]
    pub weight_decay: f32,
    /// Largest global norm of the gradient; 0 doesn't clip. Default 0.
    #[serde(serialize_with = "crate::decimal::serialize")]
    pub clip_norm: f32,
}

impl Default for AdamOptions {
    fn default() -> Self {
        AdamOptions {
            beta1: 0.9,
            beta2: 0.98,
            eps: 1e-8,
            weight_decay: 0.0,
            clip_norm: 0.0,
        }
    }
}

/// Adam (Kingma & Ba 2015) over a store. A group that took no part in an update keeps its values, its moments and its own
/// count of steps: with shared counts Adam would go on moving an idle language along its old momentum.
#[derive(Debug, Clone)]
pub struct Adam<R> {
    options: AdamOptions,
    first: Vec<R>,
    second: Vec<R>,
    steps: Vec<u64>,
}

impl<R: Real> Adam<R> {
    /// A fresh optimiser for `store`.
    #[must_use]
    pub fn new(options: AdamOptions, store: &ParamStore<R>) -> Self {
        let len = store.values().len();
        Adam {
            options,
            first: vec![R::zero(); len],
            second: vec![R::zero(); len],
            steps: vec![0; store.groups().len()],
        }
    }

    /// Moves the values of every used group. Gradients are multiplied by `scale` (one over the target tokens), then clipped.
    /// Returns the norm of the scaled gradient before clipping; where it isn't finite nothing is moved.
    pub fn step<B: Backend<Real = R>>(
        &mut self,
        backend: &B,
        store: &mut ParamStore<R>,
        grads: &Gradients<R>,
        lr: f32,
        scale: f64,
    ) -> f64 {
        let used = || (0..grads.used().len()).filter(|&g| grads.used()[g]);
        let squares: f64 = used()
            .map(|g| backend.sum_squares(&grads.values()[store.groups()[g].range.clone()]))
            .sum();
        let norm = squares.sqrt() * scale;
        if !norm.is_finite() {
            return norm;
        }
        let limit = f64::from(self.options.clip_norm);
        let clip = if limit > 0.0 && norm > limit {
            limit / norm
        } else {
            1.0
        };
        for g in used() {
            self.steps[g] += 1;
            let step = AdamStep {
                lr: lr * store.groups()[g].rate,
                beta1: self.options.beta1,
                beta2: self.options.beta2,
                eps: self.options.eps,
                weight_decay: self.options.weight_decay,
                step: self.steps[g],
                grad_scale: (scale * clip) as f32,
            };
            let range = store.groups()[g].range.clone();
            backend.adam(
                step,
                &mut store.values_mut()[range.clone()],
                &grads.values()[range.clone()],
                &mut self.first[range.clone()],
                &mut self.second[range],
            );
        }
        norm
    }

    /// First moments, second moments and steps of each group, for a checkpoint.
    #[must_use]
    pub fn state(&self) -> (&[R], &[R], &[u64]) {
        (&self.first, &self.second, &self.steps)
    }

    /// What [`state`](Self::state) gave, to be restored: moments and steps, of the same lengths.
    pub fn state_mut(&mut self) -> (&mut [R], &mut [R], &mut [u64]) {
        (&mut self.first, &mut self.second, &mut self.steps)
    }
}
