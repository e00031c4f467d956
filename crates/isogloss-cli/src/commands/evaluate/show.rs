//! What an evaluation shows: how far it is, and its scores.

use crate::output;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use isogloss::evaluate::{
    ChangeOfMean, Comparison, DirectionChange, Mean, Progress, ScoresFile, Verdict,
};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Seconds between two lines of progress where there is no terminal.
const LINE_SECONDS: u64 = 30;

/// A line a direction, the means, and the signatures.
pub(super) fn table(file: &ScoresFile) -> String {
    let mut rows = Vec::new();
    let mut head = vec!["direction".to_owned(), "sentences".to_owned()];
    head.extend(file.mean.iter().map(|m| m.metric.clone()));
    let compared = file.comparison.as_ref();
    if compared.is_some() {
        head.extend(["change", "interval", "p", ""].map(str::to_owned));
    }
    rows.push(head);
    for of in &file.directions {
        let mut row = vec![of.direction.to_string(), of.sentences.to_string()];
        row.extend(of.scores.iter().map(|s| format!("{:.2}", s.score)));
        let change = compared.and_then(|c| c.direction(&of.direction));
        row.extend(change.map(of_direction).into_iter().flatten());
        rows.push(row);
    }
    let mean = |name: String, means: &[Mean], change: Option<&ChangeOfMean>| {
        let mut row = vec![name, String::new()];
        row.extend(means.iter().map(|m| format!("{:.2}", m.score)));
        row.extend(
            change
                .map(|c| of_change(c.change, c.interval))
                .into_iter()
                .flatten(),
        );
        row
    };
    rows.push(mean("mean".into(), &file.mean, compared.map(|c| &c.mean)));
    for of in &file.classes {
        let count = of.mean.first().map_or(0, |m| m.directions);
        let name = format!("{} -> {} ({count})", of.source, of.target);
        let change = compared.and_then(|c| {
            let mut classes = c.classes.iter();
            classes.find(|c| c.source == of.source && c.target == of.target)
        });
        rows.push(mean(name, &of.mean, change.map(|c| &c.mean)));
    }
    let mut text = output::table(&rows);
    let signatures = file.directions.first().map_or(&[][..], |d| &d.scores);
    for score in signatures {
        text += &format!("{}: {}\n", score.metric, score.signature);
    }
    if let Some(comparison) = compared {
        text += &summary(comparison);
    }
    text
}

fn of_change(change: f64, [low, high]: [f64; 2]) -> [String; 2] {
    [format!("{change:+.2}"), format!("[{low:+.2}, {high:+.2}]")]
}

fn of_direction(of: &DirectionChange) -> Vec<String> {
    let mut cells = of_change(of.change, of.interval).to_vec();
    cells.push(match of.p_adjusted < 0.0001 {
        true => "<0.0001".into(),
        false => format!("{:.4}", of.p_adjusted),
    });
    cells.push(verdict(of.verdict).into());
    cells
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Unclear => "unclear",
    }
}

/// What the comparison amounts to.
fn summary(of: &Comparison) -> String {
    let count = |v| of.directions.iter().filter(|d| d.verdict == v).count();
    let mut text = format!(
        "against {} in {}: {} better, {} worse, {} unclear of {} directions\n",
        of.against,
        of.metric,
        count(Verdict::Better),
        count(Verdict::Worse),
        count(Verdict::Unclear),
        of.directions.len()
    );
    let names = |of: &[isogloss::language::Direction]| {
        let names: Vec<String> = of.iter().map(ToString::to_string).collect();
        names.join(", ")
    };
    if !of.harmed.is_empty() {
        text += &format!("worse: {}\n", names(&of.harmed));
    }
    text += &match of.unproven.is_empty() {
        true => format!("every change lies above {}\n", of.margin),
        false => format!(
            "not shown to lie above {}: {}\n",
            of.margin,
            names(&of.unproven)
        ),
    };
    let correction = of.correction.name();
    text + &format!(
        "p by approximate randomisation, two-sided, corrected over directions ({correction}); intervals by bootstrap; \
         level {}, {} resamples, seed {}\n",
        of.level, of.resamples, of.seed
    )
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
            output::say(&line);
            self.last_line = Instant::now();
        }
        self.bar.set_position((1000.0 * done) as u64);
        self.bar.set_message(line);
    }

    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}
