//! Pieces to text, as `SentencePieceProcessor::Decode` of `sentencepiece_processor.cc`.

use super::proto::PieceKind;
use super::{SPACE, SentencePiece, char_len, parse_byte_piece};

/// What [`SentencePiece::decode_items`] puts together.
#[derive(Debug, Clone, Copy)]
pub(in crate::tokenize) enum Item<'a> {
    /// A piece by its id.
    Id(u32),
    /// A text that is no piece of the model, taken as it is.
    Text(&'a str),
}

/// How many leading spaces decoding drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StripLeading {
    Nothing,
    One,
    All,
}

impl SentencePiece {
    /// [`SentencePiece::decode`] for pieces mixed with other texts.
    pub(in crate::tokenize) fn decode_items<'a>(
        &'a self,
        items: impl Iterator<Item = Item<'a>>,
    ) -> String {
        let mut out = String::new();
        let mut bytes = Vec::new();
        let mut at_start = true;
        let mut stripped_one = false;
        for item in items {
            let (text, kind) = match item {
                Item::Text(text) => (text, PieceKind::Unknown),
                Item::Id(id) => match self.pieces.get(id as usize) {
                    None => continue,
                    Some(piece) if piece.kind == PieceKind::Unknown => {
                        (self.unk_surface.as_str(), piece.kind)
                    }
                    Some(piece) => (piece.text.as_str(), piece.kind),
                },
            };
            if kind == PieceKind::Byte {
                bytes.extend(parse_byte_piece(text));
                continue;
            }
            flush_bytes(&mut bytes, &mut out);
            at_start &= !stripped_one && out.is_empty();
            stripped_one = false;
            match kind {
                PieceKind::Control => {}
                PieceKind::Unknown => out.push_str(text),
                _ => {
                    let rest = match self.strips_leading_space {
                        StripLeading::Nothing => None,
                        _ if !at_start => None,
                        _ => text.strip_prefix(SPACE),
                    };
                    stripped_one = rest.is_some() && self.strips_leading_space == StripLeading::One;
                    out.push_str(&rest.unwrap_or(text).replace(SPACE, " "));
                }
            }
        }
        flush_bytes(&mut bytes, &mut out);
        match &self.denormalizer {
            None => out,
            Some(rules) => String::from_utf8_lossy(&rules.normalize(out.as_bytes())).into_owned(),
        }
    }
}

/// Appends the characters that `bytes` spell, one U+FFFD for each byte that belongs to none, and empties it.
fn flush_bytes(bytes: &mut Vec<u8>, out: &mut String) {
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let length = char_len(rest);
        match std::str::from_utf8(&rest[..length]) {
            Ok(text) => {
                out.push_str(text);
                rest = &rest[length..];
            }
            Err(_) => {
                out.push(char::REPLACEMENT_CHARACTER);
                rest = &rest[1..];
            }
        }
    }
    bytes.clear();
}
