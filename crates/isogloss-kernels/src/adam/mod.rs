//! The optimiser's arithmetic.

pub mod reference;
