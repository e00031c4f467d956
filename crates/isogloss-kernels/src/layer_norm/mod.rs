//! Layer norm, forward and backward.

pub(crate) mod fast;
pub mod reference;
