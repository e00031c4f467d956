//! The pieces that a language uses, learnt from text, so that translation into it need not compute the others.

mod file;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use crate::language::Language;
use crate::tokenize::Tokenizer;

pub use file::VocabularyError;

/// The largest share of held-out pieces outside of a vocabulary with which [`VocabularyUse::Auto`] takes it: one in a thousand.
const MAX_OUTSIDE: f64 = 0.001;

/// Which output vocabularies are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum VocabularyUse {
    /// All pieces.
    #[default]
    Full,
    /// What was learnt, where at most one in a thousand pieces of the held-out text lies outside.
    Auto,
    /// What was learnt, wherever something was.
    Learnt,
}

/// The output vocabularies of some target languages; others have all pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabularies {
    /// By language.
    pub by_language: BTreeMap<Language, Vocabulary>,
}

/// The pieces that translations into a language are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    /// Ascending.
    ids: Vec<u32>,
    held_out: Coverage,
}

/// How much of a text a vocabulary holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Pieces of the text; 0 if nothing was measured.
    pub pieces: usize,
    /// How many of them are outside of the vocabulary.
    pub outside: usize,
}

impl Coverage {
    /// The share of the pieces that is outside, 0 to 1; none if nothing was measured.
    #[must_use]
    pub fn share_outside(self) -> Option<f64> {
        (self.pieces > 0).then(|| self.outside as f64 / self.pieces as f64)
    }
}

impl Vocabulary {
    /// Learns a language's vocabulary from its text: all pieces of `text`, `</s>`, and what any name or number can be spelled with:
    /// single characters of the language's script, Latin ones, digits, punctuation, bytes. `held_out` is text that it was not learnt
    /// from, to see how much lies outside; it may be empty.
    #[must_use]
    pub fn learn<'t>(
        tokenizer: &Tokenizer,
        language: &Language,
        text: impl IntoIterator<Item = &'t str>,
        held_out: impl IntoIterator<Item = &'t str>,
    ) -> Self {
        let size = tokenizer.vocab_size() as u32;
        let mut there: Vec<bool> = (0..size)
            .map(|id| {
                let piece = tokenizer.piece(id).unwrap_or_default();
                id == tokenizer.eos() || text::spells(piece, language)
            })
            .collect();
        for text in text {
            for id in tokenizer.encode(text) {
                there[id as usize] = true;
            }
        }
        let ids = (0..size).filter(|&id| there[id as usize]).collect();
        let mut learnt = Vocabulary {
            ids,
            held_out: Coverage::default(),
        };
        learnt.held_out = learnt.coverage(tokenizer, held_out);
        learnt
    }

    /// How much of a text's pieces it holds.
    #[must_use]
    pub fn coverage<'t>(
        &self,
        tokenizer: &Tokenizer,
        text: impl IntoIterator<Item = &'t str>,
    ) -> Coverage {
        let mut coverage = Coverage::default();
        for text in text {
            let ids = tokenizer.encode(text);
            coverage.pieces += ids.len();
            coverage.outside += ids.iter().filter(|&&id| !self.contains(id)).count();
        }
        coverage
    }

    /// The ids, ascending.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Whether a piece is in it.
    #[must_use]
    pub fn contains(&self, id: u32) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// How much it holds of text that it was not learnt from, as it was measured when it was learnt.
    #[must_use]
    pub fn held_out(&self) -> Coverage {
        self.held_out
    }

    /// Whether translation takes it.
    #[must_use]
    pub fn serves(&self, using: VocabularyUse) -> bool {
        match using {
            VocabularyUse::Full => false,
            VocabularyUse::Auto => {
                let outside = self.held_out.share_outside();
                outside.is_some_and(|share| share <= MAX_OUTSIDE)
            }
            VocabularyUse::Learnt => true,
        }
    }
}
