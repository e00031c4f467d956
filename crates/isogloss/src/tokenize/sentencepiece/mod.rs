//! Cutting text into pieces with a trained SentencePiece model, in plain Rust. Ids and decoded text equal those of the C++
//! library (version 0.2.3, whose behaviour each file names) for the unigram and BPE algorithms.

mod bpe;
pub(super) mod charsmap;
mod decode;
pub(super) mod double_array;
mod normalizer;
mod proto;
#[cfg(test)]
mod tests;
mod unigram;
mod wire;

pub(super) use decode::Item;
pub use proto::{Algorithm, ModelProto, NormalizerSpec, Piece, PieceKind};

use std::borrow::Cow;

use decode::StripLeading;
use double_array::DoubleArray;
use normalizer::Normalizer;
use unigram::Unigram;

/// Stands for a space inside pieces.
pub const SPACE: &str = "\u{2581}";

/// The longest piece, in bytes, that the reference accepts.
const MAX_PIECE_BYTES: usize = 8000;

/// Why bytes are no usable SentencePiece model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SentencePieceError {
    /// The protobuf is broken.
    #[error("malformed at byte {offset}: {reason}")]
    Malformed {
        /// Offset in the file.
        offset: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The vocabulary contradicts itself.
    #[error("bad vocabulary: {reason}")]
    Vocabulary {
        /// What is wrong.
        reason: String,
    },
    /// The compiled normalisation rules are cut short.
    #[error("the compiled normalisation rules ({length} bytes) are cut short")]
    Charsmap {
        /// Their length.
        length: usize,
    },
    /// Something this reader does not do.
    #[error("{what} is not supported (unigram and BPE are)")]
    Unsupported {
        /// What the model asks for.
        what: String,
    },
}

/// A piece of the normalised text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
    pub id: u32,
}

/// Normalised text and the pieces that it was cut into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segmentation {
    normalized: Vec<u8>,
    spans: Vec<Span>,
}

impl Segmentation {
    /// Each piece's text (of an unknown piece: what stood there) and id.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, u32)> {
        self.spans.iter().map(|s| {
            (
                String::from_utf8_lossy(&self.normalized[s.start..s.end]),
                s.id,
            )
        })
    }
}

/// A loaded model.
#[derive(Debug, Clone)]
pub struct SentencePiece {
    pieces: Vec<Piece>,
    algorithm: Algorithm,
    unigram: Unigram,
    /// Pieces that text can produce.
    trie: DoubleArray,
    /// Control, unknown and byte pieces.
    reserved: Vec<(String, u32)>,
    user_defined: DoubleArray,
    normalizer: Normalizer,
    denormalizer: Option<Normalizer>,
    unknown: u32,
    unk_surface: String,
    strips_leading_space: StripLeading,
    /// Ids of the pieces `<0x00>` to `<0xFF>`, if the model falls back to bytes.
    bytes: Option<Box<[u32; 256]>>,
}

impl SentencePiece {
    /// Loads a serialised model.
    ///
    /// # Errors
    /// Any [`SentencePieceError`]; the checks are those of the reference's loader.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SentencePieceError> {
        Self::from_proto(ModelProto::parse(bytes)?)
    }

    /// Loads a parsed model.
    ///
    /// # Errors
    /// As [`SentencePiece::from_bytes`].
    pub fn from_proto(model: ModelProto) -> Result<Self, SentencePieceError> {
        let unknown = check_pieces(&model)?;
        let keys = |wanted: fn(PieceKind) -> bool| {
            let ids = model
                .pieces
                .iter()
                .zip(0u32..)
                .filter(move |(p, _)| wanted(p.kind));
            ids.map(|(p, id)| (p.text.as_bytes(), id))
        };
        let trie = DoubleArray::build(keys(PieceKind::is_matched_in_text))?;
        // Also finds duplicates among the pieces that text cannot produce.
        let reserved = DoubleArray::build(keys(|kind| !kind.is_matched_in_text()))?;
        let user_defined = DoubleArray::build(keys(|kind| kind == PieceKind::UserDefined))?;
        let bytes = if model.byte_fallback {
            Some(byte_pieces(&reserved)?)
        } else {
            None
        };
        let spec = &model.normalizer;
        let normalizer =
            Normalizer::new(spec, model.treat_whitespace_as_suffix, user_defined.clone())?;
        let denormalizer = if model.denormalizer.precompiled_charsmap.is_empty() {
            None
        } else {
            Some(Normalizer::new(
                &model.denormalizer,
                false,
                DoubleArray::default(),
            )?)
        };
        let strips_leading_space = match (spec.remove_extra_whitespaces, spec.add_dummy_prefix) {
            (true, _) => StripLeading::All,
            (false, true) => StripLeading::One,
            (false, false) => StripLeading::Nothing,
        };
        Ok(SentencePiece {
            reserved: keys(|kind| !kind.is_matched_in_text())
                .map(|(key, id)| (String::from_utf8_lossy(key).into_owned(), id))
                .collect(),
            unigram: Unigram::new(&model.pieces),
            algorithm: model.algorithm,
            trie,
            user_defined,
            normalizer,
            denormalizer,
            unknown,
            unk_surface: model.unk_surface,
            strips_leading_space,
            bytes,
            pieces: model.pieces,
        })
    }

    /// How many pieces there are; ids are below this.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Never: a model has at least the unknown piece.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The vocabulary in the order of ids.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The id of the unknown piece.
    #[must_use]
    pub fn unknown(&self) -> u32 {
        self.unknown
    }

    /// How the model cuts text.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The id of a piece by its text; control, unknown and byte pieces come before others of the same text.
    #[must_use]
    pub fn piece_to_id(&self, text: &str) -> Option<u32> {
        let reserved = self
            .reserved
            .iter()
            .find(|(piece, _)| piece == text)
            .map(|(_, id)| *id);
        reserved.or_else(|| self.trie.get(text.as_bytes()))
    }

    /// The text as the pieces see it: rules applied, spaces collapsed and written as `▁`.
    #[must_use]
    pub fn normalize(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.normalizer.normalize(text.as_bytes())).into_owned()
    }

    /// The ids of the text's pieces; empty for an empty text or one of spaces only. Time grows with the length times the
    /// longest piece (unigram) or times its logarithm (BPE).
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.segment(text)
            .spans
            .iter()
            .map(|span| span.id)
            .collect()
    }

    /// The pieces of the text, with what stood where a piece is unknown.
    #[must_use]
    pub fn segment(&self, text: &str) -> Segmentation {
        let normalized = self.normalizer.normalize(text.as_bytes());
        let raw = match self.algorithm {
            Algorithm::Unigram => {
                self.unigram
                    .encode(&normalized, &self.trie, &self.pieces, self.unknown)
            }
            Algorithm::Bpe => bpe::encode(
                &normalized,
                &self.trie,
                &self.user_defined,
                &self.pieces,
                self.unknown,
            ),
        };
        let mut spans: Vec<Span> = Vec::with_capacity(raw.len());
        for span in raw {
            if span.id != self.unknown {
                spans.push(span);
            } else if let Some(bytes) = &self.bytes {
                spans.extend((span.start..span.end).map(|at| Span {
                    start: at,
                    end: at + 1,
                    id: bytes[usize::from(normalized[at])],
                }));
            } else {
                // A run of unknown characters is one unknown piece.
                match spans.last_mut() {
                    Some(last) if last.id == self.unknown => last.end = span.end,
                    _ => spans.push(span),
                }
            }
        }
        Segmentation { normalized, spans }
    }

    /// The pieces of the text as the reference names them, `EncodeAsPieces`: of an unknown piece what stood there, of a byte
    /// piece its name, such as `<0xE3>`.
    #[must_use]
    pub fn encode_as_pieces(&self, text: &str) -> Vec<String> {
        let segmentation = self.segment(text);
        let name = |(surface, id): (Cow<'_, str>, u32)| match &self.pieces[id as usize] {
            piece if piece.kind == PieceKind::Byte => piece.text.clone(),
            _ => surface.into_owned(),
        };
        segmentation.iter().map(name).collect()
    }

    /// Puts pieces back together: `▁` becomes a space, the dummy space at the start goes, control pieces vanish, byte pieces
    /// become characters (U+FFFD where they form none), the unknown piece becomes ` ⁇ `. Ids outside the vocabulary are
    /// skipped.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        self.decode_items(ids.iter().map(|&id| Item::Id(id)))
    }
}

/// The length in bytes of the character that starts `text` (not empty), by its first byte only.
fn char_len(text: &[u8]) -> usize {
    let length = match text.first() {
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        Some(0xc0..) => 2,
        _ => 1,
    };
    length.min(text.len())
}

fn parse_byte_piece(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_canonical = digits.len() == 2
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
    if is_canonical {
        u8::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

/// The ids of all 256 byte pieces.
fn byte_pieces(reserved: &DoubleArray) -> Result<Box<[u32; 256]>, SentencePieceError> {
    let mut ids = Box::new([0; 256]);
    for (byte, id) in ids.iter_mut().enumerate() {
        let text = format!("<0x{byte:02X}>");
        *id = reserved
            .get(text.as_bytes())
            .ok_or_else(|| SentencePieceError::Vocabulary {
                reason: format!("the model falls back to bytes but has no piece `{text}`"),
            })?;
    }
    Ok(ids)
}

/// Checks the pieces one by one and returns the id of the unknown one.
fn check_pieces(model: &ModelProto) -> Result<u32, SentencePieceError> {
    let bad = |reason: String| Err(SentencePieceError::Vocabulary { reason });
    let mut unknown = None;
    for (piece, id) in model.pieces.iter().zip(0u32..) {
        if piece.text.len() >= MAX_PIECE_BYTES {
            let length = piece.text.len();
            return bad(format!(
                "piece {id} has {length} bytes; fewer than {MAX_PIECE_BYTES} are allowed"
            ));
        }
        if !piece.score.is_finite() {
            return bad(format!(
                "the score of piece {id}, `{}`, is not finite",
                piece.text
            ));
        }
        match piece.kind {
            PieceKind::Unknown if unknown.is_some() => {
                return bad(format!("piece {id} is a second unknown piece"));
            }
            PieceKind::Unknown => unknown = Some(id),
            PieceKind::Byte if !model.byte_fallback => {
                return bad(format!(
                    "byte piece `{}` in a model that does not fall back to bytes",
                    piece.text
                ));
            }
            PieceKind::Byte if parse_byte_piece(&piece.text).is_none() => {
                return bad(format!(
                    "piece {id} is a byte piece but reads `{}`",
                    piece.text
                ));
            }
            _ => {}
        }
    }
    match unknown {
        Some(id) => Ok(id),
        None => bad("there is no unknown piece".into()),
    }
}
