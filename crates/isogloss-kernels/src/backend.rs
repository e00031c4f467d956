use std::ops::Range;

use num_traits::Float;

use crate::attention::cached::{KeptRows, RowLists};
use crate::low_rank::{self, Factors, KeptFactors, LowRankTerm};
use crate::matmul::{Mat, MatMut, PackedWeight};
use crate::real::Real;
use crate::{check, head_loss};

/// What happens to a product before it is stored: `c = act(alpha * a b + bias + (accumulate ? c : 0))`.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue<'a, R> {
    /// Factor of the product.
    pub alpha: R,
    /// Added to every row; as long as a row of `c`.
    pub bias: Option<&'a [R]>,
    /// Add to what `c` holds; otherwise `c` is overwritten and may hold anything, NaN included.
    pub accumulate: bool,
    /// Rectify (`max(x, 0)`) at the end.
    pub relu: bool,
}

impl<R: Real> Default for Epilogue<'_, R> {
    fn default() -> Self {
        Epilogue {
            alpha: R::one(),
            bias: None,
            accumulate: false,
            relu: false,
        }
    }
}

impl<R: Real> Epilogue<'_, R> {
    /// Add the product to `c`.
    #[must_use]
    pub fn accumulate() -> Self {
        Epilogue {
            accumulate: true,
            ..Self::default()
        }
    }
}

/// Counter-based dropout: whether an element is kept is a pure function of the keys, so that the backward pass draws
/// the same mask again and nothing is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Probability of dropping an element, `0 <= rate < 1`. What is kept is divided by `1 - rate`.
    pub rate: f32,
    /// Key of the seed, the update (optimiser step) and the site, mixed; see [`crate::dropout::mix`].
    pub key: u64,
}

/// The rows of one attention: `q_len` queries see `k_len` keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First row of the queries (and of the output).
    pub q_start: usize,
    /// Number of queries.
    pub q_len: usize,
    /// First row of the keys and values.
    pub k_start: usize,
    /// Number of keys, at least one where there are queries.
    pub k_len: usize,
    /// Key of the sentence, for dropout of attention weights.
    pub key: u64,
}

/// Heads and scaling of an attention. Rows of q, k, v and the output are `heads * head_dim` wide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Number of heads.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Factor of the scores, usually `head_dim^-0.5`.
    pub scale: f32,
    /// Query `i` of a span sees the keys `j <= i + k_len - q_len` only (with `q_len == k_len`: the usual mask; with
    /// `q_len == 1`: all keys, as in cached decoding).
    pub causal: bool,
}

/// How label smoothing spreads its mass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SmoothingKind {
    /// `eps / V` to every class, the target included (`PyTorch`'s `CrossEntropyLoss(label_smoothing)`).
    #[default]
    Uniform,
    /// `eps / (V - 1)` to every class but the target (fairseq's `label_smoothed_cross_entropy`).
    Fairseq,
}

/// Label smoothing of the cross-entropy.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LabelSmoothing {
    /// Mass taken from the target, `0 <= eps < 1`.
    pub eps: f32,
    /// Where it goes.
    pub kind: SmoothingKind,
}

/// One step of Adam (Kingma & Ba 2015, algorithm 1, bias-corrected; weight decay decoupled as in `AdamW`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay, 0 for none.
    pub weight_decay: f32,
    /// Number of this step, from 1, for the bias correction.
    pub step: u64,
    /// Factor of the gradients (one over the target tokens, times the clipping factor).
    pub grad_scale: f32,
}

/// Gradients of a layer norm's scale and shift, where they are trained.
pub type NormGradients<'a, R> = Option<(&'a mut [R], &'a mut [R])>;

/// The operations that the model is made of.
///
/// Arrays are row-major and packed: `x` of `(N, D)` is a slice of `N * D` values. A method panics where lengths don't
/// agree (a defect of the caller, never of a user's input).
pub trait Backend: Send + Sync {
    /// The scalar of activations, gradients and trainable parameters.
    type Real: Real;

    /// `c = act(alpha * a b + bias + (accumulate ? c : 0))`: `a` is `(M, K)`, `b` is `(K, N)`, `c` is `(M, N)`.
    fn matmul(
        &self,
        a: Mat<'_, Self::Real>,
        b: Mat<'_, Self::Real>,
        epilogue: Epilogue<'_, Self::Real>,
        c: MatMut<'_, Self::Real>,
    );

    /// Packs a frozen weight `(out, in)` ahead for [`matmul`](Self::matmul), where it is the right operand of `x W^T`, and with
    /// `backward` also of `dy W`; give it to the matrix by [`Mat::with_packed`]. It takes as many bytes again as the weight in the
    /// precision of products (twice as many with `backward`), and results have the same bits as without, unless
    /// [`packing_quantizes`](Self::packing_quantizes). `None`: this backend has no use for it.
    fn pack_weight(&self, weight: Mat<'_, Self::Real>, backward: bool) -> Option<PackedWeight> {
        self.pack_weight_by_rows(weight, backward, &mut |_| {})
    }

    /// [`pack_weight`](Self::pack_weight) that calls `read` with rows of the weight once they won't be read again, so that their memory
    /// can be given back while the rest is packed. It may leave out rows, and does with `backward`.
    fn pack_weight_by_rows(
        &self,
        weight: Mat<'_, Self::Real>,
        backward: bool,
        read: &mut dyn FnMut(Range<usize>),
    ) -> Option<PackedWeight> {
        let _ = (weight, backward, read);
        None
    }

    /// Whether products with a weight packed ahead are other products: that it is quantised. Then all weights should be packed, or
    /// none.
    fn packing_quantizes(&self) -> bool {
        false
    }

    /// Whether a weight packed ahead does without its values in the forward, and with `backward` in the backward pass, as fast as it does
    /// with them; see [`PackedWeight::replaces_values`].
    fn packing_replaces(&self, backward: bool) -> bool {
        let _ = backward;
        false
    }

    /// Whether operands of products are rounded to bfloat16, so that a weight may as well be kept in it.
    fn rounds_to_bf16(&self) -> bool {
        false
    }

    /// Bytes that [`pack_weight`](Self::pack_weight) would take for a weight of this shape.
    fn packed_bytes(&self, rows: usize, cols: usize, backward: bool) -> usize {
        let _ = (rows, cols, backward);
        0
    }

    /// Adds low-rank updates, each to its own rows: `y[output] += scale * B A x[input]` for every row of each term; `relu` then
    /// rectifies all of `y`, rows without a term included. `x` is `(N, inputs)`, `y` is `(N, outputs)`.
    ///
    /// Terms are in ascending order of their rows and share none. Terms may share factors; else their factors don't overlap.
    fn low_rank(
        &self,
        terms: &[LowRankTerm],
        factors: Factors<'_, Self::Real>,
        x: (&[Self::Real], usize),
        y: (&mut [Self::Real], usize),
        relu: bool,
    ) {
        low_rank::reference::low_rank(self, terms, factors.parameters, x, y, relu);
    }

    /// Prepares the factors of `terms`, whose rows don't matter, for [`low_rank`](Self::low_rank): it is then faster where terms have few
    /// rows. Factors, rows of `x` and `A x` are rounded to bfloat16; it takes two bytes for each of `parameters`. `None`: this backend has no
    /// use for it, or computes in `f32` alone.
    fn keep_factors(
        &self,
        terms: &[LowRankTerm],
        parameters: &[Self::Real],
    ) -> Option<KeptFactors> {
        let _ = (terms, parameters);
        None
    }

    /// Backward of [`low_rank`](Self::low_rank) without the rectifier: adds to the gradients of the factors, which lie in `gradients` as
    /// the factors in `parameters`, and to `dx`, `(N, inputs)`, unless it isn't needed. Terms that share a factor add to its
    /// gradient in their order.
    fn low_rank_backward(
        &self,
        terms: &[LowRankTerm],
        parameters: &[Self::Real],
        x: (&[Self::Real], usize),
        dy: (&[Self::Real], usize),
        dx: Option<&mut [Self::Real]>,
        gradients: &mut [Self::Real],
    ) {
        low_rank::reference::low_rank_backward(self, terms, parameters, x, dy, dx, gradients);
    }

    /// `sums[j] += sum over rows i of x[i][j]`: the gradient of a bias. `x` is `(N, sums.len())`.
    fn add_column_sums(&self, x: &[Self::Real], sums: &mut [Self::Real]);

    /// Layer norm over rows of `gamma.len()`: `y = (x - mean) * rstd * gamma + beta`. `stats` receives `(mean, rstd)` of each
    /// row, `2 N` values.
    fn layer_norm(
        &self,
        x: &[Self::Real],
        gamma: &[Self::Real],
        beta: &[Self::Real],
        eps: f32,
        y: &mut [Self::Real],
        stats: &mut [Self::Real],
    );

    /// Backward of [`layer_norm`](Self::layer_norm): `dx += ...`; with `parameters`, `dgamma` and `dbeta` are added to.
    fn layer_norm_backward(
        &self,
        dy: &[Self::Real],
        x: &[Self::Real],
        stats: &[Self::Real],
        gamma: &[Self::Real],
        dx: &mut [Self::Real],
        parameters: NormGradients<'_, Self::Real>,
    );

    /// Multi-head attention of each span, `out = softmax(scale q k^T) v`, with optional dropout of the weights. `lse` receives
    /// the log-sum-exp of the scores, `(Nq, heads)`. Rows of `out` outside all spans are left alone. Several spans may share
    /// keys.
    fn attention(
        &self,
        shape: AttentionShape,
        q: &[Self::Real],
        k: &[Self::Real],
        v: &[Self::Real],
        spans: &[Span],
        dropout: Option<Dropout>,
        out: &mut [Self::Real],
        lse: &mut [Self::Real],
    );

    /// Attention of single queries over kept rows, `out[i] = softmax(scale q[i] k^T) v` for each head, where `k` and `v` are the rows of
    /// query `i`'s list; `causal` has no say. Rows of `q`, of `out` and of what is kept are `heads * head_dim` wide. Where rows are kept in
    /// bfloat16, the query may be rounded to it as well.
    fn cached_attention(
        &self,
        shape: AttentionShape,
        q: &[Self::Real],
        keys: &KeptRows<Self::Real>,
        values: &KeptRows<Self::Real>,
        lists: RowLists<'_>,
        out: &mut [Self::Real],
    );

    /// Writes `values` to some kept rows, each as long as the others.
    fn keep(&self, rows: &[u32], values: &[Self::Real], kept: &mut KeptRows<Self::Real>) {
        kept.write(rows, values);
    }

    /// Whether rows for [`cached_attention`](Self::cached_attention) are best kept in bfloat16.
    fn keeps_bf16(&self) -> bool {
        false
    }

    /// Number of threads that [`in_parallel`](Self::in_parallel) uses.
    fn threads(&self) -> usize {
        1
    }

    /// Runs `f` for each task, in any order and on any thread. Operations that a task calls stay on its thread, those of a single task use
    /// all threads.
    fn in_parallel(&self, tasks: usize, f: &(dyn Fn(usize) + Sync)) {
        (0..tasks).for_each(f);
    }

    /// Backward of [`attention`](Self::attention): overwrites the spans' rows of `dq`, `dk`, `dv`. Spans must not share queries or
    /// keys.
    fn attention_backward(
        &self,
        shape: AttentionShape,
        q: &[Self::Real],
        k: &[Self::Real],
        v: &[Self::Real],
        out: &[Self::Real],
        lse: &[Self::Real],
        dout: &[Self::Real],
        spans: &[Span],
        dropout: Option<Dropout>,
        dq: &mut [Self::Real],
        dk: &mut [Self::Real],
        dv: &mut [Self::Real],
    );

    /// `y[i] = scale * table[ids[i]] + positions[position_ids[i]]`, rows of `table.cols()`. `positions` is a table of rows of the same
    /// width.
    fn embed(
        &self,
        ids: &[u32],
        table: Mat<'_, Self::Real>,
        scale: f32,
        position_ids: &[u32],
        positions: &[Self::Real],
        y: &mut [Self::Real],
    );

    /// Backward of [`embed`](Self::embed): `dtable[ids[i]] += scale * dy[i]`, in order of `i`.
    fn embed_backward(
        &self,
        ids: &[u32],
        scale: f32,
        width: usize,
        dy: &[Self::Real],
        dtable: &mut [Self::Real],
    );

    /// Drops elements of `y` in place; forward and, on the gradient, backward. Element `(i, j)` depends on
    /// `(dropout, row_keys[i], j)` alone. `width` is the row's length.
    fn dropout(&self, dropout: Dropout, row_keys: &[u64], width: usize, y: &mut [Self::Real]);

    /// `y += x`.
    fn add(&self, x: &[Self::Real], y: &mut [Self::Real]);

    /// `y = max(y, 0)`.
    fn relu(&self, y: &mut [Self::Real]);

    /// `dy = 0` where `y <= 0`: backward of a rectifier whose output is `y`.
    fn relu_backward(&self, y: &[Self::Real], dy: &mut [Self::Real]);

    /// Tied head and label-smoothed cross-entropy, without an `(N, V)` array: `logits = h table^T`, `table` is `(V, D)`.
    ///
    /// `loss[i]` and `nll[i]` receive the smoothed loss and the plain negative log-likelihood of row `i`, in nats. `dh`, if given,
    /// is overwritten by the gradient of the sum of `loss`, and `dtable`, if given, is added to.
    fn head_loss(
        &self,
        h: &[Self::Real],
        table: Mat<'_, Self::Real>,
        targets: &[u32],
        smoothing: LabelSmoothing,
        loss: &mut [Self::Real],
        nll: &mut [Self::Real],
        dh: Option<&mut [Self::Real]>,
        dtable: Option<&mut [Self::Real]>,
    );

    /// The `count` largest logits of each row and their classes, best first and the lower class first among equals, and the log of the sum
    /// of exponentials of all: `logits = h table^T`, `table` is `(V, D)`, `best` is `(N, count)`, `1 <= count <= V`. A row of which a logit
    /// isn't finite has NaN in `lse`, and anything in `best`.
    fn head_best(
        &self,
        h: &[Self::Real],
        table: Mat<'_, Self::Real>,
        count: usize,
        best: &mut [(Self::Real, u32)],
        lse: &mut [Self::Real],
    ) {
        check::head_best(h, &table, count, best, lse);
        let (classes, width, rows) = (table.rows(), table.cols(), lse.len());
        let mut logits = vec![Self::Real::nan(); rows * classes];
        self.matmul(
            Mat::new(h, rows, width),
            table.t(),
            Epilogue::default(),
            MatMut::new(&mut logits, rows, classes),
        );
        head_loss::reference::best(&logits, count, best, lse);
    }

    /// One step of Adam: `values`, `first` and `second` are updated from `grads`.
    fn adam(
        &self,
        step: AdamStep,
        values: &mut [Self::Real],
        grads: &[Self::Real],
        first: &mut [Self::Real],
        second: &mut [Self::Real],
    );

    /// Sum of squares, in `f64`, over fixed blocks.
    fn sum_squares(&self, x: &[Self::Real]) -> f64;
}
