//! What is missing, and what fills it.

use super::Page;
use super::tables::folded;
use crate::report::Recommendation;
use crate::report::data::{Missing, Run};
use crate::report::markup::{Html, el};
use crate::report::text::Tongue;

/// What is missing, with the command that fills it.
pub(super) fn gaps(page: Page<'_>) -> Html {
    let t = page.t;
    let runs: Vec<&Run> = page
        .report
        .runs
        .iter()
        .filter(|r| !r.gaps.is_empty())
        .collect();
    if runs.is_empty() {
        return Html::new();
    }
    let mut list = el("ul").class("gaps");
    for run in runs {
        // One command may fill several gaps.
        let mut commands: Vec<&str> = Vec::new();
        for gap in &run.gaps {
            if !commands.contains(&gap.command.as_str()) {
                commands.push(&gap.command);
            }
        }
        for command in commands {
            let what = run.gaps.iter().filter(|gap| gap.command == command);
            let what: Vec<&str> = what.map(|gap| words(page, gap.what)).collect();
            let mut item = el("li");
            if page.report.runs.len() > 1 {
                item.push(el("b").class("run").with(&run.name));
            }
            let separator = match page.f.tongue {
                Tongue::English => "; ",
                Tongue::Japanese => "、",
            };
            item.push(el("span").with(what.join(separator)));
            item.push(super::expert::command(page, command));
            list.push(item);
        }
    }
    let bad = |run: &&Run| run.gaps.iter().any(|gap| gap.what == Missing::Own);
    let warning = match page.report.runs.iter().find(bad) {
        None => Html::new(),
        Some(run) => el("p")
            .class("warning")
            .with(el("b").with(&run.name))
            .with(" ")
            .with(t.not_own)
            .into(),
    };
    let part = folded(t.missing_heading, list);
    // Where nothing can be said without it, it stands open.
    let part = match page.report.conclusion.recommendation {
        Recommendation::Train | Recommendation::Evaluate | Recommendation::Compare => {
            part.flag("open")
        }
        Recommendation::Keep | Recommendation::All | Recommendation::Some => part,
    };
    warning.and(part)
}

fn words(page: Page<'_>, what: Missing) -> &'static str {
    let t = page.t;
    match what {
        Missing::Result => t.gap_result,
        Missing::Scores => t.gap_scores,
        Missing::Comparison => t.gap_comparison,
        Missing::Directions => t.gap_directions,
        Missing::Own => t.gap_own,
        Missing::Translations => t.gap_translations,
        Missing::Text => t.gap_text,
        Missing::Cost => t.gap_cost,
        Missing::Curve => t.gap_curve,
        Missing::Exploration => t.gap_exploration,
    }
}
