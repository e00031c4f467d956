//! What a sentence says about itself.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use unicode_script::Script;

use super::{FilterConfig, Reason};
use crate::language::{Language, Scripts, script};

/// The reason to drop a text of `length` characters whatever stands beside it.
pub(super) fn judge(
    config: &FilterConfig,
    text: &str,
    length: usize,
    language: &Language,
) -> Option<Reason> {
    if text.trim().is_empty() {
        return Some(Reason::Empty);
    }
    if length > config.max_chars {
        return Some(Reason::TooLong);
    }
    // Most sentences hold none of the characters that every placeholder has, and the search costs more than the rest.
    let marked = text.bytes().any(|b| b"<{$%&@/".contains(&b)) || text.contains("www.");
    let text = if marked {
        PLACEHOLDERS.replace_all(text, " ")
    } else {
        Cow::Borrowed(text)
    };
    let scripts = Scripts::of(language);
    let (mut letters, mut right) = (0_usize, 0_usize);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        let script = script(c);
        if !matches!(script, Script::Common | Script::Inherited | Script::Unknown) {
            letters += weight(script);
            right += if scripts.contains(script) {
                weight(script)
            } else {
                0
            };
        }
    }
    if letters == 0 {
        return Some(Reason::NoText);
    }
    let wrong = (right as f64) < config.min_script_share * letters as f64;
    (wrong && !scripts.is_unknown()).then_some(Reason::WrongScript)
}

/// What stands for a value in software texts, tags, and addresses: `<emph>`, `{0}`, `${name}`, `$(ARG1)`, `%PRODUCTNAME`,
/// `%1$s`, `&nbsp;`, `https://…`, `user@example.org`.
static PLACEHOLDERS: LazyLock<Regex> = LazyLock::new(|| {
    let alternatives = [
        r"</?[A-Za-z][^<>]*>",
        r"\$?\{[^{}]*\}",
        r"\$\([^()]*\)",
        r"\$[A-Z_]+\b",
        r"%[A-Z_]{2,}",
        r"%(?:\d+\$)?[-+0#]*\d*(?:\.\d+)?l{0,2}[sdiufgxXc]\b",
        r"%\d+",
        r"&#?\w+;",
        r"\b(?:https?|ftp)://\S+",
        r"\bwww\.\S+",
        r"\S+@\S+\.\w+",
    ];
    Regex::new(&alternatives.join("|")).expect("a constant pattern that the tests compile")
});

/// How many letters of an alphabet a character stands for: a Chinese sentence with a few names in Latin letters is still
/// a Chinese sentence.
fn weight(script: Script) -> usize {
    match script {
        Script::Han | Script::Hiragana | Script::Katakana | Script::Hangul => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_judged_alone() {
        let config = FilterConfig {
            max_chars: 45,
            ..FilterConfig::default()
        };
        let cases = [
            ("de", "Der Deckel ist zu.", None),
            ("de", "  ", Some(Reason::Empty)),
            (
                "de",
                "Der Deckel ist zu, und die Pumpe läuft seit gestern.",
                Some(Reason::TooLong),
            ),
            (
                "de",
                "%PRODUCTNAME {0} <emph>%1</emph> 42",
                Some(Reason::NoText),
            ),
            (
                "de",
                "https://example.org/de &nbsp; a@example.org",
                Some(Reason::NoText),
            ),
            ("de", "100 %", Some(Reason::NoText)),
            ("de", "100 % sicher", None),
            ("de", "Крышка закрыта.", Some(Reason::WrongScript)),
            ("ru", "Крышка закрыта.", None),
            ("ru", "Крышка IP67.", None),
            ("ru", "The lid is closed.", Some(Reason::WrongScript)),
            ("ja", "蓋を閉めてください。", None),
            ("ja", "フタ", None),
            ("ja", "닫으십시오", Some(Reason::WrongScript)),
            ("ko", "닫으십시오", None),
            ("zh", "盖子是关着的。", None),
            ("zh", "用 Isogloss 翻译。", None),
            ("el", "Το καπάκι είναι κλειστό.", None),
            ("qaa_Qaaa", "The lid is closed.", None),
        ];
        for (language, text, verdict) in cases {
            let language = language.parse().unwrap();
            assert_eq!(
                judge(&config, text, text.chars().count(), &language),
                verdict,
                "{text}"
            );
        }
    }
}
