//! How much of an experiment is done, and how long it takes: decided, and written down, before anything starts.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::compare::extent::Bounds;
use crate::compare::text::TEXT_OPTIONS;
use crate::compare::{CompareError, Experiment, Extent, Kind, Prepared, Scored, TestSet};
use crate::config::Method;
use crate::decode::{DecodeOptions, Loaded};
use crate::files;
use crate::language::Direction;

/// About so long is each speed measured.
const MEASURE: Duration = Duration::from_millis(1500);

/// Most sentences that decoding is measured with.
const SENTENCES: usize = 24;

/// How long a comparison may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// So many hours: what doesn't fit is reduced.
    Hours(f64),
    /// Whatever it takes: nothing is reduced.
    Published,
}

/// Whether figures are those of the experiment as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// They are.
    Published,
    /// They are of less of it.
    Reduced,
}

impl Label {
    /// `published` or `reduced`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Label::Published => "published",
            Label::Reduced => "reduced",
        }
    }
}

/// What this machine does in a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Speeds {
    /// Floating-point operations of training every weight.
    pub full: f64,
    /// Floating-point operations of training beside a frozen base.
    pub frozen: f64,
    /// Source tokens translated as the test is.
    pub beam: f64,
    /// Source tokens translated greedily, as validation does.
    pub greedy: f64,
}

/// A cell with its predicted hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellPlan {
    /// Its folder.
    pub name: String,
    /// The method.
    pub method: String,
    /// The seed; none for what isn't trained.
    pub seed: Option<u64>,
    /// Learning rates that are tried.
    pub rates: usize,
    /// Which directions are scored.
    pub scored: Scored,
    /// Hours of training, validation included.
    pub training_hours: f64,
    /// Hours of translating.
    pub scoring_hours: f64,
}

/// How much of an experiment is done: the file `protocol.json` of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// Whether anything is reduced.
    pub label: Label,
    /// The budget; none for the whole experiment whatever it takes.
    pub budget_hours: Option<f64>,
    /// The whole experiment.
    pub whole: Extent,
    /// What of it is done.
    pub extent: Extent,
    /// Predicted hours of the whole experiment.
    pub whole_hours: f64,
    /// Predicted hours of what is done.
    pub hours: f64,
    /// What the predictions rest on.
    pub speeds: Speeds,
    /// The cells, in the order in which they are done.
    pub cells: Vec<CellPlan>,
}

impl Protocol {
    /// Reads the file, if there is one.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CompareError> {
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(path).map_err(|e| CompareError::read(path, &e))?;
        let found = serde_json::from_str(&text).map_err(|e| CompareError::read(path, &e))?;
        Ok(Some(found))
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), CompareError> {
        Ok(files::write_atomic(path, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })?)
    }

    /// Whether it was made for a budget.
    pub(super) fn is_for(&self, budget: Budget) -> bool {
        match budget {
            Budget::Hours(hours) => self.budget_hours == Some(hours),
            Budget::Published => self.budget_hours.is_none(),
        }
    }
}

impl Experiment {
    /// Measures what the predictions rest on, in some seconds. Nothing is written.
    ///
    /// # Errors
    /// [`CompareError`]: base, text.
    pub fn measure(&self) -> Result<Speeds, CompareError> {
        let of = |full: bool| {
            let mut methods = self.methods.iter().map(|m| (&m.config, m.apart.len()));
            let one = methods.find(|(c, apart)| (c.method == Method::Full) == full && *apart == 0);
            one.map(|(config, _)| config.measure_speed(&self.train_dir, MEASURE))
        };
        // Where only one of the two is trained, the other counts for nothing.
        let (full, frozen) = (of(true).transpose()?, of(false).transpose()?);
        let plain = || self.plain.measure_speed(&self.train_dir, MEASURE);
        let frozen = match frozen {
            Some(speed) => speed,
            None => plain()?,
        };
        Ok(Speeds {
            full: full.unwrap_or(frozen),
            frozen,
            beam: self.decoding_speed(&self.decode_options())?,
            greedy: self.decoding_speed(&DecodeOptions::greedy())?,
        })
    }

    /// Source tokens a second, of the base.
    fn decoding_speed(&self, options: &DecodeOptions) -> Result<f64, CompareError> {
        let backend = self.decoding_backend()?;
        let loaded = Loaded::open(&self.base, None)?.packed(&backend);
        let translator = loaded.translator(&backend, self.config.decoding.batch_tokens)?;
        let set = &self.sets[0];
        let longest = set.longest();
        let lines = (0..longest).flat_map(|i| set.directions.iter().map(move |d| (i, d)));
        let lines = lines.filter_map(|(i, d)| Some((set.text.pair(d, i)?.0, d)));
        let lines: Vec<(&str, &Direction)> = lines.take(SENTENCES).collect();
        let lines = translator.prepare(&lines, TEXT_OPTIONS)?;
        let tokens: usize = lines.iter().map(crate::decode::Line::tokens).sum();
        let started = Instant::now();
        translator.translate_lines(&lines, options, &mut |_| {})?;
        Ok(tokens as f64 / started.elapsed().as_secs_f64().max(1e-9))
    }

    /// How much of the experiment fits into a budget, with speeds as they are.
    ///
    /// # Errors
    /// If nothing fits.
    pub fn protocol(&self, budget: Budget, speeds: Speeds) -> Result<Protocol, CompareError> {
        let work = self.work(&speeds)?;
        let seeds = self.methods.iter().map(|m| m.seeds.len()).max();
        let whole = Extent {
            pairs: 1.0,
            seeds: seeds.unwrap_or(1),
            fewer_directions: false,
            sentences: self.sets.iter().map(TestSet::longest).max().unwrap_or(0),
        };
        let hours = |extent: &Extent| -> Result<f64, CompareError> {
            let cells = self.cells(extent, &speeds, &work)?;
            Ok(cells
                .iter()
                .map(|c| c.training_hours + c.scoring_hours)
                .sum())
        };
        let fewer = self.sets[0].fewer.is_some();
        let least = &self.config.least;
        let bounds = Bounds {
            whole,
            fewer,
            least,
        };
        let extent = match budget {
            Budget::Published => whole,
            Budget::Hours(budget) => {
                let takes = |extent: &Extent| hours(extent).unwrap_or(f64::INFINITY);
                bounds
                    .choose(budget, takes)
                    .map_err(|least| CompareError::Budget {
                        hours: budget,
                        least,
                    })?
            }
        };
        Ok(Protocol {
            label: match extent == whole {
                true => Label::Published,
                false => Label::Reduced,
            },
            budget_hours: match budget {
                Budget::Hours(hours) => Some(hours),
                Budget::Published => None,
            },
            whole,
            extent,
            whole_hours: hours(&whole)?,
            hours: hours(&extent)?,
            speeds,
            cells: self.cells(&extent, &speeds, &work)?,
        })
    }

    /// Seconds of training, and of validation, of each method at one rate and seed.
    fn work(&self, speeds: &Speeds) -> Result<Vec<(f64, f64)>, CompareError> {
        let of = |method: &Prepared| {
            let speed = match method.config.method {
                Method::Full => speeds.full,
                _ => speeds.frozen,
            };
            let estimate = &method.estimate;
            let training = estimate.seconds(speed);
            let epochs = method.config.training.epochs as f64;
            let of_pair = estimate.operations / (epochs * estimate.pairs_per_epoch.max(1) as f64);
            // A pass forward is a third of a step of full training, half of one beside a frozen base.
            let part = if method.config.method == Method::Full {
                3.0
            } else {
                2.0
            };
            let work = method.config.validation_work(&self.train_dir)?;
            let loss = work.pairs as f64 * of_pair / part / speed;
            let tokens = self.tokens_of_pair(estimate, of_pair, method.config.method);
            let translating = work.translated as f64 * tokens / speeds.greedy;
            Ok((training, work.times as f64 * (loss + translating)))
        };
        self.methods.iter().map(of).collect()
    }

    /// Tokens of a pair's average side, as the estimate counted them.
    fn tokens_of_pair(
        &self,
        estimate: &crate::train::Estimate,
        of_pair: f64,
        method: Method,
    ) -> f64 {
        let of_token = match method {
            Method::Full => 6.0,
            _ => 4.0,
        };
        of_pair / (of_token * estimate.base_parameters.max(1) as f64)
    }

    /// The cells of an extent: what isn't trained, then all methods with their first seed, then with their second.
    fn cells(
        &self,
        extent: &Extent,
        speeds: &Speeds,
        work: &[(f64, f64)],
    ) -> Result<Vec<CellPlan>, CompareError> {
        let scoring = |scored: Scored| -> Result<f64, CompareError> {
            let mut tokens = 0.0;
            for set in &self.sets {
                let directions = set.scored(scored, extent);
                let counted = set.tokens(&self.tokenizer, directions, extent.sentences);
                tokens += counted.map_err(crate::train::TrainError::from)?;
            }
            Ok(tokens / speeds.beam / 3600.0)
        };
        let (all, fewer) = (scoring(Scored::All)?, scoring(Scored::Fewer)?);
        let untrained = |kind: Kind, hours: f64| CellPlan {
            name: kind.as_str().to_owned(),
            method: kind.as_str().to_owned(),
            seed: None,
            rates: 0,
            scored: Scored::All,
            training_hours: 0.0,
            scoring_hours: hours,
        };
        let mut cells = vec![untrained(Kind::Copy, 0.0), untrained(Kind::Base, all)];
        for at in 0..extent.seeds {
            for (method, &(training, validation)) in self.methods.iter().zip(work) {
                let Some(&seed) = method.seeds.get(at) else {
                    continue;
                };
                let scored = match (at, method.scored) {
                    (0, scored) => scored,
                    (_, Scored::All) => self.config.test.later_seeds,
                    (_, Scored::Fewer) => Scored::Fewer,
                };
                let rates = if at == 0 { method.rates.len() } else { 1 };
                let seconds = rates as f64 * (training * extent.pairs + validation);
                cells.push(CellPlan {
                    name: format!("{}-seed{seed}", method.name),
                    method: method.name.clone(),
                    seed: Some(seed),
                    rates,
                    scored,
                    training_hours: seconds / 3600.0,
                    scoring_hours: match scored {
                        Scored::All => all,
                        Scored::Fewer => fewer,
                    },
                });
            }
        }
        Ok(cells)
    }
}
