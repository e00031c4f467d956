//! Systems against the first of them.

use super::{Args, Named};
use crate::failure::{Failure, Outcome};
use crate::{input, output};
use isogloss::evaluate::{Confidence, PairedTest, Tested};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a metric says of all systems.
#[derive(Serialize)]
struct Column<'a> {
    metric: &'a str,
    name: String,
    signature: String,
    systems: Vec<Tested>,
}

pub(super) fn run(
    args: &Args,
    test: PairedTest,
    metrics: &[Named],
    systems: &[Vec<String>],
    references: &[Vec<String>],
) -> Outcome {
    let resamples = args.resamples.unwrap_or(test.default_resamples());
    let of_metric = |(asked, metric): &'_ Named| {
        let statistics = systems
            .iter()
            .map(|system| metric.corpus_statistics(system, references))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Failure::input)?;
        let tested = metric
            .paired_test(&statistics, test, resamples, args.seed)
            .map_err(Failure::input)?;
        let signature = metric.paired_signature(references.len(), test, resamples, args.seed);
        Ok((asked.clone(), metric.name(), signature, tested))
    };
    let found = metrics.iter().map(of_metric).collect::<Outcome<Vec<_>>>()?;
    let columns = found
        .iter()
        .map(|(metric, name, signature, tested)| Column {
            metric,
            name: name.clone(),
            signature: match args.short {
                true => signature.short(),
                false => signature.to_string(),
            },
            systems: tested.clone(),
        });
    let columns: Vec<Column<'_>> = columns.collect();
    let names: Vec<String> = args.hypotheses.iter().map(|p| input::name(p)).collect();
    if args.json {
        let systems = names.iter().enumerate().map(|(i, system)| {
            let scores: BTreeMap<&str, &Tested> =
                columns.iter().map(|c| (c.metric, &c.systems[i])).collect();
            serde_json::json!({ "system": system, "scores": scores })
        });
        let signatures: BTreeMap<&str, &str> = columns
            .iter()
            .map(|c| (c.metric, c.signature.as_str()))
            .collect();
        let systems: Vec<serde_json::Value> = systems.collect();
        return output::json(&serde_json::json!({ "systems": systems, "signatures": signatures }));
    }
    output::print(&table(args, &names, &columns))
}

/// A line a system, then the signatures.
fn table(args: &Args, names: &[String], columns: &[Column<'_>]) -> String {
    let mut rows = vec![vec!["system".to_owned()]];
    rows[0].extend(columns.iter().map(|c| c.name.clone()));
    for (i, name) in names.iter().enumerate() {
        let baseline = if i == 0 { "baseline: " } else { "" };
        let mut row = vec![format!("{baseline}{name}")];
        row.extend(
            columns
                .iter()
                .map(|c| cell(&c.systems[i], args.width.into())),
        );
        rows.push(row);
    }
    let width = |c: usize| rows.iter().map(|row| row[c].chars().count()).max();
    let widths: Vec<usize> = (0..rows[0].len()).filter_map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text += line.join("  ").trim_end();
        text.push('\n');
    }
    for column in columns {
        text += &format!("{}|{}\n", column.name, column.signature);
    }
    text + "* p < 0.05, two-sided, against the baseline, not corrected for several systems\n"
}

/// As sacreBLEU writes it: `34.56 (34.50 ± 1.23) (p = 0.0123)*`.
fn cell(tested: &Tested, width: usize) -> String {
    let mut text = format!("{:.width$}", tested.score);
    if let Some(Confidence { mean, half_width }) = tested.confidence {
        text += &format!(" ({mean:.width$} ± {half_width:.width$})");
    }
    if let Some(p) = tested.p {
        let star = if p < 0.05 { "*" } else { "" };
        text += &format!(" (p = {p:.4}){star}");
    }
    text
}
