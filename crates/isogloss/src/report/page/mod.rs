//! A report as one HTML page.

mod changes;
mod charts;
mod classes;
mod cost;
mod examples;
mod expert;
mod gaps;
mod labels;
mod language;
mod map;
mod policy;
mod summary;
mod tables;

use super::data::{Report, Run};
use super::format::Format;
use super::markup::{Element, Html, el};
use super::svg;
use super::text::{Text, Tongue};

pub(super) use summary::text as summary_text;

/// Of charts, which also stand alone.
const CHART_STYLE: &str = include_str!("chart.css");
const STYLE: &str = concat!(include_str!("chart.css"), include_str!("style.css"));
const SCRIPT: &str = include_str!("script.js");

/// What every part of a page needs.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    pub report: &'a Report,
    pub t: &'static Text,
    pub f: Format,
}

/// A part of a page, with its place in the contents.
pub(super) struct Section {
    id: &'static str,
    title: &'static str,
    lead: Html,
    body: Html,
}

impl Section {
    /// A section; none without a body.
    pub(super) fn new(
        id: &'static str,
        title: &'static str,
        lead: impl Into<Html>,
        body: Html,
    ) -> Option<Self> {
        (!body.as_str().is_empty()).then(|| Section {
            id,
            title,
            lead: lead.into(),
            body,
        })
    }

    fn html(self) -> Element {
        let heading = format!("{}-heading", self.id);
        let about = el("div")
            .class("about")
            .with(el("h2").attr("id", &heading).with(self.title));
        let about = match self.lead.as_str().is_empty() {
            true => about,
            false => about.with(el("p").class("lead").with(self.lead)),
        };
        el("section")
            .attr("id", self.id)
            .attr("aria-labelledby", &heading)
            .with(about)
            .with(el("div").class("body").with(self.body))
    }
}

impl<'a> Page<'a> {
    fn new(report: &'a Report, tongue: Tongue) -> Self {
        Page {
            report,
            t: tongue.text(),
            f: Format::new(tongue),
        }
    }
}

fn sections(page: Page<'_>) -> Vec<Section> {
    [
        map::section(page),
        classes::section(page),
        charts::trade_off(page),
        charts::curves(page),
        language::demand(page),
        language::placement(page),
        cost::sizes(page),
        cost::price(page),
        examples::section(page),
        expert::section(page),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The whole page.
pub(super) fn html(report: &Report, tongue: Tongue) -> String {
    let page = Page::new(report, tongue);
    let sections = sections(page);
    let contents = contents(page, &sections);
    let main = el("main")
        .attr("id", "main")
        .with(summary::section(page))
        .with(contents)
        .all(sections.into_iter().map(Section::html));
    let body = el("body")
        .with(
            el("a")
                .class("skip")
                .attr("href", "#main")
                .with(page.t.skip),
        )
        .with(header(page))
        .with(main)
        .with(el("footer").with(el("p").with(page.t.footer)))
        .with(el("script").with(Html::literal(SCRIPT)));
    let root = el("html")
        .attr("lang", tongue.tag())
        .with(head(page))
        .with(body);
    format!("<!DOCTYPE html>\n{}\n", Html::from(root).as_str())
}

/// The charts of a page as pictures of their own: name and content of a file each.
pub(super) fn charts(report: &Report, tongue: Tongue) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for section in sections(Page::new(report, tongue)) {
        let charts = svg::alone(&section.body, CHART_STYLE);
        let several = charts.len() > 1;
        for (i, chart) in charts.into_iter().enumerate() {
            let number = if several {
                format!("-{}", i + 1)
            } else {
                String::new()
            };
            found.push((format!("{}{number}.svg", section.id), chart));
        }
    }
    found
}

fn head(page: Page<'_>) -> Element {
    let meta = |name, content: &str| el("meta").attr("name", name).attr("content", content);
    let title = Html::fill(page.t.title, &[("name", Html::text(&page.lead_name()))]);
    el("head")
        .with(el("meta").attr("charset", "utf-8"))
        .with(
            el("meta")
                .attr("http-equiv", "Content-Security-Policy")
                .attr("content", &policy::policy(STYLE, SCRIPT)),
        )
        .with(meta("viewport", "width=device-width, initial-scale=1"))
        .with(meta("color-scheme", "light dark"))
        .with(meta("referrer", "no-referrer"))
        .with(el("title").with(title))
        .with(el("style").with(Html::literal(STYLE)))
}

fn header(page: Page<'_>) -> Element {
    let Page { report, t, f } = page;
    let mut facts = el("ul").class("facts");
    if let Some(date) = &report.date {
        let date = Html::text(&f.date(date));
        facts.push(el("li").with(Html::fill(t.made_on, &[("date", date)])));
    }
    let version = Html::text(&report.program);
    facts.push(el("li").with(Html::fill(t.version, &[("version", version)])));
    let theme = el("button")
        .attr("type", "button")
        .attr("id", "theme")
        .flag("hidden")
        .with(t.toggle_theme);
    el("header")
        .with(
            el("p")
                .class("brand")
                .with(t.heading)
                .with(el("span").class("run-name").with(page.lead_name())),
        )
        .with(facts)
        .with(theme)
}

fn contents(page: Page<'_>, sections: &[Section]) -> Element {
    let link = |section: &Section| {
        let target = format!("#{}", section.id);
        el("li").with(el("a").attr("href", &target).with(section.title))
    };
    el("nav")
        .attr("aria-label", page.t.contents)
        .with(el("ul").all(sections.iter().map(link)))
}

impl Page<'_> {
    fn lead_name(&self) -> String {
        self.report
            .lead_run()
            .map_or_else(String::new, |run| run.name.clone())
    }

    /// A language's name, with its code for those who ask.
    pub(super) fn language(&self, language: &crate::language::Language) -> Element {
        el("span")
            .attr("title", language.code())
            .with(self.f.tongue.name(language))
    }

    /// A class of languages in words.
    pub(super) fn class<'c>(&self, class: &'c str) -> &'c str {
        match class {
            "high" => self.t.class_high,
            "medium" => self.t.class_medium,
            "low" => self.t.class_low,
            other => other,
        }
    }

    /// What a run is compared with, in words.
    pub(super) fn against<'c>(&self, against: &'c str) -> &'c str {
        match against {
            "base" | "the base" | "" => self.t.against_base,
            other => other,
        }
    }

    /// A part of the page for each run that has something to show: the lead's first and open, the others' folded.
    pub(super) fn each_run(&self, part: impl Fn(&Run) -> Option<Html>) -> Html {
        let lead = self.report.lead;
        let others = (0..self.report.runs.len()).filter(|&i| i != lead);
        let parts: Vec<(&Run, Html)> = std::iter::once(lead)
            .chain(others)
            .filter_map(|i| self.report.runs.get(i))
            .filter_map(|run| Some((run, part(run)?)))
            .collect();
        let one = self.report.runs.len() == 1;
        let show = |(i, (run, html)): (usize, (&Run, Html))| match (one, i) {
            (true, _) => html,
            (false, 0) => Html::from(el("h3").class("run").with(&run.name)).and(html),
            (false, _) => {
                let summary = el("summary").with(el("h3").class("run").with(&run.name));
                el("details").class("run").with(summary).with(html).into()
            }
        };
        parts.into_iter().enumerate().map(show).collect()
    }
}

impl Html {
    /// This, and more behind it.
    pub(super) fn and(mut self, more: impl Into<Html>) -> Html {
        self.push(more);
        self
    }
}

/// The name of a metric as its authors write it.
pub(super) fn metric(name: &str) -> &str {
    match name {
        "chrf" => "chrF",
        "chrf+" => "chrF+",
        "chrf++" => "chrF++",
        "bleu" => "BLEU",
        "spbleu" => "spBLEU",
        "ter" => "TER",
        other => other,
    }
}
