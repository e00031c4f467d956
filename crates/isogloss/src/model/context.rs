use isogloss_kernels::dropout::mix;
use isogloss_kernels::{Backend, Dropout};

use crate::adapter::Adapters;
use crate::params::{Gradients, ParamStore};

/// What a pass through the model needs beside its input. The model itself carries no mutable state.
#[derive(Debug)]
pub struct Context<'a, B: Backend> {
    /// Runs the operations.
    pub backend: &'a B,
    /// Trainable parameters.
    pub store: &'a ParamStore<B::Real>,
    /// Updates that are added to the base.
    pub adapters: &'a Adapters,
    /// Training: key of the seed and the update, for dropout. `None` evaluates.
    pub dropout: Option<u64>,
}

impl<B: Backend> Clone for Context<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Context<'_, B> {}

impl<B: Backend> Context<'_, B> {
    /// Dropout at a place of the graph, or `None` where nothing is dropped.
    #[must_use]
    pub(crate) fn dropout_at(&self, rate: f32, place: DropoutPlace) -> Option<Dropout> {
        let key = self.dropout?;
        (rate > 0.0).then(|| Dropout {
            rate,
            key: mix(key, place.0),
        })
    }
}

/// A place of the graph where dropout acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DropoutPlace(pub u64);

impl DropoutPlace {
    /// The place after this one within a layer.
    pub(crate) fn next(self) -> Self {
        DropoutPlace(self.0 + 1)
    }
}

/// Gradients of a backward pass.
pub type Grads<'a, B> = &'a mut Gradients<<B as Backend>::Real>;
