//! A comparison on one page.

use std::collections::BTreeMap;
use std::path::Path;

use crate::compare::explore::EXPLORE;
use crate::compare::{CompareError, Experiment, Kind, Protocol, Scored};
use crate::evaluate::{Comparison, PairedStatistics, ScoresFile};
use crate::files;
use crate::report::{self, EXPLORATION, Input, Report, ReportOptions, Tongue};

impl Experiment {
    /// Compares every method's first seed with the base, direction by direction, writes that into its scores, and puts all of them on
    /// one page, `report.html`. A method that is several runs isn't on it.
    pub(super) fn write_page(&self, protocol: &Protocol) -> Result<(), CompareError> {
        let (metric, set) = (&self.metrics[0], &self.sets[0]);
        let against = Kind::Base.as_str();
        let all = set.scored(Scored::All, &protocol.extent);
        let base = set.statistics(&metric.metric, &self.run.join(against), all)?;
        let base: BTreeMap<_, _> = all.iter().zip(base).collect();
        let options = self.config.significance.options();
        let mut inputs = Vec::new();
        for method in self.methods.iter().filter(|m| m.apart.is_empty()) {
            let mut cells = protocol.cells.iter();
            let Some(cell) = cells.find(|cell| cell.method == method.name) else {
                continue;
            };
            let run = self.run.join(&cell.name);
            let directions = self.scored(set, cell, &protocol.extent);
            let system = set.statistics(&metric.metric, &run, &directions)?;
            let of_base = directions.iter().filter_map(|d| base.get(d).cloned());
            let pairs = PairedStatistics::zip(&directions, of_base.collect(), system);
            let compared = Comparison::new(against, metric, 1, &pairs, &self.classes, &options)?;
            if method.kind.is_planned() {
                self.show_exploration(&run)?;
            }
            inputs.push(with_comparison(&run, &set.files(&run).scores, compared)?);
        }
        write_report(&inputs, self.tongue, &self.run)
    }

    /// Puts what exploring found beside a run that went by its plan, where a report looks for it.
    fn show_exploration(&self, run: &Path) -> Result<(), CompareError> {
        let found = self.run.join(EXPLORE).join(EXPLORATION);
        if !found.exists() {
            return Ok(());
        }
        let bytes = std::fs::read(&found).map_err(|e| CompareError::read(&found, &e))?;
        Ok(files::write_atomic(&run.join(EXPLORATION), |w| {
            w.write_all(&bytes)
        })?)
    }
}

/// A run for a report, once the comparison is written into its scores.
pub(crate) fn with_comparison(
    run: &Path,
    scores: &Path,
    comparison: Comparison,
) -> Result<Input, CompareError> {
    let mut file = ScoresFile::read(scores)?;
    file.comparison = Some(comparison);
    file.write(scores)?;
    Ok(Input {
        run: run.to_owned(),
        scores: Some(scores.to_owned()),
    })
}

/// Writes the page on some runs, `report.html` in a folder.
pub(crate) fn write_report(
    inputs: &[Input],
    tongue: Tongue,
    folder: &Path,
) -> Result<(), CompareError> {
    let options = ReportOptions {
        date: Some(report::today()),
        ..ReportOptions::default()
    };
    let page = Report::read(inputs, options)?.html(tongue);
    Ok(files::write_atomic(&folder.join("report.html"), |w| {
        w.write_all(page.as_bytes())
    })?)
}
