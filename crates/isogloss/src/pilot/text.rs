//! Plans and results in words.

use std::fmt::Write as _;

use crate::compare::{count, duration, grouped, markdown, signed};
use crate::evaluate::{ChangeOfMean, Comparison, Verdict};
use crate::pilot::{Chosen, PilotPlan, PilotResults, SizeRow, Stop, Whole};

fn with_interval(change: &ChangeOfMean) -> String {
    let [low, high] = change.interval.map(signed);
    format!("{} [{low}, {high}]", signed(change.change))
}

fn chosen_table(chosen: &[Chosen]) -> Vec<Vec<String>> {
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
fn aligned(rows: &[Vec<String>]) -> String {
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
fn bytes(n: usize) -> String {
    let n = n as f64;
    match n {
        ..1e6 => format!("{:.0} kB", (n / 1e3).ceil()),
        ..1e9 => format!("{:.1} MB", n / 1e6),
        _ => format!("{:.1} GB", n / 1e9),
    }
}

impl PilotPlan {
    /// What will be done in the time.
    #[must_use]
    pub fn describe(&self) -> String {
        let share = &self.share;
        let mut text = aligned(&chosen_table(&self.directions));
        let pairs = match share.pairs < 1.0 {
            true => format!("with {:.0}% of the pairs of an epoch", 100.0 * share.pairs),
            false => "as configured".to_owned(),
        };
        let _ = writeln!(
            text,
            "\nin {} in all: up to {}, each trained {pairs} for at most {}; up to {} a direction are scored, about {} a system",
            duration(self.limit_seconds),
            count(share.sizes, "size"),
            duration(share.training_seconds),
            count(share.sentences, "sentence"),
            duration(share.scoring_seconds),
        );
        text
    }
}

impl Stop {
    /// As the end of a sentence.
    fn words(self) -> &'static str {
        match self {
            Stop::Worse => "the next size was significantly worse than the best",
            Stop::NoGain => "no size is significantly better than the base",
            Stop::Smallest => "there is no smaller size",
            Stop::Time => "the time was used up",
        }
    }
}

impl PilotResults {
    /// Gain, harm, cost and what follows, a sentence or two each.
    #[must_use]
    pub fn summary(&self) -> [String; 4] {
        [
            self.gain_words(),
            self.harm_words(),
            cost_words(&self.whole),
            self.advice(),
        ]
    }

    fn gain_words(&self) -> String {
        let Some(gain) = &self.gain else {
            return "Gain: not known; there was no time to score text that took no part in the decisions.".to_owned();
        };
        let mean = |of: &dyn Fn(&crate::evaluate::DirectionChange) -> f64| {
            gain.directions.iter().map(of).sum::<f64>() / gain.directions.len().max(1) as f64
        };
        let [low, high] = gain.mean.interval.map(signed);
        let verdict = match gain.mean.interval {
            [low, _] if low > 0.0 => "adapting helps",
            [_, high] if high < 0.0 => "adapting makes it worse",
            _ => "none is shown; the change may be chance",
        };
        format!(
            "Gain: {verdict}. With {}, chrF++ goes from {:.1} to {:.1} on average over {}: {} points (95% interval {low} to {high}).",
            self.reported(),
            mean(&|d| d.base),
            mean(&|d| d.score),
            count(gain.directions.len(), "direction"),
            signed(gain.mean.change),
        )
    }

    fn harm_words(&self) -> String {
        let Some(gain) = &self.gain else {
            return "Harm: not known, for the same reason.".to_owned();
        };
        let margin = -gain.margin;
        if !gain.harmed.is_empty() {
            return format!("Harm: significantly worse: {}.", list(&gain.harmed));
        }
        if gain.unproven.is_empty() {
            return format!(
                "Harm: none. No direction loses more than {margin} points; that holds for all {} together with 95% confidence.",
                gain.directions.len()
            );
        }
        let least = gain.directions.iter().map(|d| d.lower_bound);
        let least = least.fold(f64::INFINITY, f64::min);
        format!(
            "Harm: no direction is significantly worse, but a loss of more than {margin} points isn't ruled out for {} (the worst case is {}). \
             More test sentences would tell.",
            list(&gain.unproven),
            signed(least),
        )
    }

    fn advice(&self) -> String {
        match &self.chosen {
            None => "Advice: don't roll out. No size was significantly better than the base; give it more time or more text, or change \
                     the learning rate."
                .to_owned(),
            Some(_) if self.gain.is_none() => {
                "Advice: give it more time, so that the gain can be checked on other text.".to_owned()
            }
            Some(_) if !self.confirmed() => {
                "Advice: don't roll out yet. The gain that decided wasn't confirmed on other text; give it more time or more text."
                    .to_owned()
            }
            Some(chosen) => {
                let best = match *chosen == self.best {
                    true => ", the best of those tried".to_owned(),
                    false => format!(
                        ": the smallest that isn't significantly worse than the best, {}{}",
                        self.best,
                        self.sizes
                            .iter()
                            .find(|row| row.size == *chosen)
                            .and_then(|row| row.against_best.as_ref())
                            .map_or_else(String::new, |c| format!(" (difference {})", with_interval(c)))
                    ),
                };
                let harm = match self.gain.as_ref().is_some_and(|g| !g.harmed.is_empty()) {
                    true => " Leave the harmed directions on the base (isogloss rollout plan).",
                    false => "",
                };
                format!("Advice: train everything with {chosen}{best}.{harm}")
            }
        }
    }

    fn sizes_table(&self) -> Vec<Vec<String>> {
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
                    lost => format!("significantly worse: {}", list(lost)),
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

    /// What isn't as the configuration says, and what there was no time for.
    fn limits(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.share.pairs < 1.0 {
            all.push(format!(
                "Trained with {:.0}% of the pairs of an epoch, to fit the limit: the whole may gain more.",
                100.0 * self.share.pairs
            ));
        }
        if self.directions.len() < self.whole.directions {
            all.push(format!(
                "{} of {} directions took part; the others are judged by them.",
                self.directions.len(),
                self.whole.directions
            ));
        }
        if self.reporting_sentences < 200 {
            all.push(format!(
                "Few sentences: {} a direction decided, {} reported. Differences below the width of the intervals can't be seen; take 200 or more.",
                self.deciding_sentences, self.reporting_sentences
            ));
        }
        let cut: Vec<&str> = self
            .sizes
            .iter()
            .filter(|r| r.cut)
            .map(|r| r.size.as_str())
            .collect();
        if !cut.is_empty() {
            all.push(format!(
                "The limit ended the training of {} before its last epoch; sizes that trained longer have an advantage.",
                cut.join(", ")
            ));
        }
        all.extend(
            self.left_out
                .iter()
                .map(|what| format!("Left out for want of time: {what}.")),
        );
        all.push(
            "One seed: another one may move each figure by some tenths of a point.".to_owned(),
        );
        all
    }

    /// `pilot.md`.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = "# Pilot\n\n".to_owned();
        for sentence in self.summary() {
            let _ = writeln!(text, "- {sentence}");
        }
        text += "\nNext:\n\n```sh\n";
        for command in &self.next {
            let _ = writeln!(text, "{command}");
        }
        text += "```\n\n## Directions\n\n";
        text += &match &self.gain {
            Some(gain) => markdown(&gain_table(gain, &self.directions)),
            None => markdown(&chosen_table(&self.directions)),
        };
        let text_used = match self.halves {
            true => {
                "the second half of the validation text; the first half chose the size and the epoch"
            }
            false => "the test text; the validation text chose the size and the epoch",
        };
        let _ = writeln!(
            text,
            "\nReported on {text_used}. Intervals are of each direction alone; \"at least\" holds for all directions together.\n\n## Sizes\n"
        );
        text += &markdown(&self.sizes_table());
        let _ = writeln!(
            text,
            "\nMean chrF++ on the text that decides, with 95% intervals. No further size was tried: {}.\n\n## Everything\n",
            self.stopped.words()
        );
        text += &markdown(&whole_table(&self.whole));
        text += "\n## What to keep in mind\n\n";
        for limit in self.limits() {
            let _ = writeln!(text, "- {limit}");
        }
        let signature = self
            .gain
            .as_ref()
            .map_or("", |gain| gain.signature.as_str());
        let _ = writeln!(
            text,
            "\nTranslated greedily in 8 bits. {signature}. The pilot took {} of {}.",
            duration(self.seconds),
            duration(self.limit_seconds)
        );
        text
    }

    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.summary().join("\n") + "\n\n";
        if let Some(gain) = &self.gain {
            text += &aligned(&gain_table(gain, &self.directions));
            text.push('\n');
        }
        text += &aligned(&self.sizes_table());
        let _ = writeln!(text, "no further size: {}\n", self.stopped.words());
        for limit in self.limits() {
            let _ = writeln!(text, "{limit}");
        }
        text += "\nNext:\n";
        for command in &self.next {
            let _ = writeln!(text, "  {command}");
        }
        text
    }
}

fn list(directions: &[crate::language::Direction]) -> String {
    let names: Vec<String> = directions.iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn gain_table(gain: &Comparison, chosen: &[Chosen]) -> Vec<Vec<String>> {
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

fn cost_words(whole: &Whole) -> String {
    format!(
        "Cost: {} and {} train in about {} on this machine, with {} of memory; all updates take {} of disk, {:.1}% of the base.",
        count(whole.languages, "language"),
        count(whole.directions, "direction"),
        duration(3600.0 * whole.training_hours),
        bytes(whole.memory_bytes),
        bytes(whole.disk_bytes),
        100.0 * whole.parameters as f64 / whole.base_parameters.max(1) as f64,
    )
}

fn whole_table(whole: &Whole) -> Vec<Vec<String>> {
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
