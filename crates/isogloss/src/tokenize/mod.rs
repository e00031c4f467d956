//! Text to piece ids and back, in the layout of each model family.
//!
//! [`Tokenizer::open`] reads a model folder; [`train_vocabulary`] and [`write_folder`] make one. The algorithm beneath is in
//! [`sentencepiece`].

mod codes;
mod error;
mod open;
pub mod sentencepiece;
#[cfg(test)]
mod tests;
mod tokenizer;
mod tokenizer_json;
mod train;
mod write;

pub use error::TokenizeError;
pub use tokenizer::{Family, Marks, Tokenizer};
pub use train::{VocabularyOptions, train_vocabulary};
pub use write::write_folder;
