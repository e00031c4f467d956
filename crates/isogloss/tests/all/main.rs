//! Integration tests of the library, in one binary.
#![allow(clippy::unwrap_used, missing_docs)]

mod decoding;
mod golden;
mod parity;
