use isogloss_kernels::{Backend, Buffer, Real};

use crate::graph::LAYER_NORM_EPS;
use crate::model::context::{Context, Grads};
use crate::model::weight::Vector;

/// A layer norm of the base.
#[derive(Debug, Clone)]
pub(crate) struct LayerNorm<R> {
    pub gamma: Vector<R>,
    pub beta: Vector<R>,
}

impl<R: Real> LayerNorm<R> {
    /// The normalised rows, and `(mean, rstd)` of each.
    pub fn forward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        x: &[R],
    ) -> (Buffer<R>, Buffer<R>) {
        let gamma = self.gamma.get(cx.store);
        let mut y = Buffer::unset(x.len());
        let mut stats = Buffer::unset(2 * (x.len() / gamma.len()));
        let beta = self.beta.get(cx.store);
        cx.backend
            .layer_norm(x, gamma, beta, LAYER_NORM_EPS, &mut y, &mut stats);
        (y, stats)
    }

    /// Adds to `dx` and to the gradients of what is trained.
    pub fn backward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        x: &[R],
        stats: &[R],
        dy: &[R],
        dx: &mut [R],
        grads: Grads<'_, B>,
    ) {
        let gamma = self.gamma.get(cx.store);
        let parameters = match (self.gamma.param(), self.beta.param()) {
            (Some(gamma), Some(beta)) => Some(grads.of_two(cx.store, gamma, beta)),
            _ => None,
        };
        cx.backend
            .layer_norm_backward(dy, x, stats, gamma, dx, parameters);
    }
}
