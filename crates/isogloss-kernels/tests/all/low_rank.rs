//! Low-rank updates: terms of all sizes, with factors of their own and shared, columns and rows left out.

use std::ops::Range;

use isogloss_kernels::low_rank::reference;
use isogloss_kernels::{
    Backend, Cpu, Factors, KeptFactors, KernelPath, LowRankTerm, Precision, Reference, bf16,
};
use proptest::prelude::*;

use crate::{assert_close, assert_same_bits, backends, backends_of, cases, rounded, values, widen};

/// Widths of a site, and its terms.
#[derive(Debug, Clone)]
struct Site {
    rows: usize,
    inputs: usize,
    outputs: usize,
    parameters: usize,
    terms: Vec<LowRankTerm>,
}

impl Site {
    /// Terms of so many rows, each after a gap; `update` names the factors. Updates are of different ranks, and odd ones read and write
    /// some columns only.
    fn new(
        inputs: usize,
        outputs: usize,
        ranks: &[usize],
        terms: &[(usize, usize, usize)],
    ) -> Self {
        let (mut parameters, mut factors) = (3, Vec::new());
        for (i, &rank) in ranks.iter().enumerate() {
            let (input, output) = match i % 2 {
                0 => (0..inputs, 0..outputs),
                _ => (inputs / 3..inputs, outputs / 4..outputs - outputs / 4),
            };
            let (a, b) = (parameters, parameters + rank * input.len());
            parameters = b + rank * output.len() + i;
            factors.push((a, b, rank, input, output));
        }
        let mut end = 0;
        let terms = terms.iter().map(|&(gap, rows, update)| {
            let (a, b, rank, input, output) = factors[update % factors.len()].clone();
            let start = end + gap;
            end = start + rows;
            LowRankTerm {
                rows: start..end,
                a,
                b,
                rank,
                scale: 0.5 + update as f32,
                input,
                output,
            }
        });
        let terms: Vec<LowRankTerm> = terms.collect();
        Site {
            rows: end + 2,
            inputs,
            outputs,
            parameters,
            terms,
        }
    }

    fn forward<B: Backend>(
        &self,
        backend: &B,
        [parameters, x, y]: [&[B::Real]; 3],
        relu: bool,
    ) -> Vec<B::Real> {
        self.forward_with(backend, parameters.into(), [x, y], relu)
    }

    fn forward_with<B: Backend>(
        &self,
        backend: &B,
        factors: Factors<'_, B::Real>,
        [x, y]: [&[B::Real]; 2],
        relu: bool,
    ) -> Vec<B::Real> {
        let mut y = y.to_vec();
        let to = (&mut y[..], self.outputs);
        backend.low_rank(&self.terms, factors, (x, self.inputs), to, relu);
        y
    }

    /// `dx`, and the gradients of the factors.
    fn backward<B: Backend>(
        &self,
        backend: &B,
        [parameters, x, dy, dx, gradients]: [&[B::Real]; 5],
    ) -> [Vec<B::Real>; 2] {
        let (mut dx, mut gradients) = (dx.to_vec(), gradients.to_vec());
        let (x, dy) = ((x, self.inputs), (dy, self.outputs));
        backend.low_rank_backward(
            &self.terms,
            parameters,
            x,
            dy,
            Some(&mut dx),
            &mut gradients,
        );
        [dx, gradients]
    }

    /// A site of a term's last row alone; that row of the input, of what is added to, and of the result.
    fn alone(&self, term: &LowRankTerm, [x, y, all]: [&[f32]; 3]) -> (Self, [Vec<f32>; 3]) {
        let row = term.rows.end - 1;
        let of = |x: &[f32], width: usize| x[row * width..][..width].to_vec();
        let alone = Site {
            terms: vec![LowRankTerm {
                rows: Range { start: 0, end: 1 },
                ..term.clone()
            }],
            ..self.clone()
        };
        let rows = [
            of(x, self.inputs),
            of(y, self.outputs),
            of(all, self.outputs),
        ];
        (alone, rows)
    }

    fn values(&self) -> [Vec<f32>; 5] {
        let (x, y) = (self.rows * self.inputs, self.rows * self.outputs);
        let lens = [self.parameters, x, y, x, self.parameters];
        let mut seed = 0;
        lens.map(|len| {
            seed += 1;
            values(seed, len)
        })
    }
}

fn check(cpu: &Cpu, site: &Site, tolerance: f64) {
    let values = site.values();
    let [parameters, x, y, dx, gradients] = values.each_ref().map(|x| &x[..]);
    let wide = values.each_ref().map(|x| widen(x));
    let [parameters_wide, x_wide, y_wide, ..] = wide.each_ref().map(|x| &x[..]);
    let oracle = Reference::<f64>::new();
    for relu in [false, true] {
        let got = site.forward(cpu, [parameters, x, y], relu);
        let expected = site.forward(&oracle, [parameters_wide, x_wide, y_wide], relu);
        assert_close(cpu, "y", &got, &expected, tolerance);
    }
    let got = site.backward(cpu, [parameters, x, y, dx, gradients]);
    let expected = site.backward(&oracle, wide.each_ref().map(|x| &x[..]));
    assert_close(cpu, "dx", &got[0], &expected[0], tolerance);
    // Sums over rows, of products that are themselves rounded.
    let tolerance = tolerance * (site.rows as f64).sqrt();
    assert_close(cpu, "gradients", &got[1], &expected[1], tolerance);

    let mut alone = gradients.to_vec();
    let (x, dy) = ((x, site.inputs), (y, site.outputs));
    cpu.low_rank_backward(&site.terms, parameters, x, dy, None, &mut alone);
    assert_same_bits(cpu, "gradients without dx", &alone, &got[1]);
}

fn all_of(cpu: &Cpu, site: &Site) -> Vec<f32> {
    let values = site.values();
    let [parameters, x, y, ..] = values.each_ref().map(|x| &x[..]);
    let mut all = site.forward(cpu, [parameters, x, y], true);
    for part in site.backward(cpu, values.each_ref().map(|x| &x[..])) {
        all.extend(part);
    }
    all
}

/// The operation is a composition of products: bit by bit that of the same backend, rounding of operands included. With AVX2 small ranks
/// have kernels of their own, which round nothing.
fn check_products(cpu: &Cpu, site: &Site) {
    if cpu.path() == KernelPath::Avx2 {
        let (small, large) = site.terms.iter().cloned().partition(|term| term.rank <= 8);
        let of = |terms| Site {
            terms,
            ..site.clone()
        };
        check(cpu, &of(small), 1e-4);
        return check_same_products(cpu, &of(large));
    }
    check_same_products(cpu, site);
}

fn check_same_products(cpu: &Cpu, site: &Site) {
    let values = site.values();
    let [parameters, x, y, dx, gradients] = values.each_ref().map(|x| &x[..]);
    let (mut expected, mut dx, mut gradients) = (y.to_vec(), dx.to_vec(), gradients.to_vec());
    let (x, dy) = ((x, site.inputs), (y, site.outputs));
    let to = (&mut expected[..], site.outputs);
    reference::low_rank(cpu, &site.terms, parameters, x, to, true);
    let to = (Some(&mut dx[..]), &mut gradients[..]);
    reference::low_rank_backward(cpu, &site.terms, parameters, x, dy, to.0, to.1);
    expected.extend(dx);
    expected.extend(gradients);
    assert_same_bits(cpu, "result", &all_of(cpu, site), &expected);
}

/// Backends that keep factors, each with those of the site.
fn keepers(site: &Site) -> impl Iterator<Item = (Cpu, KeptFactors)> {
    let parameters = values(1, site.parameters);
    [Precision::Bf16, Precision::Int8]
        .into_iter()
        .flat_map(backends_of)
        .map(move |cpu| {
            let kept = cpu.keep_factors(&site.terms, &parameters).unwrap();
            (cpu, kept)
        })
}

/// `y` in plain loops, factors, rows and `A x` rounded to bfloat16; and by how much an element may be off, `A x` being rounded the other way
/// where it lies between two values.
fn by_kept_factors(site: &Site, [parameters, x, y]: [&[f32]; 3]) -> Vec<(f64, f64)> {
    let [parameters, x] = [parameters, x].map(|x| widen(&rounded(x)));
    let mut result: Vec<_> = y.iter().map(|&y| (f64::from(y), 1e-5)).collect();
    for term in &site.terms {
        let (inputs, rank, scale) = (term.input.len(), term.rank, f64::from(term.scale));
        for row in term.rows.clone() {
            let x = &x[row * site.inputs + term.input.start..][..inputs];
            let down = parameters[term.a..][..rank * inputs].chunks_exact(inputs);
            let down: Vec<f64> = down
                .map(|a| bf16::from_f64(a.iter().zip(x).map(|(a, x)| a * x).sum()).to_f64())
                .collect();
            for (i, col) in term.output.clone().enumerate() {
                let (y, error) = &mut result[row * site.outputs + col];
                for (d, b) in down.iter().zip(&parameters[term.b + i * rank..][..rank]) {
                    *y += scale * d * b;
                    *error += scale * (d * b).abs() / 256.0;
                }
            }
        }
    }
    result
}

fn check_kept(site: &Site) {
    let [parameters, x, y, ..] = site.values();
    let expected = by_kept_factors(site, [&parameters, &x, &y]);
    for relu in [false, true] {
        for (cpu, kept) in keepers(site) {
            let factors = Factors {
                parameters: &parameters,
                kept: Some(&kept),
            };
            let got = site.forward_with(&cpu, factors, [&x, &y], relu);
            let mut off = 0;
            for (i, (&got, &(y, error))) in got.iter().zip(&expected).enumerate() {
                let y = if relu { y.max(0.0) } else { y };
                let difference = (f64::from(got) - y).abs();
                assert!(difference <= error, "y[{i}]: {got}, expected {y} ({cpu:?})");
                off += usize::from(difference > 1e-4);
            }
            assert!(
                off <= got.len() / 50 + site.outputs,
                "{off} of {} ({cpu:?})",
                got.len()
            );
        }
    }
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn kept_factors_of_ragged_shapes_equal_the_reference(
        inputs in 1usize..150,
        outputs in 1usize..150,
        ranks in prop::collection::vec(1usize..20, 1..4),
        terms in prop::collection::vec((0usize..3, 0usize..5, 0usize..4), 0..7),
    ) {
        check_kept(&Site::new(inputs, outputs, &ranks, &terms));
    }

    #[test]
    fn terms_of_ragged_shapes_equal_the_reference(
        inputs in 1usize..150,
        outputs in 1usize..150,
        ranks in prop::collection::vec(1usize..20, 1..4),
        terms in prop::collection::vec((0usize..3, 0usize..40, 0usize..4), 0..7),
    ) {
        let site = Site::new(inputs, outputs, &ranks, &terms);
        for cpu in backends() {
            check(&cpu, &site, 1e-4);
        }
        for precision in [Precision::F32, Precision::Bf16] {
            backends_of(precision).for_each(|cpu| check_products(&cpu, &site));
        }
    }
}

/// Many small terms, and a large one: each is cut into tasks otherwise.
fn large() -> [Site; 2] {
    let many: Vec<_> = (0..24).map(|i| (i % 2, 3 + 5 * i, i % 7)).collect();
    let ranks = [8, 4, 16, 8, 1, 8, 12];
    [
        Site::new(300, 520, &ranks, &many),
        Site::new(300, 520, &[8], &[(1, 900, 0)]),
    ]
}

#[test]
fn large_terms_are_cut_into_tasks() {
    for site in large() {
        for cpu in backends() {
            check(&cpu, &site, 1e-4);
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_update() {
    for site in large() {
        for precision in [Precision::F32, Precision::Bf16] {
            for path in KernelPath::available() {
                let of = |threads| {
                    let cpu = Cpu::with_path(threads, path).unwrap();
                    cpu.with_precision(precision)
                };
                let one = all_of(&of(1), &site);
                for threads in [2, 3] {
                    let cpu = of(threads);
                    assert_same_bits(&cpu, "result", &all_of(&cpu, &site), &one);
                }
            }
        }
    }
}

#[test]
fn large_terms_are_the_backends_own_products() {
    for site in large() {
        for precision in [Precision::F32, Precision::Bf16] {
            backends_of(precision).for_each(|cpu| check_products(&cpu, &site));
        }
    }
}

/// A row gets the same bits alone and among others, whatever terms they belong to.
#[test]
fn a_row_is_updated_the_same_alone_and_among_others() {
    let [site, _] = large();
    let values = site.values();
    let [parameters, x, y, ..] = values.each_ref().map(|x| &x[..]);
    for precision in [Precision::F32, Precision::Bf16] {
        for cpu in backends_of(precision) {
            let all = site.forward(&cpu, [parameters, x, y], false);
            for term in site.terms.iter().step_by(5) {
                let (alone, [x, y, expected]) = site.alone(term, [x, y, &all]);
                let got = alone.forward(&cpu, [parameters, &x, &y], false);
                assert_same_bits(&cpu, "row", &got, &expected);
            }
        }
    }
}

#[test]
fn with_kept_factors_a_row_is_updated_the_same_alone_and_among_others() {
    for site in large() {
        let [parameters, x, y, ..] = site.values();
        check_kept(&site);
        for (cpu, kept) in keepers(&site) {
            let factors = Factors {
                parameters: &parameters,
                kept: Some(&kept),
            };
            let all = site.forward_with(&cpu, factors, [&x, &y], true);
            for term in site.terms.iter().step_by(5) {
                let (alone, [x, y, expected]) = site.alone(term, [&x, &y, &all]);
                let got = alone.forward_with(&cpu, factors, [&x, &y], true);
                assert_same_bits(&cpu, "row", &got, &expected);
            }
        }
    }
}

#[test]
fn a_term_without_factors_adds_nothing_and_rectifies() {
    let mut site = Site::new(20, 70, &[8, 2], &[(1, 3, 0), (1, 2, 1)]);
    let [parameters, x, y, ..] = site.values();
    site.terms[0].rank = 0;
    site.terms[1].input = 3..3;
    let expected: Vec<f32> = y.iter().map(|y| y.max(0.0)).collect();
    for (cpu, kept) in keepers(&site) {
        let factors = Factors {
            parameters: &parameters,
            kept: Some(&kept),
        };
        let got = site.forward_with(&cpu, factors, [&x, &y], true);
        assert_same_bits(&cpu, "y", &got, &expected);
    }
}

#[test]
fn factors_are_kept_where_products_are_rounded_anyway() {
    let site = Site::new(20, 70, &[8, 2], &[(1, 3, 0), (1, 2, 1)]);
    let parameters = values(1, site.parameters);
    for cpu in backends_of(Precision::F32) {
        assert!(cpu.keep_factors(&site.terms, &parameters).is_none());
    }
    for (_, kept) in keepers(&site) {
        assert_eq!(kept.len(), parameters.len());
    }
}

#[test]
fn a_nan_reaches_the_result_through_the_rectifier() {
    let site = Site::new(20, 70, &[8, 2], &[(1, 3, 0), (1, 2, 1)]);
    let values = site.values();
    for cpu in backends() {
        let mut y = values[2].clone();
        // Rows without a term, with one that writes all columns, and with one that doesn't.
        let places = [5, 70 + 69, 5 * 70, 5 * 70 + 30];
        places.iter().for_each(|&at| y[at] = f32::NAN);
        let y = site.forward(&cpu, [&values[0], &values[1], &y], true);
        let nans: Vec<usize> = (0..y.len()).filter(|&i| y[i].is_nan()).collect();
        assert_eq!(nans, places, "{cpu:?}");
    }
}
