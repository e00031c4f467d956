//! What a language's directions gain where they are trained alone, and where all are trained together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::compare::interference::Alone;
use crate::compare::{CellPlan, CompareError, Experiment, Kind, Protocol, TestSet};
use crate::evaluate::{ChangeOfMean, SeededChanges, SystemStatistics};
use crate::language::{Direction, Language};

/// A language and a method, trained alone and together: means over the test's directions that have the language, with one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interference {
    /// The language.
    pub language: Language,
    /// The method.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// The directions.
    pub directions: Vec<Direction>,
    /// The base's mean score.
    pub base: f64,
    /// Mean change against the base, trained alone.
    pub alone: ChangeOfMean,
    /// Mean change against the base, trained together with all other directions.
    pub together: ChangeOfMean,
    /// How much better together is than alone; less than 0 is interference.
    pub difference: ChangeOfMean,
    /// Mean change of each foreign set against the base, trained alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub foreign: BTreeMap<String, ChangeOfMean>,
}

/// All that were trained alone.
pub(super) fn interference(
    experiment: &Experiment,
    protocol: &Protocol,
) -> Result<Vec<Interference>, CompareError> {
    let cells = protocol.cells.iter();
    let alone = cells.filter_map(|cell| Some((cell, experiment.alone_of(cell)?)));
    let of = |(cell, alone): (&CellPlan, &Alone)| one(experiment, protocol, cell, alone);
    alone.map(of).collect()
}

fn one(
    experiment: &Experiment,
    protocol: &Protocol,
    cell: &CellPlan,
    alone: &Alone,
) -> Result<Interference, CompareError> {
    let metric = &experiment.metrics[0].metric;
    let options = experiment.config.significance.options();
    let statistics = |set: &TestSet, folder: &str, directions: &[Direction]| {
        set.statistics(metric, &experiment.run.join(folder), directions)
    };
    let changes = |directions: &[Direction], base: &SystemStatistics, system: SystemStatistics| {
        SeededChanges::new(metric, directions, base, &[system], &options)
    };
    // None of these is empty.
    let mean = |changes: &SeededChanges| {
        changes.mean(|_| true).unwrap_or(ChangeOfMean {
            change: f64::NAN,
            interval: [f64::NAN; 2],
            directions: 0,
        })
    };
    let base_name = Kind::Base.as_str();
    let set = &experiment.sets[0];
    let directions = experiment.scored(set, cell, &protocol.extent).into_owned();
    let base = statistics(set, base_name, &directions)?;
    let own = statistics(set, &cell.name, &directions)?;
    let all = statistics(set, &experiment.first_cell(&alone.of), &directions)?;
    let together = changes(&directions, &base, all.clone())?;
    let difference = mean(&changes(&directions, &own, all)?);
    let gain = changes(&directions, &base, own)?;
    let score = gain.mean_score(|_| true).unwrap_or(f64::NAN);
    let sign = if metric.higher_is_better() { 1.0 } else { -1.0 };
    let mut foreign = BTreeMap::new();
    for set in &experiment.sets[1..] {
        let directions = experiment.scored(set, cell, &protocol.extent);
        let base = statistics(set, base_name, &directions)?;
        let own = statistics(set, &cell.name, &directions)?;
        let change = mean(&changes(&directions, &base, own)?);
        foreign.insert(set.label().to_owned(), change);
    }
    Ok(Interference {
        language: alone.language.clone(),
        method: alone.of.clone(),
        seed: cell.seed.unwrap_or(1),
        directions,
        base: score - sign * mean(&gain).change,
        alone: mean(&gain),
        together: mean(&together),
        difference,
        foreign,
    })
}
