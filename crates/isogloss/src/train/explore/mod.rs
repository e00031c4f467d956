//! Exploring: placement and demand are learnt in two short runs with the text of training, and a plan is made of them.

mod check;
mod placement;
mod propose;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use isogloss_kernels::Cpu;
use serde::Serialize;

use crate::adapter::{AdapterConfig, Demand, PlaceWeights, Side};
use crate::config::{ExploreConfig, Method, TrainConfig};
use crate::corpus::Corpus;
use crate::files;
use crate::language::Language;
use crate::model::{Context, Model, ModelConfig};
use crate::params::ParamStore;
use crate::plan::{Budget, Plan, Reasons};
use crate::report::EXPLORATION;
use crate::train::adapt::adapter_set;
use crate::train::material::Material;
use crate::train::opened::Opened;
use crate::train::setup::{self, Estimate};
use crate::train::{Observer, Outcome, RunDir, TrainError, Trained, Trainer};

pub use check::DemandCheck;

/// What a plan shall keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExploreOptions {
    /// Parameters of all updates together.
    pub budget: Budget,
    /// Give all languages of a class one rank, by the mean of their demands.
    pub classes: bool,
    /// Share of `lora_b` that training with the plan prunes; none leaves pruning to the configuration.
    pub pruning: Option<f64>,
}

/// A place with its weights and the side that it got.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Placed {
    /// The learnt weights.
    #[serde(flatten)]
    pub weights: PlaceWeights,
    /// The side chosen.
    pub chosen: Side,
    /// Where the weights of the sides lay close: validation loss without the update of the source's side, and without that of the target's.
    pub loss_without: Option<[f64; 2]>,
}

/// What exploring found; the content of `explore.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exploration {
    /// Hash of the base.
    pub base: String,
    /// Places, in the order of the graph.
    pub placement: Vec<Placed>,
    /// Shares kept, by language and layer.
    pub demand: Demand,
    /// Demand beside what it claims to measure.
    pub check: DemandCheck,
    /// Seconds of training: placement, demand.
    pub seconds: [f64; 2],
    /// The plan.
    pub plan: Plan,
    /// Why it is as it is.
    pub reasons: Reasons,
    /// Where the plan lies.
    #[serde(skip)]
    pub path: PathBuf,
}

/// Everything that both runs share.
struct Explorer<'a> {
    parts: Parts<'a>,
    opened: &'a Opened,
    corpus: &'a Corpus,
    validation: &'a Corpus,
    languages: Vec<Language>,
    shape: ModelConfig,
    model: Model<f32>,
    backend: Cpu,
}

/// What is explored of a configuration: updates of its languages, unpruned, beside nothing else.
fn explored(config: &TrainConfig) -> TrainConfig {
    TrainConfig {
        method: Method::Lslo,
        pruning: None,
        extends: None,
        ..config.clone()
    }
}

/// What [`explore`] will take: its two parts as one run at their rank. Placement holds updates of both sides in the encoder, which is left out.
/// Refuses what [`explore`] would refuse before it trains.
///
/// # Errors
/// As [`TrainConfig::estimate`]; a folder that was started with another configuration; a budget that is too small for one rank.
pub fn estimate_exploring(
    config: &TrainConfig,
    config_dir: &Path,
    options: &ExploreOptions,
) -> Result<Estimate, TrainError> {
    let explore = config.explore.clone().unwrap_or_default();
    explore.validate()?;
    let mut config = explored(config);
    let parts = Parts::new(&config, &explore, config_dir);
    let first = parts.placement();
    RunDir::check(&first.run, &first)?;
    let opened = Opened::new(&config, config_dir)?;
    propose::check_options(&config, &opened.checkpoint.config, options)?;
    config.training.epochs = explore.epochs(config.training.epochs).iter().sum();
    config.adapter = one_rank(&config.adapter, explore.rank);
    config.estimate_opened(&opened, config_dir)
}

/// The configurations of the two runs.
struct Parts<'a> {
    config: &'a TrainConfig,
    explore: &'a ExploreConfig,
    /// The run's.
    folder: PathBuf,
}

impl<'a> Parts<'a> {
    fn new(config: &'a TrainConfig, explore: &'a ExploreConfig, config_dir: &Path) -> Self {
        Parts {
            config,
            explore,
            folder: setup::resolve(config_dir, &config.run),
        }
    }

    /// The first, in which both sides have updates.
    fn placement(&self) -> TrainConfig {
        let [epochs, _] = self.explore.epochs(self.config.training.epochs);
        let mut part = self.named("placement", epochs);
        part.explore = Some(ExploreConfig {
            placement: self.explore.placement,
            ..ExploreConfig::default()
        });
        part
    }

    /// The second, at the places that were chosen.
    fn demand(&self, placement: &[Placed]) -> TrainConfig {
        let [_, epochs] = self.explore.epochs(self.config.training.epochs);
        let mut part = self.named("demand", epochs);
        part.adapter = self.placed(part.adapter, placement);
        part
    }

    /// So many epochs, one rank for all. Of `[explore]` it holds nothing that doesn't bear on its training, so that the rest may change
    /// without training again.
    fn named(&self, name: &str, epochs: u64) -> TrainConfig {
        let mut part = self.config.clone();
        part.run = self.folder.join("explore").join(name);
        part.training.epochs = epochs;
        part.explore = None;
        part.validation.patience = 0;
        part.adapter = one_rank(&part.adapter, self.explore.rank);
        part
    }

    /// With the sides that were chosen; where nothing was looked for, the configuration's stay.
    fn placed(&self, adapter: AdapterConfig, placement: &[Placed]) -> AdapterConfig {
        let searched = |stack| self.explore.placement.searches(stack);
        let mut sides = adapter.sides;
        sides.retain(|place, _| !searched(place.layer().stack));
        sides.extend(placement.iter().map(|p| (p.weights.place, p.chosen)));
        AdapterConfig {
            encoder_target_from: None,
            sides,
            ..adapter
        }
    }
}

/// The same with one rank for all languages.
fn one_rank(adapter: &AdapterConfig, rank: usize) -> AdapterConfig {
    AdapterConfig {
        rank: Some(rank),
        ranks: BTreeMap::new(),
        language_ranks: BTreeMap::new(),
        ..adapter.clone()
    }
}

/// Learns placement and demand, and writes `plan.toml` and `explore.json` to the run's folder; what both runs keep lies in its folder
/// `explore`, and an interrupted exploration goes on. `None`: it was interrupted.
///
/// # Errors
/// [`TrainError`]: text, configuration, files, divergence; a budget that is too small for one rank.
pub fn explore(
    config: &TrainConfig,
    config_dir: &Path,
    options: &ExploreOptions,
    observer: &mut dyn Observer,
) -> Result<Option<Exploration>, TrainError> {
    let explore = config.explore.clone().unwrap_or_default();
    explore.validate()?;
    let config = &explored(config);
    let opened = Opened::new(config, config_dir)?;
    // Before hours of work: whether any plan fits.
    propose::check_options(config, &opened.checkpoint.config, options)?;
    let (corpus, report) = opened.training_text(config, config_dir)?;
    observer.cleaned(&report);
    let languages = opened.codes();
    let validation = opened.validation_text(config, config_dir, &corpus)?;
    let shape = opened.shape(&config.training);
    let backend = config.compute.backend()?;
    let mut model = Model::new(&shape, opened.checkpoint.tensors.clone(), None)?;
    setup::pack_for_training(&mut model, &backend);
    let explorer = Explorer {
        parts: Parts::new(config, &explore, config_dir),
        opened: &opened,
        corpus: &corpus,
        validation: &validation,
        languages,
        shape,
        model,
        backend,
    };
    let Some((placement, placing)) = explorer.place(observer)? else {
        return Ok(None);
    };
    let Some((demand, check, measuring)) = explorer.measure(&placement, observer)? else {
        return Ok(None);
    };
    let (plan, reasons) = propose::plan(&explorer, &placement, &demand, options)?;
    let path = explorer.parts.folder.join("plan.toml");
    plan.write(&path, &reasons)?;
    let found = Exploration {
        base: opened.checkpoint.hash().to_string(),
        placement,
        demand,
        check,
        seconds: [placing.state.seconds, measuring.state.seconds],
        plan,
        reasons,
        path,
    };
    files::write_json(&explorer.parts.folder.join(EXPLORATION), &found)?;
    Ok(Some(found))
}

impl Explorer<'_> {
    /// Opens a part's folder, held to base and text.
    fn open(&self, part: &TrainConfig) -> Result<RunDir, TrainError> {
        let run = RunDir::open(&part.run, part)?;
        run.bind(&[
            ("base", self.opened.checkpoint.fingerprint()),
            ("training text", self.corpus.fingerprint()),
            ("validation text", self.validation.fingerprint()),
        ])?;
        Ok(run)
    }

    fn material<'b>(&'b self, part: &'b TrainConfig) -> Result<Material<'b>, TrainError> {
        Material::new(
            part.into(),
            self.corpus,
            self.validation,
            &self.opened.tokenizer,
            &self.languages,
            self.shape.max_position_embeddings,
        )
    }

    /// Trains equal ranks at the places that were chosen, and lets the languages' entries compete.
    fn measure(
        &self,
        placement: &[Placed],
        observer: &mut dyn Observer,
    ) -> Result<Option<(Demand, DemandCheck, Trained)>, TrainError> {
        let part = self.parts.demand(placement);
        let mut store = ParamStore::new();
        let set = adapter_set(&part, self.opened, &mut store)?;
        let material = self.material(&part)?;
        let mut run = self.open(&part)?;
        tracing::info!(epochs = part.training.epochs, "demand");
        let trainer = Trainer {
            validate_before: false,
            ..material.trainer(&self.backend, &self.model, &set.adapters, None)
        };
        let trained = trainer.train(&mut run, &mut store, observer)?;
        // Once it is trained the rest takes a while, too, and is done anew.
        if trained.outcome == Outcome::Interrupted || observer.stop() {
            return Ok(None);
        }
        let demand = Demand::new(self.parts.explore.demand, &set, &store);
        let ratio = self.parts.explore.demand.target_ratio;
        let check = DemandCheck::new(&demand, ratio, &set, &store, |store, language| {
            let cx = Context {
                backend: &self.backend,
                store,
                adapters: &set.adapters,
                dropout: None,
            };
            material.held_out().nll_with(&cx, &self.model, language)
        })?;
        Ok(Some((demand, check, trained)))
    }
}
