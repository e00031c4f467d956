use isogloss_kernels::{AdamStep, Backend, Cpu, Dropout, Mat, Reference};
use proptest::prelude::*;

use crate::{assert_close, backends, cases, rounded, to_bf16, values, widen};

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn layer_norm_equals_the_reference(rows in 0usize..150, width in 1usize..140, train: bool) {
        let [x, dy, before] = [1, 2, 3].map(|seed| values(seed, rows * width));
        let [gamma, beta, dgamma, dbeta] = [4, 5, 6, 7].map(|seed| values(seed, width));
        let eps = 1e-5;
        let oracle = Reference::<f64>::new();
        let (mut y64, mut stats64) = (vec![0.0; x.len()], vec![0.0; 2 * rows]);
        oracle.layer_norm(&widen(&x), &widen(&gamma), &widen(&beta), eps, &mut y64, &mut stats64);
        let (mut dx64, mut dgamma64, mut dbeta64) = (widen(&before), widen(&dgamma), widen(&dbeta));
        let gradients = train.then_some((&mut dgamma64[..], &mut dbeta64[..]));
        // A row of one value has no variance: its rstd multiplies every error.
        let tolerance = if width == 1 { 1e-1 } else { 2e-4 };
        oracle.layer_norm_backward(&widen(&dy), &widen(&x), &stats64, &widen(&gamma), &mut dx64, gradients);
        for cpu in backends() {
            let (mut y, mut stats) = (vec![0.0; x.len()], vec![0.0; 2 * rows]);
            cpu.layer_norm(&x, &gamma, &beta, eps, &mut y, &mut stats);
            assert_close(&cpu, "y", &y, &y64, tolerance);
            assert_close(&cpu, "stats", &stats, &stats64, 1e-4);
            let (mut dx, mut dgamma, mut dbeta) = (before.clone(), dgamma.clone(), dbeta.clone());
            let gradients = train.then_some((&mut dgamma[..], &mut dbeta[..]));
            cpu.layer_norm_backward(&dy, &x, &stats, &gamma, &mut dx, gradients);
            assert_close(&cpu, "dx", &dx, &dx64, tolerance);
            assert_close(&cpu, "dgamma", &dgamma, &dgamma64, tolerance);
            assert_close(&cpu, "dbeta", &dbeta, &dbeta64, 1e-5);
        }
    }

    #[test]
    fn embedding_equals_the_reference(n in 0usize..60, width in 1usize..150, half: bool) {
        let (classes, places) = (7, 5);
        let table = values(1, classes * width);
        let table = if half { rounded(&table) } else { table };
        let (table_half, positions) = (to_bf16(&table), values(2, places * width));
        let ids: Vec<u32> = (0..n as u32).map(|i| i * i % classes as u32).collect();
        let places: Vec<u32> = (0..n as u32).map(|i| i % places as u32).collect();
        let (dy, before) = (values(3, n * width), values(4, classes * width));
        let oracle = Reference::<f64>::new();
        let (mut y64, mut d64) = (vec![0.0; n * width], widen(&before));
        let table64 = widen(&table);
        oracle.embed(&ids, Mat::new(&table64, classes, width), 3.0, &places, &widen(&positions), &mut y64);
        oracle.embed_backward(&ids, 3.0, width, &widen(&dy), &mut d64);
        let view = if half { Mat::bf16(&table_half, classes, width) } else { Mat::new(&table, classes, width) };
        for cpu in backends() {
            let (mut y, mut d) = (vec![0.0; n * width], before.clone());
            cpu.embed(&ids, view, 3.0, &places, &positions, &mut y);
            cpu.embed_backward(&ids, 3.0, width, &dy, &mut d);
            assert_close(&cpu, "y", &y, &y64, 1e-6);
            assert_close(&cpu, "dtable", &d, &d64, 1e-5);
        }
    }

    #[test]
    fn dropout_draws_the_reference_mask(n in 0usize..300, width in 1usize..100, rate in 0.0f32..0.9) {
        let dropout = Dropout { rate, key: 1234 };
        let keys: Vec<u64> = (0..n as u64).map(|i| i * 31 + 5).collect();
        let before = values(1, n * width);
        let mut expected = before.clone();
        Reference::<f32>::new().dropout(dropout, &keys, width, &mut expected);
        for cpu in backends() {
            let mut y = before.clone();
            cpu.dropout(dropout, &keys, width, &mut y);
            assert_close(&cpu, "y", &y, &widen(&expected), 1e-6);
        }
    }

    #[test]
    fn sums_and_rectifiers_equal_the_reference(len in prop_oneof![0usize..100, 16_000usize..70_000]) {
        let oracle = Reference::<f32>::new();
        let [x, y] = [1, 2].map(|seed| values(seed, len));
        let mut expected = [y.clone(), y.clone(), y.clone()];
        let [add, relu, backward] = &mut expected;
        oracle.add(&x, add);
        oracle.relu(relu);
        oracle.relu_backward(&x, backward);
        let squares = oracle.sum_squares(&x);
        for cpu in backends() {
            let mut got = [y.clone(), y.clone(), y.clone()];
            let [add, relu, backward] = &mut got;
            cpu.add(&x, add);
            cpu.relu(relu);
            cpu.relu_backward(&x, backward);
            prop_assert!(got == expected);
            prop_assert!((cpu.sum_squares(&x) - squares).abs() <= 1e-12 * squares);
        }
    }

    #[test]
    fn adam_equals_the_reference(
        len in prop_oneof![0usize..100, 16_000usize..40_000],
        step in 1u64..2000,
        weight_decay in prop_oneof![Just(0.0f32), Just(0.1)],
    ) {
        let step = AdamStep { lr: 1e-2, beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay, step, grad_scale: 0.25 };
        let [start, grads, first] = [1, 2, 3].map(|seed| values(seed, len));
        let second: Vec<f32> = values(4, len).iter().map(|x| x * x + 1e-3).collect();
        let mut expected = [&start, &first, &second].map(|x| widen(x));
        let [values64, first64, second64] = &mut expected;
        Reference::<f64>::new().adam(step, values64, &widen(&grads), first64, second64);
        for cpu in backends() {
            let mut got = [start.clone(), first.clone(), second.clone()];
            let [values, first, second] = &mut got;
            cpu.adam(step, values, &grads, first, second);
            for (got, expected) in got.iter().zip(&expected) {
                assert_close(&cpu, "adam", got, expected, 1e-4);
            }
        }
    }
}

/// Within four and a half standard deviations, over rows, over columns and over neighbours.
#[test]
fn dropout_keeps_the_share_that_it_says() {
    let (n, width) = (400, 250);
    let row_keys: Vec<u64> = (0..n as u64).collect();
    for rate in [0.1f32, 0.5, 0.9] {
        let mut y = vec![1.0f32; n * width];
        let dropout = Dropout { rate, key: 5 };
        Cpu::new(1)
            .unwrap()
            .dropout(dropout, &row_keys, width, &mut y);
        let p = f64::from(rate);
        let share = |what: &str, dropped: &mut dyn Iterator<Item = bool>, p: f64| {
            let (mut count, mut of) = (0.0, 0.0);
            for dropped in dropped {
                count += f64::from(u8::from(dropped));
                of += 1.0;
            }
            let limit = 4.5 * (p * (1.0 - p) / of).sqrt();
            assert!(
                (count / of - p).abs() < limit,
                "{what} at {rate}: {}",
                count / of
            );
        };
        share("all", &mut y.iter().map(|&y| y == 0.0), p);
        for i in 0..20 {
            let row = &y[i * width..(i + 1) * width];
            share("row", &mut row.iter().map(|&y| y == 0.0), p);
            let column = y[i..].iter().step_by(width);
            share("column", &mut column.map(|&y| y == 0.0), p);
        }
        let neighbours = y.chunks(2).map(|c| c[0] == 0.0 && c[1] == 0.0);
        share("neighbours", &mut { neighbours }, p * p);
        let above = y.iter().zip(&y[width..]);
        share(
            "rows",
            &mut above.map(|(a, b)| *a == 0.0 && *b == 0.0),
            p * p,
        );
        let kept = 1.0 / (1.0 - rate);
        assert!(y.iter().all(|&y| y == 0.0 || y == kept));
    }
}
