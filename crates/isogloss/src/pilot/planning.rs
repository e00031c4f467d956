//! How a pilot's time is planned, and where things lie.

use std::path::{Path, PathBuf};

use crate::compare::{CellPlan, Extent, Label, Protocol, Scored, TestSet, cell_name, read_json};
use crate::pilot::{Clock, Costs, Pilot, PilotError, PilotPlan, Share, Size};
use crate::train::{self, TrainError};

impl Pilot {
    /// The folder of cells, plan and spent time.
    pub(super) fn cells(&self) -> PathBuf {
        self.run.join("pilot")
    }

    /// The plan that it was started with, if it was.
    ///
    /// # Errors
    /// If its file can't be read.
    pub fn started(&self) -> Result<Option<PilotPlan>, PilotError> {
        let plan: Option<PilotPlan> = read_json(&self.cells().join("plan.json"))?;
        // Before the first cell nothing depends on it.
        Ok(plan.filter(|_| self.cells().join("base").exists()))
    }

    /// Removes what an earlier pilot left.
    ///
    /// # Errors
    /// If something can't be removed, or another process is at it.
    pub fn clear(&self) -> Result<(), PilotError> {
        let cells = self.cells();
        if !cells.join("plan.json").exists() {
            return Ok(());
        }
        drop(train::lock(&cells)?);
        let removed = std::fs::remove_dir_all(&cells);
        Ok(removed.map_err(|e| TrainError::Read {
            path: cells,
            reason: e.to_string(),
        })?)
    }

    /// The plan for a limit of so many seconds: that of the pilot where it was started, otherwise a new one, after measuring.
    ///
    /// # Errors
    /// If nothing fits, or if it was started with another limit.
    pub fn plan(&self, limit: f64, clock: &Clock<'_>) -> Result<PilotPlan, PilotError> {
        if let Some(started) = self.started()? {
            let said = |seconds: f64| format!("{}s", seconds.round());
            return match (started.limit_seconds - limit).abs() < 0.5 {
                true => Ok(started),
                false => Err(PilotError::OtherLimit {
                    path: self.cells(),
                    before: said(started.limit_seconds),
                    now: said(limit),
                }),
            };
        }
        self.plan_anew(limit, clock)
    }

    /// The plan for a limit of so many seconds after measuring, whatever was started before.
    ///
    /// # Errors
    /// If nothing fits.
    pub fn plan_anew(&self, limit: f64, clock: &Clock<'_>) -> Result<PilotPlan, PilotError> {
        let speeds = self.experiment.measure()?;
        self.plan_with(limit, speeds, clock())
    }

    /// The plan for a limit, with speeds as they are, of which measuring took so many seconds.
    ///
    /// # Errors
    /// If nothing fits.
    pub fn plan_with(
        &self,
        limit: f64,
        speeds: crate::compare::Speeds,
        measuring_seconds: f64,
    ) -> Result<PilotPlan, PilotError> {
        let costs = self.costs(&speeds)?;
        let share = Share::new((limit - measuring_seconds).max(0.0), &costs);
        let share = share.map_err(|least| PilotError::Limit {
            minutes: limit / 60.0,
            least_minutes: (least + measuring_seconds) / 60.0,
        })?;
        Ok(PilotPlan {
            limit_seconds: limit,
            measuring_seconds,
            directions: self.chosen.clone(),
            speeds,
            share,
        })
    }

    /// What things take with these speeds.
    ///
    /// # Errors
    /// Base or text.
    pub fn costs(&self, speeds: &crate::compare::Speeds) -> Result<Costs, PilotError> {
        let own = self.size(0).map(|size| size.name.as_str());
        let mut methods = self.experiment.methods.iter();
        let Some(method) = methods.find(|m| Some(m.name.as_str()) == own) else {
            return Err(PilotError::NoDirection { least: 0 });
        };
        let (config, estimate) = (&method.config, &method.estimate);
        let (training, validation) = self.experiment.work_of(config, estimate, speeds)?;
        let set = &self.experiment.sets[0];
        let lengths = set.lengths(&self.experiment.tokenizer);
        let tokens = set.tokens(&lengths.map_err(TrainError::from)?, &set.directions, 1);
        let all = estimate.operations / (4.0 * estimate.base_parameters.max(1) as f64);
        let of_update = config.training.batch_tokens * config.training.accumulate.max(1);
        Ok(Costs {
            training,
            updates: all / of_update.max(1) as f64,
            validation,
            validations: config.validation_work(&self.dir)?.times as f64,
            sentence: tokens / speeds.beam.max(1e-9),
            sentences: self
                .experiment
                .sets
                .iter()
                .map(TestSet::longest)
                .max()
                .unwrap_or(0),
            sizes: self.sizes.iter().filter(|size| size.power <= 1).count(),
        })
    }

    /// Path of a file in the run's folder, as short as it can be said here.
    #[must_use]
    pub fn shown(&self, name: &str) -> PathBuf {
        let run = self.run.canonicalize().unwrap_or_else(|_| self.run.clone());
        let here = std::env::current_dir().and_then(|here| here.canonicalize());
        let short = here
            .ok()
            .and_then(|here| run.strip_prefix(here).ok().map(Path::to_owned));
        short.unwrap_or(run).join(name)
    }

    pub(super) fn size(&self, power: i32) -> Option<&Size> {
        self.sizes.iter().find(|size| size.power == power)
    }

    pub(super) fn method_of(&self, size: &Size) -> CellPlan {
        let seed = self.config.seed;
        cell(&cell_name(&size.name, seed), &size.name, Some(seed))
    }
}

pub(super) fn cell(name: &str, method: &str, seed: Option<u64>) -> CellPlan {
    CellPlan {
        name: name.to_owned(),
        method: method.to_owned(),
        seed,
        rates: usize::from(seed.is_some()),
        scored: Scored::All,
        training_hours: 0.0,
        scoring_hours: 0.0,
    }
}

/// What cells are told about how much is done.
pub(super) fn protocol(plan: &PilotPlan) -> Protocol {
    let extent = Extent {
        pairs: plan.share.pairs,
        seeds: 1,
        fewer_directions: false,
        sentences: plan.share.sentences,
    };
    Protocol {
        label: Label::Reduced,
        budget_hours: Some(plan.limit_seconds / 3600.0),
        whole: extent,
        extent,
        whole_hours: 0.0,
        hours: plan.limit_seconds / 3600.0,
        speeds: plan.speeds,
        cells: Vec::new(),
    }
}
