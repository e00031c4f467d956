//! What `Precision::Bf16` means, in plain loops: factors of every matrix product are rounded to bfloat16, everything else is exact.

use isogloss_kernels::{
    AdamStep, AttentionShape, Backend, Dropout, Epilogue, Factors, KeptRows, LabelSmoothing,
    LowRankTerm, Mat, MatMut, Reference, RowLists, SmoothingKind, Span, bf16, low_rank,
};

/// The reference in `f64`, with rounded factors.
#[derive(Debug, Clone, Copy)]
pub struct Rounded {
    reference: Reference<f64>,
    exact_updates: bool,
}

impl Rounded {
    /// Without rounding low-rank updates if `exact_updates`: those of small ranks aren't with AVX2.
    pub fn new(exact_updates: bool) -> Self {
        Rounded {
            reference: Reference::new(),
            exact_updates,
        }
    }
}

fn round(x: f64) -> f64 {
    f64::from(bf16::from_f32(x as f32).to_f32())
}

/// Row-major, rounded.
fn rounded(x: Mat<'_, f64>) -> Vec<f64> {
    let rows = (0..x.rows()).flat_map(|i| (0..x.cols()).map(move |j| round(x.at(i, j))));
    rows.collect()
}

impl Backend for Rounded {
    type Real = f64;

    fn matmul(&self, a: Mat<'_, f64>, b: Mat<'_, f64>, e: Epilogue<'_, f64>, c: MatMut<'_, f64>) {
        let (left, right) = (rounded(a), rounded(b));
        let a = Mat::new(&left, a.rows(), a.cols());
        self.reference
            .matmul(a, Mat::new(&right, b.rows(), b.cols()), e, c);
    }

    fn low_rank(
        &self,
        terms: &[LowRankTerm],
        factors: Factors<'_, f64>,
        x: (&[f64], usize),
        y: (&mut [f64], usize),
        relu: bool,
    ) {
        match self.exact_updates {
            true => low_rank::reference::low_rank(
                &self.reference,
                terms,
                factors.parameters,
                x,
                y,
                relu,
            ),
            false => low_rank::reference::low_rank(self, terms, factors.parameters, x, y, relu),
        }
    }

    fn low_rank_backward(
        &self,
        terms: &[LowRankTerm],
        parameters: &[f64],
        x: (&[f64], usize),
        dy: (&[f64], usize),
        dx: Option<&mut [f64]>,
        gradients: &mut [f64],
    ) {
        use low_rank::reference::low_rank_backward;
        match self.exact_updates {
            true => low_rank_backward(&self.reference, terms, parameters, x, dy, dx, gradients),
            false => low_rank_backward(self, terms, parameters, x, dy, dx, gradients),
        }
    }

    /// As the kernel for a vocabulary of one block: the target's term of `dh` isn't part of the product, and not rounded.
    fn head_loss(
        &self,
        h: &[f64],
        table: Mat<'_, f64>,
        targets: &[u32],
        smoothing: LabelSmoothing,
        loss: &mut [f64],
        nll: &mut [f64],
        dh: Option<&mut [f64]>,
        mut dtable: Option<&mut [f64]>,
    ) {
        let (classes, width) = (table.rows(), table.cols());
        let (short_h, short_table) = (rounded(Mat::new(h, targets.len(), width)), rounded(table));
        let flat = Mat::new(&short_table, classes, width);
        self.reference
            .head_loss(&short_h, flat, targets, smoothing, loss, nll, None, None);
        assert_eq!(smoothing.kind, SmoothingKind::Uniform);
        let eps = f64::from(smoothing.eps);
        let (on_target, on_all) = (1.0 - eps, eps / classes as f64);
        let mut dh = dh;
        for (i, &target) in targets.iter().enumerate() {
            let target = target as usize;
            let row = &short_h[i * width..][..width];
            let dot = |v: usize| {
                (0..width)
                    .map(|j| row[j] * short_table[v * width + j])
                    .sum()
            };
            let scores: Vec<f64> = (0..classes).map(dot).collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|s| (s - max).exp()).sum();
            let p = |v: usize| (scores[v] - max).exp() / total;
            for j in 0..width {
                let mut sum = (p(target) - on_target) * table.at(target, j);
                for v in 0..classes {
                    let e = short_table[v * width + j];
                    let factor = if v == target {
                        0.0
                    } else {
                        round((scores[v] - max).exp())
                    };
                    sum += (factor / total - on_all) * e;
                }
                if let Some(dh) = &mut dh {
                    dh[i * width + j] = sum;
                }
            }
            if let Some(dtable) = &mut dtable {
                for v in 0..classes {
                    let hit = if v == target { on_target } else { 0.0 };
                    let d = round(p(v) - on_all - hit);
                    (0..width).for_each(|j| dtable[v * width + j] += d * row[j]);
                }
            }
        }
    }

    fn add_column_sums(&self, x: &[f64], sums: &mut [f64]) {
        self.reference.add_column_sums(x, sums);
    }

    fn layer_norm(
        &self,
        x: &[f64],
        gamma: &[f64],
        beta: &[f64],
        eps: f32,
        y: &mut [f64],
        stats: &mut [f64],
    ) {
        self.reference.layer_norm(x, gamma, beta, eps, y, stats);
    }

    fn layer_norm_backward(
        &self,
        dy: &[f64],
        x: &[f64],
        stats: &[f64],
        gamma: &[f64],
        dx: &mut [f64],
        parameters: Option<(&mut [f64], &mut [f64])>,
    ) {
        self.reference
            .layer_norm_backward(dy, x, stats, gamma, dx, parameters);
    }

    fn attention(
        &self,
        shape: AttentionShape,
        q: &[f64],
        k: &[f64],
        v: &[f64],
        spans: &[Span],
        dropout: Option<Dropout>,
        out: &mut [f64],
        lse: &mut [f64],
    ) {
        self.reference
            .attention(shape, q, k, v, spans, dropout, out, lse);
    }

    fn attention_backward(
        &self,
        shape: AttentionShape,
        q: &[f64],
        k: &[f64],
        v: &[f64],
        out: &[f64],
        lse: &[f64],
        dout: &[f64],
        spans: &[Span],
        dropout: Option<Dropout>,
        dq: &mut [f64],
        dk: &mut [f64],
        dv: &mut [f64],
    ) {
        self.reference
            .attention_backward(shape, q, k, v, out, lse, dout, spans, dropout, dq, dk, dv);
    }

    fn embed(
        &self,
        ids: &[u32],
        table: Mat<'_, f64>,
        scale: f32,
        position_ids: &[u32],
        positions: &[f64],
        y: &mut [f64],
    ) {
        self.reference
            .embed(ids, table, scale, position_ids, positions, y);
    }

    fn embed_backward(
        &self,
        ids: &[u32],
        scale: f32,
        width: usize,
        dy: &[f64],
        dtable: &mut [f64],
    ) {
        self.reference.embed_backward(ids, scale, width, dy, dtable);
    }

    fn dropout(&self, dropout: Dropout, row_keys: &[u64], width: usize, y: &mut [f64]) {
        self.reference.dropout(dropout, row_keys, width, y);
    }

    fn add(&self, x: &[f64], y: &mut [f64]) {
        self.reference.add(x, y);
    }

    fn relu(&self, y: &mut [f64]) {
        self.reference.relu(y);
    }

    fn relu_backward(&self, y: &[f64], dy: &mut [f64]) {
        self.reference.relu_backward(y, dy);
    }

    fn cached_attention(
        &self,
        shape: AttentionShape,
        q: &[f64],
        keys: &KeptRows<f64>,
        values: &KeptRows<f64>,
        lists: RowLists<'_>,
        out: &mut [f64],
    ) {
        self.reference
            .cached_attention(shape, q, keys, values, lists, out);
    }

    fn adam(
        &self,
        step: AdamStep,
        values: &mut [f64],
        grads: &[f64],
        first: &mut [f64],
        second: &mut [f64],
    ) {
        self.reference.adam(step, values, grads, first, second);
    }

    fn sum_squares(&self, x: &[f64]) -> f64 {
        self.reference.sum_squares(x)
    }
}
