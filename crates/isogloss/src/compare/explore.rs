//! The plan of methods that go by one: a file, or what exploring finds.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::compare::cell::read_json;
use crate::compare::method::apply;
use crate::compare::{CompareError, Experiment, Extent, Kind, Prepared, Watcher};
use crate::config::{TrainConfig, value};
use crate::files;
use crate::plan::{Budget, Plan};
use crate::train::{self, Estimate, ExploreOptions, TrainError};

/// The cell in which exploring happens.
pub(super) const EXPLORE: &str = "explore";

/// How a comparison comes to its plan.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// It is there.
    Plan(Box<Plan>),
    /// It is made, by this configuration, in a run of this estimate.
    Explored {
        config: Box<TrainConfig>,
        /// The method whose learning rate is taken, where one was chosen.
        like: String,
        estimate: Box<Estimate>,
        budget: Budget,
    },
}

/// What exploring took: `explored.json`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Explored {
    /// Seconds of training: placement, demand.
    pub seconds: [f64; 2],
}

impl Experiment {
    /// Exploring takes so many updates for each one of training.
    pub(super) fn exploring_share(&self) -> f64 {
        let Some(Source::Explored { config, .. }) = &self.plan else {
            return 0.0;
        };
        let epochs = config.training.epochs;
        let explore = config.explore.clone().unwrap_or_default();
        let taken: u64 = explore.epochs(epochs).iter().sum();
        taken as f64 / epochs.max(1) as f64
    }

    /// The configuration by which exploring is estimated.
    pub(super) fn exploring(&self) -> Option<(&TrainConfig, &Estimate)> {
        match &self.plan {
            Some(Source::Explored {
                config, estimate, ..
            }) => Some((config, estimate)),
            _ => None,
        }
    }

    fn explore_folder(&self) -> PathBuf {
        self.run.join(EXPLORE)
    }

    /// Makes the plan, unless it is made; false if it was stopped.
    pub(super) fn explore(
        &self,
        extent: &Extent,
        watcher: &mut dyn Watcher,
    ) -> Result<bool, CompareError> {
        let done = self.explore_folder().join("explored.json");
        let Some(Source::Explored {
            config,
            like,
            estimate,
            budget,
        }) = &self.plan
        else {
            return Ok(true);
        };
        if done.exists() {
            return Ok(true);
        }
        let mut config = TrainConfig::clone(config);
        config.run = self.explore_folder();
        if !like.is_empty() {
            config.training.learning_rate = self.rate_of(like)? as f32;
        }
        extent.reduce(&mut config, estimate);
        watcher.stage(EXPLORE);
        let options = ExploreOptions {
            budget: *budget,
            classes: self.config.plan.classes,
            pruning: None,
        };
        let Some(found) = train::explore(&config, &self.train_dir, &options, watcher)? else {
            return Ok(false);
        };
        let explored = Explored {
            seconds: found.seconds,
        };
        files::write_json(&done, &explored)?;
        Ok(true)
    }

    /// Seconds that exploring took, if it was part of the comparison.
    pub(super) fn explored(&self) -> Result<Option<Explored>, CompareError> {
        read_json(&self.explore_folder().join("explored.json"))
    }

    /// A method as it is trained, its plan applied once there is one.
    pub(super) fn planned(&self, method: &Prepared) -> Result<Prepared, CompareError> {
        let mut method = method.clone();
        let plan = match &self.plan {
            Some(Source::Explored { .. }) if method.kind.is_planned() => {
                Plan::read(&self.explore_folder().join("plan.toml"))?
            }
            // Applied when it was opened.
            _ => return Ok(method),
        };
        apply(&plan, method.kind, &mut method.config, &plan.base)?;
        Ok(method)
    }

    /// Where the plan of planned methods comes from; applies one that is there.
    pub(super) fn plan_source(
        config: &super::CompareConfig,
        dir: &std::path::Path,
        methods: &mut [Prepared],
        plain: &TrainConfig,
    ) -> Result<Option<Source>, CompareError> {
        let Some(first) = methods
            .first()
            .filter(|_| methods.iter().any(|m| m.kind.is_planned()))
        else {
            return Ok(None);
        };
        let train_dir = first.dir.clone();
        if let Some(file) = &config.plan.file {
            let plan = Plan::read(&dir.join(file))?;
            let base = crate::checkpoint::open(&train_dir.join(&plain.model));
            let base = base.map_err(TrainError::from)?.hash().to_string();
            for method in methods.iter_mut().filter(|m| m.kind.is_planned()) {
                apply(&plan, method.kind, &mut method.config, &base)?;
                method.estimate = method.config.estimate(&train_dir)?;
            }
            return Ok(Some(Source::Plan(Box::new(plan))));
        }
        let like = methods.iter().find(|m| m.kind == Kind::Lslo);
        let (mut config_of, name, estimate) = match like {
            Some(method) => (
                method.config.clone(),
                method.name.clone(),
                method.estimate.clone(),
            ),
            None => (plain.clone(), String::new(), plain.estimate(&train_dir)?),
        };
        let budget = match &config.plan.budget {
            None => Budget::Parameters(estimate.trainable),
            Some(text) => match text.parse() {
                Ok(budget) => budget,
                Err(e) => return Ok(value("plan.budget", format!("{e}"))?),
            },
        };
        config_of.seed = config.seeds.first().copied().unwrap_or(1);
        Ok(Some(Source::Explored {
            config: Box::new(config_of),
            like: name,
            estimate: Box::new(estimate),
            budget,
        }))
    }
}
