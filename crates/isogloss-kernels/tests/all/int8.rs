//! Products in bytes against the plain definition. Sums are exact, so every path must give the same bits.

use isogloss_kernels::matmul::quantize_rows;
use isogloss_kernels::{Backend, Cpu, Epilogue, LabelSmoothing, Mat, MatData, MatMut, Precision};
use proptest::prelude::*;

use crate::{assert_close, assert_same_bits, backends_of, cases, rounded, to_bf16, values, widen};

/// The rounding of one row as its definition says.
fn quantized(row: &[f32]) -> (Vec<i64>, f32) {
    let largest = row.iter().fold(0f32, |m, x| m.max(x.abs()));
    let steps = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let q = row.iter().map(|x| (x * steps).round_ties_even() as i64);
    (q.collect(), largest / 127.0)
}

struct Case {
    m: usize,
    n: usize,
    k: usize,
    epilogue: (f32, bool, bool, bool),
}

/// `x W^T` by definition.
fn by_definition(case: &Case, x: &[f32], w: &[f32], bias: &[f32], before: &[f32]) -> Vec<f32> {
    let Case { m, n, k, epilogue } = *case;
    let (alpha, with_bias, accumulate, relu) = epilogue;
    let mut y = before.to_vec();
    for i in 0..m {
        let (row, row_scale) = quantized(&x[i * k..(i + 1) * k]);
        for j in 0..n {
            let (col, col_scale) = quantized(&w[j * k..(j + 1) * k]);
            let sum: i64 = row.iter().zip(&col).map(|(a, b)| a * b).sum();
            let mut value = alpha * (sum as f32 * (row_scale * col_scale));
            value += if with_bias { bias[j] } else { 0.0 };
            value += if accumulate { before[i * n + j] } else { 0.0 };
            y[i * n + j] = if relu { value.max(0.0) } else { value };
        }
    }
    y
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn products_in_bytes_are_as_defined(
        m in 0usize..40,
        n in 9usize..100,
        k in prop_oneof![2usize..40, 250usize..270, 1020usize..1030],
        alpha in prop_oneof![Just(1.0f32), Just(-0.5)],
        bias: bool,
        accumulate: bool,
        relu: bool,
        storage in 0u8..3,
    ) {
        let case = Case { m, n, k, epilogue: (alpha, bias, accumulate, relu) };
        let (x, mut w) = (values(1, m * k), values(2, n * k));
        let half = to_bf16(&w);
        if storage == 1 {
            w = rounded(&w);
        }
        let (mut bytes, mut scales) = (vec![0i8; n * k], vec![0f32; n]);
        quantize_rows(Mat::new(&w, n, k), &mut bytes, &mut scales);
        let (b, before) = (values(3, n), values(4, m * n));
        let expected = by_definition(&case, &x, &w, &b, &before);
        for cpu in backends_of(Precision::Int8) {
            let weight = match storage {
                0 => Mat::new(&w, n, k),
                1 => Mat::bf16(&half, n, k),
                _ => Mat::int8(&bytes, &scales, n, k),
            };
            let packed = cpu.pack_weight(weight, false).unwrap();
            assert_eq!(packed.bytes(), cpu.packed_bytes(n, k, false));
            let mut y = before.clone();
            let epilogue = Epilogue { alpha, bias: bias.then_some(&b[..]), accumulate, relu };
            let weight = weight.with_packed(Some(&packed));
            cpu.matmul(Mat::new(&x, m, k), weight.t(), epilogue, MatMut::new(&mut y, m, n));
            // A zero may have either sign: some paths add a bias of zeros, others none.
            let unsigned = |y: &[f32]| y.iter().map(|y| y + 0.0).collect::<Vec<_>>();
            let what = format!("{m} x {n} x {k}");
            assert_same_bits(&cpu, &what, &unsigned(&y), &unsigned(&expected));
        }
    }
}

/// Large enough to be cut into tasks, with rows that lie apart.
#[test]
fn large_products_in_bytes_are_as_defined() {
    let case = Case {
        m: 400,
        n: 900,
        k: 64,
        epilogue: (1.0, true, false, true),
    };
    let Case { m, n, k, .. } = case;
    let stride = k + 3;
    let (apart, w, b) = (values(1, m * stride), values(2, n * k), values(3, n));
    let x: Vec<f32> = (0..m)
        .flat_map(|i| apart[i * stride..][..k].to_vec())
        .collect();
    let expected = by_definition(&case, &x, &w, &b, &vec![0.0; m * n]);
    for cpu in backends_of(Precision::Int8) {
        let weight = Mat::new(&w, n, k);
        let packed = cpu.pack_weight(weight, false);
        let mut y = vec![f32::NAN; m * n];
        let epilogue = Epilogue {
            bias: Some(&b),
            relu: true,
            ..Epilogue::default()
        };
        let rows = Mat::strided(MatData::Real(&apart), m, k, stride);
        let weight = weight.with_packed(packed.as_ref());
        cpu.matmul(rows, weight.t(), epilogue, MatMut::new(&mut y, m, n));
        assert_same_bits(&cpu, "product", &y, &expected);
    }
}

#[test]
fn rounding_to_bytes_errs_by_less_than_a_hundredth() {
    let (m, n, k) = (30, 50, 512);
    let (x, w) = (values(1, m * k), values(2, n * k));
    let mut expected = vec![0.0; m * n];
    isogloss_kernels::Reference::<f64>::new().matmul(
        Mat::new(&widen(&x), m, k),
        Mat::new(&widen(&w), n, k).t(),
        Epilogue::default(),
        MatMut::new(&mut expected, m, n),
    );
    let norm = |y: &[f64]| y.iter().map(|y| y * y).sum::<f64>().sqrt();
    for cpu in backends_of(Precision::Int8) {
        let weight = Mat::new(&w, n, k);
        let packed = cpu.pack_weight(weight, false);
        let mut y = vec![0.0; m * n];
        let weight = weight.with_packed(packed.as_ref()).t();
        let to = MatMut::new(&mut y, m, n);
        cpu.matmul(Mat::new(&x, m, k), weight, Epilogue::default(), to);
        let error: Vec<f64> = widen(&y)
            .iter()
            .zip(&expected)
            .map(|(a, b)| a - b)
            .collect();
        let relative = norm(&error) / norm(&expected);
        assert!(relative < 0.01 && relative > 1e-5, "{relative} ({cpu:?})");
    }
}

/// Rows of zeros give zeros; a row that isn't finite gives NaN, and leaves the others alone.
#[test]
fn what_is_not_finite_shows_in_its_own_row() {
    let (n, k) = (33, 70);
    let w = values(2, n * k);
    for cpu in backends_of(Precision::Int8) {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = vec![0.0; 3 * k];
            (x[k + 7], x[2 * k]) = (bad, 1.0);
            let weight = Mat::new(&w, n, k);
            let packed = cpu.pack_weight(weight, false);
            let mut y = vec![1.0; 3 * n];
            let weight = weight.with_packed(packed.as_ref()).t();
            let to = MatMut::new(&mut y, 3, n);
            cpu.matmul(Mat::new(&x, 3, k), weight, Epilogue::default(), to);
            assert!(y[..n].iter().all(|&y| y == 0.0));
            assert!(y[n..2 * n].iter().all(|y| y.is_nan()), "{bad} ({cpu:?})");
            assert!(y[2 * n..].iter().all(|y| y.is_finite() && *y != 0.0));
        }
    }
}

/// Whatever is left of the classes after whole blocks: the loss knows the logits of the product.
#[test]
fn the_loss_is_of_the_logits_that_the_product_gives() {
    let (n, k, m) = (1030, 64, 3);
    let (w, x) = (values(2, n * k), values(1, m * k));
    for cpu in backends_of(Precision::Int8) {
        let packed = cpu.pack_weight(Mat::new(&w, n, k), false).unwrap();
        let table = Mat::packed(&packed);
        let (mut logits, mut loss, mut nll) = (vec![0.0; m * n], vec![0.0; m], vec![0.0; m]);
        let to = MatMut::new(&mut logits, m, n);
        cpu.matmul(Mat::new(&x, m, k), table.t(), Epilogue::default(), to);
        let targets = [0, 700, 1027];
        let smoothing = LabelSmoothing::default();
        cpu.head_loss(
            &x, table, &targets, smoothing, &mut loss, &mut nll, None, None,
        );
        for ((logits, target), nll) in logits.chunks(n).zip(targets).zip(nll) {
            let logits = widen(logits);
            let lse = logits.iter().map(|x| x.exp()).sum::<f64>().ln();
            let expected = lse - logits[target as usize];
            assert!(
                (f64::from(nll) - expected).abs() < 1e-4,
                "{nll}, {expected} ({cpu:?})"
            );
        }
    }
}

/// A weight that is stored in bytes serves every operation, as the numbers that it stands for.
#[test]
fn a_weight_in_bytes_is_a_matrix_like_any_other() {
    let (n, k, m) = (40, 24, 5);
    let (mut bytes, mut scales) = (vec![0i8; n * k], vec![0f32; n]);
    quantize_rows(Mat::new(&values(2, n * k), n, k), &mut bytes, &mut scales);
    let plain: Vec<f32> = (0..n * k)
        .map(|i| f32::from(bytes[i]) * scales[i / k])
        .collect();
    let (x, ids, positions) = (values(1, m * k), [3u32, 39, 0, 7, 7], values(5, 2 * k));
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        for cpu in backends_of(precision) {
            let run = |weight: Mat<'_, f32>| {
                let (mut y, mut back) = (vec![0.0; m * n], vec![0.0; m * k]);
                let plain = Epilogue::default();
                cpu.matmul(
                    Mat::new(&x, m, k),
                    weight.t(),
                    plain,
                    MatMut::new(&mut y, m, n),
                );
                let dy = Mat::new(&y, m, n);
                cpu.matmul(dy, weight, plain, MatMut::new(&mut back, m, k));
                let mut embedded = vec![0.0; m * k];
                cpu.embed(
                    &ids,
                    weight,
                    2.0,
                    &[0, 1, 0, 1, 0],
                    &positions,
                    &mut embedded,
                );
                let (mut loss, mut nll, mut dh) = (vec![0.0; m], vec![0.0; m], vec![0.0; m * k]);
                let smoothing = LabelSmoothing {
                    eps: 0.1,
                    ..LabelSmoothing::default()
                };
                cpu.head_loss(
                    &x,
                    weight,
                    &ids,
                    smoothing,
                    &mut loss,
                    &mut nll,
                    Some(&mut dh),
                    None,
                );
                [y, back, embedded, loss, nll, dh]
            };
            let got = run(Mat::int8(&bytes, &scales, n, k));
            for (got, expected) in got.iter().zip(&run(Mat::new(&plain, n, k))) {
                assert_same_bits(&cpu, "result", got, expected);
            }
            let packed = cpu.pack_weight(Mat::int8(&bytes, &scales, n, k), false);
            let weight = Mat::new(&plain, n, k);
            let product = |weight: Mat<'_, f32>| {
                let mut y = vec![0.0; m * n];
                let to = MatMut::new(&mut y, m, n);
                cpu.matmul(Mat::new(&x, m, k), weight.t(), Epilogue::default(), to);
                y
            };
            let (ahead, now) = (
                product(weight.with_packed(packed.as_ref())),
                product(weight),
            );
            let tolerance = if precision == Precision::Int8 {
                0.05
            } else {
                0.0
            };
            assert_close(&cpu, "packed", &ahead, &widen(&now), tolerance);
        }
    }
}

/// Large enough to be packed in parts: told once each, in order, and read back as they were quantised.
#[test]
fn a_weight_is_packed_in_parts_and_read_back() {
    for (n, k) in [(4500, 1001), (70, 33)] {
        let w = values(2, n * k);
        let (mut bytes, mut scales) = (vec![0i8; n * k], vec![0f32; n]);
        quantize_rows(Mat::new(&w, n, k), &mut bytes, &mut scales);
        for cpu in backends_of(Precision::Int8) {
            let mut told: Vec<std::ops::Range<usize>> = Vec::new();
            let mut read = |rows| told.push(rows);
            let packed = cpu.pack_weight_by_rows(Mat::new(&w, n, k), false, &mut read);
            let packed = packed.unwrap();
            assert_eq!(told.len() > 1, n > 1000);
            let all: Vec<usize> = told.into_iter().flatten().collect();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
            let mut row = vec![0i8; k];
            for i in [0, 1, 31, n / 2, n - 1] {
                assert_eq!(packed.int8_row(i, &mut row), Some(scales[i]));
                assert_eq!(row, bytes[i * k..][..k]);
                let mut y = vec![0.0; k];
                let zeros = vec![0.0; k];
                cpu.embed(&[i as u32], Mat::packed(&packed), 1.0, &[0], &zeros, &mut y);
                let value = |&q: &i8| f32::from(q) * scales[i] + 0.0;
                let expected: Vec<f32> = row.iter().map(value).collect();
                assert_same_bits(&cpu, "row", &y, &expected);
            }
        }
        for cpu in backends_of(Precision::F32) {
            let packed = cpu.pack_weight(Mat::new(&w, n, k), false).unwrap();
            assert_eq!(packed.int8_row(0, &mut vec![0; k]), None);
            let last: f32 = Mat::packed(&packed).at(n - 1, k - 1);
            assert_eq!(last.to_bits(), w[n * k - 1].to_bits());
        }
    }
}

/// What can't be quantised, or isn't asked for in bytes, is left as it is.
#[test]
fn only_forward_weights_of_some_size_are_quantized() {
    let w = values(2, 64 * 64);
    let cpu = Cpu::new(1).unwrap().with_precision(Precision::Int8);
    assert!(
        cpu.pack_weight(Mat::new(&w[..8 * 64], 8, 64), false)
            .is_none()
    );
    assert!(cpu.pack_weight(Mat::new(&w, 64, 64), true).is_none());
    assert_eq!(
        (
            cpu.packed_bytes(8, 64, false),
            cpu.packed_bytes(64, 64, true)
        ),
        (0, 0)
    );
    // Another precision passes over weights in bytes.
    let packed = cpu.pack_weight(Mat::new(&w, 64, 64), false);
    let float = Cpu::new(1).unwrap();
    let mut results = [packed.as_ref(), None].map(|packed| {
        let mut y = vec![0.0; 64];
        let weight = Mat::new(&w, 64, 64).with_packed(packed).t();
        float.matmul(
            Mat::new(&w[..64], 1, 64),
            weight,
            Epilogue::default(),
            MatMut::new(&mut y, 1, 64),
        );
        y
    });
    let [with, without] = &mut results;
    assert_same_bits(&float, "product", with, without);
}
