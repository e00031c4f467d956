use isogloss_kernels::Real;
use smallvec::SmallVec;

use crate::adapter::bank::{Adapters, Bank};
use crate::graph::Site;
use crate::params::{Gradients, ParamId, ParamStore};

/// Updates at a site that are mixed with learnt weights, while it is learnt which of them belongs there (Cao et al. 2024 after Pires et
/// al. 2023, section 3.2): `y += sum over arms of w_i B_i A_i x` with `w = softmax(logits)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// One for each arm, and where there is one more, one for no update at all. Several sites may share them.
    pub logits: ParamId,
    /// The updates: a bank for each side.
    pub arms: Vec<Bank>,
}

/// Weights of the arms, and of no update.
pub type MixtureWeights<R> = SmallVec<[R; 3]>;

/// The banks that act at a site, each with its weight; one, but for a mixture.
pub(crate) type Acting<'a> = SmallVec<[(&'a Bank, f32); 2]>;

impl Mixture {
    /// The weights, which are positive and add up to 1.
    #[must_use]
    pub fn weights<R: Real>(&self, store: &ParamStore<R>) -> MixtureWeights<R> {
        let logits = store.get(self.logits);
        let most = logits.iter().copied().fold(R::neg_infinity(), R::max);
        let mut weights: MixtureWeights<R> = logits.iter().map(|&x| (x - most).exp()).collect();
        let sum = weights.iter().fold(R::zero(), |sum, &x| sum + x);
        for weight in &mut weights {
            *weight = *weight / sum;
        }
        weights
    }
}

impl Adapters {
    /// What acts at a site.
    pub(crate) fn acting<R: Real>(&self, site: Site, store: &ParamStore<R>) -> Acting<'_> {
        if let Some(bank) = self.banks.get(&site) {
            return [(bank, 1.0)].into_iter().collect();
        }
        let Some(mixture) = self.mixtures.get(&site) else {
            return Acting::new();
        };
        let weights = mixture.weights(store);
        let weights = weights.iter().map(|w| w.to_f32().unwrap_or(f32::NAN));
        mixture.arms.iter().zip(weights).collect()
    }

    /// Adds the gradients of the mixtures' logits, once the gradients of all that they mix are complete.
    ///
    /// A bank's contribution is linear in its `B`, so the sum of `dB * B` over a bank is its weight times the gradient of its weight, and the
    /// backward pass need not know of mixtures.
    pub fn add_mixture_gradients<R: Real>(&self, store: &ParamStore<R>, grads: &mut Gradients<R>) {
        for mixture in self.mixtures.values() {
            let weights = mixture.weights(store);
            let weighted = |bank: &Bank| -> f64 {
                let updates = bank.updates.iter().flatten();
                let of = |id| {
                    let range = store.param(id).range.clone();
                    let pairs = store.values()[range.clone()].iter();
                    let pairs = pairs.zip(&grads.values()[range]);
                    pairs.map(|(&b, &db)| (b * db).to_f64().unwrap_or(f64::NAN))
                };
                updates.flat_map(|update| of(update.b)).sum()
            };
            // Of no update: zero.
            let mut parts: SmallVec<[f64; 3]> = mixture.arms.iter().map(weighted).collect();
            parts.resize(weights.len(), 0.0);
            let sum: f64 = parts.iter().sum();
            let logits = grads.of(store, mixture.logits);
            for ((logit, part), weight) in logits.iter_mut().zip(parts).zip(weights) {
                let gradient = part - weight.to_f64().unwrap_or(f64::NAN) * sum;
                *logit += R::from_f64(gradient).unwrap_or_else(R::nan);
            }
        }
    }
}
