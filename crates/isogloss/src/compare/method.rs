use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::adapter::Preset;
use crate::compare::{CompareConfig, CompareError, MethodConfig, Scored};
use crate::config::{Compute, Directions, Method, TrainConfig};
use crate::language::Direction;
use crate::plan::Plan;
use crate::prune::PruningConfig;
use crate::train::Estimate;

/// What is done to the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The source is handed back.
    Copy,
    /// Nothing.
    Base,
    /// Every weight is trained.
    Full,
    /// One update for all languages, of the rank that comes nearest to LSLo's parameters in all.
    LoraTotal,
    /// One update for all languages, of the rank that comes nearest to LSLo's parameters in one direction.
    LoraActive,
    /// An update for each direction, each trained alone, of the rank of [`LoraActive`](Kind::LoraActive).
    LoraDirection,
    /// An update for each language, as configured, without pruning.
    Lslo,
    /// The same, pruned while it is trained: as configured, or over two thirds of the epochs with the defaults of `[pruning]`.
    LsloPruned,
    /// LSLo with the sides of a plan, and ranks as configured.
    LsloPlacement,
    /// LSLo with the whole plan: sites, sides and ranks.
    LsloPlan,
    /// The same, pruned while it is trained.
    LsloPlanPruned,
}

impl Kind {
    /// Kinds that are trained, in the order of reports.
    pub const TRAINED: [Kind; 9] = [
        Kind::Full,
        Kind::LoraTotal,
        Kind::LoraActive,
        Kind::LoraDirection,
        Kind::Lslo,
        Kind::LsloPruned,
        Kind::LsloPlacement,
        Kind::LsloPlan,
        Kind::LsloPlanPruned,
    ];

    /// Kinds that are compared where no method is named: one update a direction takes a run a direction, and has to be asked for.
    const DEFAULT: [Kind; 8] = [
        Kind::Full,
        Kind::LoraTotal,
        Kind::LoraActive,
        Kind::Lslo,
        Kind::LsloPruned,
        Kind::LsloPlacement,
        Kind::LsloPlan,
        Kind::LsloPlanPruned,
    ];

    /// `lora-total`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Copy => "copy",
            Kind::Base => "base",
            Kind::Full => "full",
            Kind::LoraTotal => "lora-total",
            Kind::LoraActive => "lora-active",
            Kind::LoraDirection => "lora-direction",
            Kind::Lslo => "lslo",
            Kind::LsloPruned => "lslo-pruned",
            Kind::LsloPlacement => "lslo-placement",
            Kind::LsloPlan => "lslo-plan",
            Kind::LsloPlanPruned => "lslo-plan-pruned",
        }
    }

    /// What training calls it.
    fn method(self) -> Method {
        match self {
            Kind::Full => Method::Full,
            Kind::LoraTotal | Kind::LoraActive | Kind::LoraDirection => Method::Lora,
            _ => Method::Lslo,
        }
    }

    /// Whether its updates go by a plan.
    #[must_use]
    pub fn is_planned(self) -> bool {
        use Kind::{LsloPlacement, LsloPlan, LsloPlanPruned};
        matches!(self, LsloPlacement | LsloPlan | LsloPlanPruned)
    }

    fn is_pruned(self) -> bool {
        matches!(self, Kind::LsloPruned | Kind::LsloPlanPruned)
    }

    /// Whether its rank is chosen after LSLo's.
    fn is_sized(self) -> bool {
        self.method() == Method::Lora
    }
}

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
    /// Which directions are scored.
    pub scored: Scored,
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

    /// Preset of the updates; none with full fine-tuning.
    #[must_use]
    pub fn preset(&self) -> Option<Preset> {
        let adapted = self.config.method != Method::Full;
        adapted.then_some(self.config.adapter.preset)
    }
}

/// Puts `over` into `table`, key by key.
fn merge(table: &mut toml::Table, over: &toml::Table) {
    for (key, value) in over {
        match (table.get_mut(key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(over)) => merge(inner, over),
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
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
            methods.push(self.prepared(name, kind, &method, config)?);
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
        if rates.is_empty() {
            // As it is written, not as it is rounded.
            let rate = config.training.learning_rate;
            rates.push(rate.to_string().parse().unwrap_or_else(|_| f64::from(rate)));
        }
        Ok(Prepared {
            seeds: method
                .seeds
                .clone()
                .unwrap_or_else(|| self.config.seeds.clone()),
            scored: method.scored,
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

/// The configuration of a direction that is trained alone, with its share of an epoch.
pub(super) fn alone(config: &TrainConfig, direction: &Direction, pairs: usize) -> TrainConfig {
    let mut config = config.clone();
    let only = Directions::Only(vec![direction.clone()]);
    config.directions = only.clone();
    config.validation.directions = Some(only);
    config.training.sample.pairs_per_epoch = Some(pairs.max(1));
    config
}
