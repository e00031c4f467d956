//! Demand by language and layer, placement by layer.

use super::tables::{folded, number, scroll, table};
use super::{Page, Section};
use crate::report::data::{Demand, LayerPlacement};
use crate::report::markup::{Element, Html, el};
use crate::report::svg;

/// Steps of colour.
const STEPS: f64 = 5.0;

/// How much of each layer a language takes.
pub(super) fn demand(page: Page<'_>) -> Option<Section> {
    let body = page.each_run(|run| {
        let demand = run.demand.as_ref()?;
        let empty = demand.languages.is_empty() || demand.layers.is_empty();
        (!empty).then(|| demand_table(page, demand).into())
    });
    Section::new("demand", page.t.demand, page.t.demand_lead, body)
}

/// `encoder.layers.3` in short, with the words for it; of a site, its name behind.
fn place_name(page: Page<'_>, place: &str) -> (String, String) {
    let mut parts = place.split('.');
    let (stack, layer) = (parts.next(), parts.nth(1).unwrap_or_default());
    let (letter, template) = match stack {
        Some("encoder") => ("E", page.t.encoder),
        Some("decoder") => ("D", page.t.decoder),
        _ => return (place.to_owned(), place.to_owned()),
    };
    let site: String = parts.map(|part| format!(" {part}")).collect();
    let long = template.replace("{layer}", layer);
    (format!("{letter}{layer}{site}"), long + &site)
}

fn demand_table(page: Page<'_>, demand: &Demand) -> Element {
    let (t, f) = (page.t, page.f);
    let all = demand.share.iter().flatten().copied();
    let greatest = all.filter(|x| x.is_finite()).fold(0.0, f64::max);
    let level = |share: f64| match greatest > 0.0 && share.is_finite() {
        true => format!("q{}", (STEPS * share / greatest).ceil().clamp(0.0, STEPS)),
        false => "q0".to_owned(),
    };
    let cell = |share: f64| {
        el("td")
            .class(&level(share))
            .with(f.decimal(100.0 * share, 0))
    };
    let overall = |i: usize, row: &[f64]| match &demand.overall {
        Some(all) => all[i],
        None => row.iter().sum::<f64>() / row.len().max(1) as f64,
    };
    let heads = demand.layers.iter().map(|layer| {
        let (short, long) = place_name(page, layer);
        let short = el("abbr").attr("title", &long).with(short);
        el("th").attr("scope", "col").with(short)
    });
    let head = el("tr")
        .with(el("th").attr("scope", "col").with(t.language))
        .all(heads)
        .with(el("th").attr("scope", "col").with(t.all_layers));
    let rows =
        demand
            .languages
            .iter()
            .zip(&demand.share)
            .enumerate()
            .map(|(i, (language, shares))| {
                el("tr")
                    .with(el("th").attr("scope", "row").with(page.language(language)))
                    .all(shares.iter().map(|&share| cell(share)))
                    .with(cell(overall(i, shares)))
            });
    let table = el("table")
        .class("map demand")
        .with(el("caption").with("%"))
        .with(el("thead").with(head))
        .with(el("tbody").all(rows));
    scroll(t.demand, table)
}

/// Which language each layer goes by.
pub(super) fn placement(page: Page<'_>) -> Option<Section> {
    let t = page.t;
    let body = page.each_run(|run| {
        let layers = run.placement.as_ref()?;
        (!layers.is_empty()).then(|| placement_figure(page, layers).into())
    });
    Section::new("placement", t.placement, t.placement_lead, body)
}

/// The place's name.
fn placed(page: Page<'_>, layer: &LayerPlacement) -> String {
    match &layer.place {
        Some(place) => place_name(page, place).1,
        None => page.t.encoder.replace("{layer}", &layer.layer.to_string()),
    }
}

fn placement_figure(page: Page<'_>, layers: &[LayerPlacement]) -> Element {
    let (t, f) = (page.t, page.f);
    let parts = |l: &LayerPlacement| {
        [
            (l.source, "side-source"),
            (l.target, "side-target"),
            (l.none, "side-none"),
        ]
    };
    let names = [
        ("side-source", t.side_source),
        ("side-target", t.side_target),
        ("side-none", t.side_none),
    ];
    let legend = names.map(|(class, name)| {
        let square = el("svg")
            .class("swatch")
            .attr("viewBox", "0 0 16 16")
            .attr("aria-hidden", "true")
            .with(svg::rect((1.0, 1.0), (14.0, 14.0), class));
        el("li").with(square).with(name)
    });
    let draw = |width: f64| {
        let (left, row) = (118.0, 24.0);
        let room = width - left - 4.0;
        let mut html = Html::new();
        for (i, layer) in layers.iter().enumerate() {
            let y = row * i as f64;
            let name = placed(page, layer);
            html.push(svg::text((left - 8.0, y + 15.0), "label end", &name));
            let mut x = left;
            let sum: f64 = parts(layer).iter().map(|(share, _)| share.max(0.0)).sum();
            for (share, class) in parts(layer) {
                let part = room * share.max(0.0) / sum.max(f64::MIN_POSITIVE);
                let bar = svg::rect((x, y + 2.0), (part, row - 6.0), class);
                html.push(bar.with(el("title").with(f.percent(share))));
                if part > 44.0 {
                    let at = (x + part / 2.0, y + 15.5);
                    let class = format!("on {class} middle");
                    html.push(svg::text(at, &class, &f.percent(share)));
                }
                x += part;
            }
        }
        (row * layers.len() as f64 + 2.0, html)
    };
    let rows = layers.iter().map(|layer| {
        let shares = [layer.source, layer.target, layer.none];
        let name = placed(page, layer);
        let shares = shares.map(|share| number(f.percent(share)));
        std::iter::once(name.as_str().into())
            .chain(shares)
            .collect()
    });
    let columns = [
        (t.layer, false),
        (t.side_source, true),
        (t.side_target, true),
        (t.side_none, true),
    ];
    el("figure")
        .with(el("ul").class("legend").all(legend))
        .with(svg::both(t.placement, draw))
        .with(folded(
            t.table,
            table(t.placement, &columns, rows.collect()),
        ))
}
