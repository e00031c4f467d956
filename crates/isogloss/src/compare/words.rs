//! Numbers and extents in words.

use std::fmt::Write as _;

use crate::compare::{Extent, Label, Protocol};
use crate::evaluate::ChangeOfMean;

/// `10,978,560`.
#[must_use]
pub fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A change with its sign, unless nothing changed.
#[must_use]
pub fn signed(x: f64) -> String {
    match x.abs() < 0.005 {
        true => "0.00".to_owned(),
        false => format!("{x:+.2}"),
    }
}

/// `2 h 05 min`, `3 min 10 s`, `8 s`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

/// `a, b, c`.
pub(crate) fn listed(all: impl IntoIterator<Item: ToString>) -> String {
    let all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    all.join(", ")
}

/// A mean change with its interval.
pub(crate) fn with_interval(change: &ChangeOfMean) -> String {
    let [low, high] = change.interval.map(signed);
    format!("{} [{low}, {high}]", signed(change.change))
}

pub(crate) fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        _ => format!("{} {what}s", grouped(n)),
    }
}

/// `all of it`, or what is left of it.
pub(super) fn extent(now: &Extent, whole: &Extent) -> String {
    let mut parts = Vec::new();
    if now.pairs < whole.pairs {
        parts.push(format!(
            "{:.0}% of the pairs of an epoch",
            100.0 * now.pairs
        ));
    }
    if now.seeds < whole.seeds {
        parts.push(format!("{} of {}", now.seeds, count(whole.seeds, "seed")));
    }
    if now.fewer_directions && !whole.fewer_directions {
        parts.push("the fewer directions".to_owned());
    }
    if now.sentences < whole.sentences {
        parts.push(format!(
            "the first {} of {}",
            now.sentences,
            count(whole.sentences, "test sentence")
        ));
    }
    parts.join(", ")
}

impl Protocol {
    /// What is done, and what it is predicted to take: a line a cell.
    #[must_use]
    pub fn describe(&self) -> String {
        let names = self.cells.iter().map(|cell| cell.name.len() + 2);
        let width = names.fold(28, usize::max);
        let mut text = format!(
            "{:<width$}{:>6}{:>12}{:>12}\n",
            "cell", "rates", "training", "scoring"
        );
        for cell in &self.cells {
            let training = match cell.seed {
                Some(_) => duration(3600.0 * cell.training_hours),
                None => String::new(),
            };
            let rates = if cell.rates > 1 {
                cell.rates.to_string()
            } else {
                String::new()
            };
            let _ = writeln!(
                text,
                "{:<width$}{rates:>6}{training:>12}{:>12}",
                cell.name,
                duration(3600.0 * cell.scoring_hours)
            );
        }
        let _ = writeln!(text, "in all about {}", duration(3600.0 * self.hours));
        match self.label {
            Label::Published => text += "published: nothing is reduced\n",
            Label::Reduced => {
                let _ = writeln!(
                    text,
                    "reduced, since the whole takes about {}: {}",
                    duration(3600.0 * self.whole_hours),
                    extent(&self.extent, &self.whole)
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_no_change_has_no_sign() {
        assert_eq!(
            [0, 999, 1000, 10_978_560].map(grouped),
            ["0", "999", "1,000", "10,978,560"]
        );
        assert_eq!(
            [0.5, -0.126, -0.001].map(signed),
            ["+0.50", "-0.13", "0.00"]
        );
    }

    #[test]
    fn what_is_left_of_an_experiment_is_said_in_words() {
        let whole = Extent {
            pairs: 1.0,
            seeds: 3,
            fewer_directions: false,
            sentences: 1012,
        };
        let now = Extent {
            pairs: 0.25,
            seeds: 1,
            ..whole
        };
        assert_eq!(
            extent(&now, &whole),
            "25% of the pairs of an epoch, 1 of 3 seeds"
        );
    }
}
