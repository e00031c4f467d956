//! Results as tables, for people.

mod gains;

use std::fmt::Write as _;

use crate::compare::results::{Row, Summary, TestResults, foreign};
use crate::compare::words::{count, duration, extent, grouped, signed, with_interval};
use crate::compare::{Kind, Label, Results};
use crate::evaluate::Share;

impl TestResults {
    fn heading(&self) -> String {
        let seeds = if self.all_seeds { "" } else { ", first seed" };
        format!(
            "{}: {} x {}{seeds} ({})",
            self.test,
            count(self.directions, "direction"),
            count(self.sentences, "sentence"),
            self.label.as_str()
        )
    }
}

impl Results {
    /// Head and rows of the main table of a test.
    fn main_table(&self, test: &TestResults) -> Vec<Vec<String>> {
        let label = test.label.as_str();
        let head = [
            "method".to_owned(),
            "seeds".to_owned(),
            "trained".to_owned(),
            "compacted".to_owned(),
            "one direction, compacted".to_owned(),
            format!("{} ({label})", self.metric),
            format!("change ({label})"),
            format!("of full's gain ({label})"),
            format!("worst direction, bound ({label})"),
            "training".to_owned(),
        ];
        let mut rows = vec![head.to_vec()];
        rows.extend(test.rows.iter().map(|row| self.main_row(row)));
        rows
    }

    fn main_row(&self, row: &Row) -> Vec<String> {
        let summary = self.method(&row.method);
        let parameters = |of: &dyn Fn(&Summary) -> Option<usize>| {
            summary.and_then(of).map_or_else(String::new, |count| {
                let share = 100.0 * count as f64 / self.base_parameters.max(1) as f64;
                format!("{} ({share:.1}%)", grouped(count))
            })
        };
        // Of updates that an earlier version trained it isn't known.
        let left = |s: &Summary| match s.kind {
            Kind::Full => Some(s.active),
            _ => s.active_left,
        };
        let share = row.share_of_full.as_ref().map_or_else(String::new, percent);
        let worst = row.worst.as_ref().map_or_else(String::new, |d| {
            let [change, bound] = [d.change, d.lower_bound].map(|x| x.unwrap_or(0.0));
            // Where nothing is lost, no direction is the worst.
            match bound > -0.005 {
                true => "none loses".to_owned(),
                false => format!("{} {}, {}", d.direction, signed(change), signed(bound)),
            }
        });
        vec![
            row.method.clone(),
            if row.seeds.is_empty() {
                String::new()
            } else {
                row.seeds.len().to_string()
            },
            parameters(&|s| Some(s.trained)),
            parameters(&|s| Some(s.after_compaction)),
            parameters(&left),
            format!("{:.2}", row.mean),
            row.change.as_ref().map_or_else(String::new, with_interval),
            share,
            worst,
            summary.map_or_else(String::new, |s| duration(s.training_seconds)),
        ]
    }

    /// A row for each pair of classes: the base's score, and each method's change.
    fn class_table(&self, test: &TestResults) -> Vec<Vec<String>> {
        let Some(base) = test.rows.iter().find(|row| row.method == "base") else {
            return Vec::new();
        };
        let others: Vec<&Row> = test
            .rows
            .iter()
            .filter(|row| row.method != "base")
            .collect();
        let mut head = vec![
            format!("{} ({})", self.metric, test.label.as_str()),
            "base".to_owned(),
        ];
        head.extend(others.iter().map(|row| row.method.clone()));
        let mut rows = vec![head];
        for class in &base.classes {
            let directions = others
                .iter()
                .filter_map(|row| of_class(row, &class.source, &class.target)?.change.as_ref())
                .map(|change| change.directions)
                .next();
            let mut row = vec![
                format!(
                    "{} to {} ({})",
                    class.source,
                    class.target,
                    directions.unwrap_or(0)
                ),
                format!("{:.2}", class.mean),
            ];
            row.extend(others.iter().map(|other| {
                let of = of_class(other, &class.source, &class.target);
                of.and_then(|of| of.change.as_ref())
                    .map_or_else(String::new, with_interval)
            }));
            rows.push(row);
        }
        rows
    }

    /// What became of what nobody adapted: a row a method, two columns a foreign set.
    fn foreign_table(&self) -> Vec<Vec<String>> {
        let by_method = foreign(self);
        let sets: Vec<&TestResults> = self.tests.iter().filter(|t| t.test != "test").collect();
        if sets.is_empty() {
            return Vec::new();
        }
        let mut head = vec!["method".to_owned()];
        for set in &sets {
            let label = set.label.as_str();
            head.push(format!("{}: {} ({label})", set.test, self.metric));
            head.push(format!("{}: change ({label})", set.test));
            head.push(format!("{}: worst direction, bound ({label})", set.test));
        }
        let mut rows = vec![head];
        for row in &sets[0].rows {
            let mut cells = vec![row.method.clone()];
            for (_, of) in by_method.get(row.method.as_str()).into_iter().flatten() {
                let main = self.main_row(of);
                cells.extend([main[5].clone(), main[6].clone(), main[8].clone()]);
            }
            rows.push(cells);
        }
        rows
    }

    /// What the figures are of.
    fn preamble(&self) -> String {
        let what = match self.label {
            Label::Published => "The whole experiment (published).".to_owned(),
            Label::Reduced => format!(
                "The experiment reduced to {}; every figure is marked so.",
                extent(&self.extent, &self.whole)
            ),
        };
        format!(
            "{what} {} ({}), {}. Changes are against the base, with intervals of {:.0}% over resampled sentences, the same in all \
             directions, and seeds ({} resamples), never over directions. A bound is one-sided, and those of all directions hold together.",
            self.metric,
            self.signature,
            self.decoding(),
            100.0 * self.level,
            grouped(self.resamples as usize)
        )
    }

    /// How translations were searched for, as far as it isn't as usual.
    fn decoding(&self) -> String {
        let mut text = format!("beam {}", self.beam);
        if self.length_penalty != 1.0 {
            let _ = write!(text, ", length penalty {}", self.length_penalty);
        }
        if self.no_repeat_ngram > 0 {
            let _ = write!(text, ", no run of {} tokens twice", self.no_repeat_ngram);
        }
        text
    }

    fn harm(&self, test: &TestResults) -> String {
        let mut text = String::new();
        for row in test
            .rows
            .iter()
            .filter(|row| self.method(&row.method).is_some())
        {
            let _ = match row.unproven.len() {
                0 => writeln!(
                    text,
                    "- {}: no direction loses {} or more.",
                    row.method, -self.margin
                ),
                n => writeln!(
                    text,
                    "- {}: not shown to lose less than {} in {n} of {}.",
                    row.method,
                    -self.margin,
                    count(test.directions, "direction")
                ),
            };
        }
        text
    }

    fn methods_table(&self) -> Vec<Vec<String>> {
        let head = [
            "method",
            "kind",
            "preset",
            "rank of the shared update",
            "learning rate",
            "validation",
            "before",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for s in &self.methods {
            let end = if s.rate_at_the_end {
                " (at an end of those tried)"
            } else {
                ""
            };
            let preset = s.preset.and_then(|p| serde_json::to_value(p).ok());
            let preset = preset.and_then(|p| p.as_str().map(str::to_owned));
            rows.push(vec![
                s.method.clone(),
                s.kind.as_str().to_owned(),
                preset.unwrap_or_default(),
                s.rank.map_or_else(String::new, |r| r.to_string()),
                format!("{}{end}", s.learning_rate),
                format!("{:.3}", s.validation_score),
                s.validation_before
                    .map_or_else(String::new, |before| format!("{before:.3}")),
            ]);
        }
        rows
    }

    /// Everything but the single directions.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Comparison ({})\n\n{}\n",
            self.label.as_str(),
            self.preamble()
        );
        for test in self.tests.iter().filter(|t| t.test == "test") {
            let _ = write!(
                text,
                "\n## {}\n\n{}\n{}\n{}",
                test.heading(),
                markdown(&self.main_table(test)),
                markdown(&self.class_table(test)),
                self.harm(test)
            );
            let fewer = test.fewer_table();
            if !fewer.is_empty() {
                let _ = write!(
                    text,
                    "\n### Trained on fewer directions\n\n{}\n{}",
                    gains::FEWER,
                    markdown(&fewer)
                );
            }
        }
        let foreign = self.foreign_table();
        if !foreign.is_empty() {
            let _ = write!(text, "\n## What nobody adapted\n\n{}", markdown(&foreign));
        }
        let alone = self.interference_table();
        if !alone.is_empty() {
            let _ = write!(
                text,
                "\n## Alone and together ({})\n\n{}\n{}",
                self.label.as_str(),
                gains::ALONE,
                markdown(&alone)
            );
        }
        let _ = write!(text, "\n## Methods\n\n{}", markdown(&self.methods_table()));
        if let Some([placement, demand]) = self.explored_seconds {
            let _ = writeln!(
                text,
                "\nThe plan took {} to make: {} for placement, {} for demand.",
                duration(placement + demand),
                duration(placement),
                duration(demand)
            );
        }
        text
    }

    /// The main tables, for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for test in self.tests.iter().filter(|t| t.test == "test") {
            let _ = write!(
                text,
                "{}\n{}\n",
                test.heading(),
                aligned(&self.main_table(test))
            );
            let fewer = test.fewer_table();
            if !fewer.is_empty() {
                let _ = write!(text, "trained on fewer directions\n{}\n", aligned(&fewer));
            }
        }
        let foreign = self.foreign_table();
        if !foreign.is_empty() {
            let _ = write!(text, "what nobody adapted\n{}\n", aligned(&foreign));
        }
        let alone = self.interference_table();
        if !alone.is_empty() {
            let _ = write!(text, "alone and together\n{}\n", aligned(&alone));
        }
        text
    }
}

fn of_class<'a>(
    row: &'a Row,
    source: &str,
    target: &str,
) -> Option<&'a crate::compare::results::ClassRow> {
    let mut classes = row.classes.iter();
    classes.find(|c| c.source == source && c.target == target)
}

/// `83% [79, 88]`.
fn percent(share: &Share) -> String {
    let [low, high] = share.interval.map(|x| 100.0 * x);
    format!("{:.0}% [{low:.0}, {high:.0}]", 100.0 * share.share)
}

pub(crate) fn markdown(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        let _ = writeln!(text, "| {} |", row.join(" | "));
        if i == 0 {
            let _ = writeln!(text, "|{}", "---|".repeat(row.len()));
        }
    }
    text
}

/// Columns that nothing stands in are left out.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let cell = |row: &[String], c: usize| row.get(c).cloned().unwrap_or_default();
    let filled = |c: &usize| rows.iter().skip(1).any(|row| !cell(row, *c).is_empty());
    let columns: Vec<usize> = (0..columns).filter(filled).collect();
    let width = |c: &usize| rows.iter().map(|row| cell(row, *c).chars().count()).max();
    let widths: Vec<usize> = columns.iter().map(|c| width(c).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (i, (&c, width)) in columns.iter().zip(&widths).enumerate() {
            let cell = cell(row, c);
            let _ = match i {
                0 => write!(line, "{cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
