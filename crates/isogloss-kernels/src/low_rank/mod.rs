//! Low-rank updates of rows: all terms of a site in one operation, each with its own rows and factors.

pub(crate) mod fast;
pub(crate) mod kept;
#[cfg(target_arch = "x86_64")]
mod kept512;
mod plan;
pub mod reference;
#[cfg(target_arch = "x86_64")]
mod thin;

use std::ops::Range;

use smallvec::SmallVec;

use crate::matmul::Mat;
use crate::real::Real;

pub use kept::KeptFactors;

/// A low-rank update that acts on some rows: `y[output] += scale * B A x[input]`.
///
/// Factors, and their gradients, are named by where they start in a flat array of parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct LowRankTerm {
    /// The rows that it acts on.
    pub rows: Range<usize>,
    /// Where `A`, `(rank, input.len())`, starts.
    pub a: usize,
    /// Where `B`, `(output.len(), rank)`, starts.
    pub b: usize,
    /// Rows of `A` and columns of `B`.
    pub rank: usize,
    /// Factor of the update.
    pub scale: f32,
    /// The columns of `x` that it reads.
    pub input: Range<usize>,
    /// The columns of `y` that it adds to.
    pub output: Range<usize>,
}

/// What is to be done at a site, on the stack where it is short: a step then allocates nothing.
pub(crate) type List<T> = SmallVec<[T; 32]>;

/// The parameters that hold the factors of updates.
#[derive(Debug, Clone, Copy)]
pub struct Factors<'a, R> {
    /// All of them, flat.
    pub parameters: &'a [R],
    /// The same prepared ahead, if they were.
    pub kept: Option<&'a KeptFactors>,
}

impl<'a, R> From<&'a [R]> for Factors<'a, R> {
    fn from(parameters: &'a [R]) -> Self {
        Factors {
            parameters,
            kept: None,
        }
    }
}

impl LowRankTerm {
    /// Whether its factors hold nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.rank == 0 || self.input.is_empty() || self.output.is_empty()
    }

    /// Where `A` lies in the parameters.
    pub(crate) fn a_range(&self) -> Range<usize> {
        self.a..self.a + self.rank * self.input.len()
    }

    /// Where `B` lies in the parameters.
    pub(crate) fn b_range(&self) -> Range<usize> {
        self.b..self.b + self.output.len() * self.rank
    }

    /// `A` of these parameters.
    pub(crate) fn a_of<'a, R: Real>(&self, parameters: &'a [R]) -> Mat<'a, R> {
        Mat::new(&parameters[self.a_range()], self.rank, self.input.len())
    }

    /// `B` of these parameters.
    pub(crate) fn b_of<'a, R: Real>(&self, parameters: &'a [R]) -> Mat<'a, R> {
        Mat::new(&parameters[self.b_range()], self.output.len(), self.rank)
    }
}
