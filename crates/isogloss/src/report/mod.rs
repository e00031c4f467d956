//! Proof and price on one page: who gained, who lost, what it costs, what to roll out.
//!
//! ```text
//! folders of runs --read--> Report --conclusion--> Conclusion --page--> HTML (SVG inside), CSV, JSON
//! ```
//!
//! A [`Report`] holds everything that a page says, as numbers; [`Report::html`] puts it into words of a [`Tongue`], into tables and
//! charts. The page is one file that loads nothing, and the same for the same data.
//!
//! It reads what runs leave on disk and knows nothing of training.

mod conclusion;
mod csv;
mod data;
mod diff;
mod error;
mod format;
mod markup;
mod page;
mod read;
mod svg;
mod text;
mod trade_off;

use std::path::{Path, PathBuf};

pub use conclusion::{Conclusion, Gain, Harm, Recommendation, Rollout, Worst};
pub use data::{
    ClassChange, Cost, Curve, Demand, DirectionChange, Example, Gap, LayerPlacement, MeanChange,
    MetricMean, Missing, Parameters, Piece, Price, Projected, Quality, Report, Run, RunLanguage,
    Test,
};
pub use error::ReportError;
use read::Scored;
pub(crate) use read::{COST, EXPLORATION};
pub use read::{Input, shell_word};
pub use text::Tongue;
pub use trade_off::{TradeOff, TradeOffPoint};

/// Version of a report's data.
const FORMAT: u32 = 1;

/// Examples of a run to the better, and as many to the worse.
const EXAMPLES: usize = 5;

/// What a report is made with, beside the runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReportOptions {
    /// Scores of the untouched base, for runs whose scores hold no comparison with it.
    pub base: Option<PathBuf>,
    /// What an hour of the machine costs.
    pub price: Option<Price>,
    /// The day, as `2026-11-27`.
    pub date: Option<String>,
}

impl Report {
    /// Reads runs and draws conclusions.
    ///
    /// # Errors
    /// [`ReportError`]: a folder that is no run or is named twice, a file that is damaged, a price that is none.
    pub fn read(runs: &[Input], options: ReportOptions) -> Result<Self, ReportError> {
        let ReportOptions { base, price, date } = options;
        if let Some(price) = &price {
            price.check()?;
        }
        let base = base.as_deref().map(Scored::open).transpose()?;
        let mut read = Vec::with_capacity(runs.len());
        for (i, input) in runs.iter().enumerate() {
            if runs[..i].iter().any(|before| same(&before.run, &input.run)) {
                let path = input.run.clone();
                return Err(ReportError::Twice { path });
            }
            read.push(read::run(input, base.as_ref(), EXAMPLES)?);
        }
        Ok(Self::of(read, price, date))
    }

    /// A report on runs that are read.
    #[must_use]
    pub fn of(mut runs: Vec<Run>, price: Option<Price>, date: Option<String>) -> Self {
        name(&mut runs);
        let lead = conclusion::lead(&runs);
        let nothing = Run::default();
        Report {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            date,
            price,
            lead,
            conclusion: Conclusion::of(runs.get(lead).unwrap_or(&nothing)),
            trade_off: TradeOff::of(&runs, lead),
            runs,
        }
    }

    /// The page, in one language.
    #[must_use]
    pub fn html(&self, tongue: Tongue) -> String {
        page::html(self, tongue)
    }

    /// The first screen as plain text: gain, harm, cost and recommendation, a line each.
    #[must_use]
    pub fn summary(&self, tongue: Tongue) -> String {
        page::summary_text(self, tongue)
    }

    /// The tables behind the page as CSV: names of files with their content.
    #[must_use]
    pub fn csv(&self) -> Vec<(&'static str, String)> {
        csv::tables(self)
    }

    /// Writes [`Report::csv`] into a folder.
    ///
    /// # Errors
    /// [`ReportError::Write`].
    pub fn write_csv(&self, dir: &Path) -> Result<(), ReportError> {
        write_all(dir, &self.csv())
    }

    /// The charts of the page as SVG, each a file that needs nothing else: names of files with their content.
    #[must_use]
    pub fn charts(&self, tongue: Tongue) -> Vec<(String, String)> {
        page::charts(self, tongue)
    }

    /// Writes [`Report::charts`] into a folder.
    ///
    /// # Errors
    /// [`ReportError::Write`].
    pub fn write_charts(&self, dir: &Path, tongue: Tongue) -> Result<(), ReportError> {
        write_all(dir, &self.charts(tongue))
    }

    /// The run that the first screen speaks of; none in a report on no runs.
    #[must_use]
    pub fn lead_run(&self) -> Option<&Run> {
        self.runs.get(self.lead)
    }
}

/// Writes files into a folder, which is made if need be.
fn write_all(dir: &Path, files: &[(impl AsRef<Path>, String)]) -> Result<(), ReportError> {
    crate::files::create_dir(dir)?;
    for (name, content) in files {
        crate::files::write_atomic(&dir.join(name), |w| w.write_all(content.as_bytes()))?;
    }
    Ok(())
}

impl Price {
    fn check(&self) -> Result<(), ReportError> {
        let wrong = |what: String| Err(ReportError::Price { what });
        if !(self.per_hour.is_finite() && self.per_hour >= 0.0) {
            return wrong(format!(
                "a price of {} an hour: expected a number from 0 on",
                self.per_hour
            ));
        }
        let code = &self.currency;
        match code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()) {
            true => Ok(()),
            false => wrong(format!(
                "`{code}` is no code of a currency: expected one such as EUR, USD or JPY"
            )),
        }
    }
}

/// The day here, as `2026-11-27`.
#[must_use]
pub fn today() -> String {
    jiff::ZonedDateTime::now().date().to_string()
}

/// Whether two paths name the same folder.
fn same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// Gives runs names: as many of the last parts of their paths as tell them apart.
fn name(runs: &mut [Run]) {
    let parts = |path: &Path| -> Vec<String> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let parts = path.components().filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        });
        parts.collect()
    };
    let all: Vec<Vec<String>> = runs.iter().map(|run| parts(&run.path)).collect();
    let longest = all.iter().map(Vec::len).max().unwrap_or(0);
    let last = |parts: &[String], n: usize| parts[parts.len().saturating_sub(n)..].join("/");
    let names = |n: usize| {
        all.iter()
            .map(move |parts| last(parts, n))
            .collect::<Vec<_>>()
    };
    let distinct = |names: &[String]| {
        let set: std::collections::BTreeSet<&String> = names.iter().collect();
        set.len() == names.len()
    };
    let n = (1..longest)
        .find(|&n| distinct(&names(n)))
        .unwrap_or(longest.max(1));
    for (run, name) in runs.iter_mut().zip(names(n)) {
        run.name = name;
    }
}
