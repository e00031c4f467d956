use std::path::{Path, PathBuf};

use crate::adapter::Preset;
use crate::compare::config::merge;
use crate::compare::{CompareConfig, CompareError, Kind, MethodConfig, Missing, Scored};
use crate::config::{Compute, Method, TrainConfig};
use crate::language::Direction;
use crate::plan::Plan;
use crate::prune::PruningConfig;
use crate::train::Estimate;

/// Most directions that get a run each.
const MAX_DIRECTIONS: usize = 20;

/// A method, ready to be trained.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its name, which its folders begin with.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its training configuration; a cell's differs in `run`, `seed` and learning rate.
    pub config: TrainConfig,
    /// Folder that the configuration's paths start at.
    pub dir: PathBuf,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Learning rates that the first seed tries; one is no choice.
    pub rates: Vec<f64>,
    /// The method whose learning rate it takes instead.
    pub like: Option<String>,
    /// Which directions are scored.
    pub scored: Scored,
    /// What translates a direction that it isn't trained in.
    pub missing: Missing,
    /// Directions that are trained alone, each a run; none: all together.
    pub apart: Vec<Direction>,
    /// Parameters and work of a training, or of all of them where directions are trained alone.
    pub estimate: Estimate,
}

impl Prepared {
    /// Rank of the shared update, if that is what the method trains.
    #[must_use]
    pub fn shared_rank(&self) -> Option<usize> {
        let shared = self.config.method == Method::Lora;
        shared.then(|| self.config.adapter.rank.unwrap_or(8))
    }

    /// That the method whose learning rate it takes is one of those before it.
    fn check_like(&self, before: &[Prepared], config: &MethodConfig) -> Result<(), CompareError> {
        let Some(like) = &self.like else {
            return Ok(());
        };
        let names: Vec<&str> = before.iter().map(|m| m.name.as_str()).collect();
        let reason = match config.learning_rates {
            Some(_) => "`like` takes a learning rate from another method, so it has no `learning_rates`; leave one of the two out".to_owned(),
            None if names.contains(&like.as_str()) => return Ok(()),
            None => format!("`like = \"{like}\"` is none of the methods that are trained before it: {}", names.join(", ")),
        };
        Err(CompareError::Method {
            method: self.name.clone(),
            reason,
        })
    }

    /// Whether it is trained in a direction.
    pub(super) fn trains(&self, direction: &Direction) -> bool {
        let mut trained = self.estimate.directions.iter();
        trained.any(|share| share.direction == *direction)
    }

    /// Preset of the updates; none with full fine-tuning.
    #[must_use]
    pub fn preset(&self) -> Option<Preset> {
        let adapted = self.config.method != Method::Full;
        adapted.then_some(self.config.adapter.preset)
    }
}

/// Methods are made from a shared configuration.
pub(super) struct Workbench<'a> {
    config: &'a CompareConfig,
    /// The shared configuration.
    pub shared: toml::Table,
    /// Where the shared configuration's paths start.
    pub dir: PathBuf,
    /// What takes the place of every method's `[compute]`.
    compute: &'a dyn Fn(Compute) -> Compute,
}

/// Refuses keys of a method's own `train` that the comparison settles, and pruning of a kind that doesn't prune.
fn check_own(name: &str, kind: Kind, train: &toml::Table) -> Result<(), CompareError> {
    let settled = [
        ("method", "`kind` says what is trained"),
        ("seed", "`seeds` names them"),
        ("run", "its folder is named after it"),
    ];
    let pruned = [(
        "pruning",
        "a kind that prunes, such as \"lslo-pruned\", takes it",
    )];
    let pruned = pruned.iter().filter(|_| !kind.is_pruned());
    match settled
        .iter()
        .chain(pruned)
        .find(|(key, _)| train.contains_key(*key))
    {
        Some((key, instead)) => Err(CompareError::Method {
            method: name.to_owned(),
            reason: format!("`{key}` would count for nothing here: {instead}"),
        }),
        None => Ok(()),
    }
}

impl<'a> Workbench<'a> {
    pub fn new(
        config: &'a CompareConfig,
        dir: &Path,
        compute: &'a dyn Fn(Compute) -> Compute,
    ) -> Result<Self, CompareError> {
        let (shared, dir) = config.shared(dir)?;
        Ok(Workbench {
            config,
            shared,
            dir,
            compute,
        })
    }

    /// The shared configuration as LSLo would be trained by it.
    pub fn plain(&self) -> Result<TrainConfig, CompareError> {
        self.train_config("train", Kind::Lslo, &MethodConfig::default())
    }

    fn train_config(
        &self,
        name: &str,
        kind: Kind,
        method: &MethodConfig,
    ) -> Result<TrainConfig, CompareError> {
        check_own(name, kind, &method.train)?;
        let mut table = self.shared.clone();
        let section = |table: &mut toml::Table| match table.get_mut("adapter") {
            Some(toml::Value::Table(adapter)) => std::mem::take(adapter),
            _ => toml::Table::new(),
        };
        if kind.is_sized() {
            // Ranks of languages are no shared update's.
            let mut adapter = section(&mut table);
            for key in ["rank", "ranks", "language_ranks", "alpha"] {
                adapter.remove(key);
            }
            table.insert("adapter".to_owned(), adapter.into());
        }
        if !kind.is_pruned() {
            table.remove("pruning");
        }
        merge(&mut table, &method.train);
        let named = toml::Value::try_from(kind.method());
        table.insert("run".to_owned(), name.into());
        if let Ok(named) = named {
            table.insert("method".to_owned(), named);
        }
        let wrong = |reason: &dyn std::fmt::Display| CompareError::Method {
            method: name.to_owned(),
            reason: reason.to_string().trim_end().to_owned(),
        };
        let mut config: TrainConfig = table.try_into().map_err(|e: toml::de::Error| wrong(&e))?;
        config.training.validate()?;
        if kind.is_pruned() && config.pruning.is_none() {
            config.pruning = Some(pruning(config.training.epochs));
        }
        config.check_pruning().map_err(|e| wrong(&e))?;
        // Estimates go by it.
        config.compute = (self.compute)(config.compute);
        Ok(config)
    }

    /// All methods, in the order of reports.
    pub fn methods(&self) -> Result<Vec<Prepared>, CompareError> {
        let named = |kind: &Kind| (kind.as_str().to_owned(), *kind, MethodConfig::default());
        let mut wanted: Vec<(String, Kind, MethodConfig)> = match self.config.methods.is_empty() {
            true => Kind::DEFAULT.iter().map(named).collect(),
            false => self.named_methods()?,
        };
        wanted.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        // Sized after `lslo`, or the first of its kind, or after what the shared configuration would make.
        let mut lslo = wanted.iter().filter(|(_, kind, _)| *kind == Kind::Lslo);
        let own = |(name, ..): &&(String, Kind, MethodConfig)| name == Kind::Lslo.as_str();
        let model = lslo.clone().find(own).or_else(|| lslo.next()).cloned();
        let model = model.unwrap_or_else(|| named(&Kind::Lslo));
        let mut sizes = None;
        let mut methods = Vec::new();
        for (name, kind, method) in wanted {
            let mut config = self.train_config(&name, kind, &method)?;
            if kind.is_sized() && config.adapter.rank.is_none() {
                let sizes = match &sizes {
                    Some(sizes) => sizes,
                    None => {
                        let lslo = self.train_config(&model.0, Kind::Lslo, &model.2)?;
                        sizes.insert(lslo.estimate(&self.dir)?)
                    }
                };
                config.adapter.rank = Some(self.nearest_rank(kind, &config, sizes)?);
            }
            let prepared = self.prepared(name, kind, &method, config)?;
            prepared.check_like(&methods, &method)?;
            methods.push(prepared);
        }
        Ok(methods)
    }

    fn named_methods(&self) -> Result<Vec<(String, Kind, MethodConfig)>, CompareError> {
        let kind_of = |name: &str, method: &MethodConfig| {
            let after = || Kind::TRAINED.into_iter().find(|kind| kind.as_str() == name);
            method.kind.or_else(after)
        };
        let mut all = Vec::new();
        for (name, method) in &self.config.methods {
            let kind = kind_of(name, method);
            let kind = kind.filter(|kind| Kind::TRAINED.contains(kind));
            let Some(kind) = kind else {
                let kinds = Kind::TRAINED.map(|kind| format!("\"{}\"", kind.as_str()));
                return Err(CompareError::NoKind {
                    method: name.clone(),
                    kinds: kinds.join(", "),
                });
            };
            if method.missing == Missing::Combine && !kind.combines() {
                return Err(CompareError::Combine {
                    method: name.clone(),
                    kind,
                });
            }
            all.push((name.clone(), kind, method.clone()));
        }
        Ok(all)
    }

    /// The rank at which a shared update has as many parameters as LSLo, as nearly as ranks allow.
    fn nearest_rank(
        &self,
        kind: Kind,
        config: &TrainConfig,
        lslo: &Estimate,
    ) -> Result<usize, CompareError> {
        let mut one = config.clone();
        one.adapter.rank = Some(1);
        let unit = one.estimate(&self.dir)?.trainable;
        let wanted = match kind {
            Kind::LoraTotal => lslo.trainable,
            _ => lslo.active,
        };
        Ok(((wanted as f64 / unit as f64).round() as usize).max(1))
    }

    fn prepared(
        &self,
        name: String,
        kind: Kind,
        method: &MethodConfig,
        config: TrainConfig,
    ) -> Result<Prepared, CompareError> {
        let mut estimate = config.estimate(&self.dir)?;
        let mut apart = Vec::new();
        if kind == Kind::LoraDirection {
            apart = estimate
                .directions
                .iter()
                .map(|d| d.direction.clone())
                .collect();
            if apart.len() > MAX_DIRECTIONS {
                return Err(CompareError::TooManyDirections {
                    method: name,
                    directions: apart.len(),
                    limit: MAX_DIRECTIONS,
                });
            }
            estimate.trainable *= apart.len();
            estimate.after_compaction *= apart.len();
        }
        let mut rates = method.learning_rates.clone().unwrap_or_default();
        if method.learning_rates.is_none() {
            rates.clone_from(&self.config.learning_rates);
        }
        if method.like.is_some() {
            // One: that which is chosen by then.
            rates.truncate(1);
        }
        if rates.is_empty() {
            // As it is written, not as it is rounded.
            let rate = config.training.learning_rate;
            rates.push(rate.to_string().parse().unwrap_or_else(|_| f64::from(rate)));
        }
        Ok(Prepared {
            like: method.like.clone(),
            seeds: method
                .seeds
                .clone()
                .unwrap_or_else(|| self.config.seeds.clone()),
            scored: method.scored,
            missing: method.missing,
            dir: self.dir.clone(),
            name,
            kind,
            config,
            rates,
            apart,
            estimate,
        })
    }
}

/// Puts what a method takes of a plan into its configuration; pruning stays the configuration's.
pub(super) fn apply(
    plan: &Plan,
    kind: Kind,
    config: &mut TrainConfig,
    base: &str,
) -> Result<(), CompareError> {
    let plan = Plan {
        pruning: None,
        ..plan.clone()
    };
    let mut planned = config.clone();
    plan.apply(&mut planned, base)?;
    if kind == Kind::LsloPlacement {
        config.adapter.sides = planned.adapter.sides;
        config.adapter.encoder_target_from = planned.adapter.encoder_target_from;
    } else {
        config.adapter = planned.adapter;
    }
    Ok(())
}

/// Pruning that takes as large a part of so many epochs as the published one does of its 15.
fn pruning(epochs: u64) -> PruningConfig {
    let mut config = PruningConfig::default();
    let left = epochs.saturating_sub(config.start_epoch);
    config.duration = (2 * epochs / 3).min(left);
    config
}
