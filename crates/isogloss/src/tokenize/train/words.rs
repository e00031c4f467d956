//! Cutting text into the units that merges stay within: words with the space before them, cut again where the script
//! changes, around punctuation, and digit by digit runs, as SentencePiece's `SplitIntoWords` and `split_by_unicode_script` do
//! in training.

use unicode_script::{Script, UnicodeScript};

use super::super::sentencepiece::SPACE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter(Script),
    Digit,
    Other,
}

fn class(c: char) -> Class {
    if c.is_numeric() {
        return Class::Digit;
    }
    match c.script() {
        // Marks belong to the letter before them, the mark of long vowels to kana.
        Script::Inherited => Class::Letter(Script::Inherited),
        Script::Common if c == '\u{30fc}' => Class::Letter(Script::Hiragana),
        Script::Common => Class::Other,
        // Japanese words mix them.
        Script::Katakana | Script::Hiragana | Script::Han => Class::Letter(Script::Hiragana),
        script => Class::Letter(script),
    }
}

/// Calls `on_word` with each unit of a cleaned line; the first unit of a word starts with `▁`.
pub(super) fn for_each_word(line: &str, on_word: &mut dyn FnMut(&str)) {
    let mut unit = String::new();
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        unit.clear();
        unit.push_str(SPACE);
        // The space joins whatever comes first.
        let mut current: Option<Class> = None;
        for c in word.chars() {
            let next = class(c);
            let continues = match (current, next) {
                (None, _) | (_, Class::Letter(Script::Inherited)) => true,
                (Some(a), b) => a == b,
            };
            if !continues {
                on_word(&unit);
                unit.clear();
            }
            if next != Class::Letter(Script::Inherited) {
                current = Some(next);
            }
            unit.push(c);
        }
        on_word(&unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_spaces_scripts_digits_and_punctuation() {
        let mut units = Vec::new();
        for_each_word("Die Pumpe P12-b  läuft: ポンプを運転する e\u{301}a", &mut |w| units.push(w.to_owned()));
        assert_eq!(
            units,
            ["▁Die", "▁Pumpe", "▁P", "12", "-", "b", "▁läuft", ":", "▁ポンプを運転する", "▁e\u{301}a"]
        );
    }
}
