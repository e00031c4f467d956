use std::collections::BTreeSet;

use crate::adapter::{Projection, SitePlan};

/// Ranks under a budget.
#[derive(Debug, Clone, PartialEq)]
pub struct RankPlan {
    /// The projections that get updates.
    pub sites: BTreeSet<Projection>,
    /// Those that were given up so that every language gets a rank of at least 1, the least valuable first.
    pub dropped: Vec<Projection>,
    /// Rank of each language, at least 1, in the order of the demands.
    pub ranks: Vec<usize>,
    /// Parameters of a rank of 1.
    pub per_rank: usize,
}

/// Divides a budget of parameters among languages in proportion to their demands: the largest ranks `max(1, round(scale * demand))` that fit,
/// none above `limit`. Where not even a rank of 1 for all fits, the projections go that wouldn't fit alone, then those of least `value`, until it
/// does; what then fits beside the rest comes back, the most valuable first. `None`: it never does.
#[must_use]
pub fn allocate(
    sites: &[SitePlan],
    demands: &[f64],
    value: &dyn Fn(Projection) -> f64,
    budget: usize,
    limit: usize,
) -> Option<RankPlan> {
    let mut left: BTreeSet<Projection> = sites.iter().map(|plan| plan.site.projection).collect();
    let mut dropped = Vec::new();
    let per_rank = |left: &BTreeSet<Projection>| -> usize {
        let kept = sites.iter().filter(|p| left.contains(&p.site.projection));
        kept.map(|plan| plan.input.len() + plan.output.len()).sum()
    };
    while per_rank(&left) * demands.len() > budget {
        // What doesn't fit even alone would otherwise outlast what does.
        let too_large =
            |kind: Projection| per_rank(&BTreeSet::from([kind])) * demands.len() > budget;
        let least = left.iter().copied().min_by(|&a, &b| {
            let by_size = too_large(b).cmp(&too_large(a));
            by_size.then(value(a).total_cmp(&value(b)))
        })?;
        left.remove(&least);
        dropped.push(least);
    }
    if left.is_empty() {
        return None;
    }
    // Room that the last one left may do for those that were worth less.
    for kind in dropped.clone().into_iter().rev() {
        let with: BTreeSet<Projection> = left.iter().copied().chain([kind]).collect();
        if per_rank(&with) * demands.len() <= budget {
            left = with;
            dropped.retain(|&other| other != kind);
        }
    }
    let per_rank = per_rank(&left);
    let most = demands.iter().copied().fold(0.0, f64::max);
    let total = |ranks: &[usize]| ranks.iter().sum::<usize>();
    let at = |scale: f64| -> Vec<usize> {
        // Nobody kept anything: alike.
        let share = |demand: f64| if most > 0.0 { demand / most } else { 1.0 };
        let rank = |&demand: &f64| (scale * share(demand)).round() as usize;
        demands.iter().map(|d| rank(d).clamp(1, limit)).collect()
    };
    // By then those of the least demand have the highest rank, too.
    let least = demands
        .iter()
        .copied()
        .filter(|&d| d > 0.0)
        .fold(most, f64::min);
    let highest = if most > 0.0 {
        (most / least).min(1e6)
    } else {
        1.0
    };
    let (mut fits, mut too_large) = (0.0, 2.0 * limit as f64 * highest);
    if total(&at(too_large)) * per_rank <= budget {
        fits = too_large;
    }
    // Ranks change at finitely many scales; this many halvings tell any two apart.
    for _ in 0..60 {
        let middle = 0.5 * (fits + too_large);
        match total(&at(middle)) * per_rank <= budget {
            true => fits = middle,
            false => too_large = middle,
        }
    }
    Some(RankPlan {
        ranks: at(fits),
        sites: left,
        dropped,
        per_rank,
    })
}
