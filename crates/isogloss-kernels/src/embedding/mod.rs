//! Embedding of tokens and positions.

pub mod reference;
