use crate::language::{Direction, LanguageSide};
use crate::tokenize::TokenizeError;

/// Why something can't be translated. Sentences are counted from 1: requests, or lines where text is translated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Options that contradict each other or lie out of range.
    #[error("{option} is {got}: {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        got: String,
        /// What it must be.
        expected: String,
    },
    /// A source has more tokens than the model has positions.
    #[error(
        "sentence {sentence} has {tokens} tokens, but the model has {positions} positions; split it"
    )]
    TooLong {
        /// Which sentence.
        sentence: usize,
        /// Its tokens, language tag and `</s>` included.
        tokens: usize,
        /// Positions of the model.
        positions: usize,
    },
    /// An id is not in the vocabulary, so the tokenizer is another model's.
    #[error(
        "sentence {sentence}: id {id} is outside the vocabulary of {vocabulary}; do tokenizer and model belong together?"
    )]
    UnknownId {
        /// Which sentence.
        sentence: usize,
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
    /// A target tag that would end or void the translation.
    #[error("sentence {sentence}: id {id} is no language tag")]
    NoTag {
        /// Which sentence.
        sentence: usize,
        /// The id.
        id: u32,
    },
    /// A logit is infinite or not a number: weights or updates are broken.
    #[error(
        "sentence {sentence}: a logit of piece {piece} is not finite; the model's or the updates' weights are broken"
    )]
    NotFinite {
        /// Which sentence.
        sentence: usize,
        /// Which piece of the translation, counted from 1 after the language tag.
        piece: usize,
    },
    /// An output vocabulary of another model.
    #[error(
        "an output vocabulary holds the id {id}, but the model has {vocabulary} pieces; is it another model's?"
    )]
    Vocabulary {
        /// The id.
        id: u32,
        /// Size of the model's vocabulary.
        vocabulary: usize,
    },
    /// A language of a direction has no update, and the base alone was not asked for.
    #[error(
        "the adapters hold no {} updates for {language}; train them, or translate with the base alone",
        match side { LanguageSide::Source => "source-side", LanguageSide::Target => "target-side" }
    )]
    NoUpdate {
        /// The language.
        language: String,
        /// Which language of the direction it is.
        side: LanguageSide,
    },
    /// Both languages of a direction have updates, but the adapters were not trained in it.
    #[error(
        "the adapters were not trained in {direction}: what the updates of its languages do together is unknown; train the \
         direction, translate with the base alone, or combine the updates"
    )]
    NotTrained {
        /// The direction.
        direction: Direction,
    },
    /// Lines have more tokens than the model has positions, and they may not be split.
    #[error(
        "{} too long for the model's {positions} positions: {}; let them be split, or shorten them",
        match lines.len() { 1 => "1 line is".to_owned(), n => format!("{n} lines are") },
        first_of(lines)
    )]
    LongLines {
        /// Which, from 1.
        lines: Vec<usize>,
        /// Positions of the model.
        positions: usize,
    },
    /// The tokenizer has no such language, or isn't the model's.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
}

/// The first few of a list, for a message.
fn first_of(lines: &[usize]) -> String {
    const SHOWN: usize = 10;
    let numbers: Vec<String> = lines.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = match lines.len() > SHOWN {
        true => ", ...",
        false => "",
    };
    numbers.join(", ") + more
}

impl DecodeError {
    /// The same with each sentence's number replaced, for a caller that translates some of its sentences at a time.
    #[must_use]
    pub fn renumbered(mut self, number: impl Fn(usize) -> usize) -> Self {
        match &mut self {
            DecodeError::TooLong { sentence, .. }
            | DecodeError::UnknownId { sentence, .. }
            | DecodeError::NoTag { sentence, .. }
            | DecodeError::NotFinite { sentence, .. } => *sentence = number(*sentence),
            _ => {}
        }
        self
    }
}
