//! Products of bytes on tiles against the portable kernel, whose bits they must have.

use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::backend::Epilogue;
use crate::cpu::{Cpu, KernelPath, Precision};
use crate::matmul::amx::soft::SOFT_BYTES;
use crate::matmul::amx::tests::{cpus, values};
use crate::matmul::dispatch::{LeftOperand, fast};
use crate::matmul::kernel::{MicroKernel, Word};
use crate::matmul::pack::{self, Part};
use crate::matmul::{Mat, MatData, MatMut, PackedWeight};

type Kernels = (&'static MicroKernel, Option<&'static MicroKernel>);

/// What packs a weight and multiplies few rows, and what multiplies more: the model for all rows, the processor's tiles (trapped if need
/// be) for all rows, and either with panels of AVX512-VNNI.
fn kernels() -> Vec<Kernels> {
    let mut kernels = processors();
    kernels.push((&SOFT_BYTES, None));
    kernels
}

#[cfg(target_arch = "x86_64")]
fn processors() -> Vec<Kernels> {
    let vnni: &MicroKernel = &crate::matmul::int8::VNNI;
    let with_vnni =
        KernelPath::Avx512.is_available() && std::is_x86_feature_detected!("avx512vnni");
    let mut kernels: Vec<Kernels> = Vec::new();
    if let Some(tiles) = tiles() {
        kernels.push((tiles, None));
        if with_vnni {
            kernels.push((vnni, Some(tiles)));
        }
    }
    if with_vnni {
        kernels.push((vnni, Some(&SOFT_BYTES)));
    }
    kernels
}

#[cfg(not(target_arch = "x86_64"))]
fn processors() -> Vec<Kernels> {
    Vec::new()
}

/// The processor's tiles, if this machine can run them one way or the other.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn tiles() -> Option<&'static MicroKernel> {
    // A processor with one of the instructions only would trap for the other, outside of the model.
    let real = KernelPath::AmxBf16.is_available();
    super::super::trap::install();
    let runs = KernelPath::Avx512Bf16.is_available() && real == crate::cpu::amx_multiplies_bytes();
    runs.then_some(&crate::matmul::amx::INT8)
}

#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn tiles() -> Option<&'static MicroKernel> {
    None
}

/// A product by every kernel and by the portable one.
struct Case {
    m: usize,
    n: usize,
    k: usize,
    alpha: f32,
    bias: bool,
    accumulate: bool,
    relu: bool,
    /// Values between the rows of the left operand and of the result.
    gap: usize,
}

const PLAIN: Case = Case {
    m: 0,
    n: 0,
    k: 0,
    alpha: 1.0,
    bias: false,
    accumulate: false,
    relu: false,
    gap: 0,
};

impl Case {
    /// The bits of `act(alpha x W^T + bias + c)`. A zero may have either sign: some kernels add a bias of zeros, others none.
    fn product(
        &self,
        cpu: &Cpu,
        x: &[f32],
        weight: &PackedWeight,
        plain: Mat<'_, f32>,
    ) -> Vec<u32> {
        let Case { m, n, k, gap, .. } = *self;
        let (bias, mut c) = (values(3, n), values(4, m * (n + gap)));
        let epilogue = Epilogue {
            alpha: self.alpha,
            bias: self.bias.then_some(&bias[..]),
            accumulate: self.accumulate,
            relu: self.relu,
        };
        let x = Mat::strided(MatData::Real(x), m, k, k + gap);
        let to = MatMut::strided(&mut c, m, n, n + gap);
        fast(cpu, x, plain.with_packed(Some(weight)).t(), epilogue, to);
        c.iter().map(|y| (y + 0.0).to_bits()).collect()
    }

    fn check(&self, cpu: &Cpu, x: &[f32], weight: Mat<'_, f32>) {
        let portable = Cpu::with_path(1, KernelPath::Portable).unwrap();
        let portable = portable.with_precision(Precision::Int8);
        let packed = PackedWeight::new(&portable, weight, false, &mut |_| {}).unwrap();
        let expected = self.product(&portable, x, &packed, weight);
        for kernels in kernels() {
            let packed = PackedWeight::int8_for_kernels(kernels, cpu, weight);
            let got = self.product(cpu, x, &packed, weight);
            let Case { m, n, k, .. } = self;
            assert!(got == expected, "{m} x {n} x {k}, {kernels:?} ({cpu:?})");
        }
    }
}

fn int8_cpus() -> [Cpu; 3] {
    cpus().map(|cpu| cpu.with_precision(Precision::Int8))
}

proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, ..Config::default() })]

    #[test]
    fn products_of_ragged_shapes_have_the_bits_of_the_portable_kernel(
        m in prop_oneof![0usize..20, 20usize..70],
        n in 9usize..100,
        k in prop_oneof![2usize..140, 505usize..550],
        alpha in prop_oneof![Just(1.0f32), Just(-0.5)],
        bias: bool,
        accumulate: bool,
        relu: bool,
        stored: bool,
        gap in prop_oneof![Just(0usize), Just(3)],
        threads in 0usize..3,
    ) {
        let case = Case { m, n, k, alpha, bias, accumulate, relu, gap };
        let (x, w) = (values(1, m * (k + gap)), values(2, n * k));
        // Bytes that are stored may be any, -128 among them.
        let bytes: Vec<i8> = w.iter().map(|x| (x * 128.0).floor() as i8).collect();
        let scales = vec![0.25; n];
        let weight = if stored { Mat::int8(&bytes, &scales, n, k) } else { Mat::new(&w, n, k) };
        case.check(&int8_cpus()[threads], &x, weight);
    }
}

#[test]
fn large_products_are_cut_into_tasks() {
    for (m, n, k) in [(400, 90, 200), (3, 800, 530), (40, 900, 64)] {
        let (x, w) = (values(1, m * k), values(2, n * k));
        for cpu in int8_cpus() {
            Case { m, n, k, ..PLAIN }.check(&cpu, &x, Mat::new(&w, n, k));
        }
    }
}

/// The largest sums that there can be: anything that saturates shows.
#[test]
fn the_longest_sums_are_exact() {
    let (m, n, k) = (6, 9, 1 << 16);
    let mut x = vec![1.0; m * k];
    x[k..2 * k].fill(-1.0);
    let bytes: Vec<i8> = (0..n * k).map(|i| [127, -128, -127][i / k % 3]).collect();
    let scales = vec![1.0; n];
    Case { m, n, k, ..PLAIN }.check(&int8_cpus()[0], &x, Mat::int8(&bytes, &scales, n, k));
}

/// Rows of zeros and rows that aren't finite, in a tile with others.
#[test]
fn a_row_has_a_factor_of_its_own() {
    let (m, n, k) = (20, 40, 70);
    let (mut x, w) = (values(1, m * k), values(2, n * k));
    x[3 * k..4 * k].fill(0.0);
    (x[7 * k + 5], x[18 * k]) = (f32::NAN, f32::INFINITY);
    x[9 * k..10 * k].iter_mut().for_each(|x| *x *= 1e30);
    let weight = Mat::new(&w, n, k);
    for (packer, tiles) in kernels() {
        let cpu = &int8_cpus()[0];
        let packed = PackedWeight::int8_for_kernels((packer, tiles), cpu, weight);
        let y = Case { m, n, k, ..PLAIN }.product(cpu, &x, &packed, weight);
        for (i, row) in y.chunks(n).enumerate() {
            let all = |is: fn(f32) -> bool| row.iter().all(|&bits| is(f32::from_bits(bits)));
            match i {
                3 => assert!(all(|y| y == 0.0)),
                7 | 18 => assert!(all(f32::is_nan)),
                _ => assert!(all(|y| y.is_finite() && y != 0.0), "{i}"),
            }
        }
    }
}

/// Few rows are not for tiles, and both kernels read the same panels: a row has the same bits either way, also of a part of the weight on
/// the calling thread.
#[test]
fn rows_have_the_same_bits_alone_and_together() {
    let (m, n, k) = (37, 130, 200);
    let (x, w) = (values(1, m * k), values(2, n * k));
    let weight = Mat::new(&w, n, k);
    for kernels in kernels() {
        for cpu in int8_cpus() {
            let packed = PackedWeight::int8_for_kernels(kernels, &cpu, weight);
            let case = |m| Case { m, n, k, ..PLAIN };
            let all = case(m).product(&cpu, &x, &packed, weight);
            for (first, rows) in [(0, 1), (3, 4), (3, 5), (20, 16), (36, 1)] {
                let part = case(rows).product(&cpu, &x[first * k..][..rows * k], &packed, weight);
                assert!(part == all[first * n..][..rows * n], "{first}, {rows}");
            }
            let some = weight.with_packed(Some(&packed)).some_rows(64, 66);
            let rows = LeftOperand::new(&cpu, Mat::new(&x, m, k), &some.t());
            let mut c = vec![0.0; m * 66];
            rows.times(&cpu, some.t(), MatMut::new(&mut c, m, 66));
            for (c, all) in c.chunks(66).zip(all.chunks(n)) {
                assert!(
                    c.iter()
                        .map(|y| (y + 0.0).to_bits())
                        .eq(all[64..].iter().copied())
                );
            }
        }
    }
}

/// Words are copied as they are into the places of both kinds of panels, with zeros around them.
#[test]
fn panels_are_packed_whole() {
    let (outer, inner) = (40, 100);
    let words = values(1, outer * inner);
    for (count, depth, width) in [(1, 1, 16), (16, 17, 16), (17, 32, 32), (32, 47, 32)] {
        let part = Part {
            outer: 5,
            count,
            inner: 7,
            depth,
        };
        for across in [false, true] {
            let matrix = Mat::new(&words, outer, inner);
            let matrix = if across {
                Mat::new(&words, inner, outer).t()
            } else {
                matrix
            };
            let panel = pack::Operand::rows_of(matrix).panel(part, Word::F32, width);
            let padded = depth.next_multiple_of(16);
            for (kernel, _) in kernels()
                .into_iter()
                .filter(|(kernel, _)| kernel.group == 16)
            {
                let mut rows = vec![u32::MAX; padded * width];
                let mut columns = rows.clone();
                // SAFETY: the panels have the space; `kernels` names those whose packing the machine can run.
                unsafe {
                    (kernel.pack_rows)(&panel, rows.as_mut_ptr());
                    (kernel.pack)(&panel, columns.as_mut_ptr());
                }
                for (w, o) in (0..padded).flat_map(|w| (0..width).map(move |o| (w, o))) {
                    let inside = o < count && w < depth;
                    let expected = if inside {
                        matrix.at(5 + o, 7 + w).to_bits()
                    } else {
                        0
                    };
                    let at = (w / 16 * width + o) * 16 + w % 16;
                    assert_eq!((rows[at], columns[w * width + o]), (expected, expected));
                }
            }
        }
    }
}

/// Which kernel multiplies is seen by its instructions, which trap.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn few_rows_stay_off_the_tiles() {
    use crate::matmul::{amx::trap, int8};
    if KernelPath::AmxBf16.is_available() || !std::is_x86_feature_detected!("avx512vnni") {
        return;
    }
    let Some(tiles) = tiles() else { return };
    let (n, k) = (40, 70);
    let (x, w) = (values(1, 6 * k), values(2, n * k));
    let (cpu, weight) = (&int8_cpus()[0], Mat::new(&w, n, k));
    let packed = PackedWeight::int8_for_kernels((&int8::VNNI, Some(tiles)), cpu, weight);
    for (m, trapped) in [(1, false), (4, false), (5, true), (6, true)] {
        let before = trap::traps();
        Case { m, n, k, ..PLAIN }.product(cpu, &x[..m * k], &packed, weight);
        assert_eq!(trap::traps() > before, trapped, "{m} rows");
    }
}
