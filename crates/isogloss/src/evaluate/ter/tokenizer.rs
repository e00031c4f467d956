//! Tercom's tokenizer, as `tokenizers/tokenizer_ter.py` of sacreBLEU.

use super::super::text::words;
use super::super::tokenizer::{is_symbol, spaced, split_beside_digits, unescape};
use super::Ter;

/// The words of `line` with single spaces between them.
pub(super) fn tokenize(line: &str, settings: &Ter) -> String {
    let mut line = if settings.case_sensitive {
        line.to_owned()
    } else {
        line.to_lowercase()
    };
    if settings.normalized && !line.is_empty() {
        line = normalize(&line);
        if settings.asian_support {
            line = spaced(&line, |c| is_ideographic(c) || is_asian_punctuation(c));
        }
    }
    if settings.no_punctuation {
        line.retain(|c| !matches!(c, '.' | ',' | '?' | ':' | ';' | '!' | '"' | '(' | ')'));
        if settings.asian_support {
            line.retain(|c| !is_asian_punctuation(c));
        }
    }
    words(&line).collect::<Vec<_>>().join(" ")
}

/// The general and the Western part. (A possessive at the very end needs no rule of its own: a space follows it.)
fn normalize(line: &str) -> String {
    let line = line.replace("\n-", "").replace('\n', " ");
    let line = spaced(&format!(" {} ", unescape(&line)), is_symbol);
    split_beside_digits(&line.replace("'s ", " 's "))
}

/// The characters that become words of their own. The last range is U+3200 to U+32FF in Tercom; sacreBLEU's typing error
/// (U+3F22 for U+32FF) adds only characters of the first.
///
/// sacreBLEU also has rules for runs of kana, but they ask for a run at the start of a line that by then starts with a
/// space, so they never apply.
fn is_ideographic(c: char) -> bool {
    matches!(c,
        '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{31c0}'..='\u{31ef}'
        | '\u{2e80}'..='\u{2eff}'
        | '\u{3200}'..='\u{33ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe4f}'
    )
}

fn is_asian_punctuation(c: char) -> bool {
    matches!(c,
        '\u{3001}' | '\u{3002}'
        | '\u{3008}'..='\u{3011}'
        | '\u{3014}'..='\u{301f}'
        | '\u{ff61}'..='\u{ff65}'
        | '\u{30fb}'
        // Full width.
        | '\u{ff0e}' | '\u{ff0c}' | '\u{ff1f}' | '\u{ff1a}' | '\u{ff1b}' | '\u{ff01}' | '\u{ff02}'
        | '\u{ff08}' | '\u{ff09}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_act_as_they_say() {
        let plain = Ter::default();
        assert_eq!(tokenize(" It's  3.5, OK!", &plain), "it's 3.5, ok!");
        let normalized = Ter {
            normalized: true,
            ..Ter::default()
        };
        assert_eq!(
            tokenize("It's 3.5, OK! (A&amp;B) x-1-2", &normalized),
            "it 's 3.5 , ok ! ( a & b ) x-1 - 2"
        );
        let asian = Ter {
            normalized: true,
            asian_support: true,
            ..Ter::default()
        };
        assert_eq!(tokenize("東京です。カナ", &asian), "東 京 です 。 カナ");
        let bare = Ter {
            no_punctuation: true,
            asian_support: true,
            case_sensitive: true,
            ..Ter::default()
        };
        assert_eq!(tokenize("「Hi」, you (there)。", &bare), "Hi you there");
        assert_eq!(tokenize("", &asian), "");
    }
}
