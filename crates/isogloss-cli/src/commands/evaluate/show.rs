//! What an evaluation shows: how far it is, and its scores.

use crate::output;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use isogloss::evaluate::{Mean, Progress, ScoresFile};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Seconds between two lines of progress where there is no terminal.
const LINE_SECONDS: u64 = 30;

/// A line a direction, the means, and the signatures.
pub(super) fn table(file: &ScoresFile) -> String {
    let mut rows = Vec::new();
    let mut head = vec!["direction".to_owned(), "sentences".to_owned()];
    head.extend(file.mean.iter().map(|m| m.metric.clone()));
    rows.push(head);
    for of in &file.directions {
        let mut row = vec![of.direction.to_string(), of.sentences.to_string()];
        row.extend(of.scores.iter().map(|s| format!("{:.2}", s.score)));
        rows.push(row);
    }
    let mean = |name: String, means: &[Mean]| {
        let mut row = vec![name, String::new()];
        row.extend(means.iter().map(|m| format!("{:.2}", m.score)));
        row
    };
    rows.push(mean("mean".into(), &file.mean));
    for of in &file.classes {
        let count = of.mean.first().map_or(0, |m| m.directions);
        let name = format!("{} -> {} ({count})", of.source, of.target);
        rows.push(mean(name, &of.mean));
    }
    let mut text = output::table(&rows);
    let signatures = file.directions.first().map_or(&[][..], |d| &d.scores);
    for score in signatures {
        text += &format!("{}: {}\n", score.metric, score.signature);
    }
    text
}

/// Progress: a bar on a terminal, a line now and then elsewhere.
pub(super) struct Shown {
    bar: ProgressBar,
    quiet: bool,
    last_line: Instant,
}

impl Shown {
    pub(super) fn start(quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(
            Some(1000),
            match std::io::stderr().is_terminal() && !quiet {
                true => ProgressDrawTarget::stderr_with_hz(4),
                false => ProgressDrawTarget::hidden(),
            },
        );
        let style = ProgressStyle::with_template("{bar:30} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Shown {
            quiet: quiet || !bar.is_hidden(),
            bar,
            last_line: Instant::now(),
        }
    }

    pub(super) fn update(&mut self, progress: Progress) {
        let Progress {
            sentences,
            of_sentences,
            done,
            left,
        } = progress;
        let line = format!(
            "translated {sentences} of {of_sentences} sentences, {} left",
            HumanDuration(left)
        );
        if !self.quiet && self.last_line.elapsed() >= Duration::from_secs(LINE_SECONDS) {
            eprintln!("{line}");
            self.last_line = Instant::now();
        }
        self.bar.set_position((1000.0 * done) as u64);
        self.bar.set_message(line);
    }

    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}
