//! Cleaning of training pairs.

mod text;

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Corpus;
use super::store::Texts;
use crate::language::Language;

/// What training pairs must be like. Every test is symmetric: a pair is kept or dropped for both directions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterConfig {
    /// Drop nothing; default `false`.
    pub keep_all: bool,
    /// Longest sentence in characters; default 1000.
    pub max_chars: usize,
    /// How many times longer than usual one side may be, at least 1. With lengths `a`, `b` in characters and the ratio
    /// `(a + 10) / (b + 10)`, "usual" is the median of the pair of languages, so that Chinese beside German is not long
    /// beside short, and the 10 lets short sentences vary. Default 3.
    pub max_length_ratio: f64,
    /// Share of a sentence's letters that must be in the language's script, 0 to 1; default 0.5. A Chinese, Japanese or
    /// Korean character counts as three letters. Scripts that Unicode
    /// does not know are not checked.
    pub min_script_share: f64,
    /// Drop later occurrences of the same pair; default `true`.
    pub drop_duplicates: bool,
    /// Drop pairs whose sides are the same text; default `true`.
    pub drop_copies: bool,
}

impl Default for FilterConfig {
    fn default() -> Self {
        FilterConfig {
            keep_all: false,
            max_chars: 1000,
            max_length_ratio: 3.0,
            min_script_share: 0.5,
            drop_duplicates: true,
            drop_copies: true,
        }
    }
}

/// A setting of the filter that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A number out of its range.
    #[error("filter setting `{field}` is {value}; it must be {expected}")]
    OutOfRange {
        /// Name of the setting.
        field: &'static str,
        /// What was given.
        value: f64,
        /// What is possible.
        expected: &'static str,
    },
}

impl FilterConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`FilterError::OutOfRange`] for the first setting that is out of its range.
    pub fn validate(&self) -> Result<(), FilterError> {
        let (share, ratio) = (self.min_script_share, self.max_length_ratio);
        let checks = [
            (
                "max_chars",
                self.max_chars as f64,
                self.max_chars > 0,
                "at least 1",
            ),
            (
                "max_length_ratio",
                ratio,
                ratio >= 1.0,
                "at least 1 (`inf` for any)",
            ),
            (
                "min_script_share",
                share,
                (0.0..=1.0).contains(&share),
                "between 0 and 1",
            ),
        ];
        match checks.into_iter().find(|&(_, _, good, _)| !good) {
            Some((field, value, _, expected)) => Err(FilterError::OutOfRange {
                field,
                value,
                expected,
            }),
            None => Ok(()),
        }
    }
}

/// Why a pair was dropped. A pair counts under the first reason that applies, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A side is empty.
    Empty,
    /// A side is longer than `max_chars`.
    TooLong,
    /// A side has no letter outside of placeholders, tags, numbers and addresses.
    NoText,
    /// Both sides are the same text.
    Copy,
    /// A side is in another script than its language.
    WrongScript,
    /// The pair occurred before.
    Duplicate,
    /// One side is far longer than usual for the two languages.
    LengthRatio,
}

impl Reason {
    /// All reasons in the order of the tests.
    pub const ALL: [Reason; 7] = [
        Reason::Empty,
        Reason::TooLong,
        Reason::NoText,
        Reason::Copy,
        Reason::WrongScript,
        Reason::Duplicate,
        Reason::LengthRatio,
    ];

    fn heading(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::TooLong => "too long",
            Reason::NoText => "no text",
            Reason::Copy => "copy",
            Reason::WrongScript => "script",
            Reason::Duplicate => "duplicate",
            Reason::LengthRatio => "ratio",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Empty => "a side is empty",
            Reason::TooLong => "a side is longer than `max_chars`",
            Reason::NoText => "a side has no words",
            Reason::Copy => "both sides are the same text",
            Reason::WrongScript => "a side is in another script than its language",
            Reason::Duplicate => "the pair occurred before",
            Reason::LengthRatio => "one side is far longer than usual",
        })
    }
}

/// What happened to the pairs of one or both directions of two languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilterRow {
    /// The direction, or both where both are wanted: `deu_Latn-eng_Latn`, `deu_Latn<>eng_Latn`.
    pub label: String,
    /// Pairs before.
    pub read: usize,
    /// Pairs after.
    pub kept: usize,
    /// Pairs dropped, by reason; reasons without any are left out.
    pub dropped: BTreeMap<Reason, usize>,
}

impl FilterRow {
    fn sum<'a>(label: &str, rows: impl Iterator<Item = &'a FilterRow>) -> Self {
        let mut sum = FilterRow {
            label: label.to_owned(),
            read: 0,
            kept: 0,
            dropped: BTreeMap::new(),
        };
        for row in rows {
            sum.read += row.read;
            sum.kept += row.kept;
            for (&reason, &count) in &row.dropped {
                *sum.dropped.entry(reason).or_default() += count;
            }
        }
        sum
    }

    /// The reason for which most pairs were dropped, if any were.
    #[must_use]
    pub fn main_reason(&self) -> Option<Reason> {
        let most = self.dropped.iter().max_by_key(|&(_, count)| count);
        most.map(|(&reason, _)| reason)
    }
}

/// Counts of a filter run. `Display` is a table with a row for each pair of languages and a total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilterReport {
    /// A row for each pair of languages, sorted.
    pub rows: Vec<FilterRow>,
}

impl FilterReport {
    /// The sum of all rows.
    #[must_use]
    pub fn total(&self) -> FilterRow {
        FilterRow::sum("total", self.rows.iter())
    }

    /// The sum of a language's rows.
    #[must_use]
    pub fn of(&self, language: &Language) -> FilterRow {
        let code = language.code();
        FilterRow::sum(
            code,
            self.rows.iter().filter(|row| row.label.contains(code)),
        )
    }
}

impl fmt::Display for FilterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let rows: Vec<&FilterRow> = self.rows.iter().chain([&total]).collect();
        let reasons: Vec<Reason> = Reason::ALL
            .into_iter()
            .filter(|r| total.dropped.contains_key(r))
            .collect();
        let width = rows.iter().map(|row| row.label.len()).max().unwrap_or(0);
        write!(f, "{:width$} {:>10} {:>10}", "pairs", "read", "kept")?;
        for reason in &reasons {
            write!(f, " {:>10}", reason.heading())?;
        }
        for row in rows {
            write!(
                f,
                "\n{:width$} {:>10} {:>10}",
                row.label, row.read, row.kept
            )?;
            for reason in &reasons {
                write!(f, " {:>10}", row.dropped.get(reason).copied().unwrap_or(0))?;
            }
        }
        writeln!(f)
    }
}

impl Corpus {
    /// Drops the pairs that fail a test, keeps the others in their order, and says what was dropped. Directions that lose
    /// all pairs are gone.
    ///
    /// # Errors
    /// [`FilterError`] for settings out of range; nothing is dropped then.
    pub fn filter(&mut self, config: &FilterConfig) -> Result<FilterReport, FilterError> {
        config.validate()?;
        let mut judge = Judge {
            config,
            lengths: lengths(&self.texts),
            verdicts: BTreeMap::new(),
        };
        let labels: Vec<String> = (0..self.lists.len()).map(|list| self.label(list)).collect();
        let mut rows = Vec::with_capacity(self.lists.len());
        let texts = &self.texts;
        for (list, label) in self.lists.iter_mut().zip(labels) {
            let (read, mut dropped) = (list.pairs.len(), BTreeMap::new());
            if !config.keep_all {
                let reasons = judge.reasons(texts, &list.languages, &list.pairs);
                let mut reasons = reasons.into_iter();
                list.pairs.retain(|_| {
                    let reason = reasons.next().flatten();
                    reason
                        .map(|r| *dropped.entry(r).or_insert(0) += 1)
                        .is_none()
                });
            }
            rows.push(FilterRow {
                label,
                read,
                kept: list.pairs.len(),
                dropped,
            });
        }
        self.drop_empty();
        Ok(FilterReport { rows })
    }

    fn label(&self, list: usize) -> String {
        let directions: Vec<_> = self.directions_of(list).collect();
        match directions.as_slice() {
            [one] => one.to_string(),
            _ => {
                let [a, b] = &self.lists[list].languages;
                format!("{a}<>{b}")
            }
        }
    }
}

/// Lengths of all texts in characters.
fn lengths(texts: &Texts) -> Vec<usize> {
    (0..)
        .take(texts.len())
        .map(|id| texts.get(id).chars().count())
        .collect()
}

struct Judge<'a> {
    config: &'a FilterConfig,
    lengths: Vec<usize>,
    /// For each language and text, whether the text alone is a reason to drop it. Texts stand in many pairs.
    verdicts: BTreeMap<Language, Vec<Option<Verdict>>>,
}

type Verdict = Option<Reason>;

impl Judge<'_> {
    /// The reason to drop each pair of a list.
    fn reasons(
        &mut self,
        texts: &Texts,
        languages: &[Language; 2],
        pairs: &[(u32, u32)],
    ) -> Vec<Verdict> {
        let mut seen = HashSet::new();
        let mut reasons: Vec<Verdict> = Vec::with_capacity(pairs.len());
        // Taken out, so that no pair has to look for its languages.
        let mut verdicts = [0, 1].map(|side| {
            self.verdicts
                .remove(&languages[side])
                .unwrap_or_else(|| vec![None; texts.len()])
        });
        for &(a, b) in pairs {
            let alone_a =
                *verdicts[0][a as usize].get_or_insert_with(|| self.judge(texts, a, &languages[0]));
            let alone_b =
                *verdicts[1][b as usize].get_or_insert_with(|| self.judge(texts, b, &languages[1]));
            let copy = (self.config.drop_copies && a == b).then_some(Reason::Copy);
            let duplicate = || {
                (self.config.drop_duplicates && !seen.insert((a, b))).then_some(Reason::Duplicate)
            };
            let reason = [alone_a, alone_b, copy].into_iter().flatten().min();
            reasons.push(reason.or_else(duplicate));
        }
        for (language, verdicts) in languages.iter().zip(verdicts) {
            self.verdicts.insert(language.clone(), verdicts);
        }
        self.length_ratios(pairs, &mut reasons);
        reasons
    }

    /// Marks the pairs whose lengths are unusual among those that are still there.
    fn length_ratios(&self, pairs: &[(u32, u32)], reasons: &mut [Verdict]) {
        let log_ratio = |&(a, b): &(u32, u32)| {
            let [a, b] = [a, b].map(|id| self.lengths[id as usize] as f64 + 10.0);
            (a / b).ln()
        };
        let mut kept: Vec<f64> = pairs
            .iter()
            .zip(reasons.iter())
            .filter(|(_, r)| r.is_none())
            .map(|(p, _)| log_ratio(p))
            .collect();
        if kept.is_empty() {
            return;
        }
        let middle = kept.len() / 2;
        let (_, &mut median, _) = kept.select_nth_unstable_by(middle, f64::total_cmp);
        let limit = self.config.max_length_ratio.ln();
        for (pair, reason) in pairs.iter().zip(reasons.iter_mut()) {
            if reason.is_none() && (log_ratio(pair) - median).abs() > limit {
                *reason = Some(Reason::LengthRatio);
            }
        }
    }

    fn judge(&self, texts: &Texts, id: u32, language: &Language) -> Verdict {
        text::judge(
            self.config,
            texts.get(id),
            self.lengths[id as usize],
            language,
        )
    }
}
