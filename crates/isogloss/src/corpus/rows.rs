//! Which rows of a file are taken.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
}
