//! Updates of languages that exist for the measurement alone.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::adapter::{AdapterConfig, AdapterError, AdapterSet, Sites};
use crate::batch::LanguageId;
use crate::language::{Language, Resource};
use crate::model::ModelConfig;
use crate::params::{ParamStore, uniform};

/// An update of a rank at these sites for each of so many languages, as training starts them: they add nothing yet.
pub(super) fn fresh(
    model: &ModelConfig,
    sites: Sites,
    rank: usize,
    languages: usize,
    store: &mut ParamStore<f32>,
) -> Result<AdapterSet, AdapterError> {
    let languages = stand_ins(languages);
    let adapter = AdapterConfig {
        rank: Some(rank),
        sites,
        ..AdapterConfig::default()
    };
    let classes: Vec<_> = languages
        .iter()
        .map(|language| (language.clone(), Resource::High))
        .collect();
    let updates = adapter.per_language(&classes)?;
    let (sites, preset) = (adapter.sites(model)?, adapter.preset);
    AdapterSet::new(languages, preset, sites, updates, 1, store)
}

/// The same at all sites, with random values throughout, small beside the base's.
pub(super) fn random(
    model: &ModelConfig,
    rank: usize,
    languages: usize,
    store: &mut ParamStore<f32>,
) -> Result<AdapterSet, AdapterError> {
    let set = fresh(model, Sites::All, rank, languages, store)?;
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let banks = set.adapters.banks.values();
    for update in banks.flat_map(|bank| bank.updates.iter().flatten()) {
        let values = store.get_mut(update.b);
        let drawn = uniform(values.len(), 0.01, &mut rng);
        values.copy_from_slice(&drawn);
    }
    Ok(set)
}

/// Scales each component of each `lora_B` by the square of a number between 0 and 1, and clears the smallest values of each update in one pool
/// over all its sites, so many in a hundred. Of `p` pruned, about `sqrt(1 - p)` of the components are left.
pub(super) fn prune(set: &AdapterSet, percent: u8, store: &mut ParamStore<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for update in &set.updates {
        let sites = set.sites.iter();
        let own: Vec<_> = sites
            .filter_map(|plan| set.low_rank(update, plan.site))
            .collect();
        let mut pool: Vec<f32> = Vec::new();
        for low_rank in &own {
            let scales = uniform(low_rank.rank, 1.0, &mut rng);
            for row in store.get_mut(low_rank.b).chunks_exact_mut(low_rank.rank) {
                row.iter_mut().zip(&scales).for_each(|(x, s)| *x *= s * s);
                pool.extend(row.iter().map(|x| x.abs()));
            }
        }
        let at = pool.len() * usize::from(percent) / 100;
        if at >= pool.len() {
            continue;
        }
        let (_, &mut limit, _) = pool.select_nth_unstable_by(at, f32::total_cmp);
        for low_rank in own {
            let values = store.get_mut(low_rank.b).iter_mut();
            values.for_each(|x| *x *= f32::from(u8::from(x.abs() >= limit)));
        }
    }
}

/// Source's and target's language of sentence `i`, where sentences take turns: the two differ where there is more than one.
pub(super) fn turn(i: usize, languages: usize) -> (LanguageId, LanguageId) {
    let language = |i: usize| LanguageId((i % languages.max(1)) as u16);
    (language(i), language(i + 1))
}

/// So many languages, of codes that ISO 639-3 keeps for private use.
pub(super) fn stand_ins(count: usize) -> Vec<Language> {
    let letter = |i: usize| char::from(b'a' + (i % 26) as u8);
    let code = |i: usize| format!("q{}{}_{}", letter(i / 26), letter(i), script(i / 676));
    let parsed = (0..count.max(1)).filter_map(|i| code(i).parse().ok());
    parsed.collect()
}

fn script(i: usize) -> String {
    format!(
        "Qa{}{}",
        ["a", "b"][i / 26 % 2],
        char::from(b'a' + (i % 26) as u8)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ShapeConfig;

    #[test]
    fn updates_that_are_measured_add_something() {
        let model = ShapeConfig::default().model(50, 0.0, 0.0);
        let mut store = ParamStore::new();
        let set = random(&model, 2, 3, &mut store).unwrap();
        assert_eq!(set.languages.len(), 3);
        assert!(store.values().iter().all(|&x| x != 0.0 && x.abs() < 1.0));
    }

    #[test]
    fn pruned_updates_lose_components() {
        let model = ShapeConfig::default().model(50, 0.0, 0.0);
        let mut store = ParamStore::new();
        let set = random(&model, 8, 2, &mut store).unwrap();
        prune(&set, 90, &mut store);
        for update in set.site_sizes(&store) {
            let sum = |of: fn(&crate::adapter::SiteSize) -> usize| -> usize {
                update.iter().map(of).sum()
            };
            let outputs: usize = set.sites.iter().map(|plan| 8 * plan.output.len()).sum();
            let zeros = sum(|s| s.parameters) - sum(|s| s.nonzero);
            assert_eq!(zeros, outputs * 90 / 100);
        }
        let compacted = crate::adapter::compact(&set, &store, 0.0).set.counts();
        let share = compacted.trainable as f64 / set.counts().trainable as f64;
        assert!((share - 0.1f64.sqrt()).abs() < 0.1, "{share}");
    }

    #[test]
    fn as_many_languages_as_asked_for_and_no_two_the_same() {
        let languages = stand_ins(10_000);
        let codes: std::collections::BTreeSet<_> = languages.iter().map(Language::code).collect();
        assert_eq!(codes.len(), 10_000);
    }
}
