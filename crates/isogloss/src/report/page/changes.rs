//! Every direction: as a list, and as a picture of changes with their intervals.

use super::Page;
use super::map::{glyph, verdict_word};
use super::tables::{Cell, number, some_number, table};
use crate::evaluate::Verdict;
use crate::report::data::{DirectionChange, Quality};
use crate::report::markup::{Element, Html, el};
use crate::report::svg;

/// More directions than this are listed by their extremes.
pub(super) const LISTED: usize = 160;
/// So many of each extreme.
const EXTREMES: usize = 40;
/// Directions that the picture of intervals holds.
const FOREST: usize = 36;
/// Pixels between the greatest gains and the greatest losses there.
const GAP: f64 = 18.0;

/// The directions by their change, greatest first.
fn ordered(quality: &Quality) -> Vec<&DirectionChange> {
    let mut all: Vec<&DirectionChange> = quality.directions.iter().collect();
    let change = |d: &DirectionChange| d.change.unwrap_or(f64::NEG_INFINITY);
    all.sort_by(|a, b| {
        let by_change = change(b).total_cmp(&change(a));
        by_change.then_with(|| a.direction.cmp(&b.direction))
    });
    all
}

/// The first and the last of a list, if it has more than both.
fn extremes<T: Clone>(all: &[T], most: usize, each: usize) -> Vec<T> {
    match all.len() > most {
        false => all.to_vec(),
        true => [&all[..each], &all[all.len() - each..]].concat(),
    }
}

/// The list.
pub(super) fn directions(page: Page<'_>, quality: &Quality) -> Element {
    let (t, f) = (page.t, page.f);
    let all = extremes(&ordered(quality), LISTED, EXTREMES);
    let compared = all.iter().any(|d| d.change.is_some());
    let tested = quality.test.is_some();
    let mut columns = vec![(t.direction, false), (t.sentences, true), (t.score, true)];
    if compared {
        columns.extend([(t.base_score, true), (t.change, true)]);
    }
    if tested {
        columns.extend([
            (t.interval, true),
            (t.lower_bound, true),
            (t.p_adjusted, true),
            (t.verdict, false),
        ]);
    }
    let row = |d: &&DirectionChange| {
        let mut row: Vec<Cell> = vec![
            el("span")
                .attr("title", &d.direction.to_string())
                .with(f.direction(&d.direction))
                .into(),
            number(f.integer(d.sentences as u64)),
            number(f.decimal(d.score, 2)),
        ];
        if compared {
            row.push(some_number(d.base.map(|x| f.decimal(x, 2))));
            row.push(some_number(d.change.map(|x| f.change(x))));
        }
        if tested {
            row.push(some_number(d.interval.map(|x| f.range(x))));
            row.push(some_number(d.lower_bound.map(|x| f.change(x))));
            row.push(some_number(d.p_adjusted.map(|x| f.p(x))));
            row.push(
                Html::from(glyph(d.verdict))
                    .and(" ")
                    .and(verdict_word(page, d.verdict))
                    .into(),
            );
        }
        row
    };
    table(t.per_direction, &columns, all.iter().map(row).collect())
}

/// Changes with their intervals, one below the other.
pub(super) fn forest(page: Page<'_>, quality: &Quality) -> Html {
    let (t, f) = (page.t, page.f);
    let Some(test) = &quality.test else {
        return Html::new();
    };
    let ordered = ordered(quality);
    let tested: Vec<&DirectionChange> = ordered
        .into_iter()
        .filter(|d| d.interval.is_some())
        .collect();
    let shown = extremes(&tested, FOREST, FOREST / 2);
    let cut = shown.len() < tested.len();
    let ends = shown.iter().flat_map(|d| d.interval.unwrap_or_default());
    let axis = svg::Axis::around(ends.chain([0.0, test.margin]));
    let draw = |width: f64| {
        let row = 19.0;
        // Names above their line where there is no room beside it.
        let beside = width > 400.0;
        let (left, step) = if beside {
            (190.0, row)
        } else {
            (8.0, 2.0 * row - 4.0)
        };
        let height = step * shown.len() as f64 + 34.0 + if cut { GAP } else { 0.0 };
        let plot = svg::Plot {
            width,
            height,
            left,
            right: 12.0,
            top: 6.0,
            bottom: 28.0,
            x: axis,
            y: svg::Axis::exactly(0.0, 1.0),
        };
        let mut html = Html::new();
        let bottom = height - 28.0;
        let harm = plot.x(test.margin) - left;
        html.push(svg::rect((left, 0.0), (harm, bottom), "harm"));
        for tick in axis.ticks(if beside { 7 } else { 4 }) {
            let x = plot.x(tick);
            html.push(svg::line((x, 0.0), (x, bottom), "grid"));
            html.push(svg::text(
                (x, bottom + 18.0),
                "tick middle",
                &f.signed(tick, 1),
            ));
        }
        html.push(svg::line((plot.x(0.0), 0.0), (plot.x(0.0), bottom), "zero"));
        for (i, d) in shown.iter().enumerate() {
            // A gap between gains and losses, where what lies between them is left out.
            let after_gap = cut && i >= shown.len() / 2;
            let top = step * i as f64 + if after_gap { GAP } else { 0.0 };
            if after_gap && i == shown.len() / 2 {
                let y = top - GAP / 2.0;
                html.push(svg::line((left, y), (width, y), "cut"));
            }
            html.push(change(page, &plot, d, top, beside));
        }
        (height, html)
    };
    let margin = f.decimal(test.margin.abs(), 1);
    let values = [
        ("level", Html::text(&f.level(test.level))),
        ("margin", Html::text(&margin)),
    ];
    let mut caption = el("figcaption").with(Html::fill(t.forest_lead, &values));
    if cut {
        let values = [
            ("count", Html::text(&f.integer(FOREST as u64 / 2))),
            ("directions", Html::text(&f.integer(tested.len() as u64))),
        ];
        caption.push(" ");
        caption.push(Html::fill(t.forest_cut, &values));
    }
    el("figure")
        .with(el("h3").with(t.forest))
        .with(caption)
        .with(svg::both(t.forest, draw))
        .into()
}

/// A direction's name, interval and change, in the row that starts at `top`: the name beside or above.
fn change(page: Page<'_>, plot: &svg::Plot, d: &DirectionChange, top: f64, beside: bool) -> Html {
    let f = page.f;
    let y = top + if beside { 11.0 } else { 25.0 };
    let name = f.direction(&d.direction);
    let label = match beside {
        true => svg::text((plot.left - 8.0, y + 4.0), "label end", &name),
        false => svg::text((plot.left, top + 14.0), "label", &name),
    };
    let [from, to] = d.interval.unwrap_or_default();
    let points = d.change.unwrap_or(0.0);
    let class = verdict_class(d.verdict);
    let interval = svg::line(
        (plot.x(from), y),
        (plot.x(to), y),
        &format!("interval {class}"),
    );
    let title = format!("{name}: {} ({})", f.change(points), f.range([from, to]));
    let dot = el("circle")
        .class(&format!("dot {class}"))
        .at("cx", plot.x(points))
        .at("cy", y)
        .at("r", 4.0)
        .with(el("title").with(title));
    [label, interval, dot].into_iter().collect()
}

fn verdict_class(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Better) => "better",
        Some(Verdict::Worse) => "worse",
        _ => "unclear",
    }
}
