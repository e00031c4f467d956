//! Integration tests, one binary.
#![allow(missing_docs, clippy::unwrap_used)]

mod corpus;
mod factory;
