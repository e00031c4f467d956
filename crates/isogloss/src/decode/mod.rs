//! Translation: greedy and beam search over a model with language-specific updates.
//!
//! [`Translator`] takes requests as ids, of any mix of directions, and gives the n best hypotheses of each in the order of the
//! requests; [`TextTranslator`] does the same with lines of text. The search equals that of `generate` in transformers 5
//! (`_beam_search` and `_sample` without sampling, in `generation/utils.py`), with `early_stopping=False` and the target's language
//! tag forced. Sentences enter and leave one by one, each at its own piece, and a sentence's result doesn't depend on what else is
//! translated with it.

mod active;
mod candidates;
mod error;
mod generate;
mod heads;
mod loaded;
mod options;
mod pool;
mod search;
mod sources;
mod split;
mod text;
mod translator;
mod vocabulary;
mod work;

pub use error::DecodeError;
pub use heads::Heads;
pub use loaded::{LoadError, Loaded};
pub use options::{DecodeOptions, MaxLength};
pub use text::{Line, LongLines, MissingUpdates, TextOptions, TextTranslator, Translation};
pub use translator::{Hypothesis, Progress, Request, Translator};
pub use vocabulary::{Coverage, Vocabularies, Vocabulary, VocabularyError, VocabularyUse};
