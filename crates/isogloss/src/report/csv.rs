//! The tables behind a page, as CSV (RFC 4180 with line feeds).

use super::data::{Report, Run};

/// A table as it grows.
struct Table(String);

/// A cell: quoted where need be.
fn cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

impl Table {
    fn new(columns: &str) -> Self {
        Table(format!("{columns}\n"))
    }

    fn row(&mut self, cells: &[String]) {
        let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
        self.0 += &cells.join(",");
        self.0.push('\n');
    }
}

/// A number, or nothing.
fn some<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Name and content of every table.
pub(super) fn tables(report: &Report) -> Vec<(&'static str, String)> {
    let runs = &report.runs;
    vec![
        ("runs.csv", of_runs(report)),
        ("directions.csv", directions(runs)),
        ("classes.csv", classes(runs)),
        ("curves.csv", curves(runs)),
        ("projection.csv", projection(report)),
        ("demand.csv", demand(runs)),
        ("placement.csv", placement(runs)),
    ]
}

fn of_runs(report: &Report) -> String {
    let mut table = Table::new(
        "run,method,preset,seed,base,metric,signature,score,change,base_parameters,trainable,active,bytes_to_translate,seconds,peak_memory,currency,price",
    );
    for run in &report.runs {
        let quality = run.quality.as_ref();
        let score = quality.and_then(|q| q.metrics.iter().find(|m| m.metric == q.metric));
        let change = quality.and_then(|q| q.mean.as_ref()).map(|m| m.change);
        let bytes = run.bytes_to_translate();
        let seconds = run.cost.as_ref().and_then(|c| c.seconds);
        let price = report.price.as_ref();
        let cost = price.and_then(|price| Some(price.of(seconds?)));
        table.row(&[
            run.name.clone(),
            some(run.method.as_ref()),
            some(run.preset.as_ref()),
            some(run.seed),
            some(run.base.as_ref()),
            some(quality.map(|q| &q.metric)),
            some(quality.map(|q| &q.signature)),
            some(score.map(|m| m.score)),
            some(change),
            some(run.parameters.base),
            some(run.parameters.trainable),
            some(run.parameters.active),
            bytes.to_string(),
            some(seconds),
            some(run.cost.as_ref().and_then(|c| c.peak_memory)),
            some(price.map(|p| &p.currency)),
            some(cost),
        ]);
    }
    table.0
}

fn directions(runs: &[Run]) -> String {
    let mut table = Table::new(
        "run,source,target,sentences,metric,base,score,change,low,high,lower_bound,p,p_adjusted,verdict",
    );
    for run in runs {
        let Some(quality) = &run.quality else {
            continue;
        };
        for d in &quality.directions {
            let verdict = d.verdict.map(|v| format!("{v:?}").to_lowercase());
            table.row(&[
                run.name.clone(),
                d.direction.source.to_string(),
                d.direction.target.to_string(),
                d.sentences.to_string(),
                quality.metric.clone(),
                some(d.base),
                d.score.to_string(),
                some(d.change),
                some(d.interval.map(|i| i[0])),
                some(d.interval.map(|i| i[1])),
                some(d.lower_bound),
                some(d.p),
                some(d.p_adjusted),
                some(verdict),
            ]);
        }
    }
    table.0
}

fn classes(runs: &[Run]) -> String {
    let mut table = Table::new("run,source,target,directions,score,change,low,high");
    for run in runs {
        for class in run.quality.iter().flat_map(|q| &q.classes) {
            let change = class.change.as_ref();
            table.row(&[
                run.name.clone(),
                class.source.clone(),
                class.target.clone(),
                class.directions.to_string(),
                class.score.to_string(),
                some(change.map(|c| c.change)),
                some(change.and_then(|c| c.interval).map(|i| i[0])),
                some(change.and_then(|c| c.interval).map(|i| i[1])),
            ]);
        }
    }
    table.0
}

fn curves(runs: &[Run]) -> String {
    let mut table = Table::new("run,curve,update,nll");
    for run in runs {
        let curves = [
            ("training", &run.curve.training),
            ("validation", &run.curve.validation),
        ];
        for (name, points) in curves {
            for (update, nll) in points {
                let cells = [
                    run.name.clone(),
                    name.into(),
                    update.to_string(),
                    nll.to_string(),
                ];
                table.row(&cells);
            }
        }
    }
    table.0
}

fn projection(report: &Report) -> String {
    let mut table = Table::new(
        "run,languages,directions,trainable,bytes_to_translate,seconds,memory,currency,price",
    );
    for run in &report.runs {
        for row in &run.projection {
            let price = report.price.as_ref();
            let cost = price.and_then(|price| Some(price.of(row.seconds?)));
            table.row(&[
                run.name.clone(),
                row.languages.to_string(),
                row.directions.to_string(),
                some(row.trainable),
                some(row.disk),
                some(row.seconds),
                some(row.memory),
                some(price.map(|p| &p.currency)),
                some(cost),
            ]);
        }
    }
    table.0
}

fn demand(runs: &[Run]) -> String {
    let mut table = Table::new("run,language,layer,share");
    for run in runs {
        let Some(demand) = &run.demand else { continue };
        for (language, shares) in demand.languages.iter().zip(&demand.share) {
            for (layer, share) in demand.layers.iter().zip(shares) {
                let cells = [
                    run.name.clone(),
                    language.to_string(),
                    layer.clone(),
                    share.to_string(),
                ];
                table.row(&cells);
            }
        }
    }
    table.0
}

fn placement(runs: &[Run]) -> String {
    let mut table = Table::new("run,place,source,target,none");
    for run in runs {
        for layer in run.placement.iter().flatten() {
            table.row(&[
                run.name.clone(),
                match &layer.place {
                    Some(place) => place.clone(),
                    None => format!("encoder.layers.{}", layer.layer),
                },
                layer.source.to_string(),
                layer.target.to_string(),
                layer.none.to_string(),
            ]);
        }
    }
    table.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_need_be() {
        let cells = ["plain", "a,b", "say \"hi\"", "two\nlines"].map(cell);
        assert_eq!(
            cells,
            ["plain", "\"a,b\"", "\"say \"\"hi\"\"\"", "\"two\nlines\""]
        );
    }
}
