//! What must not change a single bit: the number of threads, and what else is in the batch.

use isogloss_kernels::{
    AdamStep, Backend, Cpu, Epilogue, KernelPath, LabelSmoothing, Mat, MatData, MatMut, Precision,
};

use crate::{assert_same_bits, backends_of, rounded, values};

fn product(cpu: &Cpu, a: &[f32], b: Mat<'_, f32>, m: usize) -> Vec<f32> {
    let mut c = vec![0.0; m * b.cols()];
    let a = Mat::new(a, m, b.rows());
    cpu.matmul(a, b, Epilogue::default(), MatMut::new(&mut c, m, b.cols()));
    c
}

fn check_rows(n: usize) {
    let (m, k) = (75, 600);
    let (a, b) = (values(1, m * k), values(2, k * n));
    for precision in [Precision::F32, Precision::Bf16] {
        for cpu in backends_of(precision) {
            for b in [Mat::new(&b, k, n), Mat::new(&b, n, k).t()] {
                let all = product(&cpu, &a, b, m);
                for (first, rows) in [(0, 1), (3, 2), (10, 7), (31, 16), (74, 1)] {
                    let part = product(&cpu, &a[first * k..][..rows * k], b, rows);
                    assert_same_bits(&cpu, "row", &part, &all[first * n..][..rows * n]);
                }
            }
        }
    }
}

#[test]
fn a_row_of_a_product_is_the_same_alone_and_among_others() {
    // Wide, and so narrow that the transpose is computed.
    check_rows(130);
    check_rows(8);
}

#[test]
fn a_column_of_a_product_is_the_same_alone_and_among_others() {
    let (m, n, k) = (20, 130, 300);
    let (a, b) = (values(1, m * k), values(2, n * k));
    for precision in [Precision::F32, Precision::Bf16] {
        for cpu in backends_of(precision) {
            let all = product(&cpu, &a, Mat::new(&b, n, k).t(), m);
            for col in [0, 15, 31, 32, 129] {
                let part = product(&cpu, &a, Mat::new(&b[col * k..][..k], 1, k).t(), m);
                let expected: Vec<f32> = (0..m).map(|i| all[i * n + col]).collect();
                assert_same_bits(&cpu, "column", &part, &expected);
            }
        }
    }
}

/// A weight packed ahead is the same weight, forward and backward, ragged shapes included; packed for other kernels, or for the
/// other use, it isn't looked at.
#[test]
fn a_weight_packed_ahead_changes_nothing() {
    for (n, k) in [
        (130, 600),
        (33, 257),
        (16, 31),
        (9, 2),
        (8, 40),
        (1, 20),
        (700, 64),
    ] {
        let weight = crate::to_bf16(&values(2, n * k));
        let weight = Mat::bf16(&weight, n, k);
        let mut others = Vec::new();
        for precision in [Precision::F32, Precision::Bf16] {
            for cpu in backends_of(precision) {
                for backward in [false, true] {
                    let packed = cpu.pack_weight(weight, backward).unwrap();
                    assert_eq!(packed.bytes(), cpu.packed_bytes(n, k, backward));
                    assert!(packed.bytes() > 0);
                    others.push(packed);
                }
            }
        }
        for precision in [Precision::F32, Precision::Bf16] {
            for cpu in backends_of(precision) {
                for m in [1, 5, 75, 700] {
                    let (x, dy) = (values(1, m * k), values(3, m * n));
                    let forward = product(&cpu, &x, weight.t(), m);
                    let backward = product(&cpu, &dy, weight, m);
                    // Those of this backend, and for one number of rows all others.
                    let own = [false, true].map(|b| cpu.pack_weight(weight, b).unwrap());
                    for packed in others.iter().filter(|_| m == 75).chain(&own) {
                        let weight = weight.with_packed(Some(packed));
                        assert_same_bits(
                            &cpu,
                            "x W^T",
                            &product(&cpu, &x, weight.t(), m),
                            &forward,
                        );
                        assert_same_bits(&cpu, "dy W", &product(&cpu, &dy, weight, m), &backward);
                    }
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "a weight packed ahead")]
fn a_weight_packed_ahead_belongs_to_its_shape() {
    let cpu = Cpu::new(1).unwrap();
    let values = values(1, 60);
    let packed = cpu.pack_weight(Mat::new(&values, 6, 10), true);
    let _ = Mat::new(&values, 10, 6).with_packed(packed.as_ref());
}

#[test]
fn the_number_of_threads_changes_nothing() {
    // Enough for every operation here to be worth several threads.
    let (n, d, classes) = (1100, 96, 1100);
    for precision in [Precision::F32, Precision::Bf16] {
        for path in KernelPath::available() {
            let run = |threads: usize| {
                let cpu = Cpu::with_path(threads, path)
                    .unwrap()
                    .with_precision(precision);
                let (x, e) = (values(1, n * d), values(2, classes * d));
                let mut all = product(&cpu, &x, Mat::new(&e, classes, d).t(), n);
                let targets: Vec<u32> = (0..n as u32).collect();
                // Half of the rows share their index.
                let ids: Vec<u32> = (0..n as u32).map(|i| (i % 7) * (i % 2)).collect();
                let (mut rows, mut of_table) = (vec![0.0; n * d], vec![0.0; classes * d]);
                let table = Mat::new(&e, classes, d);
                cpu.embed(&ids, table, 16.0, &ids, &values(4, 7 * d), &mut rows);
                cpu.embed_backward(&ids, 16.0, d, &x, &mut of_table);
                let (mut loss, mut nll, mut dh) = (vec![0.0; n], vec![0.0; n], vec![0.0; n * d]);
                let smoothing = LabelSmoothing {
                    eps: 0.1,
                    ..LabelSmoothing::default()
                };
                let mut dtable = vec![0.0; classes * d];
                cpu.head_loss(
                    &x,
                    Mat::new(&e, classes, d),
                    &targets,
                    smoothing,
                    &mut loss,
                    &mut nll,
                    Some(&mut dh),
                    Some(&mut dtable),
                );
                let (mut y, mut stats, mut dx) =
                    (vec![0.0; n * d], vec![0.0; 2 * n], vec![0.0; n * d]);
                let (gamma, mut dgamma, mut dbeta) = (values(3, d), vec![0.0; d], vec![0.0; d]);
                cpu.layer_norm(&x, &gamma, &gamma, 1e-5, &mut y, &mut stats);
                cpu.layer_norm_backward(
                    &y,
                    &x,
                    &stats,
                    &gamma,
                    &mut dx,
                    Some((&mut dgamma, &mut dbeta)),
                );
                let mut sums = vec![0.0; d];
                cpu.add_column_sums(&x, &mut sums);
                let (mut moved, mut first, mut second) = (e.clone(), e.clone(), vec![0.5; e.len()]);
                let step = AdamStep {
                    lr: 0.01,
                    beta1: 0.9,
                    beta2: 0.98,
                    eps: 1e-6,
                    weight_decay: 0.0,
                    step: 3,
                    grad_scale: 1.0,
                };
                cpu.adam(step, &mut moved, &dtable, &mut first, &mut second);
                for part in [loss, nll, dh, dtable, y, stats, dx, dgamma, dbeta, sums] {
                    all.extend(part);
                }
                for part in [rows, of_table, moved, first, second] {
                    all.extend(part);
                }
                (cpu.sum_squares(&all).to_bits(), all)
            };
            let (squares, one) = run(1);
            for threads in [2, 3, 5] {
                let (more_squares, more) = run(threads);
                let cpu = Cpu::with_path(threads, path).unwrap();
                assert_same_bits(&cpu, "result", &more, &one);
                assert_eq!(squares, more_squares);
            }
        }
    }
}

/// What was packed ahead does without the values: products forward and backward, and every element, as products see them.
#[test]
fn a_packed_weight_does_without_its_values() {
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        for cpu in backends_of(precision) {
            for (n, k) in [
                (9, 5),
                (64, 64),
                (70, 600),
                (1030, 95),
                (512, 544),
                (96, 40),
            ] {
                let w = rounded(&values(7, n * k));
                let weight = Mat::new(&w, n, k);
                let packed = cpu.pack_weight(weight, false).unwrap();
                let alone = Mat::packed(&packed);
                // What the weight is taken for.
                let (mut bytes, mut scales) = (vec![0; n * k], vec![0.0; n]);
                let seen = match precision {
                    Precision::Int8 => {
                        isogloss_kernels::matmul::quantize_rows(weight, &mut bytes, &mut scales);
                        Mat::int8(&bytes, &scales, n, k)
                    }
                    _ => weight,
                };
                for (i, j) in [(0, 0), (n - 1, k - 1), (n / 2, k / 2), (8, 3)] {
                    assert_eq!(alone.at(i, j), seen.at(i, j), "({i}, {j}) of {cpu:?}");
                    assert_eq!(alone.t().at(j, i), seen.at(i, j));
                }
                for m in [1, 40] {
                    let (x, dy) = (values(8, m * k), values(9, m * n));
                    let run = |weight: Mat<'_, f32>, seen: Mat<'_, f32>| {
                        let (mut y, mut dx) = (vec![0.0; m * n], vec![0.0; m * k]);
                        let plain = Epilogue::default();
                        cpu.matmul(
                            Mat::new(&x, m, k),
                            weight.t(),
                            plain,
                            MatMut::new(&mut y, m, n),
                        );
                        cpu.matmul(Mat::new(&dy, m, n), seen, plain, MatMut::new(&mut dx, m, k));
                        [y, dx]
                    };
                    let expected = run(weight.with_packed(Some(&packed)), seen);
                    for (got, expected) in run(alone, alone).iter().zip(&expected) {
                        assert_same_bits(&cpu, &format!("{m} x {n} x {k}"), got, expected);
                    }
                }
            }
        }
    }
}

/// Of a weight of one column the transpose can't be told apart.
#[test]
fn a_single_column_is_not_packed_ahead() {
    let weight = values(1, 64);
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        for cpu in backends_of(precision) {
            assert!(cpu.pack_weight(Mat::new(&weight, 64, 1), false).is_none());
            assert_eq!(cpu.packed_bytes(64, 1, true), 0);
        }
    }
}

#[test]
#[should_panic(expected = "side by side")]
fn rows_of_packed_values_lie_side_by_side() {
    let _ = Mat::<f32>::strided(MatData::Packed, 2, 3, 5);
}
