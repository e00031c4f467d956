//! What a sentence says about itself.

use std::sync::LazyLock;

use regex::Regex;
use unicode_script::{Script, UnicodeScript as _};

use super::{FilterConfig, Reason};
use crate::language::Language;

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
    let text = PLACEHOLDERS.replace_all(text, " ");
    let (mut letters, mut right) = (0_usize, 0_usize);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        let script = c.script();
        if !matches!(script, Script::Common | Script::Inherited | Script::Unknown) {
            letters += 1;
            right += usize::from(is_script_of(language, script));
        }
    }
    if letters == 0 {
        return Some(Reason::NoText);
    }
    let checked = is_known_script(language);
    (checked && (right as f64) < config.min_script_share * letters as f64)
        .then_some(Reason::WrongScript)
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

/// Whether a letter of this Unicode script belongs to a text in the language. ISO 15924 has codes for writing systems that
/// mix scripts (Japanese) or are variants of one (simplified and traditional Chinese).
fn is_script_of(language: &Language, script: Script) -> bool {
    match language.script() {
        "Jpan" => matches!(script, Script::Han | Script::Hiragana | Script::Katakana),
        "Hang" | "Kore" => matches!(script, Script::Hangul | Script::Han),
        "Hans" | "Hant" | "Hani" => script == Script::Han,
        code => Script::from_short_name(code) == Some(script),
    }
}

fn is_known_script(language: &Language) -> bool {
    let code = language.script();
    matches!(code, "Jpan" | "Hang" | "Kore" | "Hans" | "Hant" | "Hani")
        || Script::from_short_name(code).is_some()
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
