//! A comparison on one page.

use std::path::Path;

use crate::compare::explore::EXPLORE;
use crate::compare::{CompareError, Experiment, Kind, Protocol};
use crate::evaluate::{Comparison, PairedStatistics, ScoresFile};
use crate::files;
use crate::report::{self, Input, Report, ReportOptions};

/// What exploring found, in its folder.
const FOUND: &str = "explore.json";

impl Experiment {
    /// Compares every method's first seed with the base, direction by direction, writes that into its scores, and puts all of them on
    /// one page, `report.html`. A method that is several runs isn't on it.
    pub(super) fn write_page(&self, protocol: &Protocol) -> Result<(), CompareError> {
        let (metric, set) = (&self.metrics[0], &self.sets[0]);
        let base = self.run.join(Kind::Base.as_str());
        let options = self.config.significance.options();
        let mut inputs = Vec::new();
        for method in self.methods.iter().filter(|m| m.apart.is_empty()) {
            let mut cells = protocol.cells.iter();
            let Some(cell) = cells.find(|cell| cell.method == method.name) else {
                continue;
            };
            let run = self.run.join(&cell.name);
            let directions = self.scored(set, cell, &protocol.extent);
            let of = |folder| set.statistics(&metric.metric, folder, &directions);
            let pairs = PairedStatistics::zip(&directions, of(&base)?, of(&run)?);
            let against = Kind::Base.as_str();
            let compared = Comparison::new(against, metric, 1, &pairs, &self.classes, &options)?;
            let path = set.files(&run).scores;
            let mut scores = ScoresFile::read(&path).map_err(|e| CompareError::read(&path, &e))?;
            scores.comparison = Some(compared);
            scores.write(&path)?;
            if method.kind.is_planned() {
                self.show_exploration(&run)?;
            }
            inputs.push(Input {
                run,
                scores: Some(path),
            });
        }
        let options = ReportOptions {
            date: Some(report::today()),
            ..ReportOptions::default()
        };
        let page = Report::read(&inputs, options)?.html(self.tongue);
        let to = self.run.join("report.html");
        Ok(files::write_atomic(&to, |w| w.write_all(page.as_bytes()))?)
    }

    /// Puts what exploring found beside a run that went by its plan, where a report looks for it.
    fn show_exploration(&self, run: &Path) -> Result<(), CompareError> {
        let found = self.run.join(EXPLORE).join(FOUND);
        if !found.exists() {
            return Ok(());
        }
        let bytes = std::fs::read(&found).map_err(|e| CompareError::read(&found, &e))?;
        Ok(files::write_atomic(&run.join(FOUND), |w| {
            w.write_all(&bytes)
        })?)
    }
}
