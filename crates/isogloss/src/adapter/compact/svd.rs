//! Orthogonal factors of tall matrices and the singular values of small ones, in `f64`. A matrix is a list of its columns.

pub(super) type Columns = Vec<Vec<f64>>;

/// What a sweep leaves between two columns that count as orthogonal, relative to their lengths.
const ORTHOGONAL: f64 = 1e-15;

/// More than any matrix needs.
const MAX_SWEEPS: usize = 60;

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn length(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// Root of the sum of squares.
pub(super) fn frobenius(columns: &Columns) -> f64 {
    columns.iter().map(|c| dot(c, c)).sum::<f64>().sqrt()
}

/// `Q R`, by Gram-Schmidt done twice, which is as orthogonal as rounding allows. The columns of `Q` have length 1, or 0 where a column
/// depends on those before it.
pub(super) fn qr(columns: &Columns) -> (Columns, Columns) {
    let (mut q, mut r) = (Columns::new(), Columns::new());
    for column in columns {
        let mut left = column.clone();
        let mut weights = vec![0.0; columns.len()];
        for _ in 0..2 {
            for (q, weight) in q.iter().zip(&mut weights) {
                let along = dot(q, &left);
                left.iter_mut().zip(q).for_each(|(x, q)| *x -= along * q);
                *weight += along;
            }
        }
        let rest = length(&left);
        let independent = rest > 1e-14 * length(column);
        let scale = if independent { 1.0 / rest } else { 0.0 };
        left.iter_mut().for_each(|x| *x *= scale);
        weights[q.len()] = if independent { rest } else { 0.0 };
        q.push(left);
        r.push(weights);
    }
    (q, r)
}

/// `left rightᵀ` of two matrices with as many columns.
pub(super) fn outer(left: &Columns, right: &Columns) -> Columns {
    let rows = right.first().map_or(0, Vec::len);
    let column = |i: usize| {
        let mut sum = vec![0.0; left.first().map_or(0, Vec::len)];
        for (l, r) in left.iter().zip(right) {
            sum.iter_mut().zip(l).for_each(|(sum, l)| *sum += l * r[i]);
        }
        sum
    };
    (0..rows).map(column).collect()
}

/// `left right`.
pub(super) fn product(left: &Columns, right: &Columns) -> Columns {
    let rows = left.first().map_or(0, Vec::len);
    let column = |weights: &Vec<f64>| {
        let mut sum = vec![0.0; rows];
        for (l, &w) in left.iter().zip(weights) {
            sum.iter_mut().zip(l).for_each(|(sum, l)| *sum += w * l);
        }
        sum
    };
    right.iter().map(column).collect()
}

/// A singular value with its vectors.
pub(super) struct Singular {
    pub value: f64,
    pub left: Vec<f64>,
    pub right: Vec<f64>,
}

/// Singular values of a square matrix, largest first, by one-sided Jacobi rotations (Hestenes 1958; Golub and Van Loan, section 8.6): pairs
/// of columns are turned until all are orthogonal; their lengths are the values.
pub(super) fn singular(matrix: &Columns) -> Vec<Singular> {
    let size = matrix.len();
    let unit = |i: usize| (0..size).map(|j| f64::from(u8::from(i == j))).collect();
    let (mut turned, mut right): (Columns, Columns) =
        (matrix.clone(), (0..size).map(unit).collect());
    let negligible = (1e-16 * frobenius(matrix)).powi(2);
    for _ in 0..MAX_SWEEPS {
        let mut done = true;
        for i in 0..size {
            for j in i + 1..size {
                let (a, b) = (dot(&turned[i], &turned[i]), dot(&turned[j], &turned[j]));
                let between = dot(&turned[i], &turned[j]);
                if between.abs() <= negligible.max(ORTHOGONAL * a.sqrt() * b.sqrt()) {
                    continue;
                }
                done = false;
                let zeta = (b - a) / (2.0 * between);
                let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                rotate(&mut turned, i, j, cosine, cosine * tangent);
                rotate(&mut right, i, j, cosine, cosine * tangent);
            }
        }
        if done {
            break;
        }
    }
    let mut found: Vec<Singular> = turned
        .into_iter()
        .zip(right)
        .map(|(mut left, right)| {
            let value = length(&left);
            let scale = if value > 0.0 { 1.0 / value } else { 0.0 };
            left.iter_mut().for_each(|x| *x *= scale);
            Singular { value, left, right }
        })
        .collect();
    found.sort_by(|a, b| b.value.total_cmp(&a.value));
    found
}

fn rotate(columns: &mut Columns, i: usize, j: usize, cosine: f64, sine: f64) {
    let (head, tail) = columns.split_at_mut(j);
    for (a, b) in head[i].iter_mut().zip(&mut tail[0]) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}
