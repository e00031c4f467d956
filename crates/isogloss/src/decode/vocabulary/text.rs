use unicode_script::Script;

use crate::language::{Language, Scripts, script};

/// Mark of a word's start.
const SPACE: char = '▁';

/// Whether a piece belongs to what any name or number of a language can be spelled with: bytes, pieces without a letter (digits,
/// punctuation), and single characters of the language's script or Latin.
pub(super) fn spells(piece: &str, language: &Language) -> bool {
    if is_byte(piece) {
        return true;
    }
    let text = piece.strip_prefix(SPACE).unwrap_or(piece);
    if !text.chars().any(char::is_alphabetic) {
        return !piece.is_empty();
    }
    let scripts = Scripts::of(language);
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => {
            let script = script(letter);
            let everywhere = [Script::Latin, Script::Common, Script::Inherited];
            scripts.is_unknown() || scripts.contains(script) || everywhere.contains(&script)
        }
        _ => false,
    }
}

/// `<0x41>`, as SentencePiece writes the byte pieces of its fallback.
fn is_byte(piece: &str) -> bool {
    let hex = piece
        .strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'));
    hex.is_some_and(|hex| hex.len() == 2 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}
