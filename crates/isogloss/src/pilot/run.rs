//! A pilot at work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::compare::{CellPlan, CellResult, Kind, Protocol, TestSet, Watcher, read_json};
use crate::config::TrainConfig;
use crate::evaluate::{CompareOptions, Comparison, PairedStatistics, SystemStatistics};
use crate::files;
use crate::pilot::planning::{cell, protocol};
use crate::pilot::timed::Timed;
use crate::pilot::{
    Judged, Pilot, PilotError, PilotOptions, PilotPlan, PilotResults, Size, SizeRow, Stop, next,
};
use crate::train::{self, TrainError};

mod finish;

/// Seconds since the command was given.
pub type Clock<'a> = dyn Fn() -> f64 + Sync + 'a;

/// How a pilot ended.
#[derive(Debug)]
pub enum Ending {
    /// It is done.
    Finished(Box<PilotResults>),
    /// It was asked to stop at this; the same command goes on.
    Interrupted(String),
}

/// What earlier tries left: `time.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Spent {
    seconds: f64,
    /// Seconds of translating one text, as measured on the base.
    scoring: f64,
    /// Sizes whose training the limit ended.
    cut: BTreeSet<String>,
}

/// By what a pilot is known again.
#[derive(Serialize)]
struct Kept<'a> {
    options: &'a PilotOptions,
    train: TrainConfig,
}

/// Statistics of a system's translations of a set.
type Scores = SystemStatistics;

/// A pilot under way.
struct Work<'a> {
    pilot: &'a Pilot,
    plan: &'a PilotPlan,
    protocol: Protocol,
    /// Seconds of earlier tries.
    before: f64,
    clock: &'a Clock<'a>,
    spent: Spent,
    base: Scores,
    /// By power.
    scores: BTreeMap<i32, Scores>,
    trained: Vec<(Size, CellResult)>,
    left_out: Vec<String>,
}

impl Pilot {
    /// Does what isn't done, and writes `pilot.json` and `pilot.md` into the run's folder. `command` is how the configuration was named,
    /// for the commands to go on with.
    ///
    /// # Errors
    /// [`PilotError`].
    pub fn run(
        &mut self,
        plan: &PilotPlan,
        command: &Path,
        clock: &Clock<'_>,
        watcher: &mut dyn Watcher,
    ) -> Result<Ending, PilotError> {
        let cells = self.cells();
        files::create_dir(&cells)?;
        let _lock = train::lock(&cells)?;
        let started = self.started()?.is_some();
        let kept = Kept {
            options: &self.options,
            train: TrainConfig {
                compute: crate::config::Compute::default(),
                run: PathBuf::new(),
                explore: None,
                ..self.config.clone()
            },
        };
        train::keep_config(&cells, &kept, started)?;
        for set in &mut self.experiment.sets {
            set.text.truncate(plan.share.sentences);
        }
        let base = crate::checkpoint::open(&self.experiment.base).map_err(TrainError::from)?;
        let texts = self
            .experiment
            .sets
            .iter()
            .map(|set| set.text.fingerprint());
        let texts: Vec<String> = texts.collect();
        let inputs = [("base", base.fingerprint()), ("texts", texts.join(" "))];
        train::bind(&cells, started, &inputs)?;
        files::write_json(&cells.join("plan.json"), plan)?;
        for method in self
            .experiment
            .methods
            .iter_mut()
            .filter(|_| plan.share.validate_once)
        {
            let epochs = method.config.training.epochs;
            method.config.validation.every_epochs = epochs.max(1);
            method.config.validation.translate = 0;
        }
        let spent: Spent = read_json(&cells.join("time.json"))?.unwrap_or_default();
        let mut work = Work {
            pilot: self,
            plan,
            protocol: protocol(plan),
            before: spent.seconds,
            clock,
            spent,
            base: Scores::new(),
            scores: BTreeMap::new(),
            trained: Vec::new(),
            left_out: Vec::new(),
        };
        let ending = work.all(command, watcher);
        work.save()?;
        ending
    }
}

impl Work<'_> {
    fn now(&self) -> f64 {
        self.before + (self.clock)()
    }

    /// Writes down how long it took so far.
    fn save(&mut self) -> Result<(), PilotError> {
        self.spent.seconds = self.now();
        Ok(files::write_json(
            &self.pilot.cells().join("time.json"),
            &self.spent,
        )?)
    }

    /// The last second at which training may end, so that there is time to validate, to score, and to report: by what scoring the base
    /// took, since a machine may slow down after it was measured.
    fn training_ends(&self) -> f64 {
        let share = &self.plan.share;
        let scoring = share.scoring_seconds.max(self.spent.scoring);
        let slow = scoring / share.scoring_seconds.max(1e-9);
        let finishing = share.finishing_seconds * slow.clamp(1.0, 4.0);
        let limit = self.plan.limit_seconds;
        limit - 2.5 * scoring - finishing - 0.05 * limit
    }

    fn all(&mut self, command: &Path, watcher: &mut dyn Watcher) -> Result<Ending, PilotError> {
        let base = cell(Kind::Base.as_str(), Kind::Base.as_str(), None);
        let sets = &self.pilot.experiment.sets;
        let started = self.now();
        let done = self.score(sets, (Kind::Base, &base, None), watcher)?;
        let scoring = (self.now() - started) / sets.len().max(1) as f64;
        self.spent.scoring = self.spent.scoring.max(scoring);
        if !done {
            return match watcher.stop() {
                true => Ok(Ending::Interrupted("the base".to_owned())),
                false => Err(PilotError::TimeUp),
            };
        }
        self.base = self.statistics(&sets[0], "base")?;
        self.save()?;
        let (stopped, rows) = loop {
            let rows = self.rows()?;
            let judged: Vec<Judged> = rows.iter().map(SizeRow::judged).collect();
            let powers: Vec<i32> = self.pilot.sizes.iter().map(|size| size.power).collect();
            let power = match next(&judged, &powers) {
                Err(stop) => break (stop, rows),
                Ok(power) => power,
            };
            let Some(size) = self.pilot.size(power).cloned() else {
                break (Stop::Smallest, rows);
            };
            let done = self.try_size(&size, watcher)?;
            self.save()?;
            if done {
                continue;
            }
            if watcher.stop() {
                return Ok(Ending::Interrupted(size.name));
            }
            self.left_out.push(format!(
                "{} and whatever would have been tried after it",
                size.name
            ));
            break (Stop::Time, rows);
        };
        if self.trained.is_empty() {
            return Err(PilotError::TimeUp);
        }
        self.finish((stopped, rows), command, watcher)
    }

    /// Trains and scores a size; false if it was stopped, or if there is no time.
    fn try_size(&mut self, size: &Size, watcher: &mut dyn Watcher) -> Result<bool, PilotError> {
        let cell = self.pilot.method_of(size);
        let folder = self.pilot.cells().join(&cell.name);
        let mut result = CellResult::read(&folder)?;
        if result.is_none() {
            let now = self.now();
            let longest = self.trained.iter().map(|(_, trained)| trained.seconds);
            let takes = longest.fold(0.0, f64::max);
            if now + takes >= self.training_ends() {
                return Ok(false);
            }
            let ends = (now + self.plan.share.training_seconds).min(self.training_ends());
            let before = self.before;
            let now = || before + (self.clock)();
            let mut timed = Timed {
                inner: &mut *watcher,
                now: &now,
                training_ends: ends,
                scoring_ends: f64::INFINITY,
                training: true,
                cut: false.into(),
            };
            let experiment = &self.pilot.experiment;
            result = experiment.train_cell(&cell, &self.protocol, &mut timed)?;
            if timed.cut.get() {
                self.spent.cut.insert(size.name.clone());
            }
        }
        let Some(result) = result else {
            return Ok(false);
        };
        let sets = &self.pilot.experiment.sets[..1];
        if !self.score(sets, (Kind::Lslo, &cell, Some(&result)), watcher)? {
            return Ok(false);
        }
        let scores = self.statistics(&sets[0], &cell.name)?;
        self.scores.insert(size.power, scores);
        self.trained.push((size.clone(), result));
        Ok(true)
    }

    /// Translates and scores; false if it was stopped, or if the time was up.
    fn score(
        &self,
        sets: &[TestSet],
        system: (Kind, &CellPlan, Option<&CellResult>),
        watcher: &mut dyn Watcher,
    ) -> Result<bool, PilotError> {
        let before = self.before;
        let now = || before + (self.clock)();
        let mut timed = Timed {
            inner: watcher,
            now: &now,
            training_ends: f64::INFINITY,
            scoring_ends: self.plan.limit_seconds,
            training: false,
            cut: false.into(),
        };
        let experiment = &self.pilot.experiment;
        Ok(experiment.score_on(sets, system, &self.protocol, &mut timed)?)
    }

    fn statistics(&self, set: &TestSet, cell: &str) -> Result<Scores, PilotError> {
        let folder = self.pilot.cells().join(cell);
        let metric = &self.pilot.experiment.metrics[0].metric;
        Ok(set.statistics(metric, &folder, &set.directions)?)
    }

    /// A system against another on a set.
    fn compare(
        &self,
        set: &TestSet,
        against: &str,
        base: &Scores,
        system: &Scores,
    ) -> Result<Comparison, PilotError> {
        let pairs = PairedStatistics::zip(&set.directions, base.clone(), system.clone());
        let metric = &self.pilot.experiment.metrics[0];
        let options = CompareOptions::default();
        Ok(Comparison::new(
            against,
            metric,
            1,
            &pairs,
            &Vec::new(),
            &options,
        )?)
    }
}
