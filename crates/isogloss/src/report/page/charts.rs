//! Quality against size, and learning curves.

use super::labels::{self, Anchor, Area, Label};
use super::tables::{folded, number, some_number, table};
use super::{Page, Section, metric};
use crate::report::TradeOff;
use crate::report::data::Run;
use crate::report::markup::{Element, Html, el};
use crate::report::svg::{self, Axis, Plot};

/// Runs whose training curves are drawn, beside those of validation; more would hide each other.
const TRAINING_CURVES: usize = 3;

/// A list of series with their marks.
fn legend(entries: Vec<(usize, String)>) -> Element {
    let entry = |(series, name): (usize, String)| {
        let mark = svg::shape((8.0, 8.0), series, 4.5);
        let mark = el("svg")
            .class("swatch")
            .attr("viewBox", "0 0 16 16")
            .attr("aria-hidden", "true")
            .with(mark);
        el("li").with(mark).with(name)
    };
    el("ul").class("legend").all(entries.into_iter().map(entry))
}

/// Mean score against trainable parameters.
pub(super) fn trade_off(page: Page<'_>) -> Option<Section> {
    let (t, f) = (page.t, page.f);
    let trade_off = page.report.trade_off.as_ref()?;
    let values = [
        ("metric", Html::text(metric(&trade_off.metric))),
        (
            "directions",
            Html::text(&f.integer(trade_off.directions as u64)),
        ),
    ];
    let lead = Html::fill(t.trade_off_lead, &values);
    let name = |run: usize| page.report.runs[run].name.clone();
    let points = &trade_off.points;
    let entries = points.iter().map(|p| (p.run, name(p.run)));
    let rows = points.iter().map(|p| {
        vec![
            Html::text(&name(p.run)).into(),
            number(f.integer(p.trainable)),
            number(f.decimal(p.score, 2)),
            some_number(trade_off.base.map(|base| {
                let sign = if trade_off.higher_is_better {
                    1.0
                } else {
                    -1.0
                };
                f.change(sign * (p.score - base))
            })),
            (if p.best_of_size { t.yes } else { t.no }).into(),
        ]
    });
    let columns = [
        (t.run, false),
        (t.trainable, true),
        (metric(&trade_off.metric), true),
        (t.change, true),
        (t.trade_off_best, false),
    ];
    let table = table(t.trade_off, &columns, rows.collect());
    let figure = el("figure")
        .with(legend(entries.collect()))
        .with(svg::both(t.trade_off, |width| {
            scatter(page, trade_off, width)
        }))
        .with(folded(t.table, table));
    Section::new("trade-off", t.trade_off, lead, figure.into())
}

fn scatter(page: Page<'_>, trade_off: &TradeOff, width: f64) -> (f64, Html) {
    let (t, f) = (page.t, page.f);
    let points = &trade_off.points;
    let height = if width < 400.0 { 260.0 } else { 340.0 };
    let scores = points.iter().map(|p| p.score).chain(trade_off.base);
    let plot = Plot {
        width,
        height,
        left: 46.0,
        right: 16.0,
        top: 26.0,
        bottom: 44.0,
        x: Axis::logarithmic(points.iter().map(|p| p.trainable as f64)),
        y: Axis::around(scores),
    };
    let mut html = plot.frame(
        (t.trade_off_axis, metric(&trade_off.metric)),
        |x| f.short(x),
        |y| f.decimal(y, 1),
    );
    let mut taken = Vec::new();
    if let Some(base) = trade_off.base {
        let y = plot.y(base);
        html.push(svg::line(
            (plot.left, y),
            (width - plot.right, y),
            "base-line",
        ));
        let label = Label {
            at: (plot.left + 6.0, y - 6.0),
            anchor: Anchor::Start,
        };
        taken.push(label.area(t.trade_off_base));
        html.push(svg::text(label.at, label.class(), t.trade_off_base));
    }
    let best: Vec<(f64, f64)> = points
        .iter()
        .filter(|p| p.best_of_size)
        .map(|p| (p.trainable as f64, p.score))
        .collect();
    html.push(plot.path(&best, "front"));
    let name = |run: usize| page.report.runs[run].name.as_str();
    let named: Vec<_> = points
        .iter()
        .map(|p| ((plot.x(p.trainable as f64), plot.y(p.score)), name(p.run)))
        .collect();
    let frame = Area {
        left: plot.left,
        right: width - plot.right,
        top: 0.0,
        bottom: height - plot.bottom,
    };
    for (p, label) in points.iter().zip(labels::places(&named, frame, taken)) {
        let run = name(p.run);
        let (x, y) = (p.trainable as f64, p.score);
        let title = format!(
            "{run}: {}, {}",
            f.integer(p.trainable),
            f.decimal(p.score, 2)
        );
        html.push(plot.mark((x, y), p.run, &title));
        if let Some(label) = label {
            html.push(svg::text(label.at, label.class(), run));
        }
    }
    (height, html)
}

/// How the runs learnt.
pub(super) fn curves(page: Page<'_>) -> Option<Section> {
    let t = page.t;
    let runs: Vec<(usize, &Run)> = page
        .report
        .runs
        .iter()
        .enumerate()
        .filter(|(_, run)| !run.curve.training.is_empty() || !run.curve.validation.is_empty())
        .collect();
    if runs.is_empty() {
        return None;
    }
    let with_training = runs.len() <= TRAINING_CURVES;
    let mut entries = Vec::new();
    for (i, run) in &runs {
        entries.push((*i, format!("{}, {}", run.name, t.curve_validation)));
    }
    let mut legend = legend(entries);
    if with_training {
        let line = el("svg")
            .class("swatch")
            .attr("viewBox", "0 0 16 16")
            .attr("aria-hidden", "true")
            .with(svg::line((0.0, 8.0), (16.0, 8.0), "training"));
        let item = el("li").with(line).with(t.curve_training);
        legend.push(item);
    }
    let figure = el("figure")
        .with(legend)
        .with(svg::both(t.curves, |width| {
            drawn(page, &runs, with_training, width)
        }))
        .with(folded(t.table, curve_table(page, &runs)));
    Section::new("curves", t.curves, t.curves_lead, figure.into())
}

fn drawn(page: Page<'_>, runs: &[(usize, &Run)], with_training: bool, width: f64) -> (f64, Html) {
    let (t, f) = (page.t, page.f);
    let height = if width < 400.0 { 260.0 } else { 360.0 };
    let shown = |run: &Run| -> Vec<(f64, f64)> {
        let training = run.curve.training.iter().filter(|_| with_training);
        training.chain(&run.curve.validation).copied().collect()
    };
    let all: Vec<(f64, f64)> = runs.iter().flat_map(|(_, run)| shown(run)).collect();
    let last = all.iter().map(|p| p.0).fold(1.0, f64::max);
    let plot = Plot {
        width,
        height,
        left: 42.0,
        right: 16.0,
        top: 26.0,
        bottom: 44.0,
        x: Axis::exactly(0.0, last),
        y: Axis::around(all.iter().map(|p| p.1)),
    };
    let names = (t.curve_update, t.curve_nll);
    let mut html = plot.frame(names, |x| f.short(x), |y| f.decimal(y, 1));
    for (i, run) in runs {
        let series = i % svg::SERIES;
        if with_training && run.curve.training.len() > 1 {
            html.push(plot.path(&run.curve.training, &format!("training l{series}")));
        }
        if run.curve.validation.len() > 1 {
            html.push(plot.path(&run.curve.validation, &format!("validation l{series}")));
        }
        for &point in &run.curve.validation {
            let title = format!(
                "{}, {} {}: {}",
                run.name,
                t.curve_update,
                f.integer(point.0 as u64),
                f.decimal(point.1, 3)
            );
            html.push(plot.mark(point, *i, &title));
        }
    }
    (height, html)
}

fn curve_table(page: Page<'_>, runs: &[(usize, &Run)]) -> Element {
    let (t, f) = (page.t, page.f);
    let mut rows = Vec::new();
    for (_, run) in runs {
        let last = run.curve.training.last();
        for (update, nll) in &run.curve.validation {
            let training = run.curve.training.iter();
            // The training loss of the same time: the last point up to here. Before the first update there is none.
            let before = training.take_while(|p| p.0 <= *update).last();
            let best = run.curve.best == Some(*update);
            rows.push(vec![
                Html::text(&run.name).into(),
                number(f.integer(*update as u64)),
                some_number(before.map(|p| f.decimal(p.1, 3))),
                number(f.decimal(*nll, 3)),
                (if best { "●" } else { "" }).into(),
            ]);
        }
        if let (true, Some((update, nll))) = (run.curve.validation.is_empty(), last) {
            rows.push(vec![
                Html::text(&run.name).into(),
                number(f.integer(*update as u64)),
                number(f.decimal(*nll, 3)),
                number("–"),
                "".into(),
            ]);
        }
    }
    let columns = [
        (t.run, false),
        (t.curve_update, true),
        (t.curve_training, true),
        (t.curve_validation, true),
        (t.curve_best, false),
    ];
    table(t.curves, &columns, rows)
}
