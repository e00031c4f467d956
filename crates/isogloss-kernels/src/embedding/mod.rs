//! Embedding of tokens and positions.

pub(crate) mod fast;
pub mod reference;
