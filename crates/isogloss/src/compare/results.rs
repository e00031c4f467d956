//! What a comparison found.

mod fewer;
mod interference;
mod scope;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::adapter::Preset;
use crate::compare::cell::Tuning;
use crate::compare::{
    CellPlan, CellResult, CompareError, Experiment, Extent, Kind, Label, Prepared, Protocol,
};
use crate::evaluate::{ChangeOfMean, SeededChanges, Share, SystemStatistics};
use crate::files;
use crate::language::Direction;

pub use fewer::{FewerTrained, PartOfGain};
pub use interference::Interference;
use scope::{Scope, scopes};

/// The files `results.json` and `results.md` of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Whether the figures are of the whole experiment.
    pub label: Label,
    /// The whole experiment.
    pub whole: Extent,
    /// What of it was done.
    pub extent: Extent,
    /// The metric's name.
    pub metric: String,
    /// How scores were computed.
    pub signature: String,
    /// Hypotheses followed at a time.
    pub beam: usize,
    /// Translations repeat no run of so many tokens; 0 where they may.
    #[serde(default)]
    pub no_repeat_ngram: usize,
    /// Exponent of the length in the scores of hypotheses.
    #[serde(default = "one", serialize_with = "crate::decimal::serialize")]
    pub length_penalty: f32,
    /// Resamples of the intervals.
    pub resamples: u32,
    /// Confidence of intervals and bounds.
    pub level: f64,
    /// A change above this is no harm.
    pub margin: f64,
    /// Parameters of the base.
    pub base_parameters: usize,
    /// Seconds that it took to make the plan, where that was part of the comparison: placement, demand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explored_seconds: Option<[f64; 2]>,
    /// What was trained.
    pub methods: Vec<Summary>,
    /// The test and the foreign sets; the test twice where some seeds or methods were scored on fewer directions.
    pub tests: Vec<TestResults>,
    /// What was trained alone as well, by language, then by method.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interference: Vec<Interference>,
}

fn one() -> f32 {
    1.0
}

/// A method that was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Its name.
    pub method: String,
    /// What it is.
    pub kind: Kind,
    /// Where its defaults come from; none with full fine-tuning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Rank of the shared update, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Learning rate.
    pub learning_rate: f64,
    /// Whether it was the lowest or highest that was tried: a better one may lie beyond.
    pub rate_at_the_end: bool,
    /// Parameters that were trained.
    pub trained: usize,
    /// Parameters that act in the direction that needs most, before pruning.
    pub active: usize,
    /// Those that compaction would leave, in the direction that has most of them. Not of full fine-tuning, nor in files of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_left: Option<usize>,
    /// Parameters left after compaction.
    pub after_compaction: usize,
    /// Best validation, averaged over seeds.
    pub validation_score: f64,
    /// The same before the first update, that is, of the untouched base. Not in files of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_before: Option<f64>,
    /// Seconds of training, averaged over seeds.
    pub training_seconds: f64,
}

/// A test set's results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestResults {
    /// `test`, or the foreign set's name.
    pub test: String,
    /// Whether the figures are of the whole experiment.
    pub label: Label,
    /// Whether later seeds take part, where there are some.
    pub all_seeds: bool,
    /// Directions that are averaged over.
    pub directions: usize,
    /// Sentences of a direction, at most.
    pub sentences: usize,
    /// Every system.
    pub rows: Vec<Row>,
    /// Of the test proper: methods that were trained in fewer directions than another of their kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fewer_trained: Vec<FewerTrained>,
}

/// A system's results on a test set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The method, `base` or `copy`.
    pub method: String,
    /// Seeds that are averaged over; none of what isn't trained.
    pub seeds: Vec<u64>,
    /// Mean score.
    pub mean: f64,
    /// Mean change against the base; none of the base itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeOfMean>,
    /// Share of full fine-tuning's mean change, if that is a gain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_full: Option<Share>,
    /// By class of source and target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassRow>,
    /// The direction with the lowest bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<DirectionRow>,
    /// Directions of which it isn't shown that they lose less than the margin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unproven: Vec<Direction>,
    /// Every direction.
    pub directions: Vec<DirectionRow>,
}

/// The directions from a class of languages to a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassRow {
    /// Class of the source.
    pub source: String,
    /// Class of the target.
    pub target: String,
    /// Mean score.
    pub mean: f64,
    /// Mean change against the base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeOfMean>,
}

/// A direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DirectionRow {
    /// The direction.
    pub direction: Direction,
    /// Score, averaged over seeds.
    pub score: f64,
    /// Change against the base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<f64>,
    /// Its lower bound; those of all directions hold together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower_bound: Option<f64>,
}

impl Results {
    /// Puts together what lies in the cells' folders.
    pub(super) fn read(experiment: &Experiment, protocol: &Protocol) -> Result<Self, CompareError> {
        let metric = &experiment.metrics[0];
        let significance = &experiment.config.significance;
        let decoding = &experiment.config.decoding;
        let mut tests = Vec::new();
        for set in &experiment.sets {
            for scope in scopes(experiment, protocol, set) {
                tests.push(test_results(experiment, protocol, &scope)?);
            }
        }
        let summaries = experiment.methods.iter();
        let summaries = summaries.map(|method| summary(experiment, protocol, method));
        Ok(Results {
            label: protocol.label,
            whole: protocol.whole,
            extent: protocol.extent,
            metric: metric.name.clone(),
            signature: metric.metric.signature(1).to_string(),
            beam: decoding.beam,
            no_repeat_ngram: decoding.no_repeat_ngram,
            length_penalty: decoding.length_penalty,
            resamples: significance.resamples,
            level: significance.level,
            margin: significance.margin,
            base_parameters: experiment
                .methods
                .first()
                .map_or(0, |m| m.estimate.base_parameters),
            explored_seconds: experiment.explored()?.map(|e| e.seconds),
            methods: summaries.collect::<Result<_, _>>()?,
            tests,
            interference: interference::interference(experiment, protocol)?,
        })
    }

    /// Writes both files into the comparison's folder.
    pub(super) fn write(&self, run: &Path) -> Result<(), CompareError> {
        files::write_json(&run.join("results.json"), self)?;
        let text = self.markdown();
        Ok(files::write_atomic(&run.join("results.md"), |file| {
            file.write_all(text.as_bytes())
        })?)
    }

    /// A method's summary.
    #[must_use]
    pub fn method(&self, name: &str) -> Option<&Summary> {
        self.methods.iter().find(|m| m.method == name)
    }
}

fn summary(
    experiment: &Experiment,
    protocol: &Protocol,
    method: &Prepared,
) -> Result<Summary, CompareError> {
    let cells = protocol
        .cells
        .iter()
        .filter(|cell| cell.method == method.name);
    let mut seeds = Vec::new();
    let mut done: Vec<CellResult> = Vec::new();
    for cell in cells {
        seeds.extend(cell.seed);
        done.extend(CellResult::read(&experiment.run.join(&cell.name))?);
    }
    let mean = |of: &dyn Fn(&CellResult) -> f64| {
        done.iter().map(of).sum::<f64>() / done.len().max(1) as f64
    };
    let tuning = Tuning::read(&experiment.run, &method.name)?;
    let first = done.first();
    let most = |of: &dyn Fn(&CellResult) -> usize| done.iter().map(of).max().unwrap_or(0);
    Ok(Summary {
        method: method.name.clone(),
        kind: method.kind,
        preset: method.preset(),
        rank: method.shared_rank(),
        seeds,
        learning_rate: first.map_or(f64::NAN, |c| c.learning_rate),
        rate_at_the_end: tuning.is_some_and(|t| t.at_the_end),
        trained: most(&|c| c.trained),
        active: most(&|c| c.active),
        active_left: done.iter().filter_map(|c| c.active_left).max(),
        after_compaction: most(&|c| c.after_compaction),
        validation_score: mean(&|c| c.validation_score),
        validation_before: first.and_then(|c| c.validation_before),
        training_seconds: mean(&|c| c.seconds),
    })
}

fn test_results(
    experiment: &Experiment,
    protocol: &Protocol,
    scope: &Scope<'_>,
) -> Result<TestResults, CompareError> {
    let metric = &experiment.metrics[0].metric;
    let statistics = |cell: &CellPlan| {
        let folder = experiment.run.join(&cell.name);
        scope.set.statistics(metric, &folder, &scope.directions)
    };
    let base = scope
        .cells
        .iter()
        .find(|(name, _)| name == Kind::Base.as_str());
    let base = match base.and_then(|(_, cells)| cells.first()) {
        Some(cell) => statistics(cell)?,
        None => SystemStatistics::new(),
    };
    let options = experiment.config.significance.options();
    let mut rows = Vec::new();
    let mut full = None;
    let fewer = match scope.set.name {
        None => fewer::pairs(experiment, scope),
        Some(_) => Vec::new(),
    };
    let mut kept = BTreeMap::new();
    for (name, cells) in &scope.cells {
        let of = |cell: &&CellPlan| statistics(cell);
        let seeds = cells.iter().map(of).collect::<Result<Vec<_>, _>>()?;
        let changes = SeededChanges::new(metric, &scope.directions, &base, &seeds, &options)?;
        let kind = experiment.methods.iter().find(|m| m.name == *name);
        let kind = kind.map(|m| m.kind);
        if kind == Some(Kind::Full) && full.is_none() {
            full = Some(changes.clone());
        }
        let mut row = row(experiment, name, &changes, options.margin);
        row.seeds = cells.iter().filter_map(|cell| cell.seed).collect();
        if kind.is_some() {
            row.share_of_full = full.as_ref().and_then(|full| changes.share_of(full));
        }
        rows.push(row);
        if fewer
            .iter()
            .any(|pair| [&pair.0.name, &pair.1.name].contains(&name))
        {
            kept.insert(name.clone(), changes);
        }
    }
    Ok(TestResults {
        test: scope.set.label().to_owned(),
        label: protocol.label,
        all_seeds: scope.all_seeds,
        directions: scope.directions.len(),
        sentences: scope.set.longest(),
        rows,
        fewer_trained: fewer::fewer_trained(&fewer, &kept),
    })
}

fn row(experiment: &Experiment, name: &str, changes: &SeededChanges, margin: f64) -> Row {
    let compared = name != Kind::Base.as_str();
    let bounds = changes.lower_bounds();
    let scored = changes.directions().iter().zip(changes.scores());
    let moved = changes.changes().iter().zip(&bounds);
    let of = |((direction, &score), (&change, &bound)): ((&Direction, &f64), (&f64, &f64))| {
        DirectionRow {
            direction: direction.clone(),
            score,
            change: compared.then_some(change),
            lower_bound: compared.then_some(bound),
        }
    };
    let directions: Vec<DirectionRow> = scored.zip(moved).map(of).collect();
    let bound = |d: &DirectionRow| d.lower_bound.unwrap_or(f64::INFINITY);
    let worst = directions
        .iter()
        .min_by(|a, b| bound(a).total_cmp(&bound(b)));
    let unproven = directions.iter().filter(|d| bound(d) <= margin);
    let mut classes = Vec::new();
    for (source, sources) in &experiment.classes {
        for (target, targets) in &experiment.classes {
            let among = |d: &Direction| sources.contains(&d.source) && targets.contains(&d.target);
            let Some(mean) = changes.mean_score(among) else {
                continue;
            };
            classes.push(ClassRow {
                source: source.clone(),
                target: target.clone(),
                mean,
                change: changes.mean(among).filter(|_| compared),
            });
        }
    }
    Row {
        method: name.to_owned(),
        seeds: Vec::new(),
        mean: changes.mean_score(|_| true).unwrap_or(f64::NAN),
        change: changes.mean(|_| true).filter(|_| compared),
        share_of_full: None,
        classes,
        worst: worst.filter(|_| compared).cloned(),
        unproven: unproven.map(|d| d.direction.clone()).collect(),
        directions,
    }
}

/// The rows of the foreign sets by method.
pub(super) fn foreign(results: &Results) -> BTreeMap<&str, Vec<(&str, &Row)>> {
    let mut found: BTreeMap<&str, Vec<(&str, &Row)>> = BTreeMap::new();
    for test in results.tests.iter().filter(|t| t.test != "test") {
        for row in &test.rows {
            let of = found.entry(row.method.as_str()).or_default();
            of.push((test.test.as_str(), row));
        }
    }
    found
}
