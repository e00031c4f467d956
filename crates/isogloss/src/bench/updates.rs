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
    fn as_many_languages_as_asked_for_and_no_two_the_same() {
        let languages = stand_ins(10_000);
        let codes: std::collections::BTreeSet<_> = languages.iter().map(Language::code).collect();
        assert_eq!(codes.len(), 10_000);
    }
}
