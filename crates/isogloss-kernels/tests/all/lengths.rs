//! Arguments whose lengths don't agree are refused by every backend, with the name of the argument.

use std::panic::{AssertUnwindSafe, catch_unwind};

use isogloss_kernels::{
    AdamStep, AttentionShape, Backend, Cpu, Dropout, Epilogue, KeptRows, LabelSmoothing,
    LowRankTerm, Mat, MatMut, Reference, RowLists, Span,
};

fn zeros(len: usize) -> Vec<f32> {
    vec![0.0; len]
}

/// Asserts that `f` panics and names the argument.
#[track_caller]
fn refused(name: &str, f: impl FnOnce()) {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err(name);
    let message = match payload.downcast_ref::<String>() {
        Some(message) => message.as_str(),
        None => payload.downcast_ref::<&str>().copied().unwrap_or_default(),
    };
    assert!(message.contains(&format!("`{name}`")), "{name}: {message}");
}

/// The name of an argument, and how much longer than right each of some arguments is.
type Case<const N: usize> = (&'static str, [usize; N]);

/// Each argument in turn is one too long; first, none is, and nothing may panic.
fn cases<const N: usize>(names: [&'static str; N]) -> impl Iterator<Item = Case<N>> {
    let right = std::iter::once(("", [0; N]));
    right.chain(names.into_iter().enumerate().map(|(i, name)| {
        let mut longer = [0; N];
        longer[i] = 1;
        (name, longer)
    }))
}

/// Runs each case; only the first may go well.
#[track_caller]
fn each<const N: usize>(names: [&'static str; N], f: impl Fn([usize; N])) {
    for (name, longer) in cases(names) {
        match name {
            "" => f(longer),
            _ => refused(name, || f(longer)),
        }
    }
}

fn products<B: Backend<Real = f32>>(backend: &B) {
    let (a, b) = (zeros(6), zeros(12));
    let product = |k: usize, bias: usize, c: [usize; 2]| {
        let bias = zeros(bias);
        let epilogue = Epilogue {
            bias: Some(&bias),
            ..Epilogue::default()
        };
        backend.matmul(
            Mat::new(&a, 2, 3),
            Mat::new(&b[..4 * k], k, 4),
            epilogue,
            MatMut::new(&mut zeros(c[0] * c[1]), c[0], c[1]),
        );
    };
    product(3, 4, [2, 4]);
    refused("b", || product(2, 4, [2, 4]));
    refused("bias", || product(3, 5, [2, 4]));
    refused("c", || product(3, 4, [3, 4]));
    refused("c", || product(3, 4, [2, 5]));
    backend.add_column_sums(&[], &mut []);
    each(["x"], |[x]| {
        backend.add_column_sums(&zeros(6 + x), &mut zeros(3));
    });
    refused("x", || backend.add_column_sums(&zeros(1), &mut []));
}

fn norms<B: Backend<Real = f32>>(backend: &B) {
    each(["x", "beta", "y", "stats"], |[x, beta, y, stats]| {
        backend.layer_norm(
            &zeros(6 + x),
            &zeros(3),
            &zeros(3 + beta),
            1e-5,
            &mut zeros(6 + y),
            &mut zeros(4 + stats),
        );
    });
    let names = ["x", "dy", "stats", "dx", "dgamma", "dbeta"];
    each(names, |[x, dy, stats, dx, dgamma, dbeta]| {
        backend.layer_norm_backward(
            &zeros(6 + dy),
            &zeros(6 + x),
            &zeros(4 + stats),
            &zeros(3),
            &mut zeros(6 + dx),
            Some((&mut zeros(3 + dgamma), &mut zeros(3 + dbeta))),
        );
    });
}

fn span(q_start: usize, q_len: usize, k_start: usize, k_len: usize) -> Span {
    Span {
        q_start,
        q_len,
        k_start,
        k_len,
        key: 0,
    }
}

const SHAPE: AttentionShape = AttentionShape {
    heads: 2,
    head_dim: 3,
    scale: 1.0,
    causal: false,
};

fn attention<B: Backend<Real = f32>>(backend: &B) {
    let spans = [span(0, 2, 0, 3)];
    each(["q", "k", "v", "out", "lse"], |[q, k, v, out, lse]| {
        backend.attention(
            SHAPE,
            &zeros(12 + q),
            &zeros(18 + k),
            &zeros(18 + v),
            &spans,
            None,
            &mut zeros(12 + out),
            &mut zeros(4 + lse),
        );
    });
    let names = ["out", "lse", "dout", "dq", "dk", "dv"];
    each(names, |[out, lse, dout, dq, dk, dv]| {
        backend.attention_backward(
            SHAPE,
            &zeros(12),
            &zeros(18),
            &zeros(18),
            &zeros(12 + out),
            &zeros(4 + lse),
            &zeros(12 + dout),
            &spans,
            None,
            &mut zeros(12 + dq),
            &mut zeros(18 + dk),
            &mut zeros(18 + dv),
        );
    });
    spans_are_checked(backend);
}

fn spans_are_checked<B: Backend<Real = f32>>(backend: &B) {
    let forward = |shape: AttentionShape, spans: &[Span]| {
        let (q, k) = (zeros(12), zeros(18));
        let (mut out, mut lse) = (zeros(12), zeros(4));
        backend.attention(shape, &q, &k, &k, spans, None, &mut out, &mut lse);
    };
    let backward = |spans: &[Span]| {
        let (q, k) = (zeros(12), zeros(18));
        let (mut dq, mut dk, mut dv) = (zeros(12), zeros(18), zeros(18));
        backend.attention_backward(
            SHAPE,
            &q,
            &k,
            &k,
            &q,
            &zeros(4),
            &q,
            spans,
            None,
            &mut dq,
            &mut dk,
            &mut dv,
        );
    };
    for outside in [
        span(1, 2, 0, 3),
        span(0, 2, 1, 3),
        span(usize::MAX, 2, 0, 3),
        span(0, 2, 0, 0),
    ] {
        refused("spans", || forward(SHAPE, &[outside]));
    }
    refused("spans", || {
        forward(SHAPE, &[span(0, 2, 0, 1), span(1, 1, 1, 1)]);
    });
    // Keys may be shared forward, not backward.
    let shared = [span(0, 1, 0, 3), span(1, 1, 2, 1)];
    forward(SHAPE, &shared);
    refused("spans", || backward(&shared));
    let causal = AttentionShape {
        causal: true,
        ..SHAPE
    };
    refused("spans", || forward(causal, &[span(0, 2, 0, 1)]));
    let none = AttentionShape { heads: 0, ..SHAPE };
    refused("shape", || forward(none, &[]));
}

fn embeddings<B: Backend<Real = f32>>(backend: &B) {
    let names = ["position_ids", "positions", "y"];
    let table = zeros(12);
    each(names, |[position_ids, positions, y]| {
        backend.embed(
            &[0, 3],
            Mat::new(&table, 4, 3),
            1.0,
            &vec![1; 2 + position_ids],
            &zeros(6 + positions),
            &mut zeros(6 + y),
        );
    });
    let embed = |id: u32, position: u32, table: Mat<'_, f32>| {
        let mut y = zeros(table.cols());
        backend.embed(&[id], table, 1.0, &[position], &zeros(24), &mut y);
    };
    refused("ids", || embed(4, 0, Mat::new(&table, 4, 3)));
    refused("position_ids", || embed(0, 8, Mat::new(&table, 4, 3)));
    refused("table", || embed(0, 0, Mat::new(&table, 4, 3).t()));
    each(["dy", "dtable"], |[dy, dtable]| {
        backend.embed_backward(&[0, 3], 1.0, 3, &zeros(6 + dy), &mut zeros(12 + dtable));
    });
    refused("ids", || {
        backend.embed_backward(&[4], 1.0, 3, &zeros(3), &mut zeros(12));
    });
}

fn elements<B: Backend<Real = f32>>(backend: &B) {
    let dropout = Dropout { rate: 0.5, key: 1 };
    each(["y"], |[y]| {
        backend.dropout(dropout, &[1, 2], 3, &mut zeros(6 + y));
    });
    each(["y"], |[y]| backend.add(&zeros(6), &mut zeros(6 + y)));
    each(["dy"], |[dy]| {
        backend.relu_backward(&zeros(6), &mut zeros(6 + dy));
    });
    let step = AdamStep {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.0,
        step: 1,
        grad_scale: 1.0,
    };
    each(["grads", "first", "second"], |[grads, first, second]| {
        backend.adam(
            step,
            &mut zeros(5),
            &zeros(5 + grads),
            &mut zeros(5 + first),
            &mut zeros(5 + second),
        );
    });
}

fn heads<B: Backend<Real = f32>>(backend: &B) {
    let table = zeros(12);
    let names = ["h", "loss", "nll", "dh", "dtable"];
    each(names, |[h, loss, nll, dh, dtable]| {
        backend.head_loss(
            &zeros(6 + h),
            Mat::new(&table, 4, 3),
            &[0, 3],
            LabelSmoothing::default(),
            &mut zeros(2 + loss),
            &mut zeros(2 + nll),
            Some(&mut zeros(6 + dh)),
            Some(&mut zeros(12 + dtable)),
        );
    });
    let target = |target: u32, table: Mat<'_, f32>| {
        let h = zeros(table.cols());
        let (mut loss, mut nll) = ([0.0], [0.0]);
        let smoothing = LabelSmoothing::default();
        backend.head_loss(
            &h,
            table,
            &[target],
            smoothing,
            &mut loss,
            &mut nll,
            None,
            None,
        );
    };
    refused("targets", || target(4, Mat::new(&table, 4, 3)));
    refused("table", || target(0, Mat::new(&table, 4, 3).t()));
    let best = |count: usize, [h, best]: [usize; 2]| {
        let table = Mat::new(&table, 4, 3);
        let mut best = vec![(0.0, 0); 4 + best];
        backend.head_best(&zeros(6 + h), table, count, &mut best, &mut zeros(2));
    };
    each(["h", "best"], |more| best(2, more));
    refused("count", || best(0, [0, 0]));
    refused("count", || best(5, [0, 0]));
}

fn kept<B: Backend<Real = f32>>(backend: &B) {
    let attend = |rows: &[u32], ends: &[usize], [q, keys, values, out]: [usize; 4]| {
        let kept = |more: usize| KeptRows::Real(zeros(18 + more));
        let lists = RowLists { rows, ends };
        let (keys, values) = (kept(keys), kept(values));
        let mut out = zeros(12 + out);
        backend.cached_attention(SHAPE, &zeros(12 + q), &keys, &values, lists, &mut out);
    };
    let names = ["q", "keys", "keys", "out"];
    each(names, |more| attend(&[0, 2, 1], &[1, 3], more));
    refused("lists", || attend(&[0, 3], &[1, 2], [0; 4]));
    refused("lists", || attend(&[0, 2], &[1, 1], [0; 4]));
    refused("lists", || attend(&[0, 2], &[1, 3], [0; 4]));
    refused("values", || {
        let mut rows = KeptRows::Real(zeros(12));
        backend.keep(&[0, 1], &zeros(7), &mut rows);
    });
}

fn low_rank<B: Backend<Real = f32>>(backend: &B) {
    let right = || LowRankTerm {
        rows: 0..2,
        a: 0,
        b: 6,
        rank: 2,
        scale: 1.0,
        input: 0..3,
        output: 1..3,
    };
    let forward = |terms: &[LowRankTerm], [x, y, parameters]: [usize; 3]| {
        let (x, parameters) = (zeros(9 + x), zeros(10 + parameters));
        let y = &mut zeros(12 + y)[..];
        backend.low_rank(terms, parameters[..].into(), (&x, 3), (y, 4), false);
    };
    let backward = |terms: &[LowRankTerm], [x, dy, dx, gradients]: [usize; 4]| {
        let (x, dy) = (zeros(9 + x), zeros(12 + dy));
        let (dx, gradients) = (&mut zeros(9 + dx)[..], &mut zeros(14 + gradients)[..]);
        backend.low_rank_backward(terms, &zeros(14), (&x, 3), (&dy, 4), Some(dx), gradients);
    };
    let one = [right()];
    each(["x", "y"], |[x, y]| forward(&one, [x, y, 0]));
    each(["x", "dy", "dx", "gradients"], |longer| {
        backward(&one, longer);
    });
    let of = |change: fn(&mut LowRankTerm)| {
        let mut term = right();
        change(&mut term);
        term
    };
    let outside = [
        of(|t| t.rows = 2..4),
        of(|t| t.rows.start = usize::MAX),
        of(|t| t.input = 1..4),
        of(|t| t.output = 3..5),
    ];
    for term in outside {
        refused("terms", || forward(&[term], [0; 3]));
    }
    for term in [
        of(|t| t.b = 7),
        of(|t| t.a = usize::MAX),
        of(|t| t.rank = usize::MAX),
    ] {
        refused("parameters", || forward(&[term], [0; 3]));
    }
    // Nothing to read or write, and yet too large.
    refused("terms", || {
        let term = LowRankTerm {
            b: 0,
            rank: 1 << (usize::BITS - 1),
            input: 0..0,
            output: 0..0,
            ..right()
        };
        let (x, dy) = (zeros(9), zeros(12));
        backend.low_rank_backward(&[term], &[], (&x, 3), (&dy, 4), None, &mut []);
    });
    let next = |b: usize| LowRankTerm {
        rows: 2..3,
        b,
        ..right()
    };
    refused("terms", || forward(&[next(6), right()], [0; 3]));
    refused("terms", || forward(&[right(), right()], [0; 3]));
    forward(&[right(), next(7)], [0, 0, 1]);
    // Factors may be the same backward, but not overlap.
    backward(&[right(), next(6)], [0; 4]);
    backward(&[right(), next(10)], [0; 4]);
    refused("terms", || backward(&[right(), next(8)], [0; 4]));
    refused("terms", || backward(&[right(), next(0)], [0; 4]));
}

fn all<B: Backend<Real = f32>>(backend: &B) {
    products(backend);
    low_rank(backend);
    norms(backend);
    attention(backend);
    embeddings(backend);
    elements(backend);
    heads(backend);
    kept(backend);
}

#[test]
fn the_reference_names_the_argument_of_a_wrong_length() {
    all(&Reference::<f32>::new());
}

#[test]
fn the_fast_kernels_name_the_argument_of_a_wrong_length() {
    all(&Cpu::new(1).unwrap());
}
