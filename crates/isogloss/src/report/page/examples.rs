//! Translations before and after.

use super::{Page, Section};
use crate::language::Language;
use crate::report::data::Example;
use crate::report::diff::{Stretch, stretches};
use crate::report::markup::{Element, Html, el};

pub(super) fn section(page: Page<'_>) -> Option<Section> {
    let t = page.t;
    let body = page.each_run(|run| {
        if run.examples.is_empty() {
            return None;
        }
        let (losses, gains): (Vec<&Example>, Vec<&Example>) = run
            .examples
            .iter()
            .partition(|e| e.change.is_some_and(|c| c < 0.0));
        let mut html = Html::new();
        for (name, all) in [(t.examples_gain, gains), (t.examples_loss, losses)] {
            if all.is_empty() {
                continue;
            }
            // Without references it isn't known which way they changed.
            if all[0].change.is_some() {
                html.push(el("h3").with(name));
            }
            let cards = all.into_iter().map(|e| card(page, e));
            html.push(el("ul").class("examples").all(cards));
        }
        Some(html.and(el("p").class("note").with(t.examples_note)))
    });
    Section::new("examples", t.examples, t.examples_lead, body)
}

/// The tag of a language for browsers and screen readers.
fn tag(language: &Language) -> String {
    let short = language.m2m_code().filter(|code| code.len() == 2);
    let code = short.unwrap_or_else(|| language.code().split('_').next().unwrap_or_default());
    format!("{code}-{}", language.script())
}

/// A sentence in its language. Its direction of writing stays its own.
fn sentence(language: &Language, content: impl Into<Html>) -> Element {
    el("dd")
        .attr("lang", &tag(language))
        .attr("dir", "auto")
        .with(content)
}

fn marked(stretches: Vec<Stretch>, class: &str) -> Html {
    let part = |stretch: Stretch| match stretch.differs {
        true => Html::from(el("mark").class(class).with(stretch.text)),
        false => Html::from(stretch.text),
    };
    stretches.into_iter().map(part).collect()
}

fn card(page: Page<'_>, example: &Example) -> Element {
    let (t, f) = (page.t, page.f);
    let direction = &example.direction;
    let number = Html::text(&f.integer(example.sentence as u64));
    let mut head = el("p")
        .class("example-head")
        .with(el("b").with(f.direction(direction)))
        .with(" ")
        .with(
            el("span")
                .class("muted")
                .with(Html::fill(t.sentence_number, &[("number", number)])),
        );
    if let Some(change) = example.change {
        let class = if change < 0.0 {
            "tag worse"
        } else {
            "tag better"
        };
        head.push(el("span").class(class).with(f.signed(change, 1)));
    }
    let (before, after) = stretches(&example.before, &example.after);
    let mut list = el("dl");
    let mut add = |name: &'static str, class: &str, text: Element| {
        list.push(el("div").class(class).with(el("dt").with(name)).with(text));
    };
    if let Some(source) = &example.source {
        add(t.source, "given", sentence(&direction.source, source));
    }
    if let Some(reference) = &example.reference {
        add(t.reference, "given", sentence(&direction.target, reference));
    }
    add(
        t.before,
        "before",
        sentence(&direction.target, marked(before, "gone")),
    );
    add(
        t.after,
        "after",
        sentence(&direction.target, marked(after, "new")),
    );
    el("li").with(head).with(list)
}
