//! The end of a pilot: which size is chosen, what it gives on the text that reports, and what to type next.

use std::collections::BTreeMap;
use std::path::Path;

use crate::compare::{Kind, Watcher, with_comparison, write_report};
use crate::evaluate::Comparison;
use crate::pilot::run::Work;
use crate::pilot::{Ending, PilotError, PilotResults, Size, SizeRow, Stop};
use crate::plan::{Plan, Reasons};

impl Work<'_> {
    /// The sizes so far, as the text that decides shows them.
    pub(super) fn rows(&self) -> Result<Vec<SizeRow>, PilotError> {
        let set = &self.pilot.experiment.sets[0];
        let mut rows = Vec::new();
        for (size, trained) in &self.trained {
            let gain = self.compare(set, "base", &self.base, &self.scores[&size.power])?;
            rows.push(SizeRow {
                size: size.name.clone(),
                power: size.power,
                active: trained.active,
                gains: gain.mean.interval[0] > 0.0,
                change: gain.mean,
                against_best: None,
                loses: Vec::new(),
                worse: false,
                updates: trained.updates,
                seconds: trained.seconds,
                cut: self.spent.cut.contains(&size.name),
            });
        }
        let mean = |row: &SizeRow| row.change.change;
        let best = rows.iter().max_by(|a, b| mean(a).total_cmp(&mean(b)));
        let Some((best, name)) = best.map(|row| (row.power, row.size.clone())) else {
            return Ok(rows);
        };
        for row in rows.iter_mut().filter(|row| row.power != best) {
            let found = self.compare(set, &name, &self.scores[&best], &self.scores[&row.power])?;
            row.worse = found.mean.interval[1] < 0.0 || !found.harmed.is_empty();
            row.loses = found.harmed;
            row.against_best = Some(found.mean);
        }
        Ok(rows)
    }

    /// Reports the chosen size on text that took no part, and writes everything down; `rows` are of all sizes that were tried.
    pub(super) fn finish(
        &mut self,
        (stopped, rows): (Stop, Vec<SizeRow>),
        command: &Path,
        watcher: &mut dyn Watcher,
    ) -> Result<Ending, PilotError> {
        let fits = rows.iter().filter(|row| row.gains && !row.worse);
        let chosen = fits.min_by_key(|row| row.power).map(|row| row.power);
        let best = rows.iter().find(|row| row.against_best.is_none());
        let best = best.map_or(0, |row| row.power);
        let reported = chosen.unwrap_or(best);
        let found = self.trained.iter().find(|(size, _)| size.power == reported);
        let Some((size, trained)) = found.cloned() else {
            return Err(PilotError::TimeUp);
        };
        let cell = self.pilot.method_of(&size);
        let set = &self.pilot.experiment.sets[1];
        let sets = std::slice::from_ref(set);
        let mut gain = None;
        if self.score(sets, (Kind::Lslo, &cell, Some(&trained)), watcher)? {
            let (base, system) = (
                self.statistics(set, "base")?,
                self.statistics(set, &cell.name)?,
            );
            gain = Some(self.compare(set, "base", &base, &system)?);
        } else if watcher.stop() {
            return Ok(Ending::Interrupted(size.name));
        } else {
            self.left_out
                .push("scoring on the text that reports".to_owned());
        }
        let whole_run = (!self.spent.cut.contains(&size.name)).then_some(&trained);
        let speeds = &self.plan.speeds;
        let whole = self
            .pilot
            .whole(&size, (whole_run, self.plan.share.pairs), speeds)?;
        let name = |power: i32| self.pilot.size(power).map(|s| s.name.clone());
        let mut results = PilotResults {
            limit_seconds: self.plan.limit_seconds,
            seconds: self.now(),
            directions: self.plan.directions.clone(),
            languages: self.pilot.languages().into_iter().cloned().collect(),
            halves: self.pilot.options.test.is_none(),
            share: self.plan.share,
            deciding_sentences: self.pilot.experiment.sets[0].longest(),
            reporting_sentences: set.longest(),
            sizes: rows,
            best: name(best).unwrap_or_default(),
            chosen: chosen.and_then(name),
            stopped,
            gain,
            whole,
            left_out: std::mem::take(&mut self.left_out),
            next: Vec::new(),
        };
        results.next = self.next_commands(&results, &size, command)?;
        results.write(&self.pilot.run)?;
        if let Some(gain) = &results.gain {
            self.report(gain, &self.pilot.cells().join(&cell.name))?;
        }
        Ok(Ending::Finished(Box::new(results)))
    }

    /// Puts the size that is reported on one page, `report.html`.
    fn report(&self, gain: &Comparison, cell: &Path) -> Result<(), PilotError> {
        let scores = self.pilot.experiment.sets[1].files(cell).scores;
        let input = with_comparison(cell, &scores, gain.clone())?;
        let tongue = self.pilot.options.tongue;
        Ok(write_report(&[input], tongue, &self.pilot.run)?)
    }

    /// What to type next; a size other than the configured one is written as a plan.
    fn next_commands(
        &self,
        results: &PilotResults,
        size: &Size,
        command: &Path,
    ) -> Result<Vec<String>, PilotError> {
        let config = command.display();
        if !results.confirmed() {
            let minutes = (self.plan.limit_seconds / 30.0).ceil();
            return Ok(vec![format!(
                "isogloss pilot {config} --time-limit {minutes}m --fresh"
            )]);
        }
        if size.power == 0 {
            return Ok(vec![format!("isogloss train {config}")]);
        }
        let path = self.pilot.run.join("pilot-plan.toml");
        let shown = self.pilot.shown("pilot-plan.toml");
        let adapter = &self.pilot.config.adapter;
        let projections = crate::graph::Projection::ALL.into_iter();
        let plan = Plan {
            base: String::new(),
            sites: projections.filter(|&p| adapter.sites.contains(p)).collect(),
            ranks: size.ranks(&self.pilot.config),
            sides: BTreeMap::new(),
            pruning: None,
        };
        let reasons = Reasons {
            summary: vec![format!(
                "The smallest size that a pilot did not find significantly worse than {}, the best.",
                results.best
            )],
            ..Reasons::default()
        };
        plan.write(&path, &reasons)?;
        Ok(vec![format!(
            "isogloss train {config} --plan {}",
            shown.display()
        )])
    }
}
