//! Plans and results in words.

use std::fmt::Write as _;

use crate::compare::{count, duration, markdown};
use crate::pilot::{PilotPlan, PilotResults};
use tables::{aligned, chosen_table, gain_table, whole_table};

mod tables;
mod words;

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

impl PilotResults {
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
