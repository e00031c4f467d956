//! One tokenizer for all model families: pieces from SentencePiece, ids in the order of the model's embedding.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::TokenizeError;
use super::sentencepiece::{Item, SentencePiece};
use crate::language::Language;

/// More rows than this beyond the ids' need is no padding but another model's embedding.
const MAX_SPARE_ROWS: usize = 1024;

/// Whose layout of ids and tags a tokenizer follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// M2M-100 as transformers stores it: `vocab.json`, tags `__xx__` after it.
    M2m100,
    /// NLLB-200, and models pre-trained here: SentencePiece ids moved by one, tags after them.
    Nllb,
    /// fairseq's M2M-124: `dict.txt`, with most tags in it.
    Fairseq,
}

/// The marks that every family has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Start of a sentence; no sequence here uses it.
    pub bos: u32,
    /// Padding.
    pub pad: u32,
    /// End of a sentence, and what the decoder starts from.
    pub eos: u32,
    /// Anything outside the vocabulary.
    pub unk: u32,
}

impl Marks {
    /// The ids that fairseq gave them and every family kept.
    pub const FAIRSEQ: Marks = Marks {
        bos: 0,
        pad: 1,
        eos: 2,
        unk: 3,
    };
}

/// What an id stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A piece of the SentencePiece model.
    Piece(u32),
    /// A text from the model's dictionary that is no piece.
    Text(String),
    /// A mark or language tag, left out when decoding.
    Special(String),
}

/// What a family's files boil down to.
#[derive(Debug)]
pub(super) struct Parts {
    pub family: Family,
    pub pieces: SentencePiece,
    /// By id; `None` for a row that nothing uses.
    pub tokens: Vec<Option<Token>>,
    pub marks: Marks,
    /// Model codes (`en`, `eng_Latn`) with the ids of their tags, in the model's order.
    pub tags: Vec<(String, u32)>,
    /// Tag after `</s>`, as NLLB had it before April 2023.
    pub tag_at_end: bool,
}

/// Text to ids and back for one model. Cheap to clone; shared between threads.
///
/// Marks and tags that occur in the text itself are ordinary text here: a sentence cannot smuggle in a `</s>`.
#[derive(Debug, Clone)]
pub struct Tokenizer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    family: Family,
    pieces: SentencePiece,
    tokens: Vec<Option<Token>>,
    marks: Marks,
    /// SentencePiece id to model id.
    from_piece: Vec<u32>,
    /// Texts that the dictionary has beyond the pieces.
    from_text: HashMap<String, u32>,
    languages: Vec<Language>,
    tags: HashMap<Language, u32>,
    unmapped: Vec<String>,
    tag_at_end: bool,
}

impl Tokenizer {
    /// Opens the tokenizer of a model folder. Which family it is shows in its files: `dict.txt` is fairseq's, `vocab.json`
    /// M2M-100's, and a SentencePiece model alone (or only a `tokenizer.json`) NLLB's.
    ///
    /// # Errors
    /// [`TokenizeError`], naming the file and what is wrong in it.
    pub fn open(dir: &Path) -> Result<Self, TokenizeError> {
        super::open::open(dir).map(Self::from_parts)
    }

    pub(super) fn from_parts(parts: Parts) -> Self {
        let mut from_piece = vec![parts.marks.unk; parts.pieces.len()];
        let mut from_text = HashMap::new();
        for (token, id) in parts.tokens.iter().zip(0u32..) {
            match token {
                Some(Token::Piece(piece)) => {
                    if let Some(slot) = from_piece.get_mut(*piece as usize) {
                        *slot = id;
                    }
                }
                Some(Token::Text(text)) => {
                    from_text.insert(text.clone(), id);
                }
                _ => {}
            }
        }
        let (mut languages, mut tags, mut unmapped) = (Vec::new(), HashMap::new(), Vec::new());
        for (code, id) in parts.tags {
            match code.parse::<Language>() {
                // Two codes for one language: the first tag stays.
                Ok(language) if tags.contains_key(&language) => {}
                Ok(language) => {
                    tags.insert(language.clone(), id);
                    languages.push(language);
                }
                Err(_) => unmapped.push(code),
            }
        }
        Tokenizer(Arc::new(Inner {
            family: parts.family,
            pieces: parts.pieces,
            tokens: parts.tokens,
            marks: parts.marks,
            from_piece,
            from_text,
            languages,
            tags,
            unmapped,
            tag_at_end: parts.tag_at_end,
        }))
    }

    /// Whose layout this is.
    #[must_use]
    pub fn family(&self) -> Family {
        self.0.family
    }

    /// The model that cuts the text.
    #[must_use]
    pub fn sentencepiece(&self) -> &SentencePiece {
        &self.0.pieces
    }

    /// The ids of the text's pieces, without tag and `</s>`.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.encode_into(text, &mut ids);
        ids
    }

    fn encode_into(&self, text: &str, ids: &mut Vec<u32>) {
        let inner = &*self.0;
        let unknown = inner.pieces.unknown();
        let id_of = |piece: u32| {
            inner
                .from_piece
                .get(piece as usize)
                .copied()
                .unwrap_or(inner.marks.unk)
        };
        if inner.from_text.is_empty() {
            ids.extend(inner.pieces.encode(text).into_iter().map(id_of));
            return;
        }
        // A dictionary counted on segmented text also holds characters that SentencePiece itself does not know.
        for (surface, piece) in inner.pieces.segment(text).iter() {
            let known = if piece == unknown {
                inner.from_text.get(&*surface).copied()
            } else {
                None
            };
            ids.push(known.unwrap_or_else(|| id_of(piece)));
        }
    }

    /// The text of the ids. Marks, tags and ids outside the vocabulary are left out; `<unk>` becomes ` ⁇ `.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        let inner = &*self.0;
        let items = ids.iter().filter_map(|&id| {
            if id == inner.marks.unk {
                return Some(Item::Id(inner.pieces.unknown()));
            }
            match inner.tokens.get(id as usize)?.as_ref()? {
                Token::Piece(piece) => Some(Item::Id(*piece)),
                Token::Text(text) => Some(Item::Text(text)),
                Token::Special(_) => None,
            }
        });
        inner.pieces.decode_items(items)
    }

    /// The piece, mark or tag of an id, as the model's files write it.
    #[must_use]
    pub fn piece(&self, id: u32) -> Option<&str> {
        match self.0.tokens.get(id as usize)?.as_ref()? {
            Token::Piece(piece) => self
                .0
                .pieces
                .pieces()
                .get(*piece as usize)
                .map(|p| p.text.as_str()),
            Token::Text(text) | Token::Special(text) => Some(text),
        }
    }

    /// Whether some of the text is outside the vocabulary.
    #[must_use]
    pub fn has_unk(&self, text: &str) -> bool {
        self.encode(text).contains(&self.0.marks.unk)
    }

    /// The id of a language's tag.
    ///
    /// # Errors
    /// [`TokenizeError::UnknownLanguage`] with the codes most like it.
    pub fn language_id(&self, language: &Language) -> Result<u32, TokenizeError> {
        self.0
            .tags
            .get(language)
            .copied()
            .ok_or_else(|| TokenizeError::UnknownLanguage {
                language: language.code().to_owned(),
                near: near(language.code(), &self.0.languages),
                count: self.0.languages.len(),
                unmapped: self.0.unmapped.clone(),
            })
    }

    /// The languages that have a tag, in the model's order.
    #[must_use]
    pub fn languages(&self) -> &[Language] {
        &self.0.languages
    }

    /// The rows that the embedding needs: one more than the highest id of a piece, mark or tag. Published embeddings have a
    /// few more, which nothing uses (M2M-100: 8).
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.0.tokens.len()
    }

    /// Checks that an embedding of `rows` rows is this tokenizer's; a few unused rows are fine.
    ///
    /// # Errors
    /// [`TokenizeError::Rows`] if ids lack a row, or if more rows are left over than any padding explains.
    pub fn check_rows(&self, rows: usize) -> Result<(), TokenizeError> {
        let needed = self.vocab_size();
        if (needed..=needed + MAX_SPARE_ROWS).contains(&rows) {
            Ok(())
        } else {
            Err(TokenizeError::Rows { needed, rows })
        }
    }

    /// What the encoder reads: `[tag] X </s>`, or `X </s> [tag]` in the legacy layout of NLLB.
    ///
    /// # Errors
    /// [`TokenizeError::UnknownLanguage`].
    pub fn source_ids(&self, text: &str, language: &Language) -> Result<Vec<u32>, TokenizeError> {
        let tag = self.language_id(language)?;
        let mut ids = Vec::with_capacity(text.len() / 3 + 3);
        if !self.0.tag_at_end {
            ids.push(tag);
        }
        self.encode_into(text, &mut ids);
        ids.push(self.0.marks.eos);
        if self.0.tag_at_end {
            ids.push(tag);
        }
        Ok(ids)
    }

    /// What the decoder should say, in the layout of [`Tokenizer::source_ids`]. Its input is the same, moved by one, after
    /// `</s>`.
    ///
    /// # Errors
    /// [`TokenizeError::UnknownLanguage`].
    pub fn target_ids(&self, text: &str, language: &Language) -> Result<Vec<u32>, TokenizeError> {
        self.source_ids(text, language)
    }

    /// Whether the tag follows `</s>` (legacy layout of NLLB).
    #[must_use]
    pub fn tag_at_end(&self) -> bool {
        self.0.tag_at_end
    }

    /// The marks' ids.
    #[must_use]
    pub fn marks(&self) -> Marks {
        self.0.marks
    }

    /// The id of `<s>`.
    #[must_use]
    pub fn bos(&self) -> u32 {
        self.0.marks.bos
    }

    /// The id of `<pad>`.
    #[must_use]
    pub fn pad(&self) -> u32 {
        self.0.marks.pad
    }

    /// The id of `</s>`.
    #[must_use]
    pub fn eos(&self) -> u32 {
        self.0.marks.eos
    }

    /// The id of `<unk>`.
    #[must_use]
    pub fn unk(&self) -> u32 {
        self.0.marks.unk
    }
}

/// Up to eight codes most like `code`: the same language in another script first, then by spelling. Of a model with few
/// languages all.
fn near(code: &str, languages: &[Language]) -> Vec<String> {
    const FEW: usize = 8;
    let stem = |code: &str| code.split('_').next().unwrap_or_default().to_owned();
    let mut scored: Vec<(usize, &str)> = languages
        .iter()
        .map(|l| (distance(&stem(code), &stem(l.code())), l.code()))
        .filter(|(distance, _)| *distance <= 1 || languages.len() <= FEW)
        .collect();
    scored.sort_unstable();
    scored.truncate(FEW);
    scored
        .into_iter()
        .map(|(_, code)| code.to_owned())
        .collect()
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
