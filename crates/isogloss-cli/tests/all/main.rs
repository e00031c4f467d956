//! Tests of the program as its users run it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod adapters;
mod adding;
#[cfg(unix)]
mod bench;
mod compare;
mod comparison;
mod config;
mod demo;
mod disk;
mod evaluate;
mod examples;
mod explore;
#[cfg(target_os = "linux")]
mod memory;
mod model;
mod pilot;
mod pretrain;
mod report;
mod rollout;
mod score;
mod tiny;
mod train;
mod train_input;
mod trained_directions;
mod translate;
mod vocabulary;
mod workshop;
