use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::adapter::bank::LowRank;
use crate::adapter::set::AdapterSet;
use crate::graph::{Layer, Place, Projection, Site};
use crate::params::ParamStore;

/// How demand is measured (Cao et al. 2024, intrinsic subspace estimation): entries of all languages compete.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DemandConfig {
    /// Share of a pool's entries that is dropped, the smallest first; above 0 and below 1. Default 0.9.
    pub target_ratio: f64,
    /// What competes: the entries of a `"layer"` (default) or of a `"site"`, of all languages.
    pub pool: DemandPool,
    /// What the size of an entry is. Default `"magnitude"`.
    pub score: DemandScore,
    /// Which factors' entries compete. Default `"b"`.
    pub factors: DemandFactors,
}

/// What competes for being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DemandPool {
    /// All languages' entries at all sites of a layer.
    #[default]
    Layer,
    /// All languages' entries at a site.
    Site,
}

/// The size of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DemandScore {
    /// `|B_ij|`, and `|A_ij|`.
    #[default]
    Magnitude,
    /// `|B_ij| * norm(A_j)`, and `|A_ij| * norm(B_i)`, times the update's scale: what the entry does to the output, however the two factors
    /// share it between them.
    Contribution,
}

/// Which entries compete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DemandFactors {
    /// Those of `lora_b`.
    #[default]
    B,
    /// Those of both, in one pool.
    AAndB,
}

impl Default for DemandConfig {
    fn default() -> Self {
        DemandConfig {
            target_ratio: 0.9,
            pool: DemandPool::Layer,
            score: DemandScore::Magnitude,
            factors: DemandFactors::B,
        }
    }
}

/// The share of its entries that each language keeps when the smallest entries of all are dropped: how large a subspace it needs, beside the
/// others. Updates should have one rank, and have been trained alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// Names of the updates: language codes.
    pub languages: Vec<String>,
    /// What competed, in the order of the graph.
    pub layers: Vec<Place>,
    /// Share kept, by language, then by layer, 0 to 1.
    pub share: Vec<Vec<f64>>,
    /// Share kept over all layers, by language.
    pub overall: Vec<f64>,
    /// Share kept by all languages together, by projection: what the sites of that kind are worth beside others of their layer.
    pub by_projection: BTreeMap<Projection, f64>,
}

/// Entries of one update at one site.
struct Block {
    update: usize,
    site: Site,
    scores: Vec<f32>,
}

impl Demand {
    /// The demand of a trained set.
    ///
    /// # Panics
    /// If the store doesn't hold the set's values.
    #[must_use]
    pub fn new(config: DemandConfig, set: &AdapterSet, store: &ParamStore<f32>) -> Self {
        let mut pools: BTreeMap<Place, Vec<Block>> = BTreeMap::new();
        for plan in &set.sites {
            let place = match config.pool {
                DemandPool::Layer => Place::Layer(Layer::from(plan.site)),
                DemandPool::Site => Place::Site(plan.site),
            };
            for (update, of) in set.updates.iter().enumerate() {
                if let Some(low_rank) = set.low_rank(of, plan.site) {
                    pools.entry(place).or_default().push(Block {
                        update,
                        site: plan.site,
                        scores: scores(config, low_rank, store),
                    });
                }
            }
        }
        // In the order of the graph, which is that of places of a kind.
        let layers: Vec<Place> = pools.keys().copied().collect();
        let updates = set.updates.len();
        let mut counts = vec![vec![Kept::default(); layers.len()]; updates];
        let mut by_projection: BTreeMap<Projection, Kept> = BTreeMap::new();
        for (at, place) in layers.iter().enumerate() {
            let blocks = &pools[place];
            let threshold = threshold(config.target_ratio, blocks);
            for block in blocks {
                let kept = Kept::of(&block.scores, threshold);
                counts[block.update][at].add(kept);
                by_projection
                    .entry(block.site.projection)
                    .or_default()
                    .add(kept);
            }
        }
        let total = |counts: &Vec<Kept>| {
            let mut total = Kept::default();
            counts.iter().for_each(|&kept| total.add(kept));
            total.share()
        };
        let row = |counts: &Vec<Kept>| counts.iter().map(|kept| kept.share()).collect();
        Demand {
            languages: set.updates.iter().map(|u| u.name.clone()).collect(),
            layers,
            share: counts.iter().map(row).collect(),
            overall: counts.iter().map(total).collect(),
            by_projection: by_projection
                .into_iter()
                .map(|(projection, kept)| (projection, kept.share()))
                .collect(),
        }
    }
}

/// Entries that are kept, of all.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    kept: usize,
    all: usize,
}

impl Kept {
    fn of(scores: &[f32], threshold: f32) -> Self {
        Kept {
            kept: scores.iter().filter(|&&x| x > threshold).count(),
            all: scores.len(),
        }
    }

    fn add(&mut self, other: Kept) {
        self.kept += other.kept;
        self.all += other.all;
    }

    fn share(self) -> f64 {
        self.kept as f64 / self.all.max(1) as f64
    }
}

/// The largest score that is dropped when a share of all entries goes. What equals it goes with it.
fn threshold(ratio: f64, blocks: &[Block]) -> f32 {
    let mut all: Vec<f32> = blocks
        .iter()
        .flat_map(|b| b.scores.iter().copied())
        .collect();
    let dropped = (ratio * all.len() as f64).round() as usize;
    if dropped == 0 {
        return f32::NEG_INFINITY;
    }
    let (_, at, _) = all.select_nth_unstable_by(dropped - 1, f32::total_cmp);
    *at
}

fn scores(config: DemandConfig, update: &LowRank, store: &ParamStore<f32>) -> Vec<f32> {
    let (a, b) = (store.get(update.a), store.get(update.b));
    let (rank, inputs, outputs) = (update.rank, update.input.len(), update.output.len());
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    // Of each component: its row of A, its column of B.
    let weights = |of: &dyn Fn(usize) -> f32| -> Vec<f32> {
        match config.score {
            DemandScore::Magnitude => vec![1.0; rank],
            DemandScore::Contribution => (0..rank).map(|j| update.scale.abs() * of(j)).collect(),
        }
    };
    let row = |j: usize| -> Range<usize> { j * inputs..(j + 1) * inputs };
    let of_a = weights(&|j| norm(&mut a[row(j)].iter().copied()));
    let mut scores: Vec<f32> = b
        .iter()
        .enumerate()
        .map(|(at, x)| x.abs() * of_a[at % rank])
        .collect();
    if config.factors == DemandFactors::AAndB {
        let column = |j: usize| (0..outputs).map(move |i| b[i * rank + j]);
        let of_b = weights(&|j| norm(&mut column(j)));
        let entries = a.iter().enumerate();
        scores.extend(entries.map(|(at, x)| x.abs() * of_b[at / inputs]));
    }
    scores
}
