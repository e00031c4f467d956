//! The first screen: gain, harm, cost, and what to do.

use super::tables::folded;
use super::{Page, metric};
use crate::language::Direction;
use crate::report::data::{Quality, Report, Run};
use crate::report::format::Format;
use crate::report::markup::{Element, Html, el};
use crate::report::svg;
use crate::report::text::Tongue;
use crate::report::{Gain, Harm, Recommendation};

/// Directions that a list names before it says how many more there are.
const LISTED: usize = 24;

/// Gain, harm, cost and recommendation as plain text, a line each.
pub(in crate::report) fn text(report: &Report, tongue: Tongue) -> String {
    let page = Page {
        report,
        t: tongue.text(),
        f: Format::new(tongue),
    };
    let Some(run) = report.lead_run() else {
        return String::new();
    };
    let (todo, why) = recommendation(page);
    let lines = [
        gain(page, run),
        harm(page),
        cost(page, run),
        format!("{todo} {why}"),
    ];
    lines.map(|line| line + "\n").concat()
}

/// Fills a sentence of a table with plain text.
fn say(template: &str, values: &[(&str, String)]) -> String {
    let mut text = template.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    text
}

fn count(page: Page<'_>, n: usize) -> String {
    page.f.integer(n as u64)
}

fn gain(page: Page<'_>, run: &Run) -> String {
    let (t, f) = (page.t, page.f);
    let quality = run.quality.as_ref();
    let name = quality.map_or("", |q| metric(&q.metric)).to_owned();
    match &page.report.conclusion.gain {
        Gain::Unknown => t.gain_unknown.to_owned(),
        Gain::Untested { mean, up } => say(
            t.gain_untested,
            &[
                ("metric", name),
                ("change", f.change(mean.change)),
                ("directions", count(page, mean.directions)),
                ("up", count(page, *up)),
            ],
        ),
        Gain::Tested {
            mean,
            better,
            directions,
        } => {
            let template = match *better {
                0 => t.gain_none,
                n if n == *directions => t.gain_all,
                1 => t.gain_one,
                _ => t.gain_many,
            };
            let test = quality.and_then(|q| q.test.as_ref());
            let against = test.map_or("", |test| test.against.as_str());
            let interval = mean.interval.map_or_else(|| "–".to_owned(), |i| f.range(i));
            let values = [
                ("better", count(page, *better)),
                ("directions", count(page, *directions)),
                ("against", page.against(against).to_owned()),
                ("metric", name),
                ("change", f.change(mean.change)),
                ("level", f.level(test.map_or(0.95, |test| test.level))),
                ("interval", interval),
            ];
            say(template, &values)
        }
    }
}

fn harm(page: Page<'_>) -> String {
    let (t, f) = (page.t, page.f);
    match &page.report.conclusion.harm {
        Harm::Unknown => t.harm_unknown.to_owned(),
        Harm::Untested {
            down,
            directions,
            worst,
        } => match worst {
            None => t.harm_untested_none.to_owned(),
            Some(worst) => say(
                t.harm_untested,
                &[
                    ("down", count(page, *down)),
                    ("directions", count(page, *directions)),
                    ("direction", f.direction(&worst.direction)),
                    ("change", f.change(worst.change)),
                ],
            ),
        },
        Harm::Tested {
            worse,
            worst,
            unproven,
            margin,
        } => {
            let margin = f.decimal(margin.abs(), if margin.fract() == 0.0 { 0 } else { 1 });
            let more = [("unproven", count(page, *unproven)), ("margin", margin)];
            let Some(worst) = worst else {
                let template = match *unproven {
                    0 => t.harm_none,
                    1 => t.harm_unproven_one,
                    _ => t.harm_unproven_many,
                };
                return say(template, &more);
            };
            let template = if *worse == 1 { t.harm_one } else { t.harm_many };
            let values = [
                ("worse", count(page, *worse)),
                ("direction", f.direction(&worst.direction)),
                ("change", f.change(worst.change)),
            ];
            let also = if *unproven == 0 {
                ""
            } else {
                t.harm_also_unproven
            };
            say(template, &values) + &say(also, &more)
        }
    }
}

fn cost(page: Page<'_>, run: &Run) -> String {
    let (t, f) = (page.t, page.f);
    let cost = run.cost.as_ref();
    let seconds = cost.and_then(|c| c.seconds);
    let mut text = match seconds {
        None => t.cost_unknown.to_owned(),
        Some(seconds) => say(t.cost_time, &[("time", f.duration(seconds))]),
    };
    if let (Some(_), Some(peak)) = (seconds, cost.and_then(|c| c.peak_memory)) {
        text += &say(t.cost_memory, &[("memory", f.bytes(peak))]);
    }
    if let (Some(seconds), Some(price)) = (seconds, &page.report.price) {
        text += &say(t.cost_money, &[("money", f.money(seconds, price))]);
    }
    let bytes = run.bytes_to_translate();
    let parameters = &run.parameters;
    if let (1.., Some(trainable), Some(base)) = (bytes, parameters.trainable, parameters.base) {
        let share = f.percent(trainable as f64 / base as f64);
        text += &say(t.cost_disk, &[("disk", f.bytes(bytes)), ("share", share)]);
    }
    // A sentence that only says that nothing is known has its own end.
    if seconds.is_none() && page.f.tongue == Tongue::Japanese {
        return text + "。";
    }
    text + t.cost_end
}

/// Colour of the answer about gain.
fn gain_class(page: Page<'_>) -> &'static str {
    match page.report.conclusion.gain {
        Gain::Tested { better: 1.., .. } => "gain good",
        _ => "gain",
    }
}

/// Colour of the answer about harm.
fn harm_class(page: Page<'_>) -> &'static str {
    match page.report.conclusion.harm {
        Harm::Tested { worse: 1.., .. } => "harm bad",
        Harm::Tested { unproven: 0, .. } => "harm good",
        _ => "harm",
    }
}

/// What to do, and why.
fn recommendation(page: Page<'_>) -> (String, String) {
    let t = page.t;
    let rollout = &page.report.conclusion.rollout;
    let adapted = rollout.adapted.len();
    let total = adapted + rollout.trial.len() + rollout.base.len();
    let (todo, why) = match page.report.conclusion.recommendation {
        Recommendation::Train => (t.do_train, t.why_train),
        Recommendation::Evaluate => (t.do_evaluate, t.why_evaluate),
        Recommendation::Compare => (t.do_compare, t.why_compare),
        Recommendation::Keep => (t.do_keep, t.why_keep),
        Recommendation::All => (t.do_all, t.why_all),
        Recommendation::Some if rollout.trial.is_empty() => (t.do_some, t.why_some),
        Recommendation::Some if rollout.trial.len() == 1 => (t.do_some, t.why_trial_one),
        Recommendation::Some => (t.do_some, t.why_trial_many),
    };
    let values = [
        ("adapted", count(page, adapted)),
        ("total", count(page, total)),
        ("trial", count(page, rollout.trial.len())),
    ];
    (say(todo, &values), say(why, &values))
}

/// The first screen.
pub(super) fn section(page: Page<'_>) -> Element {
    let t = page.t;
    let mut section = el("section")
        .attr("id", "answer")
        .attr("aria-labelledby", "answer-heading");
    let Some(run) = page.report.lead_run() else {
        return section.with(el("h1").attr("id", "answer-heading").with(t.heading));
    };
    let (todo, why) = recommendation(page);
    section.push(el("h1").attr("id", "answer-heading").with(todo));
    section.push(el("p").class("why").with(why));
    let answers = [
        (t.gain, gain_class(page), gain(page, run)),
        (t.harm, harm_class(page), harm(page)),
        (t.cost, "cost", cost(page, run)),
    ];
    let answer = |(question, class, answer): (&str, &str, String)| {
        el("div")
            .class(class)
            .with(el("dt").with(question))
            .with(el("dd").with(answer))
    };
    section.push(el("dl").class("answers").all(answers.map(answer)));
    section.push(verdicts(page));
    if page.report.runs.len() > 1 {
        section.push(chosen(page, run));
    }
    section.push(rollout(page));
    section.push(super::gaps::gaps(page));
    section
}

/// Why the page speaks of this run first.
fn chosen(page: Page<'_>, run: &Run) -> Element {
    let t = page.t;
    let values = [
        ("name", Html::from(el("b").with(&run.name))),
        ("runs", Html::text(&count(page, page.report.runs.len()))),
    ];
    let harmless = run.quality.as_ref().is_some_and(Quality::harmless);
    let why = if harmless {
        t.lead_harmless
    } else {
        t.lead_gain
    };
    el("p")
        .class("note")
        .with(Html::fill(t.lead_of, &values))
        .with(why)
}

/// How many directions are better, unclear and worse: a bar.
fn verdicts(page: Page<'_>) -> Html {
    let t = page.t;
    let Gain::Tested {
        better, directions, ..
    } = page.report.conclusion.gain
    else {
        return Html::new();
    };
    let Harm::Tested { worse, .. } = page.report.conclusion.harm else {
        return Html::new();
    };
    let unclear = directions - better - worse;
    let parts = [
        (better, "better", t.better, "▲"),
        (unclear, "unclear", t.unclear, "·"),
        (worse, "worse", t.worse, "▼"),
    ];
    let label: Vec<String> = parts
        .iter()
        .map(|(n, _, word, _)| format!("{word} {n}"))
        .collect();
    let (width, height) = (1000.0, 14.0);
    let mut bar = svg::picture(
        (width, height),
        "verdicts",
        &format!("{}: {}", t.verdicts, label.join(", ")),
    )
    .attr("preserveAspectRatio", "none");
    let mut x = 0.0;
    for (n, class, ..) in parts {
        let share = width * n as f64 / directions.max(1) as f64;
        bar.push(svg::rect((x, 0.0), (share, height), class));
        x += share;
    }
    let legend = parts.map(|(n, class, word, glyph)| {
        el("li")
            .class(class)
            .with(
                el("span")
                    .class("glyph")
                    .attr("aria-hidden", "true")
                    .with(glyph),
            )
            .with(el("b").with(count(page, n)))
            .with(" ")
            .with(word)
    });
    el("div")
        .class("verdict-bar")
        .with(bar)
        .with(el("ul").attr("aria-hidden", "true").all(legend))
        .into()
}

/// The directions by what to do with them.
fn rollout(page: Page<'_>) -> Html {
    let (t, rollout) = (page.t, &page.report.conclusion.rollout);
    let lists = [
        (t.adapted, &rollout.adapted),
        (t.trial, &rollout.trial),
        (t.base_kept, &rollout.base),
    ];
    if lists.iter().all(|(_, list)| list.is_empty()) {
        return Html::new();
    }
    let list = |(name, directions): (&'static str, &Vec<Direction>)| {
        (!directions.is_empty()).then(|| {
            let name = el("h2")
                .class("minor")
                .with(format!("{name} ({})", count(page, directions.len())));
            Html::from(name).and(named(page, directions))
        })
    };
    let lists = lists.into_iter().filter_map(list);
    let note = el("p").class("note").with(t.rollout_note);
    folded(t.rollout, lists.collect::<Html>().and(note)).into()
}

/// Directions one after the other.
pub(super) fn named(page: Page<'_>, directions: &[Direction]) -> Element {
    let more = directions.len().saturating_sub(LISTED);
    let shown = directions.iter().take(LISTED);
    let mut list = el("ul").class("directions");
    for direction in shown {
        let item = el("li").attr("title", &direction.to_string());
        list.push(item.with(page.f.direction(direction)));
    }
    if more > 0 {
        let count = Html::text(&count(page, more));
        list.push(el("li").with(Html::fill(page.t.and_more, &[("count", count)])));
    }
    list
}
