//! `[[data]]` sections and what of them is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::language::{Direction, Language};

/// One `[[data]]` section. Relative paths start at the folder of the configuration file. TSV has no quoting: a tab ends a
/// cell, LF ends a row, and nothing escapes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum DataConfig {
    /// One file a language, line by line translations of each other.
    Aligned(Aligned),
    /// Two columns, one language each.
    TsvPair(TsvPair),
    /// One column a language, named in a header; an empty cell is a missing translation.
    TsvMulti(TsvMulti),
    /// One file a language with a header of named columns, joined by a key.
    TsvRows(TsvRows),
    /// One JSON object a line.
    Jsonl(Jsonl),
}

/// `format = "aligned"`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aligned {
    /// Path with `{lang}` in it; every file that matches is taken. This or `files`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Path of each language. This or `path`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<Language, PathBuf>,
    /// Lines to take; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// Languages to take; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<Language>>,
}

/// `format = "tsv-pair"`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TsvPair {
    /// Path, with `{source}` and `{target}` in it unless `columns` names the languages.
    pub path: String,
    /// Languages of the two columns of a path without placeholders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<[Language; 2]>,
    /// Rows of each file to take; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// Languages to take; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<Language>>,
}

/// `format = "tsv-multi"`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TsvMulti {
    /// Path of the file.
    pub path: PathBuf,
    /// Rows under the header to take; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// Languages to take; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<Language>>,
    /// Take only rows that all languages have, of those that are taken; default `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub complete: bool,
}

/// `format = "tsv-rows"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TsvRows {
    /// Path with `{lang}` in it; every file that matches is taken.
    pub path: String,
    /// Column whose value says which rows translate each other; default `id`. Values are unique in a file.
    #[serde(default = "default_key")]
    pub key: String,
    /// Column of the sentence; default `text`.
    #[serde(default = "default_text")]
    pub text: String,
    /// Column = value, or list of values, that a row must have.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub filter: BTreeMap<String, OneOrMany>,
    /// Rows under the header of each file to take, counted before `where`; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// Languages to take; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<Language>>,
}

/// `format = "jsonl"`: `{"translation": {"en": "...", "de": "..."}}`, as the translation data sets of Hugging Face, or
/// `{"source": "...", "target": "...", "source_lang": "en", "target_lang": "de"}`. Other fields are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jsonl {
    /// Path of the file.
    pub path: PathBuf,
    /// Field with an object language -> text; default `translation`. A line without it must have the fields below.
    #[serde(default = "default_translation")]
    pub translation: String,
    /// Field of the source text; default `source`.
    #[serde(default = "default_source")]
    pub source: String,
    /// Field of the target text; default `target`.
    #[serde(default = "default_target")]
    pub target: String,
    /// Field of the source language; default `source_lang`.
    #[serde(default = "default_source_lang")]
    pub source_lang: String,
    /// Field of the target language; default `target_lang`.
    #[serde(default = "default_target_lang")]
    pub target_lang: String,
    /// Languages of lines that have no field for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Lines to take; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// Languages to take; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<Language>>,
}

fn default_key() -> String {
    "id".into()
}
fn default_text() -> String {
    "text".into()
}
fn default_translation() -> String {
    "translation".into()
}
fn default_source() -> String {
    "source".into()
}
fn default_target() -> String {
    "target".into()
}
fn default_source_lang() -> String {
    "source_lang".into()
}
fn default_target_lang() -> String {
    "target_lang".into()
}

impl DataConfig {
    /// The section's restriction of languages.
    #[must_use]
    pub fn languages(&self) -> Option<&[Language]> {
        match self {
            DataConfig::Aligned(c) => c.languages.as_deref(),
            DataConfig::TsvPair(c) => c.languages.as_deref(),
            DataConfig::TsvMulti(c) => c.languages.as_deref(),
            DataConfig::TsvRows(c) => c.languages.as_deref(),
            DataConfig::Jsonl(c) => c.languages.as_deref(),
        }
    }
}

/// A value or a list of values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// `"train"`.
    One(String),
    /// `["train", "valid"]`.
    Many(Vec<String>),
}

impl OneOrMany {
    /// Whether `value` is the value or one of them.
    #[must_use]
    pub fn contains(&self, value: &str) -> bool {
        match self {
            OneOrMany::One(one) => one == value,
            OneOrMany::Many(many) => many.iter().any(|v| v == value),
        }
    }
}

/// 1-based inclusive ranges of rows: `1-897`, `1-100,201-300`, `898-`, `7`. `-897` is the first 897 or as many as there are;
/// of every other range the file must have all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows(Vec<(u64, Option<u64>)>);

/// Start of a range that may end beyond the file.
const FROM_START: u64 = 0;

impl Rows {
    /// Whether a 1-based row is taken.
    #[must_use]
    pub fn contains(&self, row: u64) -> bool {
        self.0
            .iter()
            .any(|&(first, last)| first <= row && last.is_none_or(|last| row <= last))
    }

    /// Whether a row is in both.
    #[must_use]
    pub fn meets(&self, other: &Rows) -> bool {
        let within = |last: Option<u64>, row: u64| last.is_none_or(|last| row <= last);
        self.0.iter().any(|&(first, last)| {
            let mut others = other.0.iter();
            // The later start lies in both, or nothing does.
            others.any(|&(from, to)| within(last, first.max(from)) && within(to, first.max(from)))
        })
    }

    /// The last row that must exist for every range to be whole.
    #[must_use]
    pub fn last_needed(&self) -> u64 {
        self.0
            .iter()
            .map(|&(first, last)| match first {
                FROM_START => 1,
                first => last.unwrap_or(first),
            })
            .max()
            .unwrap_or(0)
    }
}

impl FromStr for Rows {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("`{text}` is no list of 1-based row ranges such as `1-897` or `1-100,201-`");
        let number = |s: &str| {
            s.trim()
                .parse::<u64>()
                .ok()
                .filter(|&n| n > 0)
                .ok_or_else(bad)
        };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let range = match part.split_once('-') {
                None => (number(part)?, Some(number(part)?)),
                Some((first, last)) if last.trim().is_empty() => (number(first)?, None),
                Some((first, last)) if first.trim().is_empty() => (FROM_START, Some(number(last)?)),
                Some((first, last)) => (number(first)?, Some(number(last)?)),
            };
            if range.1.is_some_and(|last| last < range.0) {
                return Err(bad());
            }
            ranges.push(range);
        }
        Ok(Rows(ranges))
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, &(first, last)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match last {
                None => write!(f, "{comma}{first}-")?,
                Some(last) if first == FROM_START => write!(f, "{comma}-{last}")?,
                Some(last) if last == first => write!(f, "{comma}{first}")?,
                Some(last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Which directions of the data are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DirectionFilter {
    /// Every ordered pair of languages that the data holds.
    #[default]
    All,
    /// Every ordered pair of these languages that the data holds; each language needs at least one.
    Among(BTreeSet<Language>),
    /// These, each of which the data must hold.
    Only(BTreeSet<Direction>),
}

impl DirectionFilter {
    /// Whether pairs of this direction are wanted.
    #[must_use]
    pub fn wants(&self, direction: &Direction) -> bool {
        match self {
            DirectionFilter::All => true,
            DirectionFilter::Among(set) => {
                set.contains(&direction.source) && set.contains(&direction.target)
            }
            DirectionFilter::Only(set) => set.contains(direction),
        }
    }

    /// Whether texts of this language are wanted at all.
    #[must_use]
    pub fn wants_language(&self, language: &Language) -> bool {
        match self {
            DirectionFilter::All => true,
            DirectionFilter::Among(set) => set.contains(language),
            DirectionFilter::Only(set) => set.iter().any(|d| d.has(language)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_ranges() {
        for text in ["1-897", "-897", "7", "898-", "1-100,201-300,400-"] {
            assert_eq!(text.parse::<Rows>().unwrap().to_string(), text);
        }
        let rows: Rows = "2-3, 5-".parse().unwrap();
        assert_eq!(
            (1..8).filter(|&r| rows.contains(r)).collect::<Vec<_>>(),
            [2, 3, 5, 6, 7]
        );
        assert_eq!(
            (
                rows.last_needed(),
                "1-897".parse::<Rows>().unwrap().last_needed()
            ),
            (5, 897)
        );
        for bad in [
            "",
            "0-3",
            "3-2",
            "a",
            "-0",
            "1-2-3",
            "1,,2",
            "1-99999999999999999999",
        ] {
            assert!(bad.parse::<Rows>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sections_refuse_unknown_fields_and_formats() {
        let parse = |text: &str| toml::from_str::<DataConfig>(text).map_err(|e| e.to_string());
        let section = parse(
            "format = 'tsv-rows'\npath = '{lang}.tsv'\nwhere = { split = ['train', 'valid'] }",
        )
        .unwrap();
        let DataConfig::TsvRows(rows) = &section else {
            panic!("{section:?}")
        };
        assert_eq!((rows.key.as_str(), rows.text.as_str()), ("id", "text"));
        assert!(rows.filter["split"].contains("valid"));
        assert_eq!(parse(&toml::to_string(&section).unwrap()).unwrap(), section);
        assert!(
            parse("format = 'aligned'\npath = 'x'\nlanguage = ['en']")
                .unwrap_err()
                .contains("language")
        );
        assert!(
            parse("format = 'csv'\npath = 'x'")
                .unwrap_err()
                .contains("tsv-pair")
        );
        assert!(
            parse("format = 'tsv-multi'\npath = 'x'\nlanguages = ['german']")
                .unwrap_err()
                .contains("deu_Latn")
        );
        assert!(
            parse("format = 'tsv-multi'\npath = 'x'\nrows = '0'")
                .unwrap_err()
                .contains("row ranges")
        );
    }
}
