use serde::Serialize;

use crate::adapter::{AdapterSet, Demand};
use crate::batch::LanguageId;
use crate::params::ParamStore;
use crate::prune::{Pruner, PruningConfig};
use crate::train::TrainError;

/// Demand beside what it claims to measure: how much worse a language gets when its update is cut to the same small size as everybody's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DemandCheck {
    /// Share of each language's entries of `lora_b` that was dropped, its own smallest.
    pub dropped: f64,
    /// Validation loss in the directions of each language, whole and cut, in nats for each target token; none where no direction of it is
    /// validated.
    pub loss: Vec<Option<[f64; 2]>>,
    /// Spearman's rank correlation between the shares that languages keep and what they lose; none with fewer than three languages.
    pub correlation: Option<f64>,
}

impl DemandCheck {
    /// `loss` measures values in the directions of a language.
    pub(super) fn new(
        demand: &Demand,
        dropped: f64,
        set: &AdapterSet,
        store: &ParamStore<f32>,
        loss: impl Fn(&ParamStore<f32>, LanguageId) -> Option<f64>,
    ) -> Result<Self, TrainError> {
        let mut losses = Vec::new();
        for update in &set.updates {
            let Some(&language) = update.languages.first() else {
                continue;
            };
            let code = &set.languages[usize::from(language)];
            let only = PruningConfig {
                target_ratio: 0.0,
                start_epoch: 1,
                duration: 1,
                language_ratios: [(code.clone(), dropped)].into(),
                ..PruningConfig::default()
            };
            let mut cut = store.clone();
            Pruner::new(&only, set, store)?.advance(only.end_epoch(), &mut cut, |_| ());
            let language = LanguageId(language);
            let both = loss(store, language).zip(loss(&cut, language));
            losses.push(both.map(|(whole, cut)| [whole, cut]));
        }
        let pairs = demand.overall.iter().zip(&losses);
        let pairs: Vec<(f64, f64)> = pairs
            .filter_map(|(&kept, loss)| loss.map(|[whole, cut]| (kept, cut - whole)))
            .collect();
        Ok(DemandCheck {
            dropped,
            loss: losses,
            correlation: spearman(&pairs),
        })
    }
}

/// Spearman's rank correlation, equal values at their mean rank; none of fewer than three pairs, or where one side is all the same.
fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < 3 {
        return None;
    }
    let ranks = |of: &dyn Fn(&(f64, f64)) -> f64| -> Vec<f64> {
        let rank = |x: f64| {
            let below = pairs.iter().filter(|pair| of(pair) < x).count();
            let same = pairs.iter().filter(|pair| of(pair) == x).count();
            below as f64 + (same as f64 - 1.0) / 2.0
        };
        pairs.iter().map(|pair| rank(of(pair))).collect()
    };
    let (a, b) = (ranks(&|pair| pair.0), ranks(&|pair| pair.1));
    let mean = (pairs.len() as f64 - 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        let terms = x.iter().zip(y);
        terms.map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let spread = (product(&a, &a) * product(&b, &b)).sqrt();
    (spread > 0.0).then(|| product(&a, &b) / spread)
}

#[cfg(test)]
mod tests {
    use super::spearman;

    #[test]
    fn rank_correlations() {
        let of = |pairs: &[(f64, f64)]| spearman(pairs);
        assert_eq!(of(&[(1.0, 2.0), (2.0, 3.0), (9.0, 4.0)]), Some(1.0));
        assert_eq!(of(&[(1.0, 2.0), (2.0, 1.0), (9.0, 0.0)]), Some(-1.0));
        assert_eq!(of(&[(1.0, 2.0), (2.0, 2.0), (9.0, 2.0)]), None);
        assert_eq!(of(&[(1.0, 2.0), (2.0, 1.0)]), None);
        // Ranks 0, 1.5, 1.5, 3 against 1, 0, 2, 3.
        let tied = of(&[(1.0, 2.0), (2.0, 1.0), (2.0, 3.0), (5.0, 9.0)]).unwrap();
        assert!((tied - 3.5 / (4.5f64 * 5.0).sqrt()).abs() < 1e-12, "{tied}");
    }
}
