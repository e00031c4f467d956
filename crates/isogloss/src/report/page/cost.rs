//! Sizes, time, memory and money.

use super::tables::{Cell, folded, number, some_number, table};
use super::{Page, Section};
use crate::report::data::{Piece, Projected, Run};
use crate::report::markup::{Element, Html, el};
use crate::report::svg;

/// What a run's parts are called.
fn piece_name<'a>(page: Page<'_>, piece: &'a Piece) -> &'a str {
    match piece.name.as_str() {
        "adapters" => page.t.piece_adapters,
        "model" => page.t.piece_model,
        "checkpoints" => page.t.piece_checkpoints,
        other => other,
    }
}

/// What lies on the disk, and what parameters there are.
pub(super) fn sizes(page: Page<'_>) -> Option<Section> {
    let t = page.t;
    let mut body = Html::new();
    let runs = &page.report.runs;
    if runs.iter().any(|run| !run.disk.is_empty()) {
        body.push(disk(page));
    }
    if runs.iter().any(|run| run.parameters.trainable.is_some()) {
        body.push(parameters(page));
    }
    let by_language = page.each_run(|run| by_language(page, run));
    if !by_language.as_str().is_empty() {
        body.push(folded(t.by_each, by_language));
    }
    Section::new("size", t.size, t.size_lead, body)
}

/// Bars of what lies on the disk.
fn disk(page: Page<'_>) -> Element {
    let (t, f) = (page.t, page.f);
    let all: Vec<(&Run, &Piece)> = page
        .report
        .runs
        .iter()
        .flat_map(|run| run.disk.iter().map(move |piece| (run, piece)))
        .collect();
    let several = page.report.runs.len() > 1;
    let name = |run: &Run, piece: &Piece| match several {
        true => format!("{} / {}", run.name, piece_name(page, piece)),
        false => piece_name(page, piece).to_owned(),
    };
    let greatest = all.iter().map(|(_, piece)| piece.bytes).max().unwrap_or(1);
    let draw = |width: f64| {
        // The name above the bar, the number behind it.
        let row = 40.0;
        let room = width - 74.0;
        let mut html = Html::new();
        for (i, (run, piece)) in all.iter().enumerate() {
            let y = row * i as f64;
            let part = (room * piece.bytes as f64 / greatest.max(1) as f64).max(1.0);
            let class = if piece.needed { "needed" } else { "not-needed" };
            html.push(svg::text((0.0, y + 13.0), "label", &name(run, piece)));
            html.push(svg::rect((0.0, y + 19.0), (part, 13.0), class));
            html.push(svg::text(
                (part + 6.0, y + 30.0),
                "label",
                &f.bytes(piece.bytes),
            ));
        }
        (row * all.len() as f64, html)
    };
    let rows = all.iter().map(|(run, piece)| {
        vec![
            Html::text(&name(run, piece)).into(),
            number(f.bytes(piece.bytes)),
        ]
    });
    let columns = [(t.piece, false), (t.bytes, true)];
    let swatch = |class| {
        el("svg")
            .class("swatch")
            .attr("viewBox", "0 0 16 16")
            .attr("aria-hidden", "true")
            .with(svg::rect((1.0, 1.0), (14.0, 14.0), class))
    };
    let legend = el("ul")
        .class("legend")
        .with(el("li").with(swatch("needed")).with(t.needed_yes))
        .with(el("li").with(swatch("not-needed")).with(t.needed_no));
    el("figure")
        .with(legend)
        .with(svg::both(t.size, draw))
        .with(folded(t.table, table(t.size, &columns, rows.collect())))
}

fn parameters(page: Page<'_>) -> Element {
    let (t, f) = (page.t, page.f);
    let rows = page.report.runs.iter().map(|run| {
        let p = &run.parameters;
        let count = |n: Option<u64>| some_number(n.map(|n| f.integer(n)));
        let share = |n: Option<u64>| {
            let share = n.zip(p.base).map(|(n, base)| n as f64 / base.max(1) as f64);
            some_number(share.map(|share| f.percent(share)))
        };
        vec![
            Html::text(&run.name).into(),
            count(p.base),
            count(p.trainable),
            share(p.trainable),
            count(p.active),
        ]
    });
    let columns = [
        (t.run, false),
        (t.parameters_base, true),
        (t.parameters_trainable, true),
        (t.share_of_base, true),
        (t.parameters_active, true),
    ];
    table(t.parameters_trainable, &columns, rows.collect())
}

fn by_language(page: Page<'_>, run: &Run) -> Option<Html> {
    let (t, f) = (page.t, page.f);
    run.languages.iter().find(|l| l.parameters.is_some())?;
    let rows = run.languages.iter().map(|l| {
        let share = l.parameters.zip(run.parameters.base);
        let share = share.map(|(n, base)| f.percent(n as f64 / base.max(1) as f64));
        vec![
            page.language(&l.language).into(),
            some_number(l.parameters.map(|n| f.integer(n))),
            some_number(share),
        ]
    });
    let columns = [
        (t.language, false),
        (t.parameters_trainable, true),
        (t.share_of_base, true),
    ];
    Some(table(t.by_each, &columns, rows.collect()).into())
}

/// What training took, and what it would take with more languages.
pub(super) fn price(page: Page<'_>) -> Option<Section> {
    let (t, f) = (page.t, page.f);
    let runs = &page.report.runs;
    let money = |seconds: Option<f64>| {
        let price = page.report.price.as_ref()?;
        Some(f.money(seconds?, price))
    };
    let with_price = page.report.price.is_some();
    let measured: Vec<&Run> = runs.iter().filter(|run| run.cost.is_some()).collect();
    if measured.is_empty() {
        return None;
    }
    let mut columns = vec![(t.run, false), (t.time, true), (t.memory, true)];
    if with_price {
        columns.push((t.money, true));
    }
    columns.push((t.machine, false));
    let rows = measured.iter().filter_map(|run| {
        let cost = run.cost.as_ref()?;
        let mut row: Vec<Cell> = vec![
            Html::text(&run.name).into(),
            some_number(cost.seconds.map(|s| f.duration(s))),
            some_number(cost.peak_memory.map(|b| f.bytes(b))),
        ];
        if with_price {
            row.push(some_number(money(cost.seconds)));
        }
        let machine = match (&cost.processor, cost.threads) {
            (Some(processor), Some(threads)) => Html::fill(
                t.threads_of,
                &[
                    ("processor", Html::text(processor)),
                    ("threads", Html::text(&f.integer(threads as u64))),
                ],
            ),
            (Some(processor), None) => Html::text(processor),
            _ => Html::text(t.unknown),
        };
        row.push(machine.into());
        Some(row)
    });
    let measured = table(t.measured, &columns, rows.collect());
    let projection = page.each_run(|run| {
        let many = run.projection.len() > 1;
        many.then(|| projection_table(page, run, &money).into())
    });
    let mut body = Html::from(el("h3").with(t.measured))
        .and(el("p").class("note").with(t.measured_lead))
        .and(measured);
    if !projection.as_str().is_empty() {
        body.push(el("h3").with(t.projection));
        body.push(el("p").class("note").with(t.projection_lead));
        body.push(projection);
    }
    Section::new("price", t.price, "", body)
}

fn projection_table(
    page: Page<'_>,
    run: &Run,
    money: &dyn Fn(Option<f64>) -> Option<String>,
) -> Element {
    let (t, f) = (page.t, page.f);
    let with_price = page.report.price.is_some();
    let mut columns = vec![
        (t.languages, true),
        (t.directions, true),
        (t.trainable, true),
        (t.disk, true),
        (t.time, true),
        (t.memory, true),
    ];
    if with_price {
        columns.push((t.money, true));
    }
    let row = |(i, row): (usize, &Projected)| {
        // What is extrapolated isn't exact to the last digit, and should not look so.
        let count = |n: u64| match i {
            0 => f.integer(n),
            _ => f.short(n as f64),
        };
        let mut cells = vec![
            number(f.integer(row.languages as u64)),
            number(f.integer(row.directions as u64)),
            some_number(row.trainable.map(count)),
            some_number(row.disk.map(|b| f.bytes(b))),
            some_number(row.seconds.map(|s| f.duration(s))),
            some_number(row.memory.map(|b| f.bytes(b))),
        ];
        if with_price {
            cells.push(some_number(money(row.seconds)));
        }
        cells
    };
    let rows = run.projection.iter().enumerate().map(row);
    table(t.projection, &columns, rows.collect())
}
