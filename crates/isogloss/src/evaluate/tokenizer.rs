//! The tokenizers of BLEU, as sacreBLEU has them.

use super::EvaluateError;
use super::text::trim;
use regex::Regex;
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// A function from a line to its pieces, joined by spaces.
pub type Pieces = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// How BLEU cuts a line into tokens.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Tokenizer {
    /// `13a`: that of `mteval-v13a.pl`, for languages in Latin script; the default.
    #[default]
    V13a,
    /// `intl`: that of `mteval-v14.pl`, by Unicode's classes of punctuation and symbols.
    Intl,
    /// `char`: every character is a token.
    Char,
    /// `zh`: every Chinese character is a token, the rest as `13a`.
    Zh,
    /// `none`: split at white space only.
    None,
    /// `spm` of a given model: see [`Tokenizer::sentencepiece`].
    SentencePiece {
        /// Name in the signature.
        name: String,
        /// Cuts a line into pieces.
        pieces: Pieces,
    },
}

impl Tokenizer {
    /// The tokenizer of this name in sacreBLEU.
    ///
    /// # Errors
    /// `spm` and its kin need a model ([`Tokenizer::sentencepiece`]), `ja-mecab` and `ko-mecab` are not supported, any
    /// other name is unknown.
    pub fn parse(name: &str) -> Result<Self, EvaluateError> {
        match name {
            "13a" => Ok(Self::V13a),
            "intl" => Ok(Self::Intl),
            "char" => Ok(Self::Char),
            "zh" => Ok(Self::Zh),
            "none" => Ok(Self::None),
            "ja-mecab" | "ko-mecab" => Err(EvaluateError::NeedsMecab { name: name.into() }),
            "spm" | "flores101" | "flores200" | "spBLEU-1K" => {
                Err(EvaluateError::NeedsSentencePiece { name: name.into() })
            }
            _ => Err(EvaluateError::UnknownTokenizer { name: name.into() }),
        }
    }

    /// spBLEU's tokenizer: `pieces` gives the pieces of a line joined by spaces, `name` goes into the signature.
    ///
    /// Take the name from [`sentencepiece_name`], so that only the published models are called by their names.
    pub fn sentencepiece(
        name: impl Into<String>,
        pieces: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::SentencePiece {
            name: name.into(),
            pieces: Arc::new(pieces),
        }
    }

    /// Its name in a signature.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::V13a => "13a",
            Self::Intl => "intl",
            Self::Char => "char",
            Self::Zh => "zh",
            Self::None => "none",
            Self::SentencePiece { name, .. } => name,
        }
    }

    /// `line` with white space between its tokens.
    pub(super) fn apply<'a>(&self, line: &'a str) -> Cow<'a, str> {
        match self {
            Self::V13a => Cow::Owned(mteval_v13a(line)),
            Self::Intl => Cow::Owned(international(line)),
            Self::Char => Cow::Owned(spaced(line, |_| true)),
            Self::Zh => Cow::Owned(western(&spaced(trim(line), is_chinese))),
            Self::None => Cow::Borrowed(line),
            Self::SentencePiece { pieces, .. } => Cow::Owned(pieces(line)),
        }
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokenizer({})", self.name())
    }
}

/// SHA-256 of the SentencePiece models that sacreBLEU knows by a name.
///
/// sacreBLEU 2.6 downloads them without a checksum. The one here is that of the `sentencepiece.bpe.model` (4,852,054 bytes)
/// that comes with every NLLB-200 checkpoint: NLLB's own documentation names sacreBLEU's link as the source of that model.
/// Those of `flores101` and `spBLEU-1K` are published nowhere, so these models go by their hash.
const KNOWN_MODELS: [(&str, &str); 1] = [(
    "14bb8dfb35c0ffdea7bc01e56cea38b9e3d5efcdcb9c251d6b40538e1aab555a",
    "flores200",
)];

/// The name of a SentencePiece model in signatures: that of a published model where `sha256`, the file's hash as 64
/// lower-case hexadecimal digits, is known; otherwise `spm:` and its first eight digits.
///
/// A score by another model must not look like the published spBLEU: hence the hash instead of plain `spm`. A signature
/// parts key and value at the first colon, so the second one is harmless.
#[must_use]
pub fn sentencepiece_name(sha256: &str) -> String {
    match KNOWN_MODELS.iter().find(|(hash, _)| *hash == sha256) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("spm:{}", sha256.chars().take(8).collect::<String>()),
    }
}

/// The symbols that both `13a` and Tercom's tokenizer set apart everywhere: the ASCII ones but `'`, `,`, `-` and `.`,
/// and the space.
pub(super) fn is_symbol(c: char) -> bool {
    matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/')
}

/// `text` with a space on either side of the characters that are `apart`.
pub(super) fn spaced(text: &str, apart: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if apart(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// `text` with spaces put into each pair of a `first` and a `second` character, at the places marked in `gaps`: before
/// the pair, within it, after it. Pairs do not overlap, the leftmost wins: as replacing by a regular expression.
pub(super) fn split_pairs(
    text: &str,
    first: impl Fn(char) -> bool,
    second: impl Fn(char) -> bool,
    gaps: [bool; 3],
) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.next_if(|&next| first(c) && second(next)) {
            None => out.push(c),
            Some(next) => {
                for (gap, c) in gaps.into_iter().zip([Some(c), Some(next), None]) {
                    if gap {
                        out.push(' ');
                    }
                    out.extend(c);
                }
            }
        }
    }
    out
}

/// Sets period, comma and dash apart unless they belong to a number: the end of `13a`, also part of Tercom's tokenizer.
pub(super) fn split_beside_digits(text: &str) -> String {
    let digit = |c: char| c.is_ascii_digit();
    let stop = |c: char| matches!(c, '.' | ',');
    let text = split_pairs(text, |c| !digit(c), stop, [false, true, true]);
    let text = split_pairs(&text, stop, |c| !digit(c), [true, true, false]);
    split_pairs(&text, digit, |c| c == '-', [false, true, true])
}

/// The rules that `13a` and `zh` share.
fn western(line: &str) -> String {
    split_beside_digits(&spaced(line, is_symbol))
}

/// The four entities that mteval and Tercom undo, one after the other: `&amp;lt;` becomes `<`.
pub(super) fn unescape(line: &str) -> Cow<'_, str> {
    if !line.contains('&') {
        return Cow::Borrowed(line);
    }
    let line = line.replace("&quot;", "\"").replace("&amp;", "&");
    Cow::Owned(line.replace("&lt;", "<").replace("&gt;", ">"))
}

fn mteval_v13a(line: &str) -> String {
    let line = line
        .replace("<skipped>", "")
        .replace("-\n", "")
        .replace('\n', " ");
    western(&format!(" {} ", unescape(&line)))
}

fn international(line: &str) -> String {
    static AFTER_NON_DIGIT: LazyLock<Regex> = LazyLock::new(|| constant(r"(\P{N})(\p{P})"));
    static BEFORE_NON_DIGIT: LazyLock<Regex> = LazyLock::new(|| constant(r"(\p{P})(\P{N})"));
    static SYMBOL: LazyLock<Regex> = LazyLock::new(|| constant(r"\p{S}"));
    let line = AFTER_NON_DIGIT.replace_all(line, "$1 $2 ");
    let line = BEFORE_NON_DIGIT.replace_all(&line, " $1 $2");
    SYMBOL.replace_all(&line, " $0 ").into_owned()
}

fn constant(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern, compiled by the tests")
}

/// What sacreBLEU's `zh` takes for a Chinese character.
///
/// Two of its ranges are meant for U+20000 to U+2A6D6 and U+2F800 to U+2FA1D, but are written with four digits too few,
/// so that they compare as U+2001 to U+2A6D and U+2F81 to U+2FA1. Scores match only with the ranges as they act: general
/// punctuation, arrows and box drawing are set apart, and Extension B is not.
fn is_chinese(c: char) -> bool {
    matches!(c,
        '\u{3400}'..='\u{4db5}'
        | '\u{4e00}'..='\u{9fbb}'
        | '\u{f900}'..='\u{fa2d}'
        | '\u{fa30}'..='\u{fa6a}'
        | '\u{fa70}'..='\u{fad9}'
        | '\u{2001}'..='\u{2a6d}'
        | '\u{ff00}'..='\u{ffef}'
        | '\u{2e80}'..='\u{2eff}'
        | '\u{3000}'..='\u{303f}'
        | '\u{31c0}'..='\u{31ef}'
        | '\u{2f00}'..='\u{2fdf}'
        | '\u{2ff0}'..='\u{2fff}'
        | '\u{3100}'..='\u{312f}'
        | '\u{31a0}'..='\u{31bf}'
        | '\u{fe10}'..='\u{fe1f}'
        | '\u{fe30}'..='\u{fe4f}'
        | '\u{3200}'..='\u{33ff}'
    )
}

#[cfg(test)]
mod tests {
    use super::super::text::words;
    use super::*;

    fn tokens(tokenizer: &Tokenizer, line: &str) -> Vec<String> {
        words(&tokenizer.apply(line)).map(str::to_owned).collect()
    }

    #[test]
    fn numbers_keep_their_stops_in_13a() {
        let line = "He paid 1,234.50 (or 3-4), &quot;twice&quot;.. see a.b,c";
        assert_eq!(
            tokens(&Tokenizer::V13a, line).join(" "),
            "He paid 1,234.50 ( or 3 - 4 ) , \" twice \" . . see a . b , c"
        );
    }

    #[test]
    fn pairs_do_not_overlap() {
        let dot = |c| c == '.';
        assert_eq!(split_pairs("...", dot, dot, [true, true, true]), " . . .");
    }

    #[test]
    fn international_punctuation_and_symbols_stand_alone() {
        assert_eq!(
            tokens(&Tokenizer::Intl, "«x» 10,5€ 2019.").join(" "),
            "« x » 10,5 € 2019."
        );
    }

    #[test]
    fn zh_sets_characters_apart_and_arrows_too() {
        assert_eq!(
            tokens(&Tokenizer::Zh, "中文abc→𠀀。").join(" "),
            "中 文 abc → 𠀀 。"
        );
    }

    #[test]
    fn names_that_need_more_are_refused_with_a_reason() {
        assert!(matches!(
            Tokenizer::parse("ja-mecab"),
            Err(EvaluateError::NeedsMecab { .. })
        ));
        assert!(
            Tokenizer::parse("ko-mecab")
                .unwrap_err()
                .to_string()
                .contains("MeCab")
        );
        assert!(matches!(
            Tokenizer::parse("flores200"),
            Err(EvaluateError::NeedsSentencePiece { .. })
        ));
        assert!(matches!(
            Tokenizer::parse("13A"),
            Err(EvaluateError::UnknownTokenizer { .. })
        ));
    }

    #[test]
    fn only_published_models_have_a_name() {
        assert_eq!(sentencepiece_name(KNOWN_MODELS[0].0), "flores200");
        assert_eq!(
            sentencepiece_name(&"0123456789abcdef".repeat(4)),
            "spm:01234567"
        );
    }
}
