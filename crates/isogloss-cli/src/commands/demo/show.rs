//! What the demo prints.

use super::{Plan, Report, Row};
use crate::commands::training::duration;
use crate::failure::{Failure, Outcome};
use crate::output;
use indicatif::{ProgressBar, ProgressStyle};
use isogloss::corpus::Corpus;
use isogloss::language::{Direction, Language, Resource};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;

/// What will happen.
pub(super) fn introduction(plans: &[Plan]) -> Outcome {
    let directions = plans.first().map_or(0, |plan| plan.directions().len());
    output::print(&format!(
        "A small multilingual model (models/mini) learns the language of a maker of pumps and gearboxes (examples/factory):\n\
         312 sentences in each of {directions} directions, by full fine-tuning, by one LoRA that all languages share, and by LSLo, a\n\
         low-rank update for each language. Then each is tested on 104 sentences a direction that it has not seen, and in 8\n\
         directions that nobody adapted.\n\n"
    ))
}

/// A bar on a terminal; elsewhere a line at the start.
pub(super) fn translating(method: &str, sentences: usize, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    if !std::io::stderr().is_terminal() {
        eprintln!("{method}: translating {sentences} sentences");
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(sentences as u64);
    let template = format!("{method}: translating {{bar:30}} {{pos}}/{{len}}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

const CLASSES: [(Resource, Resource); 3] = [
    (Resource::High, Resource::High),
    (Resource::High, Resource::Medium),
    (Resource::Medium, Resource::High),
];

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

    fn base(&self) -> &Row {
        &self.rows[0]
    }

    fn share(&self, row: &Row) -> f64 {
        100.0 * row.trainable as f64 / self.base_parameters as f64
    }
}

fn all(row: &Row) -> f64 {
    row.adapted.mean(|_| true).unwrap_or(f64::NAN)
}

/// Everything, for a person.
pub(super) fn tables(report: &Report, text: &Corpus, runs: &Path) -> Outcome {
    let text = [
        methods(report),
        harm(report),
        examples(report, text),
        closing(report, runs),
    ];
    output::print(&text.join("\n"))
}

fn methods(report: &Report) -> String {
    let mut text = format!(
        "chrF++ on the handbook's test sentences, by class of direction ({})\n\n{:<8}",
        report.base().adapted.signature,
        "",
    );
    for (source, target) in CLASSES {
        let _ = write!(
            text,
            "{:>16}",
            format!("{}>{}", source.as_str(), target.as_str())
        );
    }
    let _ = writeln!(
        text,
        "{:>8}{:>8}{:>22}{:>14}",
        "all", "gain", "trained parameters", "training"
    );
    for row in &report.rows {
        let _ = write!(text, "{:<8}", row.method);
        for (source, target) in CLASSES {
            let mean = report.mean(row, source, target);
            let _ = write!(
                text,
                "{:>16}",
                mean.map_or("-".to_owned(), |m| format!("{m:.2}"))
            );
        }
        let gain = all(row) - all(report.base());
        let parameters = format!("{} ({:.2}%)", row.trainable, report.share(row));
        let (gain, time) = match row.method {
            "base" => (String::new(), String::new()),
            _ => (format!("{gain:+.2}"), duration(row.seconds)),
        };
        let _ = writeln!(text, "{:>8.2}{gain:>8}{parameters:>22}{time:>14}", all(row));
    }
    text
}

/// Change against the base where nobody adapted.
fn harm(report: &Report) -> String {
    let mut text =
        "Harm: change of chrF++ in directions that were not adapted, on everyday sentences\n\n"
            .to_owned();
    let _ = write!(text, "{:<22}{:>8}", "", "base");
    let methods = &report.rows[1..];
    for row in methods {
        let _ = write!(text, "{:>10}", row.method);
    }
    let combined: Vec<_> = methods
        .iter()
        .filter_map(|row| Some((row.method, row.combined.as_ref()?)))
        .collect();
    for (method, _) in &combined {
        let _ = write!(text, "{:>16}", format!("{method}, combined"));
    }
    text.push('\n');
    let mut line = |name: &str, pick: &dyn Fn(&super::Scores) -> f64| {
        let base = pick(&report.base().others);
        let _ = write!(text, "{name:<22}{base:>8.2}");
        for row in methods {
            let _ = write!(text, "{:>10}", format!("{:+.2}", pick(&row.others) - base));
        }
        for (_, scores) in &combined {
            let _ = write!(text, "{:>16}", format!("{:+.2}", pick(scores) - base));
        }
        text.push('\n');
    };
    for at in &report.base().others.directions {
        line(&at.direction.to_string(), &|e| {
            e.mean(|d| *d == at.direction).unwrap_or(f64::NAN)
        });
    }
    line("mean", &|e| e.mean(|_| true).unwrap_or(f64::NAN));
    text.push_str(
        "\nA direction that the adapters of lora and lslo were not trained in runs on the base, so nothing changes there. \"combined\"\n\
         shows what would happen if the updates that there are acted in it: the shared one, or English's.\n",
    );
    text
}

/// Three test sentences that LSLo changed most for the better, from three directions.
fn examples(report: &Report, corpus: &Corpus) -> String {
    let mut text = "Before and after (LSLo)\n".to_owned();
    let Some(lslo) = report.rows.iter().find(|row| row.method == "lslo") else {
        return text;
    };
    for (direction, at) in best_changes(report, lslo, corpus).into_iter().take(3) {
        let before = &report.base().adapted.directions[direction];
        let after = &lslo.adapted.directions[direction];
        let Some((source, reference)) = corpus.pair(&before.direction, at) else {
            continue;
        };
        let _ = write!(
            text,
            "\n  {}\n    source     {}\n    reference  {}\n    before     {}\n    after      {}\n",
            before.direction, source, reference, before.hypotheses[at], after.hypotheses[at],
        );
    }
    text
}

/// The sentence of each direction into a widely read language that gained most, best first.
fn best_changes(report: &Report, lslo: &Row, corpus: &Corpus) -> Vec<(usize, usize)> {
    let Ok(metric) = isogloss::evaluate::Metric::parse("chrf++") else {
        return Vec::new();
    };
    let score = |hypothesis: &str, reference: &str| {
        let score = metric.sentence_score(hypothesis, &[reference]);
        score.map_or(0.0, |s| s.value())
    };
    let mut best = Vec::new();
    for (i, before) in report.base().adapted.directions.iter().enumerate() {
        let after = &lslo.adapted.directions[i];
        let gains = corpus
            .pairs(&before.direction)
            .enumerate()
            .map(|(at, (_, reference))| {
                let [before, after] = [before, after].map(|d| score(&d.hypotheses[at], reference));
                (after - before, at)
            });
        if let Some((gain, at)) = gains.max_by(|a, b| a.0.total_cmp(&b.0)) {
            best.push((gain, i, at));
        }
    }
    best.sort_by(|a, b| b.0.total_cmp(&a.0));
    best.into_iter().map(|(_, i, at)| (i, at)).collect()
}

fn closing(report: &Report, runs: &Path) -> String {
    format!(
        "Took {}. The runs lie in {}. The same with your own files: copy examples/factory/lslo.toml, change its paths, and\n\n  \
         isogloss train my.toml\n",
        duration(report.seconds),
        runs.display()
    )
}

/// Everything, for a program.
pub(super) fn json(report: &Report) -> Outcome {
    let directions = |evaluation: &super::Scores| {
        let all = evaluation.directions.iter();
        all.map(|d| (d.direction.to_string(), d.chrf.into()))
            .collect::<serde_json::Map<_, _>>()
    };
    let mut methods = serde_json::Map::new();
    let mut harm = serde_json::Map::new();
    let mean = |e: &super::Scores, keep: &dyn Fn(&Direction) -> bool| e.mean(keep);
    for row in &report.rows {
        let classes = CLASSES.into_iter().map(|(source, target)| {
            let name = format!("{}>{}", source.as_str(), target.as_str());
            (name, report.mean(row, source, target).into())
        });
        let value = serde_json::json!({
            "chrf++": all(row),
            "classes": classes.collect::<serde_json::Map<_, _>>(),
            "directions": directions(&row.adapted),
            "trainable": row.trainable,
            "seconds": row.seconds,
        });
        methods.insert(row.method.to_owned(), value);
        if row.method != "base" {
            let base = mean(&report.base().others, &|_| true);
            let change = |e: &super::Scores| mean(e, &|_| true).zip(base).map(|(x, b)| x - b);
            let value = serde_json::json!({
                "mean_change": change(&row.others),
                "directions": directions(&row.others),
                "combined_mean_change": row.combined.as_ref().and_then(change),
            });
            harm.insert(row.method.to_owned(), value);
        }
    }
    harm.insert("base".to_owned(), directions(&report.base().others).into());
    let value = serde_json::json!({
        "methods": methods,
        "harm": harm,
        "signature": report.base().adapted.signature,
        "base_parameters": report.base_parameters,
        "seconds": report.seconds,
    });
    let text = serde_json::to_string_pretty(&value).map_err(Failure::internal)?;
    output::print(&format!("{text}\n"))
}
