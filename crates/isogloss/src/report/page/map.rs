//! Who gained, who lost: languages x languages.

use super::changes::{directions, forest};
use super::summary::named;
use super::tables::{folded, scroll, some_number, table};
use super::{Page, Section, metric};
use crate::evaluate::Verdict;
use crate::language::{Direction, Language};
use crate::report::data::{DirectionChange, Quality, Run};
use crate::report::markup::{Element, Html, el};
use crate::report::svg;
use std::collections::BTreeMap;

/// More languages than this are drawn as a picture, not as a table.
const TABLE_LANGUAGES: usize = 32;
/// Up to so many languages, cells hold their number, not just a mark.
const NUMBER_LANGUAGES: usize = 16;
/// Steps of colour on each side.
const STEPS: f64 = 4.0;

/// The map, the intervals and the list of directions, of each run.
pub(super) fn section(page: Page<'_>) -> Option<Section> {
    let t = page.t;
    let quality = page.report.lead_run()?.quality.as_ref();
    let lead = match quality {
        None => Html::new(),
        Some(q) if q.test.is_some() => {
            let against = q.test.as_ref().map_or("", |test| test.against.as_str());
            let values = [
                ("metric", Html::text(metric(&q.metric))),
                ("against", Html::text(page.against(against))),
            ];
            Html::fill(t.map_lead, &values)
        }
        Some(q) => Html::fill(t.map_untested, &[("metric", Html::text(metric(&q.metric)))]),
    };
    let body = page.each_run(|run| {
        let quality = run.quality.as_ref()?;
        Some(of_run(page, run, quality))
    });
    Section::new("map", t.map, lead, body)
}

fn of_run(page: Page<'_>, run: &Run, quality: &Quality) -> Html {
    let t = page.t;
    if quality.directions.is_empty() {
        return el("p").class("note").with(t.no_directions).into();
    }
    let mut html = Html::new();
    if !quality.missing.is_empty() {
        let values = [
            (
                "count",
                Html::text(&page.f.integer(quality.missing.len() as u64)),
            ),
            ("list", named(page, &quality.missing).into()),
        ];
        html.push(
            el("div")
                .class("warning")
                .with(Html::fill(t.directions_missing, &values)),
        );
    }
    let map = Map::of(run, quality);
    html.push(map.html(page));
    html.push(map.key(page));
    if quality.directions.len() > super::changes::LISTED {
        let count = Html::text(&page.f.integer(quality.directions.len() as u64));
        let large = Html::fill(t.map_large, &[("directions", count)]);
        html.push(el("p").class("note").with(large));
    }
    html.push(forest(page, quality));
    html.push(folded(t.per_direction, directions(page, quality)));
    html.push(folded(t.by_language, map.by_language(page)));
    html
}

/// Colour of a change, on a scale.
pub(super) fn level(change: f64, scale: f64) -> String {
    if change == 0.0 || scale <= 0.0 {
        return "z".to_owned();
    }
    let step = (STEPS * change.abs() / scale).ceil().clamp(1.0, STEPS);
    let sign = if change > 0.0 { 'p' } else { 'n' };
    format!("{sign}{step}")
}

pub(super) fn glyph(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Better) => "▲",
        Some(Verdict::Worse) => "▼",
        _ => "",
    }
}

pub(super) fn verdict_word(page: Page<'_>, verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Better) => page.t.better,
        Some(Verdict::Worse) => page.t.worse,
        Some(Verdict::Unclear) => page.t.unclear,
        None => page.t.untested,
    }
}

/// Languages with the directions between them.
struct Map<'a> {
    languages: Vec<Language>,
    cells: BTreeMap<(usize, usize), &'a DirectionChange>,
    /// The change that has the deepest colour.
    scale: f64,
    /// Whether changes are known; scores are shown otherwise.
    changes: bool,
}

impl<'a> Map<'a> {
    fn of(run: &Run, quality: &'a Quality) -> Self {
        // Those of the run in its order, then others that were scored.
        let scored = quality.directions.iter();
        let scored = scored.flat_map(|d| [&d.direction.source, &d.direction.target]);
        let missing = quality.missing.iter().flat_map(|d| [&d.source, &d.target]);
        let part: std::collections::BTreeSet<&Language> = scored.chain(missing).collect();
        let mut languages: Vec<Language> = run
            .languages
            .iter()
            .map(|l| l.language.clone())
            .filter(|l| part.contains(l))
            .collect();
        let known: std::collections::BTreeSet<Language> = languages.iter().cloned().collect();
        languages.extend(part.into_iter().filter(|l| !known.contains(*l)).cloned());
        let place: BTreeMap<&Language, usize> =
            languages.iter().enumerate().map(|(i, l)| (l, i)).collect();
        let cells = quality.directions.iter().map(|d| {
            let Direction { source, target } = &d.direction;
            ((place[source], place[target]), d)
        });
        let cells = cells.collect();
        let changes = quality.directions.iter().any(|d| d.change.is_some());
        let sizes = quality.directions.iter().filter_map(|d| d.change);
        // One direction that runs away must not make all others pale; below a point, colour would exaggerate.
        let mut sizes: Vec<f64> = sizes.map(f64::abs).collect();
        sizes.sort_by(f64::total_cmp);
        let scale = sizes
            .get(sizes.len() * 95 / 100)
            .map_or(1.0, |x| x.max(1.0));
        Map {
            languages,
            cells,
            scale,
            changes,
        }
    }

    fn html(&self, page: Page<'_>) -> Element {
        match self.languages.len() <= TABLE_LANGUAGES {
            true => scroll(page.t.map, self.table(page)),
            false => scroll(page.t.map, self.picture(page)),
        }
    }

    fn table(&self, page: Page<'_>) -> Element {
        let t = page.t;
        let numbers = self.languages.len() <= NUMBER_LANGUAGES;
        let corner = el("td")
            .class("corner")
            .with(el("span").with(format!("{} ↓", t.map_from)));
        let corner = corner.with(el("span").with(format!("{} →", t.map_to)));
        let heads = self.languages.iter().map(|l| {
            let name = el("span").with(page.language(l));
            el("th").attr("scope", "col").with(name)
        });
        let head = el("thead").with(el("tr").with(corner).all(heads));
        let rows = self.languages.iter().enumerate().map(|(i, source)| {
            let name = el("th").attr("scope", "row").with(page.language(source));
            let cells = (0..self.languages.len()).map(|j| self.cell(page, (i, j), numbers));
            el("tr").with(name).all(cells)
        });
        el("table")
            .class(if numbers { "map" } else { "map small" })
            .with(head)
            .with(el("tbody").all(rows))
    }

    fn cell(&self, page: Page<'_>, (i, j): (usize, usize), numbers: bool) -> Element {
        let t = page.t;
        let hidden = |text: &str| el("span").class("vh").with(text.to_owned());
        if i == j {
            return el("td").class("same").with(hidden(t.map_same));
        }
        let Some(d) = self.cells.get(&(i, j)) else {
            let dash = el("span").attr("aria-hidden", "true").with("–");
            return el("td").class("none").with(dash).with(hidden(t.map_none));
        };
        let title = self.title(page, d);
        let (class, shown) = match d.change {
            Some(change) => (self.colour(d, change), page.f.change(change)),
            None => ("z".to_owned(), page.f.decimal(d.score, 1)),
        };
        let mark = el("span")
            .class("glyph")
            .attr("aria-hidden", "true")
            .with(glyph(d.verdict));
        let word = match d.verdict {
            Some(Verdict::Better | Verdict::Worse) => verdict_word(page, d.verdict),
            _ => "",
        };
        let cell = el("td").class(&class).attr("title", &title);
        let cell = match numbers {
            true => cell.with(el("span").with(shown)),
            false => cell.with(hidden(&shown)),
        };
        cell.with(mark).with(hidden(word))
    }

    /// Colour of a cell: paler where the change may be chance.
    fn colour(&self, d: &DirectionChange, change: f64) -> String {
        let level = level(change, self.scale);
        match d.verdict {
            Some(Verdict::Unclear) => format!("{level} open"),
            Some(_) => format!("{level} proven"),
            None => level,
        }
    }

    fn title(&self, page: Page<'_>, d: &DirectionChange) -> String {
        let f = page.f;
        let mut title = format!("{}: {}", f.direction(&d.direction), f.decimal(d.score, 2));
        if let Some(change) = d.change {
            title += &format!(" ({})", f.change(change));
        }
        if d.verdict.is_some() {
            title += &format!(", {}", verdict_word(page, d.verdict));
        }
        title
    }

    /// Many languages: a path for each colour, so that 40,000 cells stay small.
    fn picture(&self, page: Page<'_>) -> Element {
        const CELL: f64 = 9.0;
        const LABEL: f64 = 62.0;
        let n = self.languages.len();
        let mut by_level: BTreeMap<String, String> = BTreeMap::new();
        let mut marks: BTreeMap<&str, String> = BTreeMap::new();
        for (&(i, j), d) in &self.cells {
            let (x, y) = (LABEL + CELL * j as f64, LABEL + CELL * i as f64);
            let class = d
                .change
                .map_or_else(|| "z".to_owned(), |c| self.colour(d, c));
            let size = CELL - 1.0;
            let path = by_level.entry(class).or_default();
            *path += &format!("M{x} {y}h{size}v{size}h-{size}z");
            let mark = match d.verdict {
                Some(Verdict::Better) => ("better", format!("M{} {}l3 5h-6z", x + 4.0, y + 1.5)),
                Some(Verdict::Worse) => ("worse", format!("M{} {}l3 -5h-6z", x + 4.0, y + 6.5)),
                _ => continue,
            };
            *marks.entry(mark.0).or_default() += &mark.1;
        }
        let size = LABEL + CELL * n as f64;
        let mut picture = svg::picture((size, size), "big-map", page.t.map)
            .at("width", size)
            .at("height", size);
        for (class, path) in by_level {
            picture.push(el("path").class(&format!("cell {class}")).attr("d", &path));
        }
        for path in marks.values() {
            picture.push(el("path").class("sign").attr("d", path));
        }
        for (i, language) in self.languages.iter().enumerate() {
            let at = LABEL + CELL * i as f64 + 7.0;
            picture.push(svg::text((LABEL - 4.0, at), "code end", language.code()));
            let turned = svg::text((at, LABEL - 4.0), "code", language.code());
            picture.push(turned.attr("transform", &format!("rotate(-90 {at} {})", LABEL - 4.0)));
        }
        picture
    }

    /// What colours and marks mean.
    fn key(&self, page: Page<'_>) -> Html {
        if !self.changes {
            return Html::new();
        }
        let (t, f) = (page.t, page.f);
        let mut list = el("ul").class("key").attr("aria-label", t.map_key);
        let steps = (1..=4).rev().map(|i| -i).chain(1..=4);
        for step in steps {
            let size = self.scale * f64::from(step) / STEPS;
            let class = level(size, self.scale);
            let text = f.signed(size, 1);
            list.push(el("li").class(&class).with(text));
        }
        if self.cells.values().all(|d| d.verdict.is_none()) {
            return list.into();
        }
        let marks = [(Verdict::Better, t.better), (Verdict::Worse, t.worse)];
        for (verdict, word) in marks {
            let mark = el("span")
                .class("glyph")
                .attr("aria-hidden", "true")
                .with(glyph(Some(verdict)));
            list.push(el("li").class("plain").with(mark).with(word));
        }
        list.push(el("li").class("plain").with(t.map_pale));
        list.into()
    }

    /// Means of each language on both sides.
    fn by_language(&self, page: Page<'_>) -> Element {
        let (t, f) = (page.t, page.f);
        let value = |d: &DirectionChange| d.change.unwrap_or(d.score);
        let mean = |which: &dyn Fn(&(usize, usize)) -> bool| {
            let part = self.cells.iter().filter(|(place, _)| which(place));
            let values: Vec<f64> = part.map(|(_, d)| value(d)).collect();
            let shown = |x: f64| match self.changes {
                true => f.change(x),
                false => f.decimal(x, 2),
            };
            some_number(
                (!values.is_empty())
                    .then(|| shown(values.iter().sum::<f64>() / values.len() as f64)),
            )
        };
        let rows = self.languages.iter().enumerate().map(|(i, language)| {
            vec![
                page.language(language).into(),
                mean(&|place| place.0 == i),
                mean(&|place| place.1 == i),
            ]
        });
        let columns = [
            (t.language, false),
            (t.as_source, true),
            (t.as_target, true),
        ];
        table(t.by_language, &columns, rows.collect())
    }
}
