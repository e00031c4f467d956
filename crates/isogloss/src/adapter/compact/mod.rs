//! Updates made smaller without changing what they do: what pruning emptied is dropped, the rest factored anew where that is smaller, and
//! stored sparse where that is.

mod factors;
mod folder;
mod svd;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use crate::adapter::file::{parameter, smallest, tensor_name};
use crate::adapter::set::AdapterSet;
use crate::adapter::spec::{Half, SitePlan, UpdatePlan, lay_out};
use crate::graph::Site;
use crate::params::ParamStore;
use factors::Factors;

pub use folder::{CompactError, CompactReport, CompactedUpdate, compact_folder};

/// What became of an update at a site.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CompactedSite {
    /// Where.
    pub site: Site,
    /// `R` before.
    pub rank_before: usize,
    /// `R` now; 0: the update doesn't act there any more.
    pub rank: usize,
    /// Whether the factors are others, and not a part of those that were there.
    pub refactored: bool,
    /// How far `B A` is from what it was, relative in Frobenius norm; 0 if it is the same.
    pub error: f64,
}

/// A set made smaller.
#[derive(Debug, Clone)]
pub struct Compacted {
    /// The updates, with ranks of their own at their sites.
    pub set: AdapterSet,
    /// Their values.
    pub store: ParamStore<f32>,
    /// What became of each update at each site where it acted, in the order of the set.
    pub sites: Vec<Vec<CompactedSite>>,
}

/// Makes the updates of a set smaller, each at each site by itself:
///
/// 1. Components of the rank of which `B`'s column or `A`'s row is all zero are dropped. That is exact: outputs change by the order of
///    sums alone.
/// 2. `B A` is factored anew to the smallest rank that leaves it within `tolerance` (the Frobenius norm of the difference over
///    that of `B A`, at least 0 and less than 1), where this rank is lower and the factors take fewer bytes. A tolerance below 2⁻²² counts as that: `f32`
///    factors don't hold more, so 0 drops singular values that are zero to within rounding.
///
/// Scales, sides, languages and trained directions stay as they are.
///
/// # Panics
/// If the tolerance is not at least 0 and less than 1.
#[must_use]
pub fn compact(set: &AdapterSet, store: &ParamStore<f32>, tolerance: f64) -> Compacted {
    assert!((0.0..1.0).contains(&tolerance), "a relative error");
    let places: Vec<(usize, &UpdatePlan, &SitePlan)> = set
        .updates
        .iter()
        .enumerate()
        .flat_map(|(i, update)| set.sites.iter().map(move |plan| (i, update, plan)))
        .filter(|(_, update, plan)| update.rank_at(plan.site) > 0)
        .collect();
    let smaller: Vec<(Factors, CompactedSite)> = places
        .par_iter()
        .map(|(_, update, plan)| {
            let half = |half| store.get(parameter(set, update, plan, half)).to_vec();
            let before = Factors {
                a: half(Half::A),
                b: half(Half::B),
                rank: update.rank_at(plan.site),
                inputs: plan.input.len(),
                outputs: plan.output.len(),
            };
            compact_site(plan, before, tolerance)
        })
        .collect();

    let (mut updates, mut sites) = (set.updates.clone(), vec![Vec::new(); set.updates.len()]);
    let mut values: BTreeMap<(&str, Site), Factors> = BTreeMap::new();
    for (&(i, update, plan), (factors, site)) in places.iter().zip(smaller) {
        updates[i].ranks.insert(plan.site, factors.rank);
        values.insert((&update.name, plan.site), factors);
        sites[i].push(site);
    }
    for update in &mut updates {
        let usual = update.rank;
        update.ranks.retain(|_, rank| *rank != usual);
    }
    let mut store = ParamStore::new();
    let mut of = |update: &UpdatePlan, plan: &SitePlan, half, _: [usize; 2]| {
        let factors = &values[&(update.name.as_str(), plan.site)];
        Ok::<_, std::convert::Infallible>(match half {
            Half::A => factors.a.clone(),
            Half::B => factors.b.clone(),
        })
    };
    let languages = set.languages.len();
    let Ok(adapters) = lay_out(&set.sites, &updates, languages, &mut store, &mut of);
    let set = AdapterSet {
        updates,
        adapters,
        ..set.clone()
    };
    Compacted { set, store, sites }
}

/// Makes an update smaller at a site.
fn compact_site(plan: &SitePlan, before: Factors, tolerance: f64) -> (Factors, CompactedSite) {
    let rank_before = before.rank;
    let exact = before.without_dead();
    let bytes = |factors: &Factors| {
        let halves = [(Half::A, &factors.a), (Half::B, &factors.b)];
        let sizes = halves.map(|(half, values)| {
            let shape = plan.shape(half, factors.rank);
            smallest(&tensor_name(plan, half), shape, values).bytes
        });
        sizes[0] + sizes[1]
    };
    let other = match exact.rank {
        0 => None,
        _ => exact.refactored(tolerance),
    };
    // Nothing at all isn't stored.
    let other = other.filter(|other| other.rank == 0 || bytes(other) < bytes(&exact));
    let (refactored, error) = match &other {
        Some(other) => (true, exact.error_of(other)),
        None => (false, 0.0),
    };
    let factors = other.unwrap_or(exact);
    let site = CompactedSite {
        site: plan.site,
        rank_before,
        rank: factors.rank,
        refactored,
        error,
    };
    (factors, site)
}
