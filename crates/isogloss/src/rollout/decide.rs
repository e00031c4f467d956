//! From a comparison to a choice for each direction.

use super::data::shared_data;
use super::{Choice, Rollout, RolloutError};
use crate::evaluate::{
    Comparison, DirectionChange, MadeWith, ScoresFile, Verdict, search_of, searched_alike,
};
use crate::language::Direction;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// The least change in points that is worth an adaptation, or a trial; default 0.
    pub min_gain: f64,
    /// Share of the lines that a trial gives to the adaptation, 0 to 1; default 0.1. With 0 there are no trials.
    pub trial_share: f64,
    /// Whether only directions go on trial that are shown not to lose more than the comparison's margin; default no.
    pub safe_trials: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            min_gain: 0.0,
            trial_share: 0.1,
            safe_trials: false,
        }
    }
}

impl Rules {
    fn check(self) -> Result<(), RolloutError> {
        if !(0.0..=1.0).contains(&self.trial_share) {
            return Err(RolloutError::Rule {
                rule: "the share of a trial",
                found: self.trial_share,
                expected: "0 to 1",
            });
        }
        if !(self.min_gain.is_finite() && self.min_gain >= 0.0) {
            return Err(RolloutError::Rule {
                rule: "the least gain",
                found: self.min_gain,
                expected: "0 points or more",
            });
        }
        Ok(())
    }

    /// What serves a direction, and why.
    fn choose(self, of: &DirectionChange, margin: f64) -> (Choice, &'static str) {
        let enough = of.change > 0.0 && of.change >= self.min_gain;
        match of.verdict {
            Verdict::Worse => (Choice::Base, "significantly worse"),
            Verdict::Better if enough => (Choice::Adapted, "significantly better"),
            Verdict::Better => (Choice::Base, "significantly better, but by too little"),
            Verdict::Unclear if of.change <= 0.0 => (Choice::Base, "no gain"),
            Verdict::Unclear if !enough => (Choice::Base, "better by too little"),
            Verdict::Unclear if self.trial_share == 0.0 => {
                (Choice::Base, "better, but not significantly")
            }
            Verdict::Unclear if self.safe_trials && of.lower_bound <= margin => {
                (Choice::Base, "better, but not shown to be safe")
            }
            Verdict::Unclear => (Choice::Trial, "better, but not significantly"),
        }
    }
}

/// A direction and what was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// What the comparison says of it.
    pub change: DirectionChange,
    /// What serves it.
    pub choice: Choice,
    /// Why.
    pub reason: &'static str,
}

/// What the plan gives on data that took no part in the decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// The scores file.
    pub path: PathBuf,
    /// Mean change over the directions of both files, if every line goes where the plan sends it: trials count with
    /// their share.
    pub planned: f64,
    /// The same, were everything adapted.
    pub adapted: f64,
    /// Over how many directions.
    pub directions: usize,
    /// Whether sentences are shared with what was decided on, against the advice.
    pub same_data: bool,
    /// Its comparison.
    pub comparison: Comparison,
}

/// A rollout with its reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What is obeyed.
    pub rollout: Rollout,
    /// What decided.
    pub rules: Rules,
    /// The scores file that was decided on.
    pub path: PathBuf,
    /// Its comparison.
    pub comparison: Comparison,
    /// The directions, in the order of the scores.
    pub decided: Vec<Decided>,
    /// What came out on other data.
    pub reported: Vec<Reported>,
}

/// Decides on one scores file and reports on others; each with the path by which messages and comments call it.
///
/// # Errors
/// If a file compares nothing, or with something other than the base; if files are of different systems; if one that is
/// reported on shares sentences with the one that decides, unless `same_data` allows it; if a rule is out of range.
pub fn plan(
    (path, scores): (&Path, &ScoresFile),
    others: &[(&Path, &ScoresFile)],
    rules: Rules,
    same_data: bool,
) -> Result<Plan, RolloutError> {
    rules.check()?;
    let comparison = comparison(path, scores)?;
    let (model_hash, adapters_hash) = system(path, scores)?;
    let decide = |change: &DirectionChange| {
        let (choice, reason) = rules.choose(change, comparison.margin);
        Decided {
            change: change.clone(),
            choice,
            reason,
        }
    };
    let decided: Vec<Decided> = comparison.directions.iter().map(decide).collect();
    let choices = decided.iter();
    let choices = choices.map(|d| (d.change.direction.to_string(), d.choice));
    let mut plan = Plan {
        rollout: Rollout {
            model_hash: model_hash.into(),
            adapters_hash: adapters_hash.into(),
            trial_share: rules.trial_share,
            others: Choice::Base,
            decided_with: search_of(&scores.options),
            directions: choices.collect(),
        },
        rules,
        path: path.to_owned(),
        comparison: comparison.clone(),
        decided,
        reported: Vec::new(),
    };
    for &(other, of_other) in others {
        let shared = shared_data(scores, of_other);
        if let (Some(reason), false) = (&shared, same_data) {
            return Err(RolloutError::SameData {
                path: path.to_owned(),
                other: other.to_owned(),
                reason: reason.clone(),
            });
        }
        let found = self::comparison(other, of_other)?;
        let (model, adapters) = system(other, of_other)?;
        for (what, same) in [
            ("base", model == model_hash),
            ("adapters", adapters == adapters_hash),
        ] {
            if !same {
                return Err(RolloutError::OtherSystem {
                    path: path.to_owned(),
                    other: other.to_owned(),
                    what,
                });
            }
        }
        if !searched_alike(&scores.options, &of_other.options) {
            tracing::warn!(
                "{} was translated with {}, {} with {}: the two differ by more than their text",
                other.display(),
                options(&search_of(&of_other.options)),
                path.display(),
                options(&plan.rollout.decided_with)
            );
        }
        plan.report(other, found, shared.is_some());
    }
    Ok(plan)
}

/// Options as a person reads them.
fn options(of: &MadeWith) -> String {
    let all = of.iter().map(|(name, value)| match value.as_str() {
        Some(word) => format!("{name} {word}"),
        None => format!("{name} {value}"),
    });
    all.collect::<Vec<_>>().join(", ")
}

fn comparison<'a>(path: &Path, scores: &'a ScoresFile) -> Result<&'a Comparison, RolloutError> {
    let Some(comparison) = &scores.comparison else {
        return Err(RolloutError::NoComparison {
            path: path.to_owned(),
        });
    };
    if comparison.against != "base" {
        return Err(RolloutError::NotTheBase {
            path: path.to_owned(),
            against: comparison.against.clone(),
        });
    }
    Ok(comparison)
}

/// The hashes of base and adapters.
fn system<'a>(path: &Path, scores: &'a ScoresFile) -> Result<(&'a str, &'a str), RolloutError> {
    match (&scores.model_hash, &scores.adapters_hash) {
        (Some(model), Some(adapters)) => Ok((model, adapters)),
        _ => Err(RolloutError::NoAdapters {
            path: path.to_owned(),
        }),
    }
}

impl Plan {
    fn report(&mut self, path: &Path, comparison: &Comparison, same_data: bool) {
        let changes: BTreeMap<&Direction, f64> = comparison
            .directions
            .iter()
            .map(|d| (&d.direction, d.change))
            .collect();
        let (mut planned, mut adapted, mut directions) = (0.0, 0.0, 0);
        for decided in &self.decided {
            let Some(&change) = changes.get(&decided.change.direction) else {
                continue;
            };
            let share = match decided.choice {
                Choice::Adapted => 1.0,
                Choice::Base => 0.0,
                Choice::Trial => self.rules.trial_share,
            };
            planned += share * change;
            adapted += change;
            directions += 1;
        }
        let of = f64::from(directions.max(1));
        self.reported.push(Reported {
            path: path.to_owned(),
            planned: planned / of,
            adapted: adapted / of,
            directions: directions as usize,
            same_data,
            comparison: comparison.clone(),
        });
    }

    /// How many directions a choice serves.
    #[must_use]
    pub fn count(&self, choice: Choice) -> usize {
        self.decided.iter().filter(|d| d.choice == choice).count()
    }
}

impl Reported {
    /// Directions that the plan adapts, wholly or on trial, and that are significantly worse here.
    pub fn harmed<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = &'a Direction> {
        let served = |d: &&Direction| plan.rollout.choice(d) != Choice::Base;
        self.comparison.harmed.iter().filter(served)
    }
}
