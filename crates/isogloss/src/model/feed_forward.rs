use isogloss_kernels::{Backend, Buffer, Real};

use crate::batch::Packed;
use crate::model::context::{Context, DropoutPlace, Grads};
use crate::model::linear::Linear;
use crate::model::norm::LayerNorm;

/// A pre-norm feed-forward block with its residual: `x + dropout(fc2(dropout(relu(fc1(norm x)))))`.
#[derive(Debug, Clone)]
pub(crate) struct FeedForward<R> {
    pub norm: LayerNorm<R>,
    pub fc1: Linear<R>,
    pub fc2: Linear<R>,
    pub dropout: f32,
    pub activation_dropout: f32,
    pub place: DropoutPlace,
}

/// What the backward pass needs.
#[derive(Debug)]
pub(crate) struct FeedForwardSaved<R: Real> {
    x: Buffer<R>,
    stats: Buffer<R>,
    h: Buffer<R>,
    /// After the rectifier and its dropout.
    inner: Buffer<R>,
}

impl<R: Real> FeedForward<R> {
    /// Whether the block has parameters to train.
    pub fn trains<B: Backend<Real = R>>(&self, cx: &Context<'_, B>) -> bool {
        self.fc1.trains(cx) || self.fc2.trains(cx)
    }

    /// Adds the block to `x`; returns what the backward pass needs.
    pub fn forward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        x: &mut [R],
    ) -> FeedForwardSaved<R> {
        let (h, stats) = self.norm.forward(cx, x);
        let mut inner = self.fc1.forward(cx, rows, &h, true);
        if let Some(dropout) = cx.dropout_at(self.activation_dropout, self.place) {
            cx.backend
                .dropout(dropout, &rows.row_keys, self.fc1.weight.rows(), &mut inner);
        }
        let mut y = self.fc2.forward(cx, rows, &inner, false);
        if let Some(dropout) = cx.dropout_at(self.dropout, self.place.next()) {
            cx.backend
                .dropout(dropout, &rows.row_keys, self.fc2.weight.rows(), &mut y);
        }
        let saved = FeedForwardSaved {
            x: Buffer::copy_of(x),
            stats,
            h,
            inner,
        };
        cx.backend.add(&y, x);
        saved
    }

    /// `dx` holds the gradient of the block's output and receives that of its input.
    pub fn backward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        saved: &FeedForwardSaved<R>,
        dx: &mut [R],
        grads: Grads<'_, B>,
    ) {
        let mut dy = Buffer::copy_of(dx);
        if let Some(dropout) = cx.dropout_at(self.dropout, self.place.next()) {
            cx.backend
                .dropout(dropout, &rows.row_keys, self.fc2.weight.rows(), &mut dy);
        }
        let mut dinner = Buffer::zeroed(saved.inner.len());
        self.fc2
            .backward(cx, rows, &saved.inner, &dy, Some(&mut dinner), grads);
        if let Some(dropout) = cx.dropout_at(self.activation_dropout, self.place) {
            cx.backend
                .dropout(dropout, &rows.row_keys, self.fc1.weight.rows(), &mut dinner);
        }
        // What dropout zeroed is not positive either, so one test serves both.
        cx.backend.relu_backward(&saved.inner, &mut dinner);
        let mut dh = Buffer::zeroed(saved.h.len());
        self.fc1
            .backward(cx, rows, &saved.h, &dinner, Some(&mut dh), grads);
        self.norm
            .backward(cx, &saved.x, &saved.stats, &dh, dx, grads);
    }
}
