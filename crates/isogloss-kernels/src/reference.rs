use std::marker::PhantomData;

use crate::attention::cached::{KeptRows, RowLists};
use crate::backend::{
    AdamStep, AttentionShape, Backend, Dropout, Epilogue, LabelSmoothing, NormGradients, Span,
};
use crate::matmul::{Mat, MatMut};
use crate::real::Real;
use crate::{adam, attention, dropout, embedding, head_loss, layer_norm, matmul};

/// Every operation in plain loops on one thread: the oracle of the fast kernels, and, in `f64`, of the gradients.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference<R>(PhantomData<fn() -> R>);

impl<R> Reference<R> {
    /// The reference backend.
    #[must_use]
    pub fn new() -> Self {
        Reference(PhantomData)
    }
}

impl<R: Real> Backend for Reference<R> {
    type Real = R;

    fn matmul(&self, a: Mat<'_, R>, b: Mat<'_, R>, epilogue: Epilogue<'_, R>, c: MatMut<'_, R>) {
        matmul::reference::matmul(a, b, epilogue, c);
    }

    fn add_column_sums(&self, x: &[R], sums: &mut [R]) {
        matmul::reference::add_column_sums(x, sums);
    }

    fn layer_norm(&self, x: &[R], gamma: &[R], beta: &[R], eps: f32, y: &mut [R], stats: &mut [R]) {
        layer_norm::reference::layer_norm(x, gamma, beta, eps, y, stats);
    }

    fn layer_norm_backward(
        &self,
        dy: &[R],
        x: &[R],
        stats: &[R],
        gamma: &[R],
        dx: &mut [R],
        parameters: NormGradients<'_, R>,
    ) {
        layer_norm::reference::layer_norm_backward(dy, x, stats, gamma, dx, parameters);
    }

    fn attention(
        &self,
        shape: AttentionShape,
        q: &[R],
        k: &[R],
        v: &[R],
        spans: &[Span],
        dropout: Option<Dropout>,
        out: &mut [R],
        lse: &mut [R],
    ) {
        attention::reference::attention(shape, q, k, v, spans, dropout, out, lse);
    }

    fn cached_attention(
        &self,
        shape: AttentionShape,
        q: &[R],
        keys: &KeptRows<R>,
        values: &KeptRows<R>,
        lists: RowLists<'_>,
        out: &mut [R],
    ) {
        attention::reference::cached_attention(shape, q, keys, values, lists, out);
    }

    fn attention_backward(
        &self,
        shape: AttentionShape,
        q: &[R],
        k: &[R],
        v: &[R],
        out: &[R],
        lse: &[R],
        dout: &[R],
        spans: &[Span],
        dropout: Option<Dropout>,
        dq: &mut [R],
        dk: &mut [R],
        dv: &mut [R],
    ) {
        attention::reference::attention_backward(
            shape, q, k, v, out, lse, dout, spans, dropout, dq, dk, dv,
        );
    }

    fn embed(
        &self,
        ids: &[u32],
        table: Mat<'_, R>,
        scale: f32,
        position_ids: &[u32],
        positions: &[R],
        y: &mut [R],
    ) {
        embedding::reference::embed(ids, table, scale, position_ids, positions, y);
    }

    fn embed_backward(&self, ids: &[u32], scale: f32, width: usize, dy: &[R], dtable: &mut [R]) {
        embedding::reference::embed_backward(ids, scale, width, dy, dtable);
    }

    fn dropout(&self, dropout: Dropout, row_keys: &[u64], width: usize, y: &mut [R]) {
        dropout::reference::dropout(dropout, row_keys, width, y);
    }

    fn add(&self, x: &[R], y: &mut [R]) {
        dropout::reference::add(x, y);
    }

    fn relu(&self, y: &mut [R]) {
        dropout::reference::relu(y);
    }

    fn relu_backward(&self, y: &[R], dy: &mut [R]) {
        dropout::reference::relu_backward(y, dy);
    }

    fn head_loss(
        &self,
        h: &[R],
        table: Mat<'_, R>,
        targets: &[u32],
        smoothing: LabelSmoothing,
        loss: &mut [R],
        nll: &mut [R],
        dh: Option<&mut [R]>,
        dtable: Option<&mut [R]>,
    ) {
        head_loss::reference::head_loss(h, table, targets, smoothing, loss, nll, dh, dtable);
    }

    fn adam(
        &self,
        step: AdamStep,
        values: &mut [R],
        grads: &[R],
        first: &mut [R],
        second: &mut [R],
    ) {
        adam::reference::adam(step, values, grads, first, second);
    }

    fn sum_squares(&self, x: &[R]) -> f64 {
        adam::reference::sum_squares(x)
    }
}
