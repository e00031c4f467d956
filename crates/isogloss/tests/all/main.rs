//! Tests of the library as its users see it.

// The helpers of tests unwrap as well.
#![allow(clippy::unwrap_used)]

mod checkpoint;
