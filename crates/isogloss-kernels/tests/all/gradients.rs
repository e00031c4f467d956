//! Every backward operation against central finite differences of its forward operation, in `f64`.

use isogloss_kernels::dropout::{draw, mix};
use isogloss_kernels::head_loss::reference::log_softmax;
use isogloss_kernels::{
    AttentionShape, Backend, Dropout, Epilogue, LabelSmoothing, LowRankTerm, Mat, MatMut,
    Reference, SmoothingKind, Span,
};

/// Random shapes and values of each test.
const SEEDS: u64 = 6;
/// Largest error of a gradient, relative to the largest of its array.
const TOLERANCE: f64 = 1e-7;

fn oracle() -> Reference<f64> {
    Reference::new()
}

/// Draws, all from one seed.
struct Random {
    key: u64,
    at: u32,
}

impl Random {
    fn new(test: u64, seed: u64) -> Self {
        Random {
            key: mix(test, seed),
            at: 0,
        }
    }

    fn unit(&mut self) -> f64 {
        self.at += 1;
        f64::from(draw(self.key, self.at)) / 2f64.powi(32)
    }

    fn values(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| 2.0 * self.unit() - 1.0).collect()
    }

    fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    fn size(&mut self, largest: usize) -> usize {
        1 + self.below(largest)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Asserts that `gradient` is that of `f` at `x`.
#[track_caller]
fn check(what: &str, x: &[f64], gradient: &[f64], f: impl Fn(&[f64]) -> f64) {
    const STEP: f64 = 1e-5;
    assert_eq!(x.len(), gradient.len(), "{what}");
    let mut x = x.to_vec();
    let mut numeric = Vec::new();
    for i in 0..x.len() {
        let before = x[i];
        x[i] = before + STEP;
        let above = f(&x);
        x[i] = before - STEP;
        let below = f(&x);
        x[i] = before;
        numeric.push((above - below) / (2.0 * STEP));
    }
    let scale = numeric.iter().fold(1e-2f64, |m, g| m.max(g.abs()));
    for (i, (&got, &expected)) in gradient.iter().zip(&numeric).enumerate() {
        assert!(
            (got - expected).abs() <= TOLERANCE * scale,
            "{what}[{i}]: {got}, by differences {expected}"
        );
    }
}

/// `c = act(alpha a b + bias + c)`, weighed.
struct Product {
    sizes: [usize; 3],
    alpha: f64,
    relu: bool,
    /// Weights of the sum that is differentiated.
    weights: Vec<f64>,
}

impl Product {
    fn result(&self, a: &[f64], b: &[f64], bias: &[f64], c: &[f64]) -> Vec<f64> {
        let [m, k, n] = self.sizes;
        let mut out = c.to_vec();
        let epilogue = Epilogue {
            alpha: self.alpha,
            bias: Some(bias),
            accumulate: true,
            relu: self.relu,
        };
        let out_view = MatMut::new(&mut out, m, n);
        oracle().matmul(Mat::new(a, m, k), Mat::new(b, k, n), epilogue, out_view);
        out
    }

    fn value(&self, a: &[f64], b: &[f64], bias: &[f64], c: &[f64]) -> f64 {
        dot(&self.result(a, b, bias, c), &self.weights)
    }
}

/// The gradients are products again, as the model composes them.
#[test]
fn products() {
    for seed in 0..SEEDS {
        let mut random = Random::new(1, seed);
        let [m, k, n] = [random.size(5), random.size(6), random.size(7)];
        let product = Product {
            sizes: [m, k, n],
            alpha: 0.5 + random.unit(),
            relu: seed % 2 == 1,
            weights: random.values(m * n),
        };
        let [a, b, c] = [m * k, k * n, m * n].map(|len| random.values(len));
        let bias = random.values(n);

        let mut dc = product.weights.clone();
        if product.relu {
            oracle().relu_backward(&product.result(&a, &b, &bias, &c), &mut dc);
        }
        let scaled = Epilogue {
            alpha: product.alpha,
            ..Epilogue::default()
        };
        let (mut da, mut db) = (vec![0.0; m * k], vec![0.0; k * n]);
        let dc_view = Mat::new(&dc, m, n);
        let da_view = MatMut::new(&mut da, m, k);
        oracle().matmul(dc_view, Mat::new(&b, k, n).t(), scaled, da_view);
        let db_view = MatMut::new(&mut db, k, n);
        oracle().matmul(Mat::new(&a, m, k).t(), dc_view, scaled, db_view);
        let mut dbias = vec![0.0; n];
        oracle().add_column_sums(&dc, &mut dbias);

        check("da", &a, &da, |a| product.value(a, &b, &bias, &c));
        check("db", &b, &db, |b| product.value(&a, b, &bias, &c));
        check("dbias", &bias, &dbias, |bias| {
            product.value(&a, &b, bias, &c)
        });
        check("dc", &c, &dc, |c| product.value(&a, &b, &bias, c));
    }
}

/// Two terms that share their factors, and one with its own that reads and writes some columns.
#[test]
fn low_rank_updates() {
    for seed in 0..SEEDS {
        let mut random = Random::new(9, seed);
        let (inputs, outputs, rank) = (1 + random.size(4), 1 + random.size(4), random.size(3));
        let sizes = [0, 1, 2].map(|_| random.size(3));
        let mut end = random.below(2);
        let terms = sizes.map(|rows| {
            end += rows;
            LowRankTerm {
                rows: end - rows..end,
                a: 0,
                b: rank * inputs,
                rank,
                scale: 0.5 + end as f32,
                input: 0..inputs,
                output: 0..outputs,
            }
        });
        let [first, mut other, last] = terms;
        let shared = rank * (inputs + outputs);
        (other.a, other.b) = (shared, shared + rank * (inputs - 1));
        (other.input, other.output) = (1..inputs, 0..outputs - 1);
        let terms = [first, other, last];
        let parameters = random.values(2 * shared);
        let (x, y) = (random.values(end * inputs), random.values(end * outputs));
        let weights = random.values(end * outputs);
        let forward = |parameters: &[f64], x: &[f64]| {
            let mut y = y.clone();
            oracle().low_rank(
                &terms,
                parameters.into(),
                (x, inputs),
                (&mut y, outputs),
                false,
            );
            dot(&y, &weights)
        };
        // Gradients are added to what is there.
        let (mut dx, mut gradients) = (vec![0.25; x.len()], vec![0.25; parameters.len()]);
        let (input, dy) = ((&x[..], inputs), (&weights[..], outputs));
        let to = (Some(&mut dx[..]), &mut gradients[..]);
        oracle().low_rank_backward(&terms, &parameters, input, dy, to.0, to.1);
        for gradient in [&mut dx, &mut gradients] {
            gradient.iter_mut().for_each(|g| *g -= 0.25);
        }
        check("dx", &x, &dx, |x| forward(&parameters, x));
        check("dfactors", &parameters, &gradients, |parameters| {
            forward(parameters, &x)
        });
    }
}

#[test]
fn layer_norm() {
    for seed in 0..SEEDS {
        let mut random = Random::new(2, seed);
        let (n, d) = (random.size(4), 1 + random.size(8));
        let (x, weights) = (random.values(n * d), random.values(n * d));
        let (gamma, beta) = (random.values(d), random.values(d));
        let forward = |x: &[f64], gamma: &[f64], beta: &[f64]| {
            let (mut y, mut stats) = (vec![f64::NAN; n * d], vec![f64::NAN; 2 * n]);
            oracle().layer_norm(x, gamma, beta, 1e-5, &mut y, &mut stats);
            (dot(&y, &weights), stats)
        };
        let stats = forward(&x, &gamma, &beta).1;
        // Gradients are added to what is there.
        let mut dx = vec![0.25; n * d];
        let (mut dgamma, mut dbeta) = (vec![0.25; d], vec![0.25; d]);
        let parameters = Some((&mut dgamma[..], &mut dbeta[..]));
        oracle().layer_norm_backward(&weights, &x, &stats, &gamma, &mut dx, parameters);
        for gradient in [&mut dx, &mut dgamma, &mut dbeta] {
            gradient.iter_mut().for_each(|g| *g -= 0.25);
        }
        check("dx", &x, &dx, |x| forward(x, &gamma, &beta).0);
        check("dgamma", &gamma, &dgamma, |gamma| {
            forward(&x, gamma, &beta).0
        });
        check("dbeta", &beta, &dbeta, |beta| forward(&x, &gamma, beta).0);
    }
}

/// Two sentences.
fn spans(random: &mut Random, causal: bool) -> (Vec<Span>, usize, usize) {
    let (mut queries, mut keys) = (0, 0);
    let span = |_| {
        let q_len = random.size(4);
        let k_len = if causal { q_len } else { random.size(5) };
        let span = Span {
            q_start: queries,
            q_len,
            k_start: keys,
            k_len,
            key: random.below(1000) as u64,
        };
        (queries, keys) = (queries + q_len, keys + k_len);
        span
    };
    let spans = (0..2).map(span).collect();
    (spans, queries, keys)
}

fn attention_case(seed: u64, causal: bool, rate: Option<f32>) {
    let mut random = Random::new(3, seed);
    let shape = AttentionShape {
        heads: random.size(3),
        head_dim: random.size(4),
        scale: 0.7,
        causal,
    };
    let (spans, queries, keys) = spans(&mut random, causal);
    let width = shape.heads * shape.head_dim;
    let dropout = rate.map(|rate| Dropout { rate, key: seed });
    let [q, weights] = [(); 2].map(|()| random.values(queries * width));
    let [k, v] = [(); 2].map(|()| random.values(keys * width));
    let forward = |q: &[f64], k: &[f64], v: &[f64]| {
        let mut out = vec![f64::NAN; queries * width];
        let mut lse = vec![f64::NAN; queries * shape.heads];
        oracle().attention(shape, q, k, v, &spans, dropout, &mut out, &mut lse);
        (out, lse)
    };
    let value = |q: &[f64], k: &[f64], v: &[f64]| dot(&forward(q, k, v).0, &weights);
    let (out, lse) = forward(&q, &k, &v);
    let [mut dq, mut dk, mut dv] = [queries, keys, keys].map(|n| vec![f64::NAN; n * width]);
    oracle().attention_backward(
        shape, &q, &k, &v, &out, &lse, &weights, &spans, dropout, &mut dq, &mut dk, &mut dv,
    );
    check("dq", &q, &dq, |q| value(q, &k, &v));
    check("dk", &k, &dk, |k| value(&q, k, &v));
    check("dv", &v, &dv, |v| value(&q, &k, v));
}

#[test]
fn attention() {
    for seed in 0..SEEDS {
        for causal in [false, true] {
            for rate in [None, Some(0.3)] {
                attention_case(seed, causal, rate);
            }
        }
    }
}

#[test]
fn embedding() {
    for seed in 0..SEEDS {
        let mut random = Random::new(4, seed);
        // More tokens than rows: some row is used twice.
        let (rows, d) = (random.size(4), random.size(5));
        let n = rows + 2;
        let ids: Vec<u32> = (0..n).map(|_| random.below(rows) as u32).collect();
        let positions = random.values(n * d);
        let position_ids: Vec<u32> = (0..n as u32).rev().collect();
        let (table, weights) = (random.values(rows * d), random.values(n * d));
        let mut dtable = vec![0.0; rows * d];
        oracle().embed_backward(&ids, 1.5, d, &weights, &mut dtable);
        check("dtable", &table, &dtable, |table| {
            let mut y = vec![f64::NAN; n * d];
            let table = Mat::new(table, rows, d);
            oracle().embed(&ids, table, 1.5, &position_ids, &positions, &mut y);
            dot(&y, &weights)
        });
    }
}

/// The same call serves as backward.
#[test]
fn dropout() {
    for seed in 0..SEEDS {
        let mut random = Random::new(5, seed);
        let (n, d) = (random.size(5), random.size(9));
        let keys: Vec<u64> = (0..n).map(|_| random.below(1000) as u64).collect();
        let dropout = Dropout {
            rate: 0.4,
            key: seed,
        };
        let (x, weights) = (random.values(n * d), random.values(n * d));
        let mut dx = weights.clone();
        oracle().dropout(dropout, &keys, d, &mut dx);
        check("dx", &x, &dx, |x| {
            let mut y = x.to_vec();
            oracle().dropout(dropout, &keys, d, &mut y);
            dot(&y, &weights)
        });
    }
}

fn head_loss_case(seed: u64, smoothing: LabelSmoothing) {
    let mut random = Random::new(6, seed);
    let (n, classes, d) = (random.size(4), 1 + random.size(8), random.size(5));
    let (h, table) = (random.values(n * d), random.values(classes * d));
    let targets: Vec<u32> = (0..n).map(|_| random.below(classes) as u32).collect();
    let losses = |h: &[f64], table: &[f64]| {
        let (mut loss, mut nll) = (vec![f64::NAN; n], vec![f64::NAN; n]);
        let table = Mat::new(table, classes, d);
        oracle().head_loss(
            h, table, &targets, smoothing, &mut loss, &mut nll, None, None,
        );
        (loss, nll)
    };
    let sum = |h: &[f64], table: &[f64]| losses(h, table).0.iter().sum::<f64>();
    let (mut loss, mut nll) = (vec![f64::NAN; n], vec![f64::NAN; n]);
    let (mut dh, mut dtable) = (vec![f64::NAN; n * d], vec![0.0; classes * d]);
    oracle().head_loss(
        &h,
        Mat::new(&table, classes, d),
        &targets,
        smoothing,
        &mut loss,
        &mut nll,
        Some(&mut dh),
        Some(&mut dtable),
    );
    assert_eq!((loss.clone(), nll.clone()), losses(&h, &table));
    check("dh", &h, &dh, |h| sum(h, &table));
    check("dtable", &table, &dtable, |table| sum(&h, table));

    // The likelihood is that of a log-softmax over the logits, and the smoothed loss spreads its mass over them.
    let mut log_p = vec![f64::NAN; n * classes];
    oracle().matmul(
        Mat::new(&h, n, d),
        Mat::new(&table, classes, d).t(),
        Epilogue::default(),
        MatMut::new(&mut log_p, n, classes),
    );
    log_softmax(classes, &mut log_p);
    for (i, &target) in targets.iter().enumerate() {
        let log_p = &log_p[i * classes..(i + 1) * classes];
        let total: f64 = log_p.iter().map(|x| x.exp()).sum();
        assert!((total - 1.0).abs() < 1e-12);
        let target = target as usize;
        assert!((nll[i] + log_p[target]).abs() < 1e-12);
        let eps = f64::from(smoothing.eps);
        let all: f64 = log_p.iter().sum();
        let spread = match smoothing.kind {
            SmoothingKind::Uniform => all / classes as f64,
            SmoothingKind::Fairseq => (all - log_p[target]) / (classes - 1) as f64,
        };
        let expected = -(1.0 - eps) * log_p[target] - eps * spread;
        assert!((loss[i] - expected).abs() < 1e-12, "{} {expected}", loss[i]);
    }
}

#[test]
fn head_and_loss() {
    for seed in 0..SEEDS {
        for kind in [SmoothingKind::Uniform, SmoothingKind::Fairseq] {
            for eps in [0.0, 0.2] {
                head_loss_case(seed, LabelSmoothing { eps, kind });
            }
        }
    }
}
