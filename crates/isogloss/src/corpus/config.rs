//! `[[data]]` sections and what of them is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Rows;
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

/// What stands between the cells of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Separator {
    /// A tab.
    #[default]
    #[serde(rename = "\t")]
    Tab,
    /// A comma.
    #[serde(rename = ",")]
    Comma,
    /// A semicolon, as spreadsheets write where the comma stands in numbers.
    #[serde(rename = ";")]
    Semicolon,
}

impl Separator {
    pub(super) fn byte(self) -> u8 {
        match self {
            Separator::Tab => b'\t',
            Separator::Comma => b',',
            Separator::Semicolon => b';',
        }
    }

    /// What cells are called by it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Separator::Tab => "tab-separated",
            Separator::Comma => "comma-separated",
            Separator::Semicolon => "semicolon-separated",
        }
    }

    fn is_tab(&self) -> bool {
        *self == Separator::Tab
    }
}

/// `format = "tsv-pair"`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TsvPair {
    /// Path, with `{source}` and `{target}` in it unless `columns` names the languages.
    pub path: String,
    /// What stands between cells; default: a tab.
    #[serde(default, skip_serializing_if = "Separator::is_tab")]
    pub separator: Separator,
    /// Whether a cell that begins with `"` ends at the next single one, and doubled ones inside are one, as in RFC 4180; line breaks inside become
    /// spaces. Default: unless cells are separated by tabs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotes: Option<bool>,
    /// Languages of the two columns of a path without placeholders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<[Language; 2]>,
    /// Whether line 1 of each file names the columns and is skipped; default `false`: it is the first pair. A first line that
    /// is taken and looks like a header is warned of in the log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub header: bool,
    /// Rows of each file to take, counted under the header if there is one; default: all.
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
    /// What stands between cells; default: a tab.
    #[serde(default, skip_serializing_if = "Separator::is_tab")]
    pub separator: Separator,
    /// Whether a cell that begins with `"` ends at the next single one, and doubled ones inside are one, as in RFC 4180; line breaks inside become
    /// spaces. Default: unless cells are separated by tabs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotes: Option<bool>,
    /// The header's name for the column of each language, to the letter; other columns are ignored. Default: the header holds
    /// codes of languages.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<Language, String>,
    /// Rows under the header to take; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// Languages to take; columns of any other name are ignored then. Default: all; without `columns` every column must be a language's.
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
    /// What stands between cells; default: a tab.
    #[serde(default, skip_serializing_if = "Separator::is_tab")]
    pub separator: Separator,
    /// Whether a cell that begins with `"` ends at the next single one, and doubled ones inside are one, as in RFC 4180; line breaks inside become
    /// spaces. Default: unless cells are separated by tabs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotes: Option<bool>,
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

impl Default for TsvRows {
    fn default() -> Self {
        TsvRows {
            path: String::new(),
            separator: Separator::default(),
            quotes: None,
            key: default_key(),
            text: default_text(),
            filter: BTreeMap::new(),
            rows: None,
            languages: None,
        }
    }
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
            parse("format = 'tsv-multi'\npath = 'x'\nseparator = ':'")
                .unwrap_err()
                .contains("`;`")
        );
        assert!(
            parse("format = 'tsv-multi'\npath = 'x'\nrows = '0'")
                .unwrap_err()
                .contains("row ranges")
        );
    }
}
