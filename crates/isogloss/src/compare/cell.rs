//! A cell: a method, trained with a seed, in a folder of its own.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::adapter;
use crate::compare::{CompareError, Extent, Prepared, Watcher};
use crate::config::{Directions, Method, TrainConfig};
use crate::files;
use crate::language::Direction;
use crate::params::ParamStore;
use crate::train::{self, DirectionShare, Outcome, TrainError};

/// What training left in a cell's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The direction that it serves; none: whatever it was trained in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Folder of adapters or of a model, within the cell's.
    pub result: PathBuf,
}

/// A cell's training: the file `trained.json` in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// Learning rate.
    pub learning_rate: f64,
    /// Best validation, of which more is better: chrF++ where it is measured, otherwise the log-likelihood.
    pub validation_score: f64,
    /// The same before the first update, that is, of the untouched base. Not in files of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_before: Option<f64>,
    /// Parameters that were trained.
    pub trained: usize,
    /// Parameters that act in the direction that needs most, before pruning.
    pub active: usize,
    /// Those that compaction would leave, in the direction that has most of them. Not of full fine-tuning, nor in files of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_left: Option<usize>,
    /// Parameters left after compaction.
    pub after_compaction: usize,
    /// Updates.
    pub updates: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// What it left.
    pub parts: Vec<Part>,
}

/// The folder of a method's cell with a seed.
pub(crate) fn cell_name(method: &str, seed: u64) -> String {
    format!("{method}-seed{seed}")
}

const TRAINED: &str = "trained.json";

impl CellResult {
    /// Reads the file, if the cell is trained.
    pub(crate) fn read(cell: &Path) -> Result<Option<Self>, CompareError> {
        read_json(&cell.join(TRAINED))
    }
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    path: &Path,
) -> Result<Option<T>, CompareError> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(|e| CompareError::read(path, &e))?;
    let value = serde_json::from_str(&text).map_err(|e| CompareError::read(path, &e))?;
    Ok(Some(value))
}

/// A tried learning rate.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Tried {
    learning_rate: f64,
    validation_score: f64,
}

/// What the first seed tried, and what was taken: `tuning/METHOD.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tuning {
    tried: Vec<Tried>,
    /// The rate with the best validation; the lowest of equals.
    pub learning_rate: f64,
    /// Whether it stands at an end of the list: a better one may lie beyond.
    pub at_the_end: bool,
}

impl Tuning {
    fn new(tried: Vec<Tried>) -> Self {
        let mut by_rate: Vec<&Tried> = tried.iter().collect();
        by_rate.sort_by(|a, b| a.learning_rate.total_cmp(&b.learning_rate));
        let (mut best, last) = (0, by_rate.len().saturating_sub(1));
        for (at, one) in by_rate.iter().enumerate() {
            if one.validation_score > by_rate[best].validation_score {
                best = at;
            }
        }
        Tuning {
            learning_rate: by_rate.get(best).map_or(f64::NAN, |t| t.learning_rate),
            at_the_end: last > 0 && (best == 0 || best == last),
            tried,
        }
    }

    /// Reads what was taken, if it is decided.
    pub fn read(run: &Path, method: &str) -> Result<Option<Self>, CompareError> {
        read_json(&Self::path(run, method))
    }

    fn path(run: &Path, method: &str) -> PathBuf {
        run.join("tuning").join(format!("{method}.json"))
    }
}

/// A method at work: where, and how much of it.
pub(super) struct Bench<'a> {
    pub run: &'a Path,
    pub method: &'a Prepared,
    pub extent: &'a Extent,
}

impl Bench<'_> {
    /// Trains the cell of the method's `at`th seed, unless it is trained; none if it was stopped.
    pub fn cell(
        &self,
        at: usize,
        watcher: &mut dyn Watcher,
    ) -> Result<Option<CellResult>, CompareError> {
        let method = self.method;
        let folder = self.folder(at);
        if let Some(done) = CellResult::read(&folder)? {
            return Ok(Some(done));
        }
        let rate = match (at, method.rates.as_slice()) {
            (_, [rate]) => *rate,
            (0, _) => match self.tune(watcher)? {
                None => return Ok(None),
                // The run at the rate that was taken is the cell.
                Some(tuning) => {
                    let from = self.tried(tuning.learning_rate);
                    if !folder.exists() {
                        std::fs::rename(&from, &folder)
                            .map_err(|e| CompareError::read(&from, &e))?;
                    }
                    return CellResult::read(&folder);
                }
            },
            _ => Tuning::read(self.run, &method.name)?.map_or(f64::NAN, |t| t.learning_rate),
        };
        self.train(&folder, at, rate, watcher)
    }

    /// The folder of a seed's cell.
    pub fn folder(&self, at: usize) -> PathBuf {
        let seed = self.method.seeds[at];
        self.run.join(cell_name(&self.method.name, seed))
    }

    fn tried(&self, rate: f64) -> PathBuf {
        let name = format!("{}-{rate}", self.method.name);
        self.run.join("tuning").join(name)
    }

    /// Trains with every learning rate and takes the one with the best validation.
    fn tune(&self, watcher: &mut dyn Watcher) -> Result<Option<Tuning>, CompareError> {
        if let Some(done) = Tuning::read(self.run, &self.method.name)? {
            return Ok(Some(done));
        }
        let mut tried = Vec::new();
        for &rate in &self.method.rates {
            let Some(done) = self.train(&self.tried(rate), 0, rate, watcher)? else {
                return Ok(None);
            };
            tried.push(Tried {
                learning_rate: rate,
                validation_score: done.validation_score,
            });
        }
        let tuning = Tuning::new(tried);
        files::write_json(&Tuning::path(self.run, &self.method.name), &tuning)?;
        Ok(Some(tuning))
    }

    /// The configuration of a run in a folder.
    fn config(&self, folder: &Path, at: usize, rate: f64) -> TrainConfig {
        let mut config = self.method.config.clone();
        folder.clone_into(&mut config.run);
        config.seed = self.method.seeds[at];
        config.training.learning_rate = rate as f32;
        self.extent.reduce(&mut config, &self.method.estimate);
        config
    }

    fn train(
        &self,
        folder: &Path,
        at: usize,
        rate: f64,
        watcher: &mut dyn Watcher,
    ) -> Result<Option<CellResult>, CompareError> {
        if let Some(done) = CellResult::read(folder)? {
            return Ok(Some(done));
        }
        let config = self.config(folder, at, rate);
        let name = folder.strip_prefix(self.run).unwrap_or(folder);
        let name = name.display().to_string();
        let mut result = CellResult {
            learning_rate: rate,
            validation_score: 0.0,
            validation_before: Some(0.0),
            trained: 0,
            active: 0,
            active_left: None,
            after_compaction: 0,
            updates: 0,
            seconds: 0.0,
            parts: Vec::new(),
        };
        for (direction, config) in self.parts(&config) {
            watcher.stage(&match &direction {
                Some(direction) => format!("{name}/{direction}"),
                None => name.clone(),
            });
            let done = train::adapt(&config, &self.method.dir, watcher)?;
            if done.trained.outcome == Outcome::Interrupted {
                return Ok(None);
            }
            let state = &done.trained.state;
            // What the process holds is not this run's alone.
            train::note_cost(
                &config.run,
                config.compute,
                (state, &done.estimate),
                None,
                None,
            );
            result.validation_score += state.best.unwrap_or(f64::NAN);
            let before = state.before.map(|before| before.score());
            result.validation_before = result.validation_before.zip(before).map(|(a, b)| a + b);
            result.trained += done.trainable;
            result.active = result.active.max(done.estimate.active);
            if config.method == Method::Full {
                result.after_compaction += done.estimate.after_compaction;
            } else {
                let (all, active) = left(&done.result)?;
                result.after_compaction += all;
                result.active_left = result.active_left.max(Some(active));
            }
            result.updates += state.update;
            result.seconds += state.seconds;
            let within = done.result.strip_prefix(folder);
            result.parts.push(Part {
                direction,
                result: within.unwrap_or(&done.result).to_owned(),
            });
        }
        let parts = result.parts.len().max(1) as f64;
        result.validation_score /= parts;
        result.validation_before = result.validation_before.map(|sum| sum / parts);
        files::write_json(&folder.join(TRAINED), &result)?;
        Ok(Some(result))
    }

    /// The runs of a cell: one, or one a direction, which share the epoch as they would together.
    fn parts(&self, config: &TrainConfig) -> Vec<(Option<Direction>, TrainConfig)> {
        if self.method.apart.is_empty() {
            return vec![(None, config.clone())];
        }
        let all = &self.method.estimate.directions;
        let of = |together: &DirectionShare| {
            let direction = &together.direction;
            let mut alone = alone(config, direction, all);
            let pairs = f64::from(together.pairs_per_epoch) * self.extent.pairs;
            alone.training.sample.pairs_per_epoch = Some((pairs.round() as usize).max(1));
            (Some(direction.clone()), alone)
        };
        all.iter().map(of).collect()
    }
}

/// Parameters of adapters that compaction would leave: in all, and for the direction that needs most.
fn left(adapters: &Path) -> Result<(usize, usize), TrainError> {
    let mut store = ParamStore::new();
    let (set, _) = adapter::read(adapters, &mut store)?;
    let small = adapter::compact(&set, &store, 0.0);
    let all = small.store.values().iter().filter(|&&x| x != 0.0).count();
    Ok((all, small.set.most_active_nonzero(&small.store)))
}

/// The configuration of a direction that is trained alone: as many updates as in company, of its own text alone.
fn alone(config: &TrainConfig, direction: &Direction, all: &[DirectionShare]) -> TrainConfig {
    let mut config = config.clone();
    config.run.push(direction.to_string());
    let only = Directions::Only(vec![direction.clone()]);
    config.directions = only.clone();
    config.validation.directions = Some(only);
    config.training.narrow_to(all, |d| d == direction);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(scores: &[(f64, f64)]) -> (f64, bool) {
        let tried = scores
            .iter()
            .map(|&(learning_rate, validation_score)| Tried {
                learning_rate,
                validation_score,
            });
        let tuning = Tuning::new(tried.collect());
        (tuning.learning_rate, tuning.at_the_end)
    }

    #[test]
    fn a_direction_alone_gets_as_many_updates_as_in_company() {
        let text = "run = 'run'\nmodel = 'm'\ndata = []\n[languages]\nhigh = []\n[validation]\ndata = []\n[training]\n\
            batch_tokens = 4000\nmax_tokens = 100\nwarmup = 40\n";
        let config: TrainConfig = toml::from_str(text).unwrap();
        let direction: Direction = "eng_Latn-deu_Latn".parse().unwrap();
        // The rest of an epoch is another direction's.
        let among = |pairs: u32| {
            let share = |direction: &str, pairs_per_epoch| DirectionShare {
                direction: direction.parse().unwrap(),
                pairs: 500,
                pairs_per_epoch,
            };
            let all = [
                share("eng_Latn-deu_Latn", 500),
                share("deu_Latn-eng_Latn", pairs - 500),
            ];
            alone(&config, &direction, &all)
        };
        let eighth = among(4000);
        assert_eq!(eighth.run, Path::new("run/eng_Latn-deu_Latn"));
        assert_eq!(eighth.directions, Directions::Only(vec![direction.clone()]));
        assert_eq!(eighth.training.sample.pairs_per_epoch, Some(500));
        assert_eq!(
            (eighth.training.batch_tokens, eighth.training.warmup),
            (500, 40)
        );
        // A batch that holds the longest sentence is as small as it gets; then updates are fewer, and warm-up shorter.
        let eightieth = among(40_000).training;
        assert_eq!((eightieth.batch_tokens, eightieth.warmup), (100, 20));
        assert_eq!(among(500).training.batch_tokens, 4000);
    }

    #[test]
    fn validation_takes_the_best_rate_and_the_lowest_of_equals() {
        assert_eq!(taken(&[(0.1, 1.0), (0.3, 3.0), (1.0, 2.0)]), (0.3, false));
        assert_eq!(taken(&[(1.0, 2.0), (0.3, 2.0), (0.1, 1.0)]), (0.3, false));
        assert_eq!(taken(&[(1.0, 5.0), (0.3, 2.0)]), (1.0, true));
        assert_eq!(taken(&[(0.1, -4.0), (0.3, -5.0)]), (0.1, true));
        assert_eq!(taken(&[(0.1, 1.0)]), (0.1, false));
    }
}
