use isogloss_kernels::{Backend, Cpu, Epilogue, Mat, MatData, MatMut, Precision, Reference, bf16};
use proptest::prelude::*;

use crate::{assert_close, backends, backends_of, cases, rounded, to_bf16, values, widen};

/// An operand: its values in either storage, and a view that may be transposed and have gaps between its rows.
struct Operand {
    real: Vec<f32>,
    half: Option<Vec<bf16>>,
    rows: usize,
    cols: usize,
    stride: usize,
    transposed: bool,
}

impl Operand {
    /// `rows x cols` as the product sees it; `kind` picks storage and layout.
    fn new(seed: u64, rows: usize, cols: usize, kind: u8) -> Self {
        let (transposed, half, gap) =
            (kind & 1 != 0, kind & 2 != 0, usize::from(kind & 4 != 0) * 3);
        let (rows, cols) = if transposed {
            (cols, rows)
        } else {
            (rows, cols)
        };
        let stride = cols + gap;
        let real = values(seed, rows * stride);
        let real = if half { rounded(&real) } else { real };
        Operand {
            half: half.then(|| to_bf16(&real)),
            real,
            rows,
            cols,
            stride,
            transposed,
        }
    }

    fn view(&self) -> Mat<'_, f32> {
        let data = match &self.half {
            Some(half) => MatData::Bf16(half),
            None => MatData::Real(&self.real),
        };
        let view = Mat::strided(data, self.rows, self.cols, self.stride);
        if self.transposed { view.t() } else { view }
    }

    /// The same operand as the reference sees it, rounded to bf16 or not.
    fn wide(&self, precision: Precision) -> Vec<f64> {
        match precision {
            Precision::F32 | Precision::Int8 => widen(&self.real),
            Precision::Bf16 => widen(&rounded(&self.real)),
        }
    }

    fn wide_view<'a>(&self, wide: &'a [f64]) -> Mat<'a, f64> {
        let view = Mat::strided(MatData::Real(wide), self.rows, self.cols, self.stride);
        if self.transposed { view.t() } else { view }
    }
}

#[derive(Debug, Clone, Copy)]
struct Case {
    m: usize,
    n: usize,
    k: usize,
    kinds: (u8, u8),
    alpha: f32,
    bias: bool,
    accumulate: bool,
    relu: bool,
}

fn check(cpu: &Cpu, case: Case) {
    let Case { m, n, k, .. } = case;
    let (a, b) = (
        Operand::new(1, m, k, case.kinds.0),
        Operand::new(2, k, n, case.kinds.1),
    );
    let stride = n + 5;
    let (bias, before) = (values(3, n), values(4, m * stride));
    let mut c = before.clone();
    if !case.accumulate {
        // What isn't added to may hold anything.
        c.chunks_mut(stride).for_each(|row| row[..n].fill(f32::NAN));
    }
    let epilogue = Epilogue {
        alpha: case.alpha,
        bias: case.bias.then_some(&bias[..]),
        accumulate: case.accumulate,
        relu: case.relu,
    };
    cpu.matmul(
        a.view(),
        b.view(),
        epilogue,
        MatMut::strided(&mut c, m, n, stride),
    );

    let (a_wide, b_wide, bias) = (
        a.wide(cpu.precision()),
        b.wide(cpu.precision()),
        widen(&bias),
    );
    let mut expected = widen(&before);
    let epilogue = Epilogue {
        alpha: f64::from(case.alpha),
        bias: case.bias.then_some(&bias[..]),
        accumulate: case.accumulate,
        relu: case.relu,
    };
    Reference::<f64>::new().matmul(
        a.wide_view(&a_wide),
        b.wide_view(&b_wide),
        epilogue,
        MatMut::strided(&mut expected, m, n, stride),
    );
    // Gaps between the rows are compared too: they must be as they were.
    let tolerance = 1e-6 * (k as f64).sqrt().max(1.0) * 4.0;
    assert_close(cpu, &format!("{case:?}"), &c, &expected, tolerance);
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn products_of_ragged_shapes_equal_the_reference(
        m in 0usize..70,
        n in 0usize..100,
        k in prop_oneof![0usize..40, 250usize..270, 505usize..520],
        kinds in (0u8..8, 0u8..8),
        alpha in prop_oneof![Just(1.0f32), Just(-0.5)],
        bias: bool,
        accumulate: bool,
        relu: bool,
    ) {
        let case = Case { m, n, k, kinds, alpha, bias, accumulate, relu };
        for precision in [Precision::F32, Precision::Bf16] {
            for cpu in backends_of(precision) {
                check(&cpu, case);
            }
        }
    }
}

#[test]
fn every_storage_and_layout_is_packed_right() {
    for precision in [Precision::F32, Precision::Bf16] {
        for cpu in backends_of(precision) {
            for kinds in (0..8).flat_map(|a| (0..8).map(move |b| (a, b))) {
                check(
                    &cpu,
                    Case {
                        m: 17,
                        n: 51,
                        k: 37,
                        kinds,
                        alpha: 1.0,
                        bias: true,
                        accumulate: true,
                        relu: false,
                    },
                );
            }
        }
    }
}

#[test]
fn few_columns_take_every_epilogue() {
    for precision in [Precision::F32, Precision::Bf16] {
        for cpu in backends_of(precision) {
            for (i, n) in [1, 2, 7, 8, 9].into_iter().enumerate() {
                for (bias, accumulate, relu) in [
                    (true, true, false),
                    (false, true, true),
                    (true, false, true),
                ] {
                    let kinds = (i as u8, 7 - i as u8);
                    check(
                        &cpu,
                        Case {
                            m: 900,
                            n,
                            k: 530,
                            kinds,
                            alpha: -0.5,
                            bias,
                            accumulate,
                            relu,
                        },
                    );
                }
            }
        }
    }
}

#[test]
fn large_products_are_cut_into_tasks() {
    for (m, n, k) in [
        (700, 800, 20),
        (3, 1700, 130),
        (1500, 8, 64),
        (14, 32, 1100),
    ] {
        for cpu in backends() {
            check(
                &cpu,
                Case {
                    m,
                    n,
                    k,
                    kinds: (0, 1),
                    alpha: 1.0,
                    bias: true,
                    accumulate: false,
                    relu: true,
                },
            );
        }
    }
}

#[test]
fn a_nan_reaches_the_result_through_the_rectifier() {
    for precision in [Precision::F32, Precision::Bf16] {
        for cpu in backends_of(precision) {
            let (a, mut b) = (values(1, 20), values(2, 20 * 40));
            b[7 * 40 + 39] = f32::NAN;
            let mut c = vec![0.0; 40];
            let epilogue = Epilogue {
                relu: true,
                ..Epilogue::default()
            };
            cpu.matmul(
                Mat::new(&a, 1, 20),
                Mat::new(&b, 20, 40),
                epilogue,
                MatMut::new(&mut c, 1, 40),
            );
            let nans: Vec<usize> = (0..40).filter(|&j| c[j].is_nan()).collect();
            assert_eq!(nans, [39], "{cpu:?}");
        }
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn column_sums_equal_the_reference(rows in 0usize..200, width in 1usize..150) {
        let (x, before) = (values(1, rows * width), values(2, width));
        let mut expected = widen(&before);
        Reference::<f64>::new().add_column_sums(&widen(&x), &mut expected);
        for cpu in backends() {
            let mut sums = before.clone();
            cpu.add_column_sums(&x, &mut sums);
            assert_close(&cpu, "sums", &sums, &expected, 1e-5);
        }
    }
}
