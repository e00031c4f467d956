//! Multi-head attention over packed sentences, forward and backward, and over rows that decoding keeps.

pub(crate) mod cached;
#[cfg(target_arch = "x86_64")]
mod cached512;
pub(crate) mod fast;
pub mod reference;
mod task;
