//! Integration tests of the library, in one binary.
#![allow(clippy::unwrap_used, missing_docs)]

mod breakdowns;
mod checkpoint;
mod compaction;
mod comparison;
mod corpus;
mod damage;
mod decoding;
mod determinism;
mod extending;
mod factory;
mod golden;
mod gradients;
mod modules;
mod parity;
mod parsers;
mod planted;
mod prefix;
mod pruning;
mod report;
mod resampling;
mod rounded;
mod scores;
mod tiny;
mod training;
mod translating_text;
