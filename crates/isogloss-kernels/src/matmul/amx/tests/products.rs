//! Whole products of bf16 against the plain reference.

use half::bf16;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::backend::{Backend, Epilogue};
use crate::cpu::{Cpu, KernelPath};
use crate::matmul::amx::tests::{cpus, kernels, values};
use crate::matmul::dispatch::{fast_with, serial_with};
use crate::matmul::kernel::{MicroKernel, Word};
use crate::matmul::pack::{self, Part};
use crate::matmul::{Mat, MatData, MatMut, PackedWeight};
use crate::reference::Reference;

/// A matrix in either storage, transposed or not, with gaps between its rows or not: `kind` has a bit for each.
struct Operand {
    real: Vec<f32>,
    half: Vec<bf16>,
    rows: usize,
    cols: usize,
    kind: u8,
}

impl Operand {
    fn new(seed: u64, rows: usize, cols: usize, kind: u8) -> Self {
        let (rows, cols) = if kind & 1 == 0 {
            (rows, cols)
        } else {
            (cols, rows)
        };
        let mut real = values(seed, rows * (cols + 3));
        let half: Vec<bf16> = real.iter().map(|&x| bf16::from_f32(x)).collect();
        if kind & 2 != 0 {
            real = half.iter().map(|x| x.to_f32()).collect();
        }
        Operand {
            real,
            half,
            rows,
            cols,
            kind,
        }
    }

    fn view<'a, R: crate::Real>(&self, data: MatData<'a, R>) -> Mat<'a, R> {
        let gap = if self.kind & 4 == 0 { 0 } else { 3 };
        let view = Mat::strided(data, self.rows, self.cols, self.cols + gap);
        if self.kind & 1 == 0 { view } else { view.t() }
    }

    fn fast(&self) -> Mat<'_, f32> {
        if self.kind & 2 == 0 {
            self.view(MatData::Real(&self.real))
        } else {
            self.view(MatData::Bf16(&self.half))
        }
    }

    /// As the product must see it.
    fn wide(&self) -> Vec<f64> {
        self.half.iter().map(|x| x.to_f64()).collect()
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

fn check(kernel: &'static MicroKernel, cpu: &Cpu, case: Case) {
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
    let to = MatMut::strided(&mut c, m, n, stride);
    fast_with(kernel, cpu, (a.fast(), b.fast()), epilogue, to);

    let widen = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f64::from(x)).collect() };
    let (a_wide, b_wide, bias) = (a.wide(), b.wide(), widen(&bias));
    let mut expected = widen(&before);
    Reference::<f64>::new().matmul(
        a.view(MatData::Real(&a_wide)),
        b.view(MatData::Real(&b_wide)),
        Epilogue {
            alpha: f64::from(case.alpha),
            bias: case.bias.then_some(&bias[..]),
            accumulate: case.accumulate,
            relu: case.relu,
        },
        MatMut::strided(&mut expected, m, n, stride),
    );
    // The bound of the other kernels. Gaps between the rows are compared too: they must be as they were.
    let tolerance = 1e-6 * (k as f64).sqrt().max(1.0) * 4.0;
    for (i, (&got, &expected)) in c.iter().zip(&expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(
            error <= tolerance * (1.0 + expected.abs()),
            "{case:?}[{i}]: {got}, expected {expected} ({cpu:?})"
        );
    }
}

const PLAIN: Case = Case {
    m: 0,
    n: 0,
    k: 0,
    kinds: (0, 0),
    alpha: 1.0,
    bias: true,
    accumulate: false,
    relu: false,
};

proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, ..Config::default() })]

    #[test]
    fn products_of_ragged_shapes_equal_the_reference(
        m in 0usize..70,
        n in 0usize..100,
        k in prop_oneof![0usize..70, 505usize..550],
        kinds in (0u8..8, 0u8..8),
        alpha in prop_oneof![Just(1.0f32), Just(-0.5)],
        bias: bool,
        accumulate: bool,
        relu: bool,
        threads in 0usize..3,
    ) {
        let case = Case { m, n, k, kinds, alpha, bias, accumulate, relu };
        for kernel in kernels() {
            check(kernel, &cpus()[threads], case);
        }
    }
}

#[test]
fn every_storage_and_layout_is_packed_right() {
    for kernel in kernels() {
        for kinds in (0..8).flat_map(|a| (0..8).map(move |b| (a, b))) {
            let case = Case {
                m: 50,
                n: 51,
                k: 37,
                kinds,
                ..PLAIN
            };
            check(kernel, &cpus()[0], case);
        }
    }
}

#[test]
fn few_columns_take_every_epilogue() {
    for kernel in kernels() {
        for (i, n) in [1, 2, 7, 8, 9].into_iter().enumerate() {
            for (bias, accumulate, relu) in [(true, true, false), (true, false, true)] {
                let case = Case {
                    m: 90,
                    n,
                    k: 530,
                    kinds: (i as u8, 7 - i as u8),
                    alpha: -0.5,
                    bias,
                    accumulate,
                    relu,
                };
                check(kernel, &cpus()[0], case);
            }
        }
    }
}

#[test]
fn large_products_are_cut_into_tasks() {
    for kernel in kernels() {
        for (m, n, k) in [(400, 90, 20), (3, 800, 530), (40, 40, 1100)] {
            for cpu in cpus() {
                check(kernel, &cpu, Case { m, n, k, ..PLAIN });
            }
        }
    }
}

fn product(kernel: &'static MicroKernel, cpu: &Cpu, a: Mat<'_, f32>, b: Mat<'_, f32>) -> Vec<u32> {
    let mut c = vec![0.0; a.rows() * b.cols()];
    let to = MatMut::new(&mut c, a.rows(), b.cols());
    fast_with(kernel, cpu, (a, b), Epilogue::default(), to);
    c.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn bits_depend_neither_on_threads_nor_on_other_rows() {
    // Wide, and so narrow that the transpose is computed.
    for n in [130, 8] {
        let (m, k) = (75, 600);
        let (a, b) = (values(1, m * k), values(2, k * n));
        let b = Mat::new(&b, n, k).t();
        for kernel in kernels() {
            let [one, two, three] = cpus();
            let all = product(kernel, &one, Mat::new(&a, m, k), b);
            for cpu in [&two, &three] {
                assert!(product(kernel, cpu, Mat::new(&a, m, k), b) == all);
            }
            for (first, rows) in [(0, 1), (3, 2), (31, 17), (74, 1)] {
                let rows_of_a = Mat::new(&a[first * k..][..rows * k], rows, k);
                let part = product(kernel, &two, rows_of_a, b);
                assert!(part == all[first * n..][..rows * n], "{first}, {rows}");
            }
            // Inside a task.
            let mut c = vec![0.0; m * n];
            let to = MatMut::new(&mut c, m, n);
            serial_with(kernel, (Mat::new(&a, m, k), b), Epilogue::default(), to);
            assert!(c.iter().map(|x| x.to_bits()).eq(all));
        }
    }
}

#[test]
fn the_model_and_the_instructions_give_the_same_bits() {
    let (m, n, k) = (45, 70, 700);
    let (a, b) = (values(1, m * k), values(2, k * n));
    let results: Vec<_> = kernels()
        .map(|kernel| product(kernel, &cpus()[0], Mat::new(&a, m, k), Mat::new(&b, k, n)))
        .collect();
    if KernelPath::AmxBf16.is_available() {
        // A processor may add up in another order than its manual says; no two kernels promise the same bits.
        return;
    }
    assert!(results.iter().all(|result| *result == results[0]));
}

#[test]
fn a_weight_packed_ahead_changes_nothing() {
    for (n, k) in [(130, 600), (33, 257), (16, 31), (9, 2)] {
        let values_of_weight: Vec<bf16> =
            values(2, n * k).into_iter().map(bf16::from_f32).collect();
        let weight = Mat::bf16(&values_of_weight, n, k);
        for kernel in kernels() {
            for cpu in cpus() {
                let packed = PackedWeight::for_kernel(kernel, &cpu, weight, true);
                let ahead = weight.with_packed(Some(&packed));
                for m in [1, 75] {
                    let (x, dy) = (values(1, m * k), values(3, m * n));
                    let (x, dy) = (Mat::new(&x, m, k), Mat::new(&dy, m, n));
                    assert!(
                        product(kernel, &cpu, x, ahead.t()) == product(kernel, &cpu, x, weight.t())
                    );
                    assert!(product(kernel, &cpu, dy, ahead) == product(kernel, &cpu, dy, weight));
                }
            }
        }
    }
}

#[test]
fn a_nan_reaches_its_own_element_alone() {
    let (m, n, k) = (20, 40, 37);
    let (a, mut b) = (values(1, m * k), values(2, k * n));
    b[36 * n + 39] = f32::NAN;
    for kernel in kernels() {
        let c = product(kernel, &cpus()[0], Mat::new(&a, m, k), Mat::new(&b, k, n));
        for (at, x) in c.into_iter().enumerate() {
            assert_eq!(f32::from_bits(x).is_nan(), at % n == 39, "{at}");
        }
    }
}

/// Nothing of what was in a panel before may stay: zeros that are missing would go unseen until they are times infinity.
#[test]
fn panels_are_packed_whole() {
    let (outer, inner) = (40, 150);
    for kind in 0..8 {
        let operand = Operand::new(1, outer, inner, kind);
        let half = operand.view(MatData::Bf16(&operand.half));
        for (count, depth, width) in [(1, 1, 16), (16, 33, 16), (17, 64, 32), (32, 95, 32)] {
            let part = Part {
                outer: 5,
                count,
                inner: 7,
                depth,
            };
            let panel = pack::Operand::rows_of(operand.fast()).panel(part, Word::Pair, width);
            let words = depth.div_ceil(32) * 16;
            let value = |o: usize, k: usize| {
                if o < count && k < depth {
                    u32::from(bf16::from_f32(half.at(5 + o, 7 + k)).to_bits())
                } else {
                    0
                }
            };
            for kernel in kernels() {
                let (mut rows, mut columns) = (
                    vec![u32::MAX; words * width + 1],
                    vec![u32::MAX; words * width + 1],
                );
                // SAFETY: the panels have the space; `kernels` names those whose packing the machine can run.
                unsafe {
                    (kernel.pack_rows)(&panel, rows.as_mut_ptr());
                    (kernel.pack)(&panel, columns.as_mut_ptr());
                }
                for (w, o) in (0..words).flat_map(|w| (0..width).map(move |o| (w, o))) {
                    let expected = value(o, 2 * w) | value(o, 2 * w + 1) << 16;
                    let at = (w / 16 * width + o) * 16 + w % 16;
                    assert_eq!((rows[at], columns[w * width + o]), (expected, expected));
                }
                assert_eq!(
                    (rows.pop(), columns.pop()),
                    (Some(u32::MAX), Some(u32::MAX))
                );
            }
        }
    }
}
