//! What decoding needs beside training: attention over kept rows, and the best of the head.

use isogloss_kernels::{
    AttentionShape, Backend, Cpu, Epilogue, KeptRows, Mat, MatMut, Precision, Reference, RowLists,
    Span, bf16,
};
use proptest::prelude::*;

use crate::{assert_close, assert_same_bits, backends, backends_of, cases, rounded, values, widen};

/// Lists of rows, drawn among `rows`.
fn lists(rows: usize, lengths: &[usize]) -> (Vec<u32>, Vec<usize>) {
    let total = lengths.iter().sum();
    let drawn = values(9, total)
        .into_iter()
        .map(|x| ((x + 1.0) / 2.0 * rows as f32) as u32 % rows as u32);
    let ends = lengths.iter().scan(0, |end, len| {
        *end += len;
        Some(*end)
    });
    (drawn.collect(), ends.collect())
}

fn kept(values: &[f32], in_bf16: bool) -> KeptRows<f32> {
    match in_bf16 {
        true => KeptRows::Bf16(values.iter().map(|&x| bf16::from_f32(x)).collect()),
        false => KeptRows::Real(values.to_vec()),
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn attention_over_kept_rows_equals_the_reference(
        lengths in prop::collection::vec(1usize..40, 0..6),
        heads in 1usize..10,
        head_dim in prop_oneof![Just(5usize), Just(16), Just(32), Just(64), Just(96)],
        in_bf16: bool,
    ) {
        let shape = AttentionShape { heads, head_dim, scale: 0.3, causal: true };
        let (rows, width) = (50, heads * head_dim);
        let (list, ends) = lists(rows, &lengths);
        let lists = RowLists { rows: &list, ends: &ends };
        // Rounded already, so that the query's rounding isn't part of the comparison.
        let q = rounded(&values(1, lengths.len() * width));
        let (keys, held) = (values(2, rows * width), values(3, rows * width));
        let wide = |x: &[f32]| {
            let x = if in_bf16 { rounded(x) } else { x.to_vec() };
            KeptRows::Real(widen(&x))
        };
        let mut expected = vec![0.0; q.len()];
        Reference::<f64>::new()
            .cached_attention(shape, &widen(&q), &wide(&keys), &wide(&held), lists, &mut expected);
        for cpu in backends() {
            let mut out = vec![f32::NAN; q.len()];
            cpu.cached_attention(shape, &q, &kept(&keys, in_bf16), &kept(&held, in_bf16), lists, &mut out);
            assert_close(&cpu, "out", &out, &expected, 2e-5);
            // Alone as among others.
            for i in 0..lengths.len() {
                let start = i.checked_sub(1).map_or(0, |before| ends[before]);
                let alone = RowLists { rows: &list[start..ends[i]], ends: &[ends[i] - start] };
                let row = i * width..(i + 1) * width;
                let mut again = vec![f32::NAN; width];
                let q = &q[row.clone()];
                cpu.cached_attention(shape, q, &kept(&keys, in_bf16), &kept(&held, in_bf16), alone, &mut again);
                assert_same_bits(&cpu, "row", &again, &out[row]);
            }
        }
    }

    /// Few distinct values, so that there are ties, and vocabularies of several blocks.
    #[test]
    fn the_best_of_the_head_are_those_of_a_full_sort(
        rows in 0usize..12,
        classes in prop_oneof![1usize..80, 1000usize..1100, 2048usize..2053],
        count in 1usize..13,
        packed: bool,
        precision in prop_oneof![Just(Precision::F32), Just(Precision::Bf16), Just(Precision::Int8)],
    ) {
        let (width, count) = (6, count.min(classes));
        let h = rounded(&values(1, rows * width));
        let table: Vec<f32> = values(2, classes * width).iter().map(|x| (x * 3.0).round()).collect();
        for cpu in backends_of(precision) {
            let weight = Mat::new(&table, classes, width);
            let ahead = packed.then(|| cpu.pack_weight(weight, false)).flatten();
            let weight = ahead.as_ref().map_or(weight, Mat::packed);
            let mut logits = vec![0.0; rows * classes];
            cpu.matmul(Mat::new(&h, rows, width), weight.t(), Epilogue::default(), MatMut::new(&mut logits, rows, classes));
            let (mut best, mut lse) = (vec![(0.0, 0); rows * count], vec![0.0; rows]);
            cpu.head_best(&h, weight, count, &mut best, &mut lse);
            for (i, row) in logits.chunks_exact(classes).enumerate() {
                let mut sorted: Vec<(f32, u32)> = row.iter().copied().zip(0..).collect();
                sorted.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                // Zeros of either sign are equal.
                let found = &best[i * count..(i + 1) * count];
                for (got, expected) in found.iter().zip(&sorted) {
                    prop_assert_eq!(got.0, expected.0, "{:?}", cpu);
                    prop_assert!(row[got.1 as usize] == expected.0);
                }
                let total: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
                assert_close(&cpu, "lse", &lse[i..=i], &[total.ln()], 1e-5);
                // Alone as among others.
                let (mut again, mut lse_again) = (vec![(0.0, 0); count], [0.0]);
                cpu.head_best(&h[i * width..(i + 1) * width], weight, count, &mut again, &mut lse_again);
                prop_assert_eq!(&again, found);
                assert_same_bits(&cpu, "lse", &lse_again, &lse[i..=i]);
            }
        }
    }
}

#[test]
fn the_lower_class_comes_first_among_equals() {
    let table = [1.0, 2.0, 2.0, 0.5, 2.0];
    for cpu in backends() {
        let (mut best, mut lse) = ([(0.0, 0); 4], [0.0]);
        cpu.head_best(&[1.0], Mat::new(&table, 5, 1), 4, &mut best, &mut lse);
        assert_eq!(best, [(2.0, 1), (2.0, 2), (2.0, 4), (1.0, 0)]);
    }
}

#[test]
fn a_row_that_is_not_finite_shows_it() {
    let classes = 1500;
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [0, 700, 1499] {
            let mut table = vec![0.5; classes];
            table[at] = bad;
            for cpu in backends() {
                let (mut best, mut lse) = ([(0.0, 0); 4], [0.0; 2]);
                let table = Mat::new(&table, classes, 1);
                cpu.head_best(&[1.0, 2.0], table, 2, &mut best, &mut lse);
                assert!(
                    lse.iter().all(|x| x.is_nan()),
                    "{bad} at {at}: {lse:?} {cpu:?}"
                );
            }
        }
    }
}

/// A cached step and a whole sentence are computed in another order: the same up to rounding.
#[test]
fn a_cached_step_attends_like_the_whole_sentence() {
    let shape = AttentionShape {
        heads: 3,
        head_dim: 16,
        scale: 0.25,
        causal: true,
    };
    let (len, width) = (100, 48);
    let [q, k, v] = [1, 2, 3].map(|seed| values(seed, len * width));
    let (keys, held) = (kept(&k, false), kept(&v, false));
    let rows: Vec<u32> = (0..len as u32).collect();
    for cpu in backends() {
        let (mut out, mut lse) = (vec![0.0; len * width], vec![0.0; len * 3]);
        let whole = Span {
            q_start: 0,
            q_len: len,
            k_start: 0,
            k_len: len,
            key: 0,
        };
        cpu.attention(shape, &q, &k, &v, &[whole], None, &mut out, &mut lse);
        for at in [0, 1, 17, 63, 64, 99] {
            let mut row = vec![0.0; width];
            let (own, ends) = (at * width..(at + 1) * width, [at + 1]);
            let lists = RowLists {
                rows: &rows[..=at],
                ends: &ends,
            };
            cpu.cached_attention(shape, &q[own.clone()], &keys, &held, lists, &mut row);
            assert_close(&cpu, "out", &row, &widen(&out[own]), 1e-6);
        }
    }
}

#[test]
fn rows_are_kept_as_they_are_or_rounded() {
    let x = values(4, 3 * 70);
    for in_bf16 in [false, true] {
        let expected = if in_bf16 { rounded(&x) } else { x.clone() };
        for cpu in backends() {
            let mut kept = KeptRows::new(in_bf16);
            kept.grow(5 * 70);
            cpu.keep(&[4, 0, 2], &x, &mut kept);
            for (i, row) in [4, 0, 2].into_iter().enumerate() {
                for j in 0..70 {
                    assert_eq!(kept.at(row * 70 + j), expected[i * 70 + j]);
                }
            }
            assert_eq!((kept.at(70), kept.at(3 * 70)), (0.0, 0.0));
        }
    }
}

/// Tasks that run together do their operations alone, with the same bits.
#[test]
fn operations_in_parallel_tasks_give_the_same_bits() {
    let (m, n, k) = (30, 400, 300);
    let (a, b) = (values(1, m * k), values(2, n * k));
    let cpu = Cpu::new(3).unwrap();
    let product = || {
        let mut c = vec![0.0; m * n];
        let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, n, k).t());
        cpu.matmul(a, b, Epilogue::default(), MatMut::new(&mut c, m, n));
        c
    };
    let expected = product();
    let found = std::sync::Mutex::new(Vec::new());
    Backend::in_parallel(&cpu, 5, &|task| {
        let c = product();
        found.lock().unwrap().push((task, c));
    });
    let mut found = found.into_inner().unwrap();
    found.sort_by_key(|(task, _)| *task);
    assert_eq!(found.len(), 5);
    for (i, (task, c)) in found.into_iter().enumerate() {
        assert_eq!(task, i);
        assert_same_bits(&cpu, "product", &c, &expected);
    }
}
