//! Integration tests of the library, in one binary.
#![allow(clippy::unwrap_used, missing_docs)]

mod checkpoint;
mod corpus;
mod decoding;
mod determinism;
mod factory;
mod golden;
mod gradients;
mod parity;
mod rounded;
mod scores;
mod tiny;
mod training;
mod translating_text;
