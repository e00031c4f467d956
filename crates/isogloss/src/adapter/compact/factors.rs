//! One update at one site, made smaller.

use crate::adapter::compact::svd::{self, Columns};

/// Relative error that `f32` factors can't do without: less is counted as this much.
pub(super) const ROUNDING: f64 = 1.0 / (1 << 22) as f64;

/// What `f64` leaves of a product that is zero, relative to its factors.
const NOTHING: f64 = 1.0 / (1u64 << 40) as f64;

/// `B A`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Factors {
    /// `(rank, inputs)`.
    pub a: Vec<f32>,
    /// `(outputs, rank)`.
    pub b: Vec<f32>,
    pub rank: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Factors {
    /// Without the components of which `B`'s column or `A`'s row is all zero: they add nothing.
    pub fn without_dead(self) -> Self {
        let Factors {
            a,
            b,
            rank,
            inputs,
            outputs,
        } = self;
        let alive = |&j: &usize| {
            let reads = a[j * inputs..][..inputs].iter().any(|&x| x != 0.0);
            reads && b.iter().skip(j).step_by(rank).any(|&x| x != 0.0)
        };
        let kept: Vec<usize> = (0..rank).filter(alive).collect();
        let row = |&j: &usize| a[j * inputs..][..inputs].iter().copied();
        Factors {
            rank: kept.len(),
            a: kept.iter().flat_map(row).collect(),
            b: (0..outputs)
                .flat_map(|i| kept.iter().map(move |j| (i, j)))
                .map(|(i, j)| b[i * rank + j])
                .collect(),
            inputs,
            outputs,
        }
    }

    /// Columns of `B`, and rows of `A`.
    pub(super) fn columns(&self) -> (Columns, Columns) {
        let column = |j: usize| {
            let values = self.b.iter().skip(j).step_by(self.rank);
            values.map(|&x| f64::from(x)).collect()
        };
        let row = |j: usize| {
            let values = &self.a[j * self.inputs..][..self.inputs];
            values.iter().map(|&x| f64::from(x)).collect()
        };
        (
            (0..self.rank).map(column).collect(),
            (0..self.rank).map(row).collect(),
        )
    }

    /// Other factors of the smallest rank whose product is within `tolerance` of this one, relative in Frobenius norm; none if that is
    /// this rank. What belongs to a singular value is shared evenly between both.
    ///
    /// `B A = Qb (Rb Raᵀ) Qaᵀ` with orthonormal `Q`, so that the singular values are those of the small matrix in the middle, and the best
    /// of each rank is a start of them (Eckart and Young 1936).
    pub fn refactored(&self, tolerance: f64) -> Option<Self> {
        let (b, a) = self.columns();
        let ((qb, rb), (qa, ra)) = (svd::qr(&b), svd::qr(&a));
        let found = svd::singular(&svd::outer(&rb, &ra));
        let all: f64 = found.iter().map(|s| s.value * s.value).sum();
        let nothing = NOTHING * svd::frobenius(&rb) * svd::frobenius(&ra);
        let within = (tolerance.max(ROUNDING) * all.sqrt()).max(nothing).powi(2);
        let (mut rank, mut left_out) = (found.len(), 0.0);
        while rank > 0 && left_out + found[rank - 1].value.powi(2) <= within {
            rank -= 1;
            left_out += found[rank].value.powi(2);
        }
        if rank == self.rank {
            return None;
        }
        let found = &found[..rank];
        let part = |of: fn(&svd::Singular) -> &Vec<f64>| {
            let scaled = |s: &svd::Singular| {
                let root = s.value.sqrt();
                of(s).iter().map(|x| root * x).collect()
            };
            found.iter().map(scaled).collect::<Columns>()
        };
        let b = svd::product(&qb, &part(|s| &s.left));
        let a = svd::product(&qa, &part(|s| &s.right));
        let mut flat_b = vec![0.0; self.outputs * rank];
        for (j, column) in b.iter().enumerate() {
            for (i, &x) in column.iter().enumerate() {
                flat_b[i * rank + j] = x as f32;
            }
        }
        Some(Factors {
            a: a.iter().flatten().map(|&x| x as f32).collect(),
            b: flat_b,
            rank,
            ..*self
        })
    }

    /// How far another product is from this one, relative in Frobenius norm; 0 if both are nothing.
    pub fn error_of(&self, other: &Factors) -> f64 {
        if self == other {
            return 0.0;
        }
        let ((mut b, mut a), (other_b, other_a)) = (self.columns(), other.columns());
        let norm = product_norm(&b, &a);
        b.extend(other_b.into_iter().map(|mut column| {
            column.iter_mut().for_each(|x| *x = -*x);
            column
        }));
        a.extend(other_a);
        match product_norm(&b, &a) / norm {
            share if share.is_nan() => 0.0,
            share => share,
        }
    }
}

/// Frobenius norm of `B A`.
fn product_norm(b: &Columns, a: &Columns) -> f64 {
    svd::frobenius(&svd::outer(&svd::qr(b).1, &svd::qr(a).1))
}
