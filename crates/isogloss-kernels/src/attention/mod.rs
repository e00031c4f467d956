//! Multi-head attention over packed sentences, forward and backward.

pub mod reference;
