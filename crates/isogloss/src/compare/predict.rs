//! How long cells will take: short measurements, and what follows from them.

use std::time::{Duration, Instant};

use crate::compare::cell::cell_name;
use crate::compare::explore::EXPLORE;
use crate::compare::extent::Bounds;
use crate::compare::text::{Lengths, TEXT_OPTIONS};
use crate::compare::{
    Budget, CellPlan, CompareError, Experiment, Extent, Kind, Label, Prepared, Protocol, Scored,
    Speeds, TestSet,
};
use crate::config::{Method, TrainConfig};
use crate::decode::{DecodeOptions, Line, Loaded};
use crate::language::Direction;
use crate::train::{Estimate, TrainError};

/// About so long is each speed measured.
const MEASURE: Duration = Duration::from_millis(1500);

/// Sentences that decoding is measured with at first.
const LEAST_SENTENCES: usize = 12;

/// Most sentences that decoding is measured with.
const MOST_SENTENCES: usize = 768;

/// What the hours of every extent follow from.
struct Work {
    /// Seconds of training, and of validation, of each method at one rate and seed.
    methods: Vec<(f64, f64)>,
    /// Those of what is trained alone.
    alone: Vec<(f64, f64)>,
    /// Those of exploring, if there is any.
    exploring: Option<(f64, f64)>,
    /// Of each set.
    lengths: Vec<Lengths>,
    /// Source tokens translated in a second.
    beam: f64,
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
        let [beam, greedy] = self.decoding_speeds()?;
        Ok(Speeds {
            full: full.unwrap_or(frozen),
            frozen,
            beam,
            greedy,
        })
    }

    /// Source tokens a second, of the base: translated as the test is, and greedily.
    fn decoding_speeds(&self) -> Result<[f64; 2], CompareError> {
        let backend = self.decoding_backend()?;
        let loaded = Loaded::open(&self.base, None)?.packed(&backend);
        let translator = loaded.translator(&backend, self.config.decoding.batch_tokens)?;
        let set = &self.sets[0];
        let longest = set.longest();
        let lines = (0..longest).flat_map(|i| set.directions.iter().map(move |d| (i, d)));
        let lines = lines.filter_map(|(i, d)| Some((set.text.pair(d, i)?.0, d)));
        let lines: Vec<(&str, &Direction)> = lines.take(MOST_SENTENCES).collect();
        let lines = translator.prepare(&lines, TEXT_OPTIONS)?;
        let speed = |options: &DecodeOptions| -> Result<f64, CompareError> {
            // As many as it takes to be at work for a while: few sentences don't fill a batch.
            let mut count = LEAST_SENTENCES;
            loop {
                let part = &lines[..count.min(lines.len())];
                let tokens: usize = part.iter().map(Line::tokens).sum();
                let started = Instant::now();
                translator.translate_lines(part, options, &mut |_| {})?;
                let taken = started.elapsed();
                if 2 * taken > MEASURE || count >= lines.len() {
                    return Ok(tokens as f64 / taken.as_secs_f64().max(1e-9));
                }
                count *= 4;
            }
        };
        let (options, greedy) = (self.decode_options(), DecodeOptions::greedy());
        let beam = speed(&options)?;
        let greedy = match options == greedy {
            true => beam,
            false => speed(&greedy)?,
        };
        Ok([beam, greedy])
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
        let hours = |cells: &[CellPlan]| -> f64 {
            let all = cells.iter();
            all.map(|c| c.training_hours + c.scoring_hours).sum()
        };
        let takes = |extent: &Extent| hours(&self.cells(extent, &work));
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
                bounds
                    .choose(budget, takes)
                    .map_err(|least| CompareError::Budget {
                        hours: budget,
                        least,
                    })?
            }
        };
        let cells = self.cells(&extent, &work);
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
            whole_hours: takes(&whole),
            hours: hours(&cells),
            speeds,
            cells,
        })
    }

    /// Reads the text once, for all extents.
    fn work(&self, speeds: &Speeds) -> Result<Work, CompareError> {
        let of = |m: &Prepared| self.work_of(&m.config, &m.estimate, speeds);
        let methods = self.methods.iter().map(of);
        let alone = self.alone.iter().map(|alone| of(&alone.method));
        let exploring = self.exploring();
        let exploring = exploring.map(|(config, estimate)| self.work_of(config, estimate, speeds));
        let lengths = self.sets.iter().map(|set| set.lengths(&self.tokenizer));
        Ok(Work {
            methods: methods.collect::<Result<_, _>>()?,
            alone: alone.collect::<Result<_, _>>()?,
            exploring: exploring.transpose()?,
            lengths: lengths
                .collect::<Result<_, _>>()
                .map_err(TrainError::from)?,
            beam: speeds.beam,
        })
    }

    /// Seconds of training, and of validation, of a configuration at one rate and seed.
    pub(crate) fn work_of(
        &self,
        config: &TrainConfig,
        estimate: &Estimate,
        speeds: &Speeds,
    ) -> Result<(f64, f64), CompareError> {
        // Operations of a token for each weight, and what part of them a pass forward is.
        let (speed, of_weight, part) = match config.method {
            Method::Full => (speeds.full, 6.0, 3.0),
            _ => (speeds.frozen, 4.0, 2.0),
        };
        let epochs = config.training.epochs as f64;
        let of_pair = estimate.operations / (epochs * estimate.pairs_per_epoch.max(1) as f64);
        let work = config.validation_work(&self.train_dir)?;
        let loss = work.pairs as f64 * of_pair / part / speed;
        let tokens = of_pair / (of_weight * estimate.base_parameters.max(1) as f64);
        let translating = work.translated as f64 * tokens / speeds.greedy;
        let validation = work.times as f64 * (loss + translating);
        Ok((estimate.seconds(speed), validation))
    }

    /// The cell in which the plan is made, if it is.
    fn exploring_cell(&self, extent: &Extent, work: &Work) -> Option<CellPlan> {
        let (config, _) = self.exploring()?;
        let (training, validation) = work.exploring?;
        let seconds = self.exploring_share() * (training * extent.pairs + validation);
        Some(CellPlan {
            name: EXPLORE.to_owned(),
            method: EXPLORE.to_owned(),
            seed: Some(config.seed),
            rates: 1,
            scored: Scored::All,
            training_hours: seconds / 3600.0,
            scoring_hours: 0.0,
        })
    }

    /// Hours of translating what a cell is scored on.
    fn scoring_hours(&self, cell: &CellPlan, extent: &Extent, work: &Work) -> f64 {
        let of = |(set, lengths): (&TestSet, &Lengths)| {
            set.tokens(lengths, &self.scored(set, cell, extent), extent.sentences)
        };
        let tokens: f64 = self.sets.iter().zip(&work.lengths).map(of).sum();
        tokens / work.beam / 3600.0
    }

    /// The cells of an extent: what isn't trained, then all methods with their first seed, then with their second; in the end what is
    /// trained alone.
    fn cells(&self, extent: &Extent, work: &Work) -> Vec<CellPlan> {
        let untrained = |kind: Kind| CellPlan {
            name: kind.as_str().to_owned(),
            method: kind.as_str().to_owned(),
            seed: None,
            rates: 0,
            scored: Scored::All,
            training_hours: 0.0,
            scoring_hours: 0.0,
        };
        let scored = |mut cell: CellPlan| {
            cell.scoring_hours = self.scoring_hours(&cell, extent, work);
            cell
        };
        let mut cells = vec![untrained(Kind::Copy), scored(untrained(Kind::Base))];
        let mut exploring = self.exploring_cell(extent, work);
        for at in 0..extent.seeds {
            for (method, &work) in self.methods.iter().zip(&work.methods) {
                if method.kind.is_planned() {
                    cells.extend(exploring.take());
                }
                cells.extend(self.method_cell(method, at, extent, work).map(scored));
            }
        }
        for (alone, &work) in self.alone.iter().zip(&work.alone) {
            let cell = self.method_cell(&alone.method, 0, extent, work);
            cells.extend(cell.map(scored));
        }
        cells
    }

    /// A method's cell with its `at`th seed, if it has as many, by the seconds of training and of validation.
    fn method_cell(
        &self,
        method: &Prepared,
        at: usize,
        extent: &Extent,
        (training, validation): (f64, f64),
    ) -> Option<CellPlan> {
        let &seed = method.seeds.get(at)?;
        let scored = match (at, method.scored) {
            (0, scored) => scored,
            (_, Scored::All) => self.config.test.later_seeds,
            (_, Scored::Fewer) => Scored::Fewer,
        };
        let rates = if at == 0 { method.rates.len() } else { 1 };
        let seconds = rates as f64 * (training * extent.pairs + validation);
        Some(CellPlan {
            name: cell_name(&method.name, seed),
            method: method.name.clone(),
            seed: Some(seed),
            rates,
            scored,
            training_hours: seconds / 3600.0,
            scoring_hours: 0.0,
        })
    }
}
