//! Scripts of letters and of languages.

use unicode_script::{Script, UnicodeScript as _};

use crate::language::Language;

/// The Unicode script of a letter.
pub(crate) fn script(c: char) -> Script {
    // The table is searched for every letter of the corpus, and most of them are these.
    if c.is_ascii_alphabetic() {
        Script::Latin
    } else {
        c.script()
    }
}

/// The Unicode scripts of a language's letters. ISO 15924 has codes for writing systems that mix scripts (Japanese) or
/// are variants of one (simplified and traditional Chinese).
pub(crate) struct Scripts([Option<Script>; 3]);

impl Scripts {
    pub(crate) fn of(language: &Language) -> Self {
        Scripts(match language.script() {
            "Jpan" => [
                Some(Script::Han),
                Some(Script::Hiragana),
                Some(Script::Katakana),
            ],
            "Hang" | "Kore" => [Some(Script::Hangul), Some(Script::Han), None],
            "Hans" | "Hant" | "Hani" => [Some(Script::Han), None, None],
            code => [Script::from_short_name(code), None, None],
        })
    }

    pub(crate) fn contains(&self, script: Script) -> bool {
        self.0.contains(&Some(script))
    }

    /// No script that Unicode knows.
    pub(crate) fn is_unknown(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}
