//! Normalising text before it is cut, as `normalizer.cc` of SentencePiece does: rules are matched leftmost-longest on bytes,
//! user-defined symbols are left alone, spaces are collapsed and written as `▁`.

use super::double_array::DoubleArray;
use super::proto::NormalizerSpec;
use super::{SPACE, SentencePieceError, char_len};

/// Compiled normalisation rules and what to do with spaces.
#[derive(Debug, Clone)]
pub struct Normalizer {
    rules: DoubleArray,
    /// The replacements, each ended by NUL.
    replacements: Vec<u8>,
    /// Symbols that no rule may touch.
    user_defined: DoubleArray,
    add_dummy_prefix: bool,
    dummy_is_suffix: bool,
    remove_extra_whitespaces: bool,
    escape_whitespaces: bool,
}

impl Normalizer {
    /// Reads the rules of a model.
    ///
    /// # Errors
    /// [`SentencePieceError::Charsmap`] if the compiled rules are shorter than they say.
    pub fn new(
        spec: &NormalizerSpec,
        dummy_is_suffix: bool,
        user_defined: DoubleArray,
    ) -> Result<Self, SentencePieceError> {
        let (rules, replacements) = split_charsmap(&spec.precompiled_charsmap)?;
        Ok(Normalizer {
            rules: DoubleArray::from_le_bytes(rules),
            replacements: replacements.to_vec(),
            user_defined,
            add_dummy_prefix: spec.add_dummy_prefix,
            dummy_is_suffix,
            remove_extra_whitespaces: spec.remove_extra_whitespaces,
            escape_whitespaces: spec.escape_whitespaces,
        })
    }

    /// The normalised text. Bytes, since rules in a broken file can cut characters.
    #[must_use]
    pub fn normalize(&self, text: &[u8]) -> Vec<u8> {
        let mut rest = text;
        if self.remove_extra_whitespaces {
            while !rest.is_empty() {
                let (replacement, consumed) = self.prefix(rest);
                if replacement != b" " {
                    break;
                }
                rest = &rest[consumed..];
            }
        }
        if rest.is_empty() {
            return Vec::new();
        }
        let space: &[u8] = if self.escape_whitespaces {
            SPACE.as_bytes()
        } else {
            b" "
        };
        let mut out = Vec::with_capacity(rest.len() + rest.len() / 2 + 8);
        if self.add_dummy_prefix && !self.dummy_is_suffix {
            out.extend_from_slice(space);
        }
        let mut after_space = self.remove_extra_whitespaces;
        while !rest.is_empty() {
            let (mut replacement, consumed) = self.prefix(rest);
            while after_space && replacement.first() == Some(&b' ') {
                replacement = &replacement[1..];
            }
            if let Some(last) = replacement.last() {
                after_space = self.remove_extra_whitespaces && *last == b' ';
                for &byte in replacement {
                    if byte == b' ' {
                        out.extend_from_slice(space);
                    } else {
                        out.push(byte);
                    }
                }
            }
            rest = &rest[consumed..];
        }
        if self.remove_extra_whitespaces {
            while out.ends_with(space) {
                out.truncate(out.len() - space.len());
            }
        }
        if self.add_dummy_prefix && self.dummy_is_suffix {
            out.extend_from_slice(space);
        }
        out
    }

    /// What the start of `text` (not empty) becomes, and how many bytes of it that takes.
    fn prefix<'a>(&'a self, text: &'a [u8]) -> (&'a [u8], usize) {
        if let Some((length, _)) = self.user_defined.longest_prefix(text) {
            return (&text[..length], length);
        }
        if let Some((length, at)) = self.rules.longest_prefix(text) {
            let tail = self.replacements.get(at as usize..).unwrap_or_default();
            let end = tail.iter().position(|&b| b == 0).unwrap_or(tail.len());
            return (&tail[..end], length);
        }
        let length = char_len(text);
        (&text[..length], length)
    }
}

/// Parts the compiled rules: `u32` length of the trie, the trie, the replacements. Nothing at all is no rules.
fn split_charsmap(blob: &[u8]) -> Result<(&[u8], &[u8]), SentencePieceError> {
    if blob.is_empty() {
        return Ok((&[], &[]));
    }
    let broken = || SentencePieceError::Charsmap { length: blob.len() };
    let (length, rest) = blob.split_first_chunk::<4>().ok_or_else(broken)?;
    let length = u32::from_le_bytes(*length) as usize;
    if !length.is_multiple_of(4) || length > rest.len() {
        return Err(broken());
    }
    Ok(rest.split_at(length))
}
