//! Tests of the program as its users run it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod pretrain;
mod score;
mod train;
mod translate;
mod workshop;
