//! White space as sacreBLEU sees it.
//!
//! Its tokenizers lean on `str.split()` of Python, whose white space is Unicode's plus the four separators U+001C to
//! U+001F; Rust's own `char::is_whitespace` would keep those inside words.

/// Whether Python's `str.isspace` holds for `c`.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The words of `text`, as `str.split()` gives them: no empty ones.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// `text` without white space at its end, as `str.rstrip()`.
pub(super) fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// `text` without white space at either end, as `str.strip()`.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_part_words_as_in_python() {
        let text = " a\u{1c}b\u{a0}c\u{2028}d\u{3000}e\u{85}f\u{200b}g ";
        assert_eq!(
            words(text).collect::<Vec<_>>(),
            ["a", "b", "c", "d", "e", "f\u{200b}g"]
        );
        assert_eq!(trim_end("x \u{1f}\n"), "x");
        assert_eq!(trim("\u{1d} x "), "x");
    }
}
