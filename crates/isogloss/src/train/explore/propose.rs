use std::collections::BTreeMap;

use crate::adapter::{Demand, DemandPool, Projection, SitePlan};
use crate::config::{ConfigError, TrainConfig};
use crate::language::{Language, Resource};
use crate::model::ModelConfig;
use crate::plan::{Plan, RankPlan, Reasons, allocate};
use crate::prune::PruningConfig;
use crate::train::TrainError;
use crate::train::explore::{ExploreOptions, Explorer, Placed};

/// Whether a plan exists that keeps to the budget, and its pruning to the epochs.
pub(super) fn check_options(
    config: &TrainConfig,
    shape: &ModelConfig,
    options: &ExploreOptions,
) -> Result<(), TrainError> {
    let sites = config.adapter.sites(shape)?;
    let alike = vec![1.0; config.languages.values().map(Vec::len).sum()];
    divide(shape, &sites, &alike, &|_| 1.0, options)?;
    let epochs = config.training.epochs;
    if let Some(pruning) = pruning(epochs, options) {
        pruning.validate(epochs).map_err(ConfigError::from)?;
    }
    Ok(())
}

/// The pruning that the plan shall hold.
fn pruning(epochs: u64, options: &ExploreOptions) -> Option<PruningConfig> {
    options.pruning.map(|target_ratio| PruningConfig {
        target_ratio,
        ..fitting(epochs)
    })
}

fn divide(
    shape: &ModelConfig,
    sites: &[SitePlan],
    demands: &[f64],
    value: &dyn Fn(Projection) -> f64,
    options: &ExploreOptions,
) -> Result<RankPlan, TrainError> {
    let budget = options.budget.parameters(shape.parameters());
    let limit = sites
        .iter()
        .map(|plan| plan.input.len().min(plan.output.len()));
    let found = allocate(sites, demands, value, budget, limit.min().unwrap_or(1));
    found.ok_or_else(|| {
        let mut of_kind: BTreeMap<Projection, usize> = BTreeMap::new();
        for plan in sites {
            *of_kind.entry(plan.site.projection).or_default() +=
                plan.input.len() + plan.output.len();
        }
        TrainError::Budget {
            budget,
            least: demands.len() * of_kind.values().min().copied().unwrap_or(0),
            languages: demands.len(),
        }
    })
}

/// The plan that placement and demand lead to.
pub(super) fn plan(
    explorer: &Explorer<'_>,
    placement: &[Placed],
    demand: &Demand,
    options: &ExploreOptions,
) -> Result<(Plan, Reasons), TrainError> {
    let adapter = explorer
        .parts
        .placed(explorer.parts.config.adapter.clone(), placement);
    let sites = adapter.sites(&explorer.shape)?;
    let own = demands(explorer, demand);
    let demands = match options.classes {
        true => by_class(explorer, &own),
        false => own.clone(),
    };
    let value = |projection: Projection| {
        let kept = demand.by_projection.get(&projection);
        kept.copied().unwrap_or(0.0)
    };
    let ranks = divide(&explorer.shape, &sites, &demands, &value, options)?;
    let pruning = pruning(explorer.parts.config.training.epochs, options);
    let reasons = reasons(
        explorer,
        placement,
        (&own, &demands),
        &value,
        &ranks,
        options,
    );
    let languages = explorer.languages.iter().cloned();
    Ok((
        Plan {
            base: explorer.opened.checkpoint.hash().to_string(),
            sites: ranks.sites,
            ranks: languages.zip(ranks.ranks).collect(),
            sides: adapter.sides,
            pruning,
        },
        reasons,
    ))
}

/// The published schedule, shortened for fewer epochs: it begins an eighth into the run and ends four fifths into it.
fn fitting(epochs: u64) -> PruningConfig {
    let start_epoch = (2 * epochs / 15).max(1);
    PruningConfig {
        start_epoch,
        duration: (12 * epochs / 15).saturating_sub(start_epoch).max(1),
        ..PruningConfig::default()
    }
}

/// Demands in the order of the run's languages.
fn demands(explorer: &Explorer<'_>, demand: &Demand) -> Vec<f64> {
    let of = |language: &Language| {
        let at = demand.languages.iter().position(|l| l == language.code());
        at.map_or(0.0, |at| demand.overall[at])
    };
    explorer.languages.iter().map(of).collect()
}

/// For each language the mean of its class.
fn by_class(explorer: &Explorer<'_>, demands: &[f64]) -> Vec<f64> {
    let classes = || explorer.opened.languages.iter().map(|(_, class)| *class);
    let mean = |class: Resource| {
        let own = classes().zip(demands).filter(|(of, _)| *of == class);
        let own: Vec<f64> = own.map(|(_, &demand)| demand).collect();
        own.iter().sum::<f64>() / own.len() as f64
    };
    classes().map(mean).collect()
}

fn reasons(
    explorer: &Explorer<'_>,
    placement: &[Placed],
    (own, demands): (&[f64], &[f64]),
    value: &dyn Fn(Projection) -> f64,
    ranks: &RankPlan,
    options: &ExploreOptions,
) -> Reasons {
    let percent = |x: f64| format!("{:.1}%", 100.0 * x);
    let explore = explorer.parts.explore;
    let by_site = explore.demand.pool == DemandPool::Site;
    let (total, budget) = (
        ranks.ranks.iter().sum::<usize>() * ranks.per_rank,
        options.budget,
    );
    let base = explorer.shape.parameters();
    let summary = vec![
        "A plan of `isogloss explore`; edit it as you like, and give it to `isogloss train --plan`.".to_owned(),
        format!(
            "Budget: {budget}. All updates: {total} parameters, {:.3}% of the base.",
            100.0 * total as f64 / base as f64
        ),
        format!(
            "Demand: at rank {}, the share of entries that a language keeps when the smallest {} of all languages' are dropped, {}.",
            explore.rank,
            percent(explore.demand.target_ratio),
            if by_site { "site by site" } else { "layer by layer" }
        ),
    ];
    let kept: Vec<String> = ranks
        .sites
        .iter()
        .map(|&projection| format!("{} {}", projection.name(), percent(value(projection))))
        .collect();
    let mut sites = vec![format!(
        "Share of entries kept by kind of site: {}.",
        kept.join(", ")
    )];
    if !ranks.dropped.is_empty() {
        let names: Vec<&str> = ranks.dropped.iter().map(|p| p.name()).collect();
        let order = match by_site {
            true => "each site has a pool of its own, so no kind kept more than another",
            false => "those that kept least go first, and what fits beside the rest stays",
        };
        sites.push(format!(
            "Given up, since the budget has no rank for every language there ({order}): {}.",
            names.join(", ")
        ));
    }
    let mean = own.iter().sum::<f64>() / own.len().max(1) as f64;
    let classes = explorer.opened.languages.iter();
    let ranks = classes
        .zip(own.iter().zip(demands))
        .map(|((language, class), (own, used))| {
            let reason = match options.classes {
                true => format!(
                    "demand {}; its class ({}) {} on average",
                    percent(*own),
                    class.as_str(),
                    percent(*used)
                ),
                false => format!(
                    "demand {}, the average language {}",
                    percent(*own),
                    percent(mean)
                ),
            };
            (language.clone(), reason)
        });
    let side = |placed: &Placed| {
        let weights = &placed.weights;
        let mut reason = format!(
            "weights: source {:.2}, target {:.2}",
            weights.source, weights.target
        );
        if explorer.parts.explore.placement.none {
            reason += &format!(", none {:.2}", weights.none);
        }
        if let Some([source, target]) = placed.loss_without {
            reason += &format!(
                "; close, so by the loss without it: source {source:.4}, target {target:.4}"
            );
        }
        (weights.place, reason)
    };
    Reasons {
        summary,
        sites,
        ranks: ranks.collect(),
        sides: placement.iter().map(side).collect(),
    }
}
