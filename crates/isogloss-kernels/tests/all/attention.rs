use isogloss_kernels::{AttentionShape, Backend, Dropout, Reference, Span};
use proptest::prelude::*;

use crate::{assert_close, backends, cases, values, widen};

/// Spans end to end, with a row between them that belongs to none.
fn spans(lengths: &[(usize, usize)]) -> (Vec<Span>, usize, usize) {
    let (mut q, mut k) = (1, 1);
    let spans = lengths
        .iter()
        .enumerate()
        .map(|(i, &(q_len, k_len))| {
            let span = Span {
                q_start: q,
                q_len,
                k_start: k,
                k_len,
                key: 77 + i as u64,
            };
            (q, k) = (q + q_len + 1, k + k_len + 1);
            span
        })
        .collect();
    (spans, q, k)
}

fn check(shape: AttentionShape, lengths: &[(usize, usize)], dropout: Option<Dropout>) {
    let (spans, queries, keys) = spans(lengths);
    let width = shape.heads * shape.head_dim;
    let [q, out_before, dout] = [1, 4, 5].map(|seed| values(seed, queries * width));
    let [k, v] = [2, 3].map(|seed| values(seed, keys * width));

    let wide = [&q, &k, &v, &dout].map(|x| widen(x));
    let [q64, k64, v64, dout64] = wide;
    let mut out64 = widen(&out_before);
    let mut lse64 = vec![0.5; queries * shape.heads];
    let oracle = Reference::<f64>::new();
    oracle.attention(
        shape, &q64, &k64, &v64, &spans, dropout, &mut out64, &mut lse64,
    );
    let mut grads64 = [queries, keys, keys].map(|rows| vec![7.0; rows * width]);
    let [dq64, dk64, dv64] = &mut grads64;
    oracle.attention_backward(
        shape, &q64, &k64, &v64, &out64, &lse64, &dout64, &spans, dropout, dq64, dk64, dv64,
    );

    for cpu in backends() {
        let mut out = out_before.clone();
        let mut lse = vec![0.5; queries * shape.heads];
        cpu.attention(shape, &q, &k, &v, &spans, dropout, &mut out, &mut lse);
        assert_close(&cpu, "out", &out, &out64, 2e-5);
        assert_close(&cpu, "lse", &lse, &lse64, 1e-5);
        let mut grads = [queries, keys, keys].map(|rows| vec![7.0; rows * width]);
        let [dq, dk, dv] = &mut grads;
        cpu.attention_backward(
            shape, &q, &k, &v, &out, &lse, &dout, &spans, dropout, dq, dk, dv,
        );
        for (name, (got, expected)) in ["dq", "dk", "dv"]
            .into_iter()
            .zip(grads.iter().zip(&grads64))
        {
            assert_close(&cpu, name, got, expected, 1e-4);
        }
    }
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn cross_attention_equals_the_reference(
        lengths in prop::collection::vec((0usize..90, 1usize..70), 1..4),
        heads in 1usize..4,
        head_dim in prop_oneof![Just(4usize), Just(5), Just(16), Just(64)],
        rate in prop_oneof![Just(None), Just(Some(0.0f32)), Just(Some(0.3))],
    ) {
        let shape = AttentionShape { heads, head_dim, scale: 0.4, causal: false };
        check(shape, &lengths, rate.map(|rate| Dropout { rate, key: 99 }));
    }

    #[test]
    fn causal_attention_equals_the_reference(
        lengths in prop::collection::vec((0usize..90, 0usize..20), 1..4),
        heads in 1usize..3,
        rate in prop_oneof![Just(None), Just(Some(0.3f32))],
    ) {
        // As many keys as queries, or more: those that are cached.
        let lengths: Vec<_> = lengths.into_iter().map(|(q, cached)| (q, q + cached)).collect();
        let shape = AttentionShape { heads, head_dim: 8, scale: 0.7, causal: true };
        check(shape, &lengths, rate.map(|rate| Dropout { rate, key: 98 }));
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let shape = AttentionShape {
        heads: 1,
        head_dim: 4,
        scale: 300.0,
        causal: false,
    };
    check_forward_is_finite(shape);
}

fn check_forward_is_finite(shape: AttentionShape) {
    let (spans, queries, keys) = spans(&[(5, 9)]);
    let [q, k, v] = [(1, queries), (2, keys), (3, keys)].map(|(seed, rows)| values(seed, rows * 4));
    for cpu in backends() {
        let (mut out, mut lse) = (vec![0.0; q.len()], vec![0.0; queries]);
        cpu.attention(shape, &q, &k, &v, &spans, None, &mut out, &mut lse);
        assert!(out.iter().chain(&lse).all(|x| x.is_finite()), "{cpu:?}");
    }
}

#[test]
#[should_panic(expected = "`spans` share keys")]
fn a_backward_pass_refuses_shared_keys() {
    let shape = AttentionShape {
        heads: 1,
        head_dim: 2,
        scale: 1.0,
        causal: false,
    };
    let span = Span {
        q_start: 0,
        q_len: 1,
        k_start: 0,
        k_len: 2,
        key: 0,
    };
    let spans = [
        Span {
            q_start: 1,
            k_start: 1,
            ..span
        },
        span,
    ];
    let x = [0.0; 6];
    let [mut dq, mut dk, mut dv] = [x; 3];
    let cpu = backends().next().unwrap();
    cpu.attention_backward(
        shape,
        &x,
        &x,
        &x,
        &x,
        &x[..3],
        &x,
        &spans,
        None,
        &mut dq,
        &mut dk,
        &mut dv,
    );
}
