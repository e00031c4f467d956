//! What the demo found, as files.

use super::Row;
use super::examples;
use super::measure::Scores;
use crate::commands::training::duration;
use crate::failure::{Failure, Outcome};
use isogloss::compare::{grouped, signed};
use isogloss::corpus::Corpus;
use isogloss::files;
use isogloss::language::{Direction, Language, Resource};
use std::fmt::Write as _;
use std::path::Path;

/// For people, in the demo's folder; the same as JSON lies beside it.
pub(super) const TEXT: &str = "report.md";
const JSON: &str = "report.json";

/// Examples in the report.
const EXAMPLES: usize = 10;

const CLASSES: [(Resource, Resource); 3] = [
    (Resource::High, Resource::High),
    (Resource::High, Resource::Medium),
    (Resource::Medium, Resource::High),
];

/// Everything that the demo found.
#[derive(Debug)]
pub(super) struct Report {
    pub base_parameters: usize,
    pub classes: Vec<(Language, Resource)>,
    /// The base, then the methods.
    pub rows: Vec<Row>,
    pub seconds: f64,
}

/// The direction that lost most, if one did.
pub(super) fn worst<'a>(scores: &'a Scores, base: &Scores) -> Option<(&'a Direction, f64)> {
    let both = scores.directions.iter().zip(&base.directions);
    let changes = both.map(|(now, before)| (&now.direction, now.chrf - before.chrf));
    let worst = changes.min_by(|a, b| a.1.total_cmp(&b.1));
    worst.filter(|(_, change)| *change <= -0.005)
}

impl Report {
    fn class(&self, language: &Language) -> Option<Resource> {
        let found = self.classes.iter().find(|(known, _)| known == language);
        found.map(|&(_, class)| class)
    }

    fn mean(&self, row: &Row, source: Resource, target: Resource) -> Option<f64> {
        row.adapted.mean(|d| {
            self.class(&d.source) == Some(source) && self.class(&d.target) == Some(target)
        })
    }

    /// The untouched model's row.
    pub(super) fn base(&self) -> &Row {
        &self.rows[0]
    }

    /// Writes both files.
    pub(super) fn write(&self, text: &Corpus, runs: &Path) -> Outcome {
        let contents = [(TEXT, self.markdown(text, runs)), (JSON, self.json()?)];
        for (name, content) in contents {
            files::write_atomic(&runs.join(name), |w| w.write_all(content.as_bytes()))
                .map_err(Failure::internal)?;
        }
        Ok(())
    }

    /// Everything, for a program.
    pub(super) fn json(&self) -> Outcome<String> {
        let directions = |scores: &Scores| {
            let all = scores.directions.iter();
            all.map(|d| (d.direction.to_string(), d.chrf.into()))
                .collect::<serde_json::Map<_, _>>()
        };
        let mut methods = serde_json::Map::new();
        let mut harm = serde_json::Map::new();
        let base = self.base().others.mean_of_all();
        for row in &self.rows {
            let classes = CLASSES.into_iter().map(|(source, target)| {
                let name = format!("{}>{}", source.as_str(), target.as_str());
                (name, self.mean(row, source, target).into())
            });
            let value = serde_json::json!({
                "chrf++": row.adapted.mean_of_all(),
                "classes": classes.collect::<serde_json::Map<_, _>>(),
                "directions": directions(&row.adapted),
                "trainable": row.trainable,
                "seconds": row.seconds,
            });
            methods.insert(row.method.to_owned(), value);
            if row.method != "base" {
                let combined = row.combined.as_ref();
                let value = serde_json::json!({
                    "mean_change": row.others.mean_of_all() - base,
                    "directions": directions(&row.others),
                    "combined_mean_change": combined.map(|scores| scores.mean_of_all() - base),
                });
                harm.insert(row.method.to_owned(), value);
            }
        }
        harm.insert("base".to_owned(), directions(&self.base().others).into());
        let value = serde_json::json!({
            "methods": methods,
            "harm": harm,
            "signature": self.base().adapted.signature,
            "base_parameters": self.base_parameters,
            "seconds": self.seconds,
        });
        let text = serde_json::to_string_pretty(&value).map_err(Failure::internal)?;
        Ok(text + "\n")
    }

    /// Everything, for a person.
    fn markdown(&self, text: &Corpus, runs: &Path) -> String {
        let parts = [
            self.summary(),
            self.by_direction(),
            self.harm(),
            self.examples(text),
            self.again(runs),
        ];
        parts.join("\n")
    }

    fn summary(&self) -> String {
        let base = self.base();
        let mut text = format!(
            "# Demo: a handbook, three ways\n\nchrF++ (`{}`), greedy translations in int8, means over directions.\n\n\
             | method | trained parameters | handbook | change |",
            base.adapted.signature
        );
        for (source, target) in CLASSES {
            let _ = write!(text, " {} to {} |", source.as_str(), target.as_str());
        }
        text +=
            " other directions | change | training |\n|---|---|---|---|---|---|---|---|---|---|\n";
        for row in &self.rows {
            let (all, others) = (row.adapted.mean_of_all(), row.others.mean_of_all());
            let [gain, moved, time] = match row.method == base.method {
                true => Default::default(),
                false => [
                    signed(all - base.adapted.mean_of_all()),
                    signed(others - base.others.mean_of_all()),
                    duration(row.seconds),
                ],
            };
            let share = 100.0 * row.trainable as f64 / self.base_parameters as f64;
            let trained = grouped(row.trainable);
            let _ = write!(
                text,
                "| {} | {trained} ({share:.1}%) | {all:.2} | {gain} |",
                row.method
            );
            for (source, target) in CLASSES {
                let mean = self.mean(row, source, target);
                let _ = write!(
                    text,
                    " {} |",
                    mean.map_or("-".to_owned(), |m| format!("{m:.2}"))
                );
            }
            let _ = writeln!(text, " {others:.2} | {moved} | {time} |");
        }
        let _ = writeln!(text, "\nTook {} in all.", duration(self.seconds));
        text
    }

    /// A table with the base's scores and each method's change.
    fn changes(&self, pick: impl Fn(&Row) -> &Scores) -> String {
        let methods = &self.rows[1..];
        let mut text = "| direction | base |".to_owned();
        for row in methods {
            let _ = write!(text, " {} |", row.method);
        }
        text += &format!("\n|---|---|{}\n", "---|".repeat(methods.len()));
        for (i, before) in pick(self.base()).directions.iter().enumerate() {
            let _ = write!(text, "| {} | {:.2} |", before.direction, before.chrf);
            for row in methods {
                let moved = pick(row).directions[i].chrf - before.chrf;
                let _ = write!(text, " {} |", signed(moved));
            }
            text.push('\n');
        }
        text
    }

    fn by_direction(&self) -> String {
        let table = self.changes(|row| &row.adapted);
        format!(
            "## The handbook, by direction\n\nThe base's chrF++, and each method's change.\n\n{table}"
        )
    }

    fn harm(&self) -> String {
        let table = self.changes(|row| &row.others);
        let mut text = format!(
            "## Directions that nobody adapted\n\nOn everyday sentences. A direction that the adapters of lora and lslo were not \
             trained in runs on the base, so nothing changes there.\n\n{table}"
        );
        let base = self.base().others.mean_of_all();
        for row in &self.rows {
            if let Some(combined) = &row.combined {
                let _ = write!(
                    text,
                    "\nIf {} acted there all the same (`--missing combine`), the mean would change by {}.\n",
                    row.method,
                    signed(combined.mean_of_all() - base)
                );
            }
        }
        text
    }

    fn examples(&self, corpus: &Corpus) -> String {
        let mut text =
            "## Before and after\n\nThe sentences that LSLo changed most for the better, one of a direction.\n".to_owned();
        let reader = examples::reader();
        for e in examples::pick(self, corpus, reader.as_ref(), EXAMPLES) {
            let _ = write!(
                text,
                "\n{}\n\n- source: {}\n- before: {}\n- after: {}\n- reference: {}\n",
                e.direction, e.source, e.before, e.after, e.reference
            );
        }
        text
    }

    fn again(&self, runs: &Path) -> String {
        format!(
            "## Go on\n\n```sh\nisogloss translate --model models/mini --adapters {} --from eng_Latn --to deu_Latn\n\
             isogloss train my.toml    # a copy of examples/factory/lslo.toml with your paths\n```\n",
            super::adapters(runs).display()
        )
    }
}
