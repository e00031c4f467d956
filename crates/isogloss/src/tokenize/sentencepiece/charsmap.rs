//! Compiling normalisation rules, for vocabularies trained here: NFKC, with white space and control characters cleaned.
//!
//! SentencePiece applies rules leftmost-longest on text and cannot run an algorithm, so every sequence that NFKC changes has
//! to be a rule: each single character, and each base letter with its combining marks in any order (two marks at most, as in
//! Vietnamese) or conjoining jamo. Unlike SentencePiece's own `nmt_nfkc`, the joiners U+200C and U+200D stay: Persian and the
//! scripts of India are spelt with them.

use std::collections::{BTreeMap, HashMap};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{compose, decompose_canonical};

use super::SentencePieceError;
use super::double_array::DoubleArray;

/// The compiled rules, as `precompiled_charsmap` stores them.
pub(in crate::tokenize) fn compile_nfkc() -> Result<Vec<u8>, SentencePieceError> {
    let rules = nfkc_rules();
    let mut replacements = Vec::new();
    let mut offsets: HashMap<&str, u32> = HashMap::new();
    let mut entries = Vec::with_capacity(rules.len());
    for (from, to) in &rules {
        let at = *offsets.entry(to).or_insert_with(|| {
            let at = replacements.len() as u32;
            replacements.extend_from_slice(to.as_bytes());
            replacements.push(0);
            at
        });
        entries.push((from.as_bytes(), at));
    }
    let trie = DoubleArray::build(entries)?.to_le_bytes();
    let mut out = (trie.len() as u32).to_le_bytes().to_vec();
    out.extend_from_slice(&trie);
    out.extend_from_slice(&replacements);
    Ok(out)
}

/// Text as the rules leave it, but for spaces at its ends and doubled ones.
pub(in crate::tokenize) fn clean(text: &str) -> String {
    text.chars().filter_map(|c| special(c).unwrap_or(Some(c))).nfkc().collect()
}

/// Characters with a rule of their own: to a space, or to nothing. NUL stays, since no rule can name it.
fn special(c: char) -> Option<Option<char>> {
    match c {
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{1680}' | '\u{2028}' | '\u{2029}' | '\u{2581}' => {
            Some(Some(' '))
        }
        // Zero-width space, direction marks, byte order mark.
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}' => Some(None),
        '\u{1}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Some(None),
        _ => None,
    }
}

fn nfkc_rules() -> BTreeMap<String, String> {
    let mut rules = BTreeMap::new();
    for c in '\u{1}'..=char::MAX {
        if let Some(to) = special(c) {
            rules.insert(c.to_string(), to.map(String::from).unwrap_or_default());
            continue;
        }
        let to: String = std::iter::once(c).nfkc().collect();
        if to.chars().ne(std::iter::once(c)) {
            rules.insert(c.to_string(), to.clone());
        }
        let mut parts = Vec::new();
        decompose_canonical(c, |part| parts.push(part));
        if (2..=4).contains(&parts.len()) {
            for sequence in orders(&parts) {
                add_compositions(&sequence, &mut rules);
            }
        }
    }
    rules
}

/// The base with its marks in each order (only the given one for more than two marks).
fn orders(parts: &[char]) -> Vec<Vec<char>> {
    match *parts {
        [base, first, second] => vec![vec![base, first, second], vec![base, second, first]],
        _ => vec![parts.to_vec()],
    }
}

/// Rules for the sequence, and for those where some of it is composed already.
fn add_compositions(sequence: &[char], rules: &mut BTreeMap<String, String>) {
    let to: String = sequence.iter().copied().nfkc().collect();
    let mut from = sequence.to_vec();
    while from.len() >= 2 {
        let key: String = from.iter().collect();
        if key != to {
            rules.insert(key, to.clone());
        }
        match compose(from[0], from[1]) {
            Some(composed) => from.splice(..2, [composed]),
            None => break,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::normalizer::Normalizer;
    use super::super::proto::NormalizerSpec;
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static RULES: LazyLock<Normalizer> = LazyLock::new(|| {
        let spec = NormalizerSpec {
            precompiled_charsmap: compile_nfkc().unwrap(),
            add_dummy_prefix: false,
            remove_extra_whitespaces: false,
            escape_whitespaces: false,
            ..NormalizerSpec::default()
        };
        Normalizer::new(&spec, false, DoubleArray::default()).unwrap()
    });

    fn apply(text: &str) -> String {
        String::from_utf8(RULES.normalize(text.as_bytes())).unwrap()
    }

    #[test]
    fn every_character_becomes_its_nfkc() {
        for c in '\u{1}'..=char::MAX {
            if special(c).is_none() {
                let expected: String = std::iter::once(c).nfkc().collect();
                assert_eq!(apply(&c.to_string()), expected, "U+{:04X}", c as u32);
            }
        }
    }

    #[test]
    fn composes_letters_marks_and_jamo() {
        for (text, expected) in [
            ("o\u{323}\u{302}", "ộ"),
            ("o\u{302}\u{323}", "ộ"),
            ("ô\u{323}", "ộ"),
            ("\u{1100}\u{1161}\u{11a8}", "각"),
            ("가\u{11a8}", "각"),
            ("\u{627}\u{653}", "آ"),
            ("ﬁ½Ａ", "fi1⁄2A"),
            ("a\u{200d}b\u{200c}", "a\u{200d}b\u{200c}"),
            ("a\u{2028}b\tc\u{feff}\u{7}", "a b c"),
        ] {
            assert_eq!(apply(text), expected, "{text:?}");
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_second_pass_changes_nothing(text in "[a-zäöü\u{300}-\u{36f}\u{ff00}-\u{ff60} ]{0,20}") {
            let nfc: String = text.nfkc().collect();
            prop_assert_eq!(apply(&nfc), nfc);
        }
    }
}
