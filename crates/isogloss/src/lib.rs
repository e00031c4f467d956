//! Language-specific low-rank adaptation of multilingual translation models.
//!
//! The modules stand in the order in which the data goes through them, and import along it only:
//!
//! corpus -> tokenize -> batch -> model (frozen base + language-specific updates) -> loss -> optimiser -> prune -> checkpoint
//!
//! and from a checkpoint: decode -> evaluate -> report -> serve.
//!
//! [`rollout`] decides by scores what serves each direction. [`graph`] says what a model consists of, so that [`adapter`] and [`model`] need not know each other's insides: the model
//! reads the updates, never the other way round. [`config`] describes runs, [`train`] puts them together from all of the above.
//! A module imports only what is declared above it here; a test sees to it.
//!
//! # Shapes
//! `N` tokens in a packed batch, `B` sentences, `S`/`T` source/target length, `D` model width, `F` feed-forward width,
//! `H` heads, `R` rank, `V` vocabulary, `L` layers, `K` languages. A linear weight is `(out, in)`, row-major.

mod decimal;
pub mod files;
mod hash;
pub mod language;
pub mod memory;
mod unique;

pub mod corpus;
pub mod tokenize;

pub mod batch;

pub mod params;

pub mod graph;

pub mod adapter;

pub mod model;

pub mod optim;

pub mod prune;

pub mod checkpoint;

pub mod decode;

pub mod evaluate;

pub mod rollout;

pub mod report;

pub mod config;

pub mod plan;

pub mod train;

pub mod compare;

pub mod pilot;

pub mod bench;
