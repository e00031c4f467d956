//! Tables of a pilot's plan and result.

use std::fmt::Write as _;

use crate::compare::{count, duration, grouped, listed, signed, with_interval};
use crate::evaluate::{Comparison, Verdict};
use crate::pilot::{Chosen, PilotResults, SizeRow, Whole};

pub(super) fn chosen_table(chosen: &[Chosen]) -> Vec<Vec<String>> {
    let mut rows = vec![
        ["direction", "training pairs", "chosen for"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(
        chosen
            .iter()
            .map(|c| vec![c.direction.to_string(), grouped(c.pairs), c.why.join(", ")]),
    );
    rows
}

/// Columns of numbers end alike, those of words begin alike.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let body = |c: usize| rows.iter().skip(1).filter_map(move |row| row.get(c));
    let number = |cell: &String| cell.starts_with(|x: char| "+-".contains(x) || x.is_ascii_digit());
    let widths: Vec<usize> = (0..columns)
        .map(|c| {
            rows.iter()
                .filter_map(|row| row.get(c))
                .map(|cell| cell.chars().count())
                .max()
        })
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (c, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = match body(c).any(number) {
                true => write!(line, "{cell:>width$}  "),
                false => write!(line, "{cell:<width$}  "),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Bytes in the unit that suits them.
pub(super) fn bytes(n: usize) -> String {
    let n = n as f64;
    match n {
        ..1e6 => format!("{:.0} kB", (n / 1e3).ceil()),
        ..1e9 => format!("{:.1} MB", n / 1e6),
        _ => format!("{:.1} GB", n / 1e9),
    }
}

impl PilotResults {
    pub(super) fn sizes_table(&self) -> Vec<Vec<String>> {
        let head = [
            "size",
            "of the base, in a direction",
            "change to the base",
            "to the best size",
            "updates",
            "training",
            "",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let base = self.whole.base_parameters.max(1) as f64;
        let mut sizes: Vec<&SizeRow> = self.sizes.iter().collect();
        sizes.sort_by_key(|row| -row.power);
        rows.extend(sizes.into_iter().map(|row| {
            let mut notes = Vec::new();
            if row.power == 0 {
                notes.push("as configured".to_owned());
            }
            if Some(&row.size) == self.chosen.as_ref() {
                notes.push("chosen".to_owned());
            }
            if row.worse {
                notes.push(match row.loses.as_slice() {
                    [] => "significantly worse".to_owned(),
                    lost => format!("significantly worse: {}", listed(lost)),
                });
            }
            if row.cut {
                notes.push("cut short by the limit".to_owned());
            }
            vec![
                row.size.clone(),
                format!("{:.2}%", 100.0 * row.active as f64 / base),
                with_interval(&row.change),
                row.against_best
                    .as_ref()
                    .map_or_else(|| "best".to_owned(), with_interval),
                row.updates.to_string(),
                duration(row.seconds),
                notes.join(", "),
            ]
        }));
        rows
    }
}

pub(super) fn gain_table(gain: &Comparison, chosen: &[Chosen]) -> Vec<Vec<String>> {
    let head = [
        "direction",
        "base",
        "adapted",
        "change",
        "at least",
        "verdict",
        "chosen for",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(gain.directions.iter().map(|d| {
        let [low, high] = d.interval.map(signed);
        let why = chosen.iter().find(|c| c.direction == d.direction);
        vec![
            d.direction.to_string(),
            format!("{:.1}", d.base),
            format!("{:.1}", d.score),
            format!("{} [{low}, {high}]", signed(d.change)),
            signed(d.lower_bound),
            match d.verdict {
                Verdict::Better => "better",
                Verdict::Worse => "worse",
                Verdict::Unclear => "unclear",
            }
            .to_owned(),
            why.map_or_else(String::new, |c| c.why.join(", ")),
        ]
    }));
    rows
}

pub(super) fn whole_table(whole: &Whole) -> Vec<Vec<String>> {
    let base = whole.base_parameters.max(1) as f64;
    let parameters = |n: usize| {
        format!(
            "{} ({:.2}% of the base)",
            grouped(n),
            100.0 * n as f64 / base
        )
    };
    let rows = [
        (
            "the whole configuration".to_owned(),
            format!(
                "{}, {}, {}",
                count(whole.languages, "language"),
                count(whole.directions, "direction"),
                whole.size
            ),
        ),
        (
            "parameters of all updates".to_owned(),
            parameters(whole.parameters),
        ),
        (
            "active in one direction, at most".to_owned(),
            parameters(whole.active),
        ),
        ("disk".to_owned(), bytes(whole.disk_bytes)),
        ("memory of training".to_owned(), bytes(whole.memory_bytes)),
        (
            "training".to_owned(),
            format!(
                "{} ({} of {} pairs)",
                duration(3600.0 * whole.training_hours),
                count(whole.epochs as usize, "epoch"),
                grouped(whole.pairs_per_epoch)
            ),
        ),
        (
            "translating".to_owned(),
            format!(
                "{} for 1,000 sentences",
                duration(1000.0 / whole.sentences_per_second.max(1e-9))
            ),
        ),
    ];
    rows.map(|(what, value)| vec![what, value]).to_vec()
}
