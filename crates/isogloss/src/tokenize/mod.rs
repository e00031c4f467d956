//! Text to piece ids and back, in the layout of each model family.

pub mod sentencepiece;
