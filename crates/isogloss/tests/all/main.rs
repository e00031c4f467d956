//! Integration tests, one binary.
#![allow(missing_docs)]

mod corpus;
mod factory;
