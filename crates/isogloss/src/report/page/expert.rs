//! All that makes the numbers anew.

use super::tables::{folded, pairs, scroll, table};
use super::{Page, Section, metric};
use crate::report::data::{Quality, Run};
use crate::report::markup::{Element, Html, el};

pub(super) fn section(page: Page<'_>) -> Option<Section> {
    let t = page.t;
    let body = page.each_run(|run| Some(of_run(page, run)));
    Section::new("expert", t.expert, t.expert_lead, body)
}

/// A command, scrolled by itself where it is long.
pub(super) fn command(page: Page<'_>, command: &str) -> Element {
    scroll(
        page.t.gap_command,
        el("pre").with(el("code").with(command.to_owned())),
    )
}

fn of_run(page: Page<'_>, run: &Run) -> Html {
    let t = page.t;
    let mut html = Html::from(facts(page, run));
    html.push(el("h3").with(t.commands));
    for line in &run.commands {
        html.push(command(page, line));
    }
    if let Some(quality) = &run.quality {
        html.push(of_quality(page, quality));
    }
    if !run.hashes.is_empty() {
        let hash = |(name, hash): (&String, &String)| {
            vec![Html::text(name).into(), el("code").with(hash).into()]
        };
        html.push(el("h3").with(t.hashes));
        let columns = [(t.piece, false), ("SHA-256", false)];
        html.push(table(
            t.hashes,
            &columns,
            run.hashes.iter().map(hash).collect(),
        ));
    }
    if let Some(config) = &run.config {
        let config = scroll(t.configuration, el("pre").with(el("code").with(config)));
        html.push(folded(t.configuration, config));
    }
    html
}

fn of_quality(page: Page<'_>, quality: &Quality) -> Html {
    let (t, f) = (page.t, page.f);
    let mut html = Html::from(el("h3").with(t.signatures));
    let rows = quality.metrics.iter().map(|m| {
        vec![
            Html::text(metric(&m.metric)).into(),
            super::tables::number(f.decimal(m.score, 2)),
            el("code").with(&m.signature).into(),
        ]
    });
    let columns = [
        (t.metric_name, false),
        (t.mean, true),
        (t.signatures, false),
    ];
    html.push(table(t.signatures, &columns, rows.collect()));
    if let Some(test) = &quality.test {
        let correction = match test.correction.as_str() {
            "max-t" => t.correction_max_t,
            "holm" => t.correction_holm,
            other => other,
        };
        let values = [
            ("against", Html::text(page.against(&test.against))),
            ("resamples", Html::text(&f.integer(test.resamples))),
            ("seed", Html::text(&test.seed.to_string())),
            ("level", Html::text(&f.level(test.level))),
            ("correction", Html::text(correction)),
            ("margin", Html::text(&f.decimal(test.margin, 2))),
        ];
        html.push(el("h3").with(t.test_heading));
        html.push(el("p").with(Html::fill(t.test_text, &values)));
    }
    let known = quality.options.iter().filter(|(_, value)| !value.is_null());
    let options: Vec<(&str, Html)> = known
        .map(|(name, value)| {
            let text = match value {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (name.as_str(), el("code").with(text).into())
        })
        .collect();
    if !options.is_empty() {
        html.push(el("h3").with(t.options));
        html.push(pairs(options));
    }
    html
}

/// A run's settings in a list.
fn facts(page: Page<'_>, run: &Run) -> Element {
    let t = page.t;
    let mut all: Vec<(&str, Html)> = Vec::new();
    if let Some(method) = &run.method {
        let words = match method.as_str() {
            "lslo" => t.method_lslo,
            "lora" => t.method_lora,
            "full" => t.method_full,
            "pretrain" => t.method_pretrain,
            other => other,
        };
        all.push((t.method, words.into()));
    }
    if let Some(preset) = &run.preset {
        all.push((t.preset, preset.into()));
    }
    if let Some(seed) = run.seed {
        all.push((t.seed, seed.to_string().into()));
    }
    let path = el("code").with(run.path.display().to_string());
    all.push((t.path, path.into()));
    if let Some(base) = &run.base {
        all.push((t.base_hash, el("code").with(base).into()));
    }
    pairs(all)
}
