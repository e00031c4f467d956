//! Progress of training: a bar on a terminal, a line now and then elsewhere; Ctrl-C stops after the update at hand.

use crate::output;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use isogloss::corpus::FilterReport;
use isogloss::evaluate;
use isogloss::train::{Estimate, Event, Observer, TensorBoard, Validation};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Seconds between two lines where there is no terminal.
const LINE_SECONDS: u64 = 30;

/// Shows events of a run.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    terminal: bool,
    /// On a terminal the bar alone, no lines.
    brief: bool,
    /// Stands before every line.
    name: String,
    stop: Arc<AtomicBool>,
    last_line: Option<Instant>,
    /// Work and time of the updates of late, for speed and time left.
    recent: Recent,
    /// Score of what training began with, where it was measured.
    before: Option<f64>,
    /// Gets every event, too.
    board: Option<TensorBoard>,
}

/// Decayed sums.
#[derive(Debug, Default)]
struct Recent {
    tokens: f64,
    seconds: f64,
    nll: f64,
    done: f64,
    last_done: Option<f64>,
}

impl Recent {
    fn add(&mut self, tokens: usize, seconds: f64, nll: f64, done: f64) {
        let keep = 0.98;
        // Another training has begun: exploring has two.
        if self.last_done.is_some_and(|last| done < last) {
            *self = Recent::default();
        }
        let moved = self.last_done.map_or(0.0, |last| done - last);
        self.tokens = keep * self.tokens + tokens as f64;
        self.seconds = keep * self.seconds + seconds;
        self.nll = keep * self.nll + nll * tokens as f64;
        self.done = keep * self.done + moved;
        self.last_done = Some(done);
    }

    fn left(&self, done: f64) -> Option<Duration> {
        let rate = self.done / self.seconds;
        (rate > 0.0).then(|| Duration::from_secs_f64(((1.0 - done) / rate).clamp(0.0, 1e9)))
    }
}

impl Progress {
    /// Starts showing, and catches Ctrl-C: once to stop cleanly, twice to break off.
    pub(crate) fn start(quiet: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let handler = move || {
            if flag.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            output::say(
                "\nstopping after this update; press Ctrl-C again to break off without saving",
            );
        };
        if let Err(error) = ctrlc::set_handler(handler) {
            tracing::debug!("no handler for Ctrl-C: {error}");
        }
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let bar = ProgressBar::with_draw_target(
            Some(1000),
            match terminal {
                true => ProgressDrawTarget::stderr_with_hz(4),
                false => ProgressDrawTarget::hidden(),
            },
        );
        let style = ProgressStyle::with_template("{bar:30} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress {
            bar,
            terminal,
            brief: false,
            name: String::new(),
            stop,
            last_line: quiet.then(|| Instant::now() + Duration::from_secs(u64::from(u32::MAX))),
            recent: Recent::default(),
            before: None,
            board: None,
        }
    }

    /// The same, with every event written for `TensorBoard`.
    pub(crate) fn with_board(mut self, board: TensorBoard) -> Self {
        self.board = Some(board);
        self
    }

    /// The same, with the bar alone on a terminal, so that what the caller prints stays together.
    pub(crate) fn start_brief(quiet: bool) -> Self {
        let mut progress = Progress::start(quiet);
        progress.brief = true;
        progress
    }

    /// Shows another run from the start, under a name.
    pub(crate) fn restart(&mut self, name: &str) {
        self.recent = Recent::default();
        self.name = format!("{name}: ");
        // Its first line is said at once, unless none shall be.
        if self.last_line.is_some_and(|at| at <= Instant::now()) {
            self.last_line = None;
        }
        self.bar.reset();
        self.bar
            .set_message(format!("{}reading text and model", self.name));
    }

    /// Takes the bar away while something else is shown.
    pub(crate) fn pause(&mut self) {
        self.bar.set_message("");
        self.bar.reset();
        if self.terminal {
            self.bar.finish_and_clear();
        }
    }

    /// How far a translation is.
    pub(crate) fn translated(&mut self, progress: evaluate::Progress) {
        let line = format!(
            "{}translated {} of {} sentences, {} left",
            self.name,
            progress.sentences,
            progress.of_sentences,
            HumanDuration(progress.left)
        );
        self.bar.set_position((1000.0 * progress.done) as u64);
        self.bar.set_message(line.clone());
        self.now_and_then(&line);
    }

    /// Where there is no terminal, says a line if the last one was long ago.
    fn now_and_then(&mut self, line: &str) {
        let due = self
            .last_line
            .is_none_or(|at| at.elapsed().as_secs() >= LINE_SECONDS);
        if !self.terminal && due {
            self.say(line);
            self.last_line = self.last_line.max(Some(Instant::now()));
        }
    }

    fn say(&mut self, line: &str) {
        if self.terminal {
            if !self.brief {
                self.bar.println(line);
            }
        } else if self.last_line.is_none_or(|at| at <= Instant::now()) {
            output::say(line);
        }
    }
}

impl Observer for Progress {
    fn cleaned(&mut self, report: &FilterReport) {
        let total = report.total();
        self.say(&format!(
            "{}{} pairs of training text, {} after cleaning (-v shows what was dropped)",
            self.name, total.read, total.kept
        ));
        tracing::debug!("\n{report}");
    }

    fn planned(&mut self, estimate: &Estimate) {
        self.say(&format!(
            "{}training {} of {} parameters, memory about {:.2} GB",
            self.name,
            estimate.trainable,
            estimate.base_parameters,
            estimate.memory as f64 / 1e9
        ));
        if let Some(reuse) = estimate.reuse.as_ref().filter(|reuse| reuse.layers > 0) {
            self.say(&format!(
                "{}reusing the states after {} of {} encoder layers, {:.1} of {:.1} MB",
                self.name,
                reuse.layers,
                reuse.encoder_layers,
                reuse.kept as f64 / 1e6,
                reuse.full as f64 / 1e6
            ));
        }
    }

    fn event(&mut self, event: &Event) {
        if let Some(board) = &mut self.board {
            board.event(event);
        }
        match event {
            Event::Update {
                update,
                planned,
                epoch,
                nll,
                tokens,
                seconds,
                done,
                ..
            } => {
                self.recent.add(*tokens, *seconds, *nll, *done);
                let left = self.recent.left(*done);
                let left =
                    left.map_or_else(String::new, |d| format!(", {} left", HumanDuration(d)));
                let line = format!(
                    "{}epoch {epoch}, update {update} of about {planned}: loss {:.3}, {:.0} tokens/s{left}",
                    self.name,
                    self.recent.nll / self.recent.tokens,
                    self.recent.tokens / self.recent.seconds,
                );
                self.bar.set_position((1000.0 * done) as u64);
                self.bar.set_message(line.clone());
                self.now_and_then(&line);
            }
            Event::Validation {
                epoch,
                nll,
                chrf,
                best,
                ..
            } => {
                let validation = Validation {
                    nll: *nll,
                    chrf: *chrf,
                };
                let score = validation.score();
                if *epoch == 0 {
                    self.before = Some(score);
                }
                let behind = self.before.is_some_and(|before| score < before);
                let chrf = chrf.map_or_else(String::new, |c| format!(", chrF++ {c:.2}"));
                let when = match epoch {
                    0 => "before the first update".to_owned(),
                    _ => format!("epoch {epoch} validated"),
                };
                let best = match (best, behind) {
                    (true, true) => " (best so far, but worse than before the first update)",
                    (true, false) => " (best so far)",
                    (false, _) => "",
                };
                self.say(&format!("{when}: loss {nll:.4}{chrf}{best}"));
            }
            Event::Pruned {
                epoch,
                pruned,
                entries,
                ..
            } => {
                let share = 100.0 * *pruned as f64 / (*entries).max(1) as f64;
                self.say(&format!(
                    "epoch {epoch} starts with {share:.1}% pruned of what can be ({pruned} of {entries} entries)"
                ));
            }
            _ => {}
        }
    }

    fn stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exploring trains twice: the second training's time left is its own.
    #[test]
    fn another_training_starts_the_clock_anew() {
        let mut recent = Recent::default();
        for step in 1..=100 {
            recent.add(10, 1.0, 1.0, f64::from(step) / 100.0);
        }
        assert_eq!(recent.left(1.0), Some(Duration::ZERO));
        for step in 1..=10 {
            recent.add(10, 2.0, 1.0, f64::from(step) / 100.0);
        }
        let left = recent.left(0.1).unwrap().as_secs_f64();
        assert!((150.0..250.0).contains(&left), "{left}");
    }
}
