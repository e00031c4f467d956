//! Products with the factors of a small rank, for AVX2: packing the rows, as large products do, takes several times as long as
//! multiplying them by a handful of vectors. Everything is in f32, whatever the precision of other products.
//!
//! A vector holds [`LANES`] inputs or outputs of a row, and up to [`GROUP`] of a factor's vectors are at work at once. Every sum is in an order
//! that neither the number of rows nor their cut into tasks changes.

use std::arch::x86_64::*;
use std::ops::Range;

use crate::cpu::{KernelPath, Supported};

const LANES: usize = 8;
/// Vectors of a factor that are kept in registers.
const GROUP: usize = 4;
/// Rows between two writes of a gradient.
const BLOCK: usize = 8;
/// Up to this rank the vectors pass by twice at most; beyond it large products are faster.
const MAX_RANK: usize = 8;

/// A machine with AVX2 and FMA, which the functions below need.
#[derive(Clone, Copy)]
pub(super) struct Thin(());

/// Some columns of rows that lie `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    data: &'a [f32],
    stride: usize,
    count: usize,
    width: usize,
}

impl<'a> Rows<'a> {
    /// The columns `cols` of the rows `rows` of `x`, whose rows are `stride` long.
    ///
    /// # Panics
    /// If they don't exist.
    pub fn new((x, stride): (&'a [f32], usize), rows: &Range<usize>, cols: &Range<usize>) -> Self {
        assert!(cols.end <= stride && rows.end * stride <= x.len(), "rows");
        Rows {
            data: &x[(rows.start * stride + cols.start).min(x.len())..],
            stride,
            count: rows.len(),
            width: cols.len(),
        }
    }

    fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.stride..][..self.width]
    }
}

impl Thin {
    /// If the machine's kernels are those for AVX2, and the rank is small and not 0.
    pub fn of(path: Supported, rank: usize) -> Option<Self> {
        let fits = path.path() == KernelPath::Avx2 && (1..=MAX_RANK).contains(&rank);
        fits.then_some(Thin(()))
    }

    /// `to = scale * x w^T`, `(rows, rank)`, where `w` is `(rank, width)`.
    pub fn project(self, x: Rows<'_>, w: &[f32], scale: f32, to: &mut [f32]) {
        if x.count == 0 || x.width == 0 {
            return to.fill(0.0);
        }
        // SAFETY: `Thin` is made only where the machine has the instructions.
        unsafe { project(x, w, scale, to) }
    }

    /// `y += scale * coefficients w`, where `coefficients` is `(rows, rank)` and `w` is `(rank, width)`; then rectified, if asked for.
    pub fn combine(
        self,
        (coefficients, w): (&[f32], &[f32]),
        scale: f32,
        relu: bool,
        (y, stride): (&mut [f32], usize),
        cols: &Range<usize>,
    ) {
        if !y.is_empty() && !cols.is_empty() {
            // SAFETY: as above.
            unsafe { combine((coefficients, w), scale, relu, (y, stride), cols) }
        }
    }

    /// `to += coefficients^T x`, `(rank, width)`, where `coefficients` is `(rows, rank)`.
    pub fn gather(self, coefficients: &[f32], x: Rows<'_>, to: &mut [f32]) {
        if x.count > 0 && x.width > 0 {
            // SAFETY: as above.
            unsafe { gather(coefficients, x, to) }
        }
    }
}

/// Calls a function with a number of vectors as a constant, for each group of a factor's.
macro_rules! by_groups {
    ($rank:expr, $function:ident($first:ident => $($arg:expr),*)) => {
        for $first in (0..$rank).step_by(GROUP) {
            match $rank - $first {
                1 => $function::<1>($($arg),*),
                2 => $function::<2>($($arg),*),
                3 => $function::<3>($($arg),*),
                _ => $function::<GROUP>($($arg),*),
            }
        }
    };
}

#[target_feature(enable = "avx2,fma")]
fn project(x: Rows<'_>, w: &[f32], scale: f32, to: &mut [f32]) {
    let rank = w.len() / x.width;
    by_groups!(rank, project_group(first => x, &w[first * x.width..], scale, (&mut *to, rank, first)));
}

/// [`Thin::project`] with `R` of the vectors, into columns of `to` from `first` on.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn project_group<const R: usize>(
    x: Rows<'_>,
    w: &[f32],
    scale: f32,
    (to, rank, first): (&mut [f32], usize, usize),
) {
    let w: [&[f32]; R] = std::array::from_fn(|j| &w[j * x.width..][..x.width]);
    let mut put = |i: usize, sums: [f32; R]| {
        let to = &mut to[i * rank + first..][..R];
        to.iter_mut().zip(sums).for_each(|(to, x)| *to = scale * x);
    };
    for i in (1..x.count).step_by(2) {
        let [before, sums] = dots([x.row(i - 1), x.row(i)], w);
        put(i - 1, before);
        put(i, sums);
    }
    if x.count % 2 == 1 {
        let [sums] = dots([x.row(x.count - 1)], w);
        put(x.count - 1, sums);
    }
}

/// Dot products of each row with each vector, all of one length.
#[inline]
#[target_feature(enable = "avx2,fma")]
// Iterators are calls here wherever the compiler doesn't inline them.
#[allow(clippy::needless_range_loop)]
fn dots<const N: usize, const R: usize>(x: [&[f32]; N], w: [&[f32]; R]) -> [[f32; R]; N] {
    let width = x[0].len();
    let whole = width - width % LANES;
    let mut sums = [[_mm256_setzero_ps(); R]; N];
    for c in (0..whole).step_by(LANES) {
        let mut values = [_mm256_setzero_ps(); N];
        for i in 0..N {
            values[i] = load(x[i], c);
        }
        for j in 0..R {
            let w = load(w[j], c);
            for i in 0..N {
                sums[i][j] = _mm256_fmadd_ps(values[i], w, sums[i][j]);
            }
        }
    }
    let mut all = [[0.0; R]; N];
    for i in 0..N {
        for j in 0..R {
            all[i][j] = total(sums[i][j]);
            for c in whole..width {
                all[i][j] = x[i][c].mul_add(w[j][c], all[i][j]);
            }
        }
    }
    all
}

/// The sum of the lanes.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn total(x: __m256) -> f32 {
    let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
}

#[target_feature(enable = "avx2,fma")]
fn combine(
    (coefficients, w): (&[f32], &[f32]),
    scale: f32,
    relu: bool,
    (y, stride): (&mut [f32], usize),
    cols: &Range<usize>,
) {
    let rank = w.len() / cols.len();
    for (row, coefficients) in y
        .chunks_exact_mut(stride)
        .zip(coefficients.chunks_exact(rank))
    {
        let y = &mut row[cols.clone()];
        by_groups!(rank, combine_group(first =>
            (&coefficients[first..], &w[first * cols.len()..]), scale, relu && first + GROUP >= rank, &mut *y));
    }
}

/// [`Thin::combine`] for one row and `R` of the vectors.
#[inline]
#[target_feature(enable = "avx2,fma")]
#[allow(clippy::needless_range_loop)]
fn combine_group<const R: usize>(
    (coefficients, w): (&[f32], &[f32]),
    scale: f32,
    relu: bool,
    y: &mut [f32],
) {
    let width = y.len();
    let w: [&[f32]; R] = std::array::from_fn(|j| &w[j * width..][..width]);
    let factors: [f32; R] = std::array::from_fn(|j| scale * coefficients[j]);
    let mut vectors = [_mm256_setzero_ps(); R];
    for j in 0..R {
        vectors[j] = _mm256_set1_ps(factors[j]);
    }
    let whole = width - width % LANES;
    for c in (0..whole).step_by(LANES) {
        let mut sum = load(y, c);
        for j in 0..R {
            sum = _mm256_fmadd_ps(vectors[j], load(w[j], c), sum);
        }
        if relu {
            // The second operand is what NaN gives.
            sum = _mm256_max_ps(_mm256_setzero_ps(), sum);
        }
        store(y, c, sum);
    }
    for c in whole..width {
        let mut sum = y[c];
        for j in 0..R {
            sum = factors[j].mul_add(w[j][c], sum);
        }
        y[c] = if relu && sum < 0.0 { 0.0 } else { sum };
    }
}

#[target_feature(enable = "avx2,fma")]
fn gather(coefficients: &[f32], x: Rows<'_>, to: &mut [f32]) {
    let rank = to.len() / x.width;
    by_groups!(rank, gather_group(first => &coefficients[first..], rank, x, &mut to[first * x.width..]));
}

/// [`Thin::gather`] for `R` of the vectors.
#[inline]
#[target_feature(enable = "avx2,fma")]
#[allow(clippy::needless_range_loop)]
fn gather_group<const R: usize>(coefficients: &[f32], rank: usize, x: Rows<'_>, to: &mut [f32]) {
    let width = x.width;
    let whole = width - width % (2 * LANES);
    for start in (0..x.count).step_by(BLOCK) {
        let rows = start..x.count.min(start + BLOCK);
        for c in (0..whole).step_by(2 * LANES) {
            let mut sums = [[_mm256_setzero_ps(); 2]; R];
            for j in 0..R {
                sums[j] = [load(to, j * width + c), load(to, j * width + c + LANES)];
            }
            for i in rows.clone() {
                let row = x.row(i);
                let values = [load(row, c), load(row, c + LANES)];
                for j in 0..R {
                    let factor = _mm256_set1_ps(coefficients[i * rank + j]);
                    for v in 0..2 {
                        sums[j][v] = _mm256_fmadd_ps(factor, values[v], sums[j][v]);
                    }
                }
            }
            for j in 0..R {
                store(to, j * width + c, sums[j][0]);
                store(to, j * width + c + LANES, sums[j][1]);
            }
        }
        for c in whole..width {
            for i in rows.clone() {
                for j in 0..R {
                    let to = &mut to[j * width + c];
                    *to = coefficients[i * rank + j].mul_add(x.row(i)[c], *to);
                }
            }
        }
    }
}

/// The values from `at` on.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn load(x: &[f32], at: usize) -> __m256 {
    let x = &x[at..at + LANES];
    // SAFETY: the slice has that many values.
    unsafe { _mm256_loadu_ps(x.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn store(x: &mut [f32], at: usize, values: __m256) {
    let x = &mut x[at..at + LANES];
    // SAFETY: the slice has that many values.
    unsafe { _mm256_storeu_ps(x.as_mut_ptr(), values) }
}

/// The transpose of a matrix with columns of `rows` values.
pub(super) fn transposed(values: &[f32], cols: usize, to: &mut [f32]) {
    let rows = values.len() / cols.max(1);
    for (i, row) in values.chunks_exact(cols.max(1)).enumerate() {
        for (j, &x) in row.iter().enumerate() {
            to[j * rows + i] = x;
        }
    }
}
