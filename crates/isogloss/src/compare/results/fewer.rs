//! What is left of the gain where a method was trained in fewer directions than another of its kind.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::scope::Scope;
use crate::compare::{Experiment, Missing, Prepared};
use crate::evaluate::{ChangeOfMean, SeededChanges, Share};
use crate::language::Direction;

/// A method that was trained in fewer directions than another of its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FewerTrained {
    /// The method.
    pub method: String,
    /// What translates the directions that it wasn't trained in.
    pub missing: Missing,
    /// The other method.
    pub whole: String,
    /// In the directions that both were trained in, if any of them is scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained: Option<PartOfGain>,
    /// In the directions that only the other one was trained in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrained: Option<PartOfGain>,
}

/// Two methods' mean changes against the base in the same directions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartOfGain {
    /// That of the method.
    pub change: ChangeOfMean,
    /// That of the method that was trained in all of them.
    pub whole: ChangeOfMean,
    /// What share of the latter the former is, if that is a gain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}

/// Methods of a test, each with the one of its kind that was trained in all of its directions and more: in most, and the one that is
/// named after the kind, if several were.
pub(super) fn pairs<'a>(
    experiment: &'a Experiment,
    scope: &Scope<'_>,
) -> Vec<(&'a Prepared, &'a Prepared)> {
    let scored = |method: &&Prepared| scope.cells.iter().any(|(name, _)| *name == method.name);
    let methods = || experiment.methods.iter().filter(scored);
    let count = |of: &dyn Fn(&&Direction) -> bool| scope.directions.iter().filter(of).count();
    let of = |method: &'a Prepared| {
        let own = count(&|d| method.trains(d));
        let more = |other: &&Prepared| {
            let both = count(&|d| method.trains(d) && other.trains(d));
            other.kind == method.kind && both == own && count(&|d| other.trains(d)) > own
        };
        let rank = |other: &&Prepared| {
            let named = other.name == other.kind.as_str();
            (Reverse(count(&|d| other.trains(d))), !named)
        };
        let other = methods().filter(more).min_by_key(rank)?;
        Some((method, other))
    };
    methods().filter_map(of).collect()
}

/// What is left, by the changes of every method of the pairs.
pub(super) fn fewer_trained(
    pairs: &[(&Prepared, &Prepared)],
    changes: &BTreeMap<String, SeededChanges>,
) -> Vec<FewerTrained> {
    let of = |(method, other): &(&Prepared, &Prepared)| {
        let (own, whole) = (changes.get(&method.name)?, changes.get(&other.name)?);
        let part = |trained: bool| {
            let among = |d: &Direction| other.trains(d) && method.trains(d) == trained;
            Some(PartOfGain {
                change: own.mean(among)?,
                whole: whole.mean(among)?,
                share: own.share_among(whole, among),
            })
        };
        Some(FewerTrained {
            method: method.name.clone(),
            missing: method.missing,
            whole: other.name.clone(),
            trained: part(true),
            untrained: part(false),
        })
    };
    pairs.iter().filter_map(of).collect()
}
