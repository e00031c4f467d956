//! What the demo says on a terminal.

use super::examples::{self, Example};
use super::measure::Scores;
use super::plan::{Plan, Size};
use super::report::{self, Report};
use super::{METHODS, Row};
use crate::commands::training::duration;
use crate::output;
use indicatif::{ProgressBar, ProgressStyle};
use isogloss::compare::{grouped, signed};
use isogloss::corpus::Corpus;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;

/// Examples at the end.
const EXAMPLES: usize = 3;

/// What will happen, and how long each step takes.
pub(super) fn introduction(plans: &[Plan], size: &Size, sentences: [usize; 2]) -> String {
    let directions = plans.first().map_or(0, |plan| plan.directions().len());
    let languages = plans.first().map_or(0, |plan| plan.classes().len());
    let epochs = plans.first().map_or(0, |plan| plan.config.training.epochs);
    let epochs = match epochs {
        1 => "1 epoch".to_owned(),
        n => format!("{n} epochs"),
    };
    let [adapted, others] = sentences;
    let steps = [
        format!(
            "the model as it is translates the test: {adapted} sentences of the handbook, and {others} everyday\n                 sentences in 8 directions that nobody adapts"
        ),
        "full fine-tuning of all parameters, and the same test".to_owned(),
        "one low-rank update that all languages share, and the same test".to_owned(),
        "a low-rank update for each language (this project's method), and the same test".to_owned(),
    ];
    let mut text = format!(
        "A small multilingual translation model (models/mini) learns the language of a maker of pumps and gearboxes\n\
         (examples/factory), in three ways: {languages} languages, from and to English ({directions} directions), 312 sentences a direction,\n\
         {epochs}. The table below shows what each way gains, and what it does to directions that it wasn't meant for.\n\
         No network is used.\n\n"
    );
    for (i, (what, seconds)) in steps.iter().zip(size.seconds).enumerate() {
        let (name, time) = (name(i), duration(seconds));
        let _ = writeln!(text, "  {} {name:<5}{time:>11}  {what}", i + 1);
    }
    let _ = writeln!(
        text,
        "\nThe times are of two cores of a server (AVX-512, bf16): about {} in all. Ctrl-C stops; the same command goes on.",
        duration(size.seconds.iter().sum())
    );
    text
}

/// How long it will take here, once the base is measured.
pub(super) fn expectation(size: &Size, base: f64) -> String {
    let all: f64 = size.seconds.iter().sum();
    let seconds = base * all / size.seconds[0];
    format!(
        "\nStep 1 took {base:.1} s here: expect about {} in all.\n\n",
        duration(seconds)
    )
}

/// What step `i` measures: the base, then the methods.
fn name(i: usize) -> &'static str {
    match i {
        0 => "base",
        _ => METHODS[i - 1],
    }
}

/// `[2/4] full`.
pub(super) fn step(i: usize) -> String {
    format!("[{}/{}] {}", i + 1, METHODS.len() + 1, name(i))
}

/// A bar on a terminal; elsewhere a line at the start.
pub(super) fn translating(name: &str, sentences: usize, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    if !std::io::stderr().is_terminal() {
        output::say(format_args!("{name}: translating {sentences} sentences"));
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(sentences as u64);
    let template = format!("{{bar:30}} {name}: translating {{pos}}/{{len}}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// Column heads of the table.
pub(super) fn header() -> String {
    format!(
        "{:<6}{:>19}{:>11}{:>8}{:>9}{:>8}  {:<24}{:>12}\n",
        "",
        "trained parameters",
        "handbook",
        "change",
        "others",
        "change",
        "worst of the others",
        "training"
    )
}

/// A method's row of the table.
pub(super) fn row(row: &Row, base: &Row) -> String {
    let (all, others) = (row.adapted.mean_of_all(), row.others.mean_of_all());
    if row.method == base.method {
        return format!(
            "{:<6}{:>19}{all:>11.2}{:>8}{others:>9.2}\n",
            row.method, 0, ""
        );
    }
    let worst = report::worst(&row.others, &base.others);
    format!(
        "{:<6}{:>19}{all:>11.2}{:>8}{others:>9.2}{:>8}  {:<24}{:>12}\n",
        row.method,
        grouped(row.trainable),
        signed(all - base.adapted.mean_of_all()),
        signed(others - base.others.mean_of_all()),
        worst.map_or("none changed".to_owned(), |(direction, change)| format!(
            "{} {direction}",
            signed(change)
        )),
        duration(row.seconds),
    )
}

/// How to read the table, examples, and how to go on.
pub(super) fn ending(report: &Report, text: &Corpus, runs: &Path) -> String {
    let base = report.base();
    let (adapted, others) = (base.adapted.directions.len(), base.others.directions.len());
    let mut out = format!(
        "\nMean chrF++, higher is better: of the handbook's {adapted} directions, on sentences that training hasn't seen; and of {others} others\n\
         that nobody adapted, on everyday sentences. lora and lslo leave those to the untouched model, so nothing can change there.\n"
    );
    out += &before_and_after(report, text);
    let shown = |path: &Path| path.strip_prefix(".").unwrap_or(path).display().to_string();
    let _ = write!(
        out,
        "\nTook {}. All directions, and more examples: {}\n\n\
         Translate with what was trained:\n\n  \
         isogloss translate --model models/mini --adapters {} --from eng_Latn --to deu_Latn\n\n\
         The same with your own files: copy examples/factory/lslo.toml to my.toml, change its paths (docs/guide), and\n\n  \
         isogloss train my.toml\n",
        duration(report.seconds),
        shown(&runs.join(report::TEXT)),
        super::adapters(runs).display(),
    );
    out
}

fn before_and_after(report: &Report, text: &Corpus) -> String {
    let reader = examples::reader();
    let picked = examples::pick(report, text, reader.as_ref(), EXAMPLES);
    if picked.is_empty() {
        return String::new();
    }
    let mut out = "\nWhere lslo helped most (not what it always does):\n".to_owned();
    for example in &picked {
        out += &indented(example);
    }
    out
}

fn indented(example: &Example<'_>) -> String {
    format!(
        "\n  {}\n    source     {}\n    before     {}\n    after      {}\n    reference  {}\n",
        example.direction, example.source, example.before, example.after, example.reference,
    )
}

impl Scores {
    /// Mean of all directions.
    pub(super) fn mean_of_all(&self) -> f64 {
        self.mean(|_| true).unwrap_or(f64::NAN)
    }
}
