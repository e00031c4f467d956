//! Text to piece ids and back, in the layout of each model family.
//!
//! [`Tokenizer::open`] reads a model folder; [`sentencepiece`] is the algorithm beneath.

mod codes;
mod error;
mod open;
pub mod sentencepiece;
mod tokenizer;
mod tokenizer_json;

pub use error::TokenizeError;
pub use tokenizer::{Family, Marks, Tokenizer};
