//! Means by class of language.

use super::map::level;
use super::tables::scroll;
use super::{Page, Section, metric};
use crate::report::data::ClassChange;
use crate::report::markup::{Element, Html, el};
use crate::report::text::Tongue;

/// Means from class to class.
pub(super) fn section(page: Page<'_>) -> Option<Section> {
    let t = page.t;
    let quality = page.report.lead_run()?.quality.as_ref()?;
    let name = Html::text(metric(&quality.metric));
    let lead = Html::fill(t.classes_lead, &[("metric", name)]);
    let body = page.each_run(|run| {
        let classes = &run.quality.as_ref()?.classes;
        (!classes.is_empty()).then(|| class_table(page, classes).into())
    });
    Section::new("classes", t.classes, lead, body)
}

fn class_table(page: Page<'_>, all: &[ClassChange]) -> Element {
    let t = page.t;
    let mut names: Vec<&str> = Vec::new();
    for name in all.iter().flat_map(|c| [c.source.as_str(), &c.target]) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let sizes = all
        .iter()
        .filter_map(|c| Some(c.change.as_ref()?.change.abs()));
    let scale = sizes.fold(1.0, f64::max);
    let of = |source: &str, target: &str| {
        let found = all
            .iter()
            .find(|c| c.source == source && c.target == target);
        found.map_or_else(
            || el("td").class("none").with("–"),
            |c| class_cell(page, c, scale),
        )
    };
    let corner = el("td")
        .class("corner")
        .with(el("span").with(format!("{} ↓", t.class_from)));
    let corner = corner.with(el("span").with(format!("{} →", t.class_to)));
    let head = names
        .iter()
        .map(|name| el("th").attr("scope", "col").with(page.class(name)));
    let rows = names.iter().map(|source| {
        let cells = names.iter().map(|target| of(source, target));
        el("tr")
            .with(el("th").attr("scope", "row").with(page.class(source)))
            .all(cells)
    });
    let table = el("table")
        .class("map classes")
        .with(el("thead").with(el("tr").with(corner).all(head)))
        .with(el("tbody").all(rows));
    scroll(t.classes, table)
}

fn class_cell(page: Page<'_>, class: &ClassChange, scale: f64) -> Element {
    let (t, f) = (page.t, page.f);
    let (colour, shown) = match &class.change {
        Some(change) => (level(change.change, scale), f.change(change.change)),
        None => ("z".to_owned(), f.decimal(class.score, 1)),
    };
    let mut cell = el("td").class(&colour).with(el("b").with(shown));
    if let Some(interval) = class.change.as_ref().and_then(|c| c.interval) {
        cell.push(el("span").class("small-print").with(f.range(interval)));
    }
    let count = f.integer(class.directions as u64);
    let count = match f.tongue {
        Tongue::English => format!("{}: {count}", t.directions),
        Tongue::Japanese => format!("{}：{count}", t.directions),
    };
    cell.push(el("span").class("small-print").with(count));
    cell
}
