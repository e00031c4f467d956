//! Each operation's fast version.

use std::ops::Range;

use crate::attention::cached::{KeptRows, RowLists};
use crate::backend::{
    AdamStep, AttentionShape, Backend, Dropout, Epilogue, LabelSmoothing, NormGradients, Span,
};
use crate::cpu::{Cpu, Precision};
use crate::low_rank::{Factors, KeptFactors, LowRankTerm};
use crate::matmul::{Mat, MatMut, PackedWeight};
use crate::{adam, attention, dropout, embedding, head_loss, layer_norm, low_rank, matmul};

impl Backend for Cpu {
    type Real = f32;

    fn matmul(
        &self,
        a: Mat<'_, f32>,
        b: Mat<'_, f32>,
        epilogue: Epilogue<'_, f32>,
        c: MatMut<'_, f32>,
    ) {
        matmul::fast(self, a, b, epilogue, c);
    }

    fn pack_weight_by_rows(
        &self,
        weight: Mat<'_, f32>,
        backward: bool,
        read: &mut dyn FnMut(Range<usize>),
    ) -> Option<PackedWeight> {
        PackedWeight::new(self, weight, backward, read)
    }

    fn packing_quantizes(&self) -> bool {
        self.precision == Precision::Int8
    }

    fn packing_replaces(&self, backward: bool) -> bool {
        PackedWeight::replaces(self, backward)
    }

    fn rounds_to_bf16(&self) -> bool {
        self.precision == Precision::Bf16
    }

    fn packed_bytes(&self, rows: usize, cols: usize, backward: bool) -> usize {
        PackedWeight::bytes_of(self, rows, cols, backward)
    }

    fn low_rank(
        &self,
        terms: &[LowRankTerm],
        factors: Factors<'_, f32>,
        x: (&[f32], usize),
        y: (&mut [f32], usize),
        relu: bool,
    ) {
        low_rank::fast::forward(self, terms, factors, x, y, relu);
    }

    fn keep_factors(&self, terms: &[LowRankTerm], parameters: &[f32]) -> Option<KeptFactors> {
        KeptFactors::new(self, terms, parameters)
    }

    fn low_rank_backward(
        &self,
        terms: &[LowRankTerm],
        parameters: &[f32],
        x: (&[f32], usize),
        dy: (&[f32], usize),
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
    ) {
        low_rank::fast::backward(self, terms, parameters, x, dy, dx, gradients);
    }

    fn add_column_sums(&self, x: &[f32], sums: &mut [f32]) {
        matmul::add_column_sums(self, x, sums);
    }

    fn layer_norm(
        &self,
        x: &[f32],
        gamma: &[f32],
        beta: &[f32],
        eps: f32,
        y: &mut [f32],
        stats: &mut [f32],
    ) {
        layer_norm::fast::forward(self, x, gamma, beta, eps, y, stats);
    }

    fn layer_norm_backward(
        &self,
        dy: &[f32],
        x: &[f32],
        stats: &[f32],
        gamma: &[f32],
        dx: &mut [f32],
        parameters: NormGradients<'_, f32>,
    ) {
        layer_norm::fast::backward(self, dy, x, stats, gamma, dx, parameters);
    }

    fn attention(
        &self,
        shape: AttentionShape,
        q: &[f32],
        k: &[f32],
        v: &[f32],
        spans: &[Span],
        dropout: Option<Dropout>,
        out: &mut [f32],
        lse: &mut [f32],
    ) {
        attention::fast::forward(self, shape, q, k, v, spans, dropout, out, lse);
    }

    fn cached_attention(
        &self,
        shape: AttentionShape,
        q: &[f32],
        keys: &KeptRows<f32>,
        values: &KeptRows<f32>,
        lists: RowLists<'_>,
        out: &mut [f32],
    ) {
        attention::cached::forward(self, shape, q, keys, values, lists, out);
    }

    fn keep(&self, rows: &[u32], values: &[f32], kept: &mut KeptRows<f32>) {
        attention::cached::keep(self, rows, values, kept);
    }

    fn keeps_bf16(&self) -> bool {
        self.precision != Precision::F32
    }

    fn threads(&self) -> usize {
        Cpu::threads(self)
    }

    fn in_parallel(&self, tasks: usize, f: &(dyn Fn(usize) + Sync)) {
        self.run(tasks, usize::MAX, f);
    }

    fn attention_backward(
        &self,
        shape: AttentionShape,
        q: &[f32],
        k: &[f32],
        v: &[f32],
        out: &[f32],
        lse: &[f32],
        dout: &[f32],
        spans: &[Span],
        dropout: Option<Dropout>,
        dq: &mut [f32],
        dk: &mut [f32],
        dv: &mut [f32],
    ) {
        attention::fast::backward(
            self, shape, q, k, v, out, lse, dout, spans, dropout, dq, dk, dv,
        );
    }

    fn embed(
        &self,
        ids: &[u32],
        table: Mat<'_, f32>,
        scale: f32,
        position_ids: &[u32],
        positions: &[f32],
        y: &mut [f32],
    ) {
        embedding::fast::forward(self, ids, table, scale, position_ids, positions, y);
    }

    fn embed_backward(
        &self,
        ids: &[u32],
        scale: f32,
        width: usize,
        dy: &[f32],
        dtable: &mut [f32],
    ) {
        embedding::fast::backward(self, ids, scale, width, dy, dtable);
    }

    fn dropout(&self, dropout: Dropout, row_keys: &[u64], width: usize, y: &mut [f32]) {
        dropout::fast::apply(self, dropout, row_keys, width, y);
    }

    fn add(&self, x: &[f32], y: &mut [f32]) {
        dropout::fast::add(self, x, y);
    }

    fn relu(&self, y: &mut [f32]) {
        dropout::fast::relu(self, y);
    }

    fn relu_backward(&self, y: &[f32], dy: &mut [f32]) {
        dropout::fast::relu_backward(self, y, dy);
    }

    fn head_loss(
        &self,
        h: &[f32],
        table: Mat<'_, f32>,
        targets: &[u32],
        smoothing: LabelSmoothing,
        loss: &mut [f32],
        nll: &mut [f32],
        dh: Option<&mut [f32]>,
        dtable: Option<&mut [f32]>,
    ) {
        head_loss::fast::head_loss(self, h, table, targets, smoothing, loss, nll, dh, dtable);
    }

    fn head_best(
        &self,
        h: &[f32],
        table: Mat<'_, f32>,
        count: usize,
        best: &mut [(f32, u32)],
        lse: &mut [f32],
    ) {
        head_loss::best::head_best(self, h, table, count, best, lse);
    }

    fn adam(
        &self,
        step: AdamStep,
        values: &mut [f32],
        grads: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        adam::fast::step(self, step, values, grads, first, second);
    }

    fn sum_squares(&self, x: &[f32]) -> f64 {
        adam::fast::sum_squares(self, x)
    }
}
