//! Parallel text: reading, alignment, filtering, sampling.
//!
//! ```text
//! files --read--> rows --load--> Corpus --filter--> Corpus --sample--> (direction, pair) of an epoch
//! ```
//!
//! A [`Corpus`] holds each distinct text once, and its pairs as two indices; the directions of a multi-parallel text thus
//! cost 8 bytes a pair of languages and row, whatever the text is.

mod blank;
mod config;
mod error;
mod expand;
mod filter;
mod folder;
mod load;
#[cfg(test)]
mod logged;
mod near_copy;
mod overlap;
mod read;
mod rows;
mod sample;
mod store;

pub use config::{
    Aligned, DataConfig, DirectionFilter, Jsonl, OneOrMany, Separator, TsvMulti, TsvPair, TsvRows,
};
pub use error::CorpusError;
pub use filter::{FilterConfig, FilterError, FilterReport, FilterRow, Reason};
pub use folder::{folder, languages_of_folder, places_in_folder};
pub use near_copy::{Nearest, NgramProfile, nearest_copies};
pub use read::{Lines, MAX_LINE_BYTES, clean_text};
pub use rows::Rows;
pub use sample::{PivotShare, Sample, SampleConfig, SampleError, Sampler};
pub use store::Corpus;
