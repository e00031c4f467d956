//! Integration tests of the library, in one binary.
#![allow(clippy::unwrap_used, missing_docs)]

mod checkpoint;
mod corpus;
mod decoding;
mod factory;
mod golden;
mod parity;
mod scores;
mod translating_text;
