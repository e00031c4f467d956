//! Languages, directions and their resource classes.
//!
//! A [`Language`] is its FLORES-200 code. [`FromStr`] also reads the codes of M2M-100, M2M-124 (the FLORES-101 models of
//! fairseq), FLORES-101, NLLB-200 and common aliases, so that every part of the program sees one code for one language.

mod pairs;
mod script;
mod table;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use table::{KNOWN, Known};

pub use pairs::ordered_pairs;

pub(crate) use script::{Scripts, script};

/// A language, by its FLORES-200 code: three letters for the language and four for the script, as in `deu_Latn`.
///
/// Languages outside FLORES-200 have codes of the same form, so a new language needs no entry anywhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(Arc<str>);

impl Language {
    /// The code, such as `deu_Latn`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0
    }

    /// The script's ISO 15924 code, such as `Latn`.
    #[must_use]
    pub fn script(&self) -> &str {
        self.0.split_once('_').map_or("", |(_, script)| script)
    }

    /// The code inside a tag `__xx__` of M2M-100 and M2M-124, `None` where neither has the language. 24 of the codes exist
    /// in M2M-124 only: whether a checkpoint has the tag is its vocabulary's word. Traditional Chinese and Nynorsk have no
    /// tag of their own there.
    #[must_use]
    pub fn m2m_code(&self) -> Option<&'static str> {
        self.known().map(|k| k.m2m).filter(|code| !code.is_empty())
    }

    /// The tag in NLLB-200's vocabulary, which writes Santali as `sat_Beng` (its text is in Ol Chiki: FLORES-200's
    /// `sat_Olck`). `None` for languages that NLLB-200 does not know.
    #[must_use]
    pub fn nllb_code(&self) -> Option<&'static str> {
        match self.known()?.code {
            "sat_Olck" => Some("sat_Beng"),
            "arb_Latn" | "bre_Latn" | "fry_Latn" | "min_Arab" => None,
            code => Some(code),
        }
    }

    /// English name, `None` for languages that the table does not know.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        self.known().map(|k| k.name)
    }

    /// Every language that is known by name, in the order of the codes.
    pub fn all_known() -> impl Iterator<Item = Language> {
        KNOWN.iter().map(|k| Language(k.code.into()))
    }

    fn known(&self) -> Option<&'static Known> {
        let at = KNOWN.binary_search_by(|k| k.code.cmp(&self.0)).ok()?;
        KNOWN.get(at)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no language code or no direction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LanguageError {
    /// Neither a known code nor formed like one.
    #[error(
        "unknown language `{code}`{}; a new language needs a code such as `lmo_Latn`",
        suggest(near)
    )]
    Unknown {
        /// What was given.
        code: String,
        /// Known codes that look like it or that it names, best first; may be empty.
        near: Vec<&'static str>,
    },
    /// Not two languages with a separator.
    #[error("`{text}` is no direction: expected two languages as `eng_Latn-deu_Latn` or `en->de`")]
    Direction {
        /// What was given.
        text: String,
    },
    /// No such class of resources, or no such side.
    #[error("`{text}` is not one of {expected}")]
    Choice {
        /// What was given.
        text: String,
        /// What could have been given.
        expected: &'static str,
    },
}

fn suggest(near: &[&str]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!(
        " (did you mean {}?)",
        near.iter()
            .map(|c| format!("`{c}`"))
            .collect::<Vec<_>>()
            .join(", ")
    )
}

impl FromStr for Language {
    type Err = LanguageError;

    /// Reads a code of FLORES-200, FLORES-101, NLLB-200, M2M-100 or M2M-124, or an alias. Case matters.
    ///
    /// # Errors
    /// [`LanguageError::Unknown`] if the text is neither known nor of the form `xxx_Yyyy`.
    fn from_str(code: &str) -> Result<Self, LanguageError> {
        if let Some(known) = lookup(code) {
            return Ok(Language(known.code.into()));
        }
        if is_well_formed(code) {
            return Ok(Language(code.into()));
        }
        Err(LanguageError::Unknown {
            code: code.to_owned(),
            near: near(code),
        })
    }
}

fn lookup(code: &str) -> Option<&'static Known> {
    if let Ok(at) = KNOWN.binary_search_by(|k| k.code.cmp(code)) {
        return KNOWN.get(at);
    }
    if code.is_empty() {
        return None;
    }
    if let Some(known) = KNOWN
        .iter()
        .find(|k| k.m2m == code || k.aliases.split(' ').any(|alias| alias == code))
    {
        return Some(known);
    }
    // A bare ISO 639-3 code where it leaves no doubt about the script.
    let mut same_prefix = KNOWN
        .iter()
        .filter(|k| code.len() == 3 && k.code.starts_with(code));
    match (same_prefix.next(), same_prefix.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// `[a-z]{3}_[A-Z][a-z]{3}`.
fn is_well_formed(code: &str) -> bool {
    let b = code.as_bytes();
    b.len() == 8
        && b[..3].iter().all(u8::is_ascii_lowercase)
        && b[3] == b'_'
        && b[4].is_ascii_uppercase()
        && b[5..].iter().all(u8::is_ascii_lowercase)
}

/// At most three known codes: those of a language of that name, else the nearest within two edits (one, for a code of two
/// or three letters) of a code or an alias.
fn near(code: &str) -> Vec<&'static str> {
    // Long texts cannot be near a code, and the distance is quadratic.
    if code.is_empty() || code.chars().count() > 40 {
        return Vec::new();
    }
    let wanted = code.to_lowercase();
    let limit = if wanted.len() <= 3 { 1 } else { 2 };
    let mut found: Vec<(usize, &'static str)> = KNOWN
        .iter()
        .filter_map(|k| {
            if k.name.to_lowercase().split(' ').any(|word| word == wanted)
                || k.code.starts_with(&wanted)
            {
                return Some((0, k.code));
            }
            let spellings = std::iter::once(k.code)
                .chain(std::iter::once(k.m2m))
                .chain(k.aliases.split(' '));
            let best = spellings
                .filter(|s| !s.is_empty())
                .map(|s| distance(&wanted, &s.to_lowercase()))
                .min()?;
            (best <= limit).then_some((best, k.code))
        })
        .collect();
    found.sort_unstable();
    let best = found.first().map_or(0, |&(edits, _)| edits);
    found
        .into_iter()
        .take_while(|&(edits, _)| edits == best)
        .take(3)
        .map(|(_, code)| code)
        .collect()
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// A translation direction. As text: `eng_Latn-deu_Latn`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Direction {
    /// Language of the input.
    pub source: Language,
    /// Language of the output.
    pub target: Language,
}

impl Direction {
    /// The direction from `source` to `target`.
    #[must_use]
    pub fn new(source: Language, target: Language) -> Self {
        Direction { source, target }
    }

    /// The opposite direction.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Direction {
            source: self.target.clone(),
            target: self.source.clone(),
        }
    }

    /// Whether the language is on a side.
    #[must_use]
    pub fn has(&self, language: &Language) -> bool {
        self.source == *language || self.target == *language
    }

    /// The language on one side.
    #[must_use]
    pub fn side(&self, side: LanguageSide) -> &Language {
        match side {
            LanguageSide::Source => &self.source,
            LanguageSide::Target => &self.target,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.source, self.target))
    }
}

impl FromStr for Direction {
    type Err = LanguageError;

    /// Reads `a-b` or `a->b`, where `a` and `b` are what [`Language`] reads.
    ///
    /// # Errors
    /// [`LanguageError::Direction`] without a separator, [`LanguageError::Unknown`] for an unknown language.
    fn from_str(text: &str) -> Result<Self, LanguageError> {
        let Some((source, target)) = text.split_once("->").or_else(|| text.split_once('-')) else {
            return Err(LanguageError::Direction {
                text: text.to_owned(),
            });
        };
        if source.trim().is_empty() || target.trim().is_empty() {
            return Err(LanguageError::Direction {
                text: text.to_owned(),
            });
        }
        Ok(Direction {
            source: source.trim().parse()?,
            target: target.trim().parse()?,
        })
    }
}

/// How much data a language has; decides its rank and its row in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// Plenty of parallel text.
    High,
    /// Some.
    Medium,
    /// Little.
    Low,
}

/// Which language of the direction a part of the model goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LanguageSide {
    /// The language of the input.
    Source,
    /// The language of the output.
    Target,
}

impl Resource {
    /// All classes, richest first.
    pub const ALL: [Resource; 3] = [Resource::High, Resource::Medium, Resource::Low];

    /// `high`, `medium` or `low`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Resource::High => "high",
            Resource::Medium => "medium",
            Resource::Low => "low",
        }
    }
}

impl LanguageSide {
    /// Both sides.
    pub const ALL: [LanguageSide; 2] = [LanguageSide::Source, LanguageSide::Target];

    /// `source` or `target`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LanguageSide::Source => "source",
            LanguageSide::Target => "target",
        }
    }
}

macro_rules! choice {
    ($type:ty, $expected:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = LanguageError;
            fn from_str(text: &str) -> Result<Self, LanguageError> {
                Self::ALL
                    .into_iter()
                    .find(|c| c.as_str() == text)
                    .ok_or_else(|| LanguageError::Choice {
                        text: text.to_owned(),
                        expected: $expected,
                    })
            }
        }
    };
}
choice!(Resource, "high, medium, low");
choice!(LanguageSide, "source, target");

macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}
serde_as_text!(Language);
serde_as_text!(Direction);

#[cfg(test)]
mod tests;
