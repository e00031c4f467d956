use proptest::prelude::*;

use super::*;
use crate::adapter::AdapterConfig;
use crate::config::ShapeConfig;
use crate::language::{Language, Resource};

/// Updates of two languages, of ranks 2 and 3, with `lora_b` drawn from a few values, so that there are ties and zeros.
fn updates(seed: u32) -> (AdapterSet, ParamStore<f32>) {
    let model = ShapeConfig {
        d_model: 8,
        ffn_dim: 16,
        encoder_layers: 1,
        decoder_layers: 1,
        attention_heads: 1,
        ..ShapeConfig::default()
    };
    let model = model.model(20, 0.0, 0.0);
    let config: AdapterConfig =
        toml::from_str("ranks = { high = 2, low = 3 }\nsites = \"fc\"").unwrap();
    let languages: Vec<(Language, Resource)> = vec![
        ("deu_Latn".parse().unwrap(), Resource::High),
        ("lij_Latn".parse().unwrap(), Resource::Low),
    ];
    let updates = config.per_language(&languages).unwrap();
    let codes = languages.into_iter().map(|(l, _)| l).collect();
    let sites = config.sites(&model).unwrap();
    let mut store = ParamStore::new();
    let set = AdapterSet::new(codes, config.preset, sites, updates, 1, &mut store).unwrap();
    let mut state = seed;
    let all = set
        .updates
        .iter()
        .flat_map(|update| low_ranks(&set, update));
    for id in all.map(|update| update.b) {
        for value in store.get_mut(id) {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = ((state >> 20) % 41) as f32 - 20.0;
        }
    }
    (set, store)
}

/// An update at each site.
fn low_ranks<'a>(
    set: &'a AdapterSet,
    update: &'a crate::adapter::UpdatePlan,
) -> impl Iterator<Item = &'a LowRank> {
    let sites = set.sites.iter();
    sites.filter_map(|plan| set.low_rank(update, plan.site))
}

/// The components of a language: where the values of each lie, and the square of its Frobenius norm for each of them.
fn components(
    set: &AdapterSet,
    store: &ParamStore<f32>,
    update: &crate::adapter::UpdatePlan,
) -> Vec<(Vec<usize>, f64)> {
    let mut all = Vec::new();
    for low_rank in low_ranks(set, update) {
        let (a, b) = (store.param(low_rank.a), store.param(low_rank.b));
        let (inputs, outputs) = (low_rank.input.len(), low_rank.output.len());
        for r in 0..low_rank.rank {
            let row = (0..inputs).map(|i| a.range.start + r * inputs + i);
            let column = (0..outputs).map(|o| b.range.start + o * low_rank.rank + r);
            let (row, column): (Vec<_>, Vec<_>) = (row.collect(), column.collect());
            let mut square = 0.0;
            for &i in &row {
                for &o in &column {
                    square += (f64::from(store.values()[i]) * f64::from(store.values()[o])).powi(2);
                }
            }
            let worth = square / (inputs + outputs) as f64;
            all.push(([row, column].concat(), worth));
        }
    }
    all
}

/// The sizes of pools: all `lora_b` of a language, or one.
fn pool_sizes(set: &AdapterSet, pool: PruningPool) -> Vec<usize> {
    // fc1 has 16 outputs, fc2 has 8; in both stacks.
    let of = |rank: usize| match pool {
        PruningPool::Language => vec![rank * (16 + 8 + 16 + 8)],
        PruningPool::Site => vec![rank * 16, rank * 8, rank * 16, rank * 8],
    };
    set.updates.iter().flat_map(|u| of(u.rank)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_share_rises_to_its_target_and_never_before_the_first_epoch_is_over(
        start_epoch in 1u64..6, duration in 0u64..12, linear: bool,
    ) {
        let shape = if linear { PruningShape::Linear } else { PruningShape::Cubic };
        let config = PruningConfig { start_epoch, duration, shape, ..PruningConfig::default() };
        prop_assume!(config.validate(100).is_ok());
        let shares: Vec<f64> = (1..20).map(|epoch| config.progress(epoch)).collect();
        prop_assert!(shares.windows(2).all(|w| w[0] <= w[1]));
        prop_assert_eq!(shares[0], 0.0);
        for (epoch, &share) in (1..).zip(&shares) {
            prop_assert!(epoch >= start_epoch || share == 0.0);
            prop_assert_eq!(epoch >= config.end_epoch(), share == 1.0);
        }
    }

    #[test]
    fn pruning_is_exact_monotone_and_takes_the_smallest(
        seed: u32, ratio in 0.0..=1.0, by_site: bool, duration in 1u64..6,
    ) {
        let (set, mut store) = updates(seed);
        let pool = if by_site { PruningPool::Site } else { PruningPool::Language };
        let config = PruningConfig { target_ratio: ratio, duration, start_epoch: 1, pool, ..PruningConfig::default() };
        let original = store.clone();
        let mut pruner = Pruner::new(&config, &set, &store).unwrap();
        let sizes = pool_sizes(&set, pool);
        let due = |share: f64| -> usize { sizes.iter().map(|&n| (share * n as f64).round() as usize).sum() };
        prop_assert_eq!(pruner.counts().1, sizes.iter().sum::<usize>());
        prop_assert_eq!(pruner.target(), due(ratio));
        for epoch in 1..9 {
            let before = pruner.pruned().to_vec();
            let mut forgotten = 0;
            let any = pruner.advance(epoch, &mut store, |_| forgotten += 1);
            let share = config.progress(epoch) * ratio;
            prop_assert_eq!(pruner.counts().0, due(share));
            prop_assert_eq!(any, forgotten > 0);
            prop_assert!(before.iter().zip(pruner.pruned()).all(|(&was, &is)| is || !was));
            // Doing it again, as after a resumption, changes nothing.
            prop_assert!(!pruner.clone().advance(epoch, &mut store, |_| unreachable!()));
        }
        let is_b: Vec<_> = set.updates.iter().flat_map(|update| low_ranks(&set, update))
            .map(|update| store.param(update.b).range.clone()).collect();
        for (at, (&now, &then)) in store.values().iter().zip(original.values()).enumerate() {
            let pruned = pruner.pruned()[at];
            prop_assert_eq!(now, if pruned { 0.0 } else { then });
            prop_assert!(!pruned || is_b.iter().any(|range| range.contains(&at)));
        }
        let pools: Vec<_> = match pool {
            PruningPool::Site => is_b.iter().map(std::slice::from_ref).collect(),
            PruningPool::Language => is_b.chunks(4).collect(),
        };
        for pool in pools {
            let all = || pool.iter().cloned().flatten();
            let magnitude = |at: usize| original.values()[at].abs();
            let largest_gone = all().filter(|&at| pruner.pruned[at]).map(magnitude).fold(0.0, f32::max);
            let smallest_left = all().filter(|&at| !pruner.pruned[at]).map(magnitude).fold(f32::MAX, f32::min);
            prop_assert!(largest_gone <= smallest_left);
        }
    }

    #[test]
    fn components_go_as_a_whole_the_least_for_its_size_first(
        seed: u32, ratio in 0.0..=1.0, duration in 1u64..6,
    ) {
        let (set, mut store) = updates(seed);
        let unit = PruningUnit::Component;
        let config = PruningConfig { target_ratio: ratio, duration, start_epoch: 1, unit, ..PruningConfig::default() };
        let original = store.clone();
        let mut pruner = Pruner::new(&config, &set, &store).unwrap();
        prop_assert_eq!(pruner.counts().1, store.values().len());
        // fc1 and fc2 have 8 inputs and 16 outputs, or the other way round.
        let size = 8 + 16;
        for epoch in 1..9 {
            let before = pruner.pruned().to_vec();
            let any = pruner.advance(epoch, &mut store, |_| ());
            prop_assert!(before.iter().zip(pruner.pruned()).all(|(&was, &is)| is || !was));
            prop_assert_eq!(any, before != pruner.pruned());
            prop_assert!(!pruner.clone().advance(epoch, &mut store, |_| unreachable!()));
            for update in &set.updates {
                let (mut gone, mut largest_gone, mut smallest_left) = (0, 0.0f64, f64::INFINITY);
                let components = components(&set, &original, update);
                let all = components.len() * size;
                for (entries, worth) in components {
                    let pruned = entries.iter().filter(|&&at| pruner.pruned()[at]).count();
                    prop_assert!(pruned == 0 || pruned == size, "{pruned} of a component");
                    gone += pruned;
                    match pruned {
                        0 => smallest_left = smallest_left.min(worth),
                        _ => largest_gone = largest_gone.max(worth),
                    }
                }
                prop_assert!(largest_gone <= smallest_left * (1.0 + 1e-9));
                let due = (config.progress(epoch) * ratio * all as f64).round() as usize;
                prop_assert!(gone <= due && due - gone < size, "{gone} of {due}");
            }
        }
        prop_assert!(pruner.counts().0 <= pruner.target());
        for (at, (&now, &then)) in store.values().iter().zip(original.values()).enumerate() {
            prop_assert_eq!(now, if pruner.pruned()[at] { 0.0 } else { then });
        }
    }
}

#[test]
fn the_published_schedule() {
    let config = PruningConfig::default();
    assert_eq!(config.validate(15).map_err(|e| e.to_string()), Ok(()));
    let share = |epoch| (0.9 * config.progress(epoch) * 1000.0).round() / 1000.0;
    let table = [
        (1, 0.0),
        (2, 0.0),
        (3, 0.244),
        (7, 0.788),
        (11, 0.899),
        (12, 0.9),
        (15, 0.9),
    ];
    for (epoch, expected) in table {
        assert_eq!(share(epoch), expected, "epoch {epoch}");
    }
}

#[test]
fn languages_have_targets_of_their_own() {
    let (set, mut store) = updates(5);
    let text =
        "language_ratios = { lij_Latn = 0.25 }\ntarget_ratio = 1.0\nstart_epoch = 1\nduration = 1";
    let config: PruningConfig = toml::from_str(text).unwrap();
    let mut pruner = Pruner::new(&config, &set, &store).unwrap();
    assert!(pruner.advance(2, &mut store, |_| ()));
    assert_eq!(pruner.counts(), (2 * 48 + 36, 2 * 48 + 3 * 48));
    let mut gradients = vec![1.0; store.values().len()];
    pruner.mask(&mut gradients);
    let kept = gradients.iter().filter(|&&g| g == 1.0).count();
    assert_eq!(kept, gradients.len() - (2 * 48 + 36));

    let foreign: PruningConfig = toml::from_str("language_ratios = { fra_Latn = 0.5 }").unwrap();
    let error = Pruner::new(&foreign, &set, &store).unwrap_err();
    assert!(error.to_string().contains("names fra_Latn"), "{error}");
    // What isn't trained any more is no language's own, and isn't pruned.
    store.freeze();
    let frozen = Pruner::new(&config, &set, &store).unwrap_err();
    assert!(frozen.to_string().contains("names lij_Latn"), "{frozen}");
    let rest = Pruner::new(&PruningConfig::default(), &set, &store).unwrap();
    assert_eq!(rest.counts(), (0, 0));
}

/// Of an update that all languages share none has a part of its own.
#[test]
fn a_shared_update_has_no_target_of_a_language() {
    let (set, _) = updates(5);
    let (languages, sites) = (set.languages, set.sites);
    let shared = AdapterConfig::default().shared(languages.len()).unwrap();
    let mut store = ParamStore::new();
    let set = AdapterSet::new(languages, set.preset, sites, shared, 1, &mut store).unwrap();
    let config: PruningConfig = toml::from_str("language_ratios = { lij_Latn = 0.25 }").unwrap();
    let error = Pruner::new(&config, &set, &store).unwrap_err();
    assert!(error.to_string().contains("names lij_Latn"), "{error}");
    let all = Pruner::new(&PruningConfig::default(), &set, &store).unwrap();
    assert_eq!(all.counts(), (0, 8 * 48));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    for (text, epochs, expected) in [
        ("target_ratio = 1.1", 15, "`pruning.target_ratio`: is 1.1"),
        ("target_ratio = nan", 15, "`pruning.target_ratio`: is NaN"),
        (
            "language_ratios = { deu_Latn = -0.5 }",
            15,
            "`pruning.language_ratios`: is -0.5",
        ),
        ("start_epoch = 0", 15, "`pruning.start_epoch`: is 0"),
        (
            "start_epoch = 1\nduration = 0",
            15,
            "`pruning.duration`: is 0",
        ),
        ("", 11, "reached at epoch 12 of 11"),
        ("duration = 18446744073709551615", 15, "`pruning.duration`"),
    ] {
        let config = toml::from_str::<PruningConfig>(text);
        let Ok(config) = config else {
            // TOML's integers end at 2^63.
            assert!(text.contains("18446744073709551615"));
            continue;
        };
        let error = config.validate(epochs).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
