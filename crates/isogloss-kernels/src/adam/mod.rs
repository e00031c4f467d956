//! The optimiser's arithmetic.

pub(crate) mod fast;
pub mod reference;
