//! Layer norm, forward and backward.

pub mod reference;
