//! Multi-head attention over packed sentences, forward and backward.

pub(crate) mod fast;
pub mod reference;
mod task;
