//! Training a vocabulary for a model of one's own: byte-pair encoding over words counted by language.
//!
//! BPE and not unigram, because the result is stored in NLLB's layout, and transformers' `NllbTokenizer` cuts by merges
//! whatever the model file says: with BPE both give the same ids. The merges are learned on counts of words, so that the
//! time depends on the number of different words and a language's weight is a factor, not a sample of its lines.

mod merges;
mod words;

use std::collections::{BTreeMap, HashMap};

use super::TokenizeError;
use super::sentencepiece::charsmap;
use super::sentencepiece::{Algorithm, ModelProto, NormalizerSpec, Piece, PieceKind, SPACE};
use crate::language::Language;

/// How to train a vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct VocabularyOptions {
    /// Pieces in the model, `<unk>`, `<s>`, `</s>` included; fewer if the text has nothing left to merge. Default 16,000.
    pub vocab_size: usize,
    /// The share of all characters (by weighted count) that get a piece; the rarest beyond it become `<unk>`. From 0.9 to 1;
    /// default 0.9998, since a corpus with Han characters has a long tail.
    pub character_coverage: f64,
    /// Spell characters without a piece in 256 byte pieces. Default false: `NllbTokenizer` does not use them.
    pub byte_fallback: bool,
    /// A language with a share `p` of the words weighs as `p^(1 / temperature)`. From 1 (as counted); default 3.3, as
    /// NLLB's (NLLB Team 2022, section 8.1).
    pub temperature: f64,
    /// The longest piece in characters. Default 16, as SentencePiece's.
    pub max_piece_chars: usize,
}

impl Default for VocabularyOptions {
    fn default() -> Self {
        VocabularyOptions {
            vocab_size: 16_000,
            character_coverage: 0.9998,
            byte_fallback: false,
            temperature: 3.3,
            max_piece_chars: 16,
        }
    }
}

impl VocabularyOptions {
    fn check(&self) -> Result<(), TokenizeError> {
        let reason = if !(0.9..=1.0).contains(&self.character_coverage) {
            format!("character_coverage is {}, expected 0.9 to 1", self.character_coverage)
        } else if !(self.temperature >= 1.0 && self.temperature.is_finite()) {
            format!("temperature is {}, expected 1 or more", self.temperature)
        } else if self.max_piece_chars < 2 {
            format!("max_piece_chars is {}, expected 2 or more", self.max_piece_chars)
        } else if self.vocab_size > 1 << 22 {
            format!("vocab_size is {}, expected at most {}", self.vocab_size, 1 << 22)
        } else {
            return Ok(());
        };
        Err(TokenizeError::Train { reason })
    }
}

/// Trains a vocabulary on lines of text with their languages and returns a serialised SentencePiece model. The same lines
/// give the same bytes.
///
/// # Errors
/// [`TokenizeError::Train`] if an option is out of range, there is no text, or `vocab_size` has no room for the characters.
pub fn train_vocabulary<S: AsRef<str>>(
    lines: impl IntoIterator<Item = (Language, S)>,
    options: &VocabularyOptions,
) -> Result<Vec<u8>, TokenizeError> {
    options.check()?;
    let mut counts: BTreeMap<Language, HashMap<String, u64>> = BTreeMap::new();
    for (language, line) in lines {
        let words = counts.entry(language).or_default();
        words::for_each_word(&charsmap::clean(line.as_ref()), &mut |word| {
            match words.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    words.insert(word.to_owned(), 1);
                }
            }
        });
    }
    let words = weigh(counts, options.temperature);
    if words.is_empty() {
        return Err(TokenizeError::Train { reason: "there is no text".into() });
    }
    let alphabet = alphabet(&words, options.character_coverage);
    let first = 3 + if options.byte_fallback { 256 } else { 0 };
    let room = options.vocab_size.checked_sub(first + alphabet.len()).ok_or_else(|| TokenizeError::Train {
        reason: format!(
            "vocab_size {} has no room for {} characters and {first} marks and bytes; raise it or lower \
             character_coverage ({})",
            options.vocab_size,
            alphabet.len(),
            options.character_coverage
        ),
    })?;
    let merged = merges::learn(&words, &alphabet, room, options.max_piece_chars);
    to_model(&alphabet, merged, options).map(|model| model.to_bytes())
}

/// Word counts over all languages, each language's multiplied so that its share becomes `p^(1 / temperature)`; sorted.
fn weigh(counts: BTreeMap<Language, HashMap<String, u64>>, temperature: f64) -> Vec<(String, u64)> {
    /// Keeps the digits of a factor below one.
    const SCALE: f64 = 1024.0;
    let mass = |words: &HashMap<String, u64>| words.values().sum::<u64>() as f64;
    let total: f64 = counts.values().map(mass).sum();
    let heated: f64 = counts.values().map(|words| (mass(words) / total).powf(1.0 / temperature)).sum();
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for words in counts.into_values() {
        let share = mass(&words) / total;
        let factor = share.powf(1.0 / temperature) / heated / share;
        for (word, count) in words {
            *all.entry(word).or_default() += ((count as f64 * factor * SCALE).round() as u64).max(1);
        }
    }
    all.into_iter().collect()
}

/// The characters that get a piece, the most frequent first.
fn alphabet(words: &[(String, u64)], coverage: f64) -> Vec<char> {
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    for (word, weight) in words {
        for c in word.chars() {
            *counts.entry(c).or_default() += weight;
        }
    }
    let mut sorted: Vec<(char, u64)> = counts.into_iter().collect();
    sorted.sort_by_key(|(c, count)| (std::cmp::Reverse(*count), *c));
    let total: u64 = sorted.iter().map(|(_, count)| count).sum();
    let mut covered = 0u64;
    let mut kept = Vec::new();
    for (c, count) in sorted {
        if covered as f64 >= total as f64 * coverage {
            break;
        }
        covered += count;
        // A NUL cannot be in a piece.
        if c != '\0' {
            kept.push(c);
        }
    }
    kept
}

/// Marks, bytes, merges in the order they were learned, characters: SentencePiece's own order for BPE.
fn to_model(alphabet: &[char], merged: Vec<String>, options: &VocabularyOptions) -> Result<ModelProto, TokenizeError> {
    let mark = |text: &str, kind| Piece { text: text.into(), score: 0.0, kind };
    let mut pieces = vec![
        mark("<unk>", PieceKind::Unknown),
        mark("<s>", PieceKind::Control),
        mark("</s>", PieceKind::Control),
    ];
    if options.byte_fallback {
        pieces.extend((0..=255u8).map(|byte| mark(&format!("<0x{byte:02X}>"), PieceKind::Byte)));
    }
    let texts = merged.into_iter().chain(alphabet.iter().map(char::to_string));
    pieces.extend(texts.enumerate().map(|(rank, text)| Piece {
        text,
        // Exact below 2^24.
        score: -(rank as f32),
        kind: PieceKind::Normal,
    }));
    let rules = charsmap::compile_nfkc()
        .map_err(|e| TokenizeError::Train { reason: format!("the normalisation rules do not compile: {e}") })?;
    debug_assert!(pieces.iter().any(|p| p.text == SPACE));
    Ok(ModelProto {
        pieces,
        algorithm: Algorithm::Bpe,
        byte_fallback: options.byte_fallback,
        normalizer: NormalizerSpec {
            name: "nfkc_keep_joiners".into(),
            precompiled_charsmap: rules,
            ..NormalizerSpec::default()
        },
        ..ModelProto::default()
    })
}
