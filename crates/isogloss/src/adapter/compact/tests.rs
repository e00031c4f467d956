use std::path::Path;

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::factors::ROUNDING;
use super::svd::{Columns, dot, outer, product, qr, singular};
use super::*;
use crate::adapter::{
    AdapterConfig, AdapterFileError, Preset, Projection, Sites, load, read, save,
};
use crate::graph::ModelConfig;
use crate::language::{Language, Resource};
use crate::params::uniform;

fn random(len: usize, seed: u64) -> Vec<f32> {
    uniform(len, 1.0, &mut ChaCha8Rng::seed_from_u64(seed))
}

fn factors(outputs: usize, inputs: usize, rank: usize, seed: u64) -> Factors {
    Factors {
        a: random(rank * inputs, seed),
        b: random(outputs * rank, seed + 1),
        rank,
        inputs,
        outputs,
    }
}

/// `B A`, in full.
fn full(factors: &Factors) -> Vec<f64> {
    let at = |i: usize, k: usize| {
        let terms = (0..factors.rank).map(|j| {
            f64::from(factors.b[i * factors.rank + j])
                * f64::from(factors.a[j * factors.inputs + k])
        });
        terms.sum::<f64>()
    };
    let places = (0..factors.outputs).flat_map(|i| (0..factors.inputs).map(move |k| (i, k)));
    places.map(|(i, k)| at(i, k)).collect()
}

/// Frobenius norm of the difference over that of the first.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    (square / dot(a, a)).sqrt()
}

fn flat(columns: &Columns) -> Vec<f64> {
    columns.iter().flatten().copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of any shape, also wider than tall, and with columns that depend on others.
    #[test]
    fn orthogonal_factors_and_singular_values(rows in 1..30usize, cols in 1..12usize, seed: u64, copied: bool) {
        let values = random(rows * cols, seed);
        let mut columns: Columns = values.chunks(rows).map(|c| c.iter().map(|&x| f64::from(x)).collect()).collect();
        if copied && cols > 2 {
            columns[2] = columns[0].iter().zip(&columns[1]).map(|(a, b)| 2.0 * a - b).collect();
        }
        let (q, r) = qr(&columns);
        prop_assert!(distance(&flat(&columns), &flat(&product(&q, &r))) < 1e-13);
        for (i, a) in q.iter().enumerate() {
            let own = dot(a, a);
            prop_assert!((own - 1.0).abs() < 1e-13 || own == 0.0, "{own}");
            prop_assert!(q[..i].iter().all(|b| dot(a, b).abs() < 1e-13));
        }
        let found = singular(&r);
        prop_assert!(found.is_sorted_by(|a, b| a.value >= b.value));
        let scaled = |s: &svd::Singular| s.left.iter().map(|x| s.value * x).collect();
        let left: Columns = found.iter().map(scaled).collect();
        let right: Columns = found.iter().map(|s| s.right.clone()).collect();
        prop_assert!(distance(&flat(&r), &flat(&outer(&left, &right))) < 1e-13);
        for (i, a) in found.iter().enumerate() {
            prop_assert!((dot(&a.right, &a.right) - 1.0).abs() < 1e-13);
            for b in &found[..i] {
                prop_assert!(dot(&a.right, &b.right).abs() < 1e-13);
                prop_assert!(dot(&a.left, &b.left).abs() * a.value.min(b.value) < 1e-13 * found[0].value);
            }
        }
    }

    /// The error is as said, within the tolerance, and one rank less would be beyond it.
    #[test]
    fn the_smallest_rank_within_the_tolerance(outputs in 1..40usize, inputs in 1..40usize, seed: u64, tolerance in 0.0..0.9f64) {
        let before = factors(outputs, inputs, outputs.min(inputs).min(9), seed);
        let all: f64 = full(&before).iter().map(|x| x * x).sum();
        let least = |factors: &Factors| {
            let (b, a) = factors.columns();
            let values = singular(&outer(&qr(&b).1, &qr(&a).1));
            values[factors.rank - 1].value
        };
        let Some(after) = before.refactored(tolerance) else {
            prop_assert!(least(&before) > tolerance * all.sqrt());
            return Ok(());
        };
        let error = distance(&full(&before), &full(&after));
        prop_assert!(error <= tolerance.max(ROUNDING) + ROUNDING, "{error} > {tolerance}");
        prop_assert!((error - before.error_of(&after)).abs() < 1e-9 + 1e-6 * error);
        prop_assert!(after.rank < before.rank);
        if after.rank > 0 {
            let further = (error * error * all + least(&after).powi(2)).sqrt();
            prop_assert!(further > tolerance * all.sqrt() * (1.0 - 1e-5));
        }
    }
}

#[test]
fn dead_components_are_dropped_exactly() {
    let mut before = factors(7, 5, 4, 1);
    // The first is dead in B, the third in A; a zero may have a sign.
    before.b.iter_mut().step_by(4).for_each(|x| *x = -0.0);
    before.a[2 * 5..3 * 5].fill(0.0);
    let after = before.clone().without_dead();
    assert_eq!(after.rank, 2);
    assert_eq!(full(&after), full(&before));
    assert_eq!(after.clone().without_dead(), after);
    let nothing = Factors {
        b: vec![0.0; 28],
        ..before
    };
    let nothing = nothing.without_dead();
    assert_eq!((nothing.rank, nothing.a.len(), nothing.b.len()), (0, 0, 0));
}

/// Rank 8 on paper, 3 in truth: found without any tolerance, and the same to within rounding.
#[test]
fn hidden_ranks_are_found() {
    let truth = factors(60, 40, 3, 5);
    let mix = random(8 * 3, 9);
    let before = Factors {
        rank: 8,
        b: (0..60 * 8)
            .map(|at| {
                let (i, j) = (at / 8, at % 8);
                (0..3).map(|t| truth.b[i * 3 + t] * mix[j * 3 + t]).sum()
            })
            .collect(),
        a: random(8 * 40, 11),
        ..truth
    };
    let after = before.refactored(0.0).unwrap();
    assert_eq!(after.rank, 3);
    assert!(before.error_of(&after) < 2.0 * ROUNDING);
    assert!(distance(&full(&before), &full(&after)) < 2.0 * ROUNDING);
    // Components that cancel out.
    let cancelling = Factors {
        a: vec![1.0, 2.0, -1.0, -2.0],
        b: vec![0.3, 0.3, 0.7, 0.7],
        rank: 2,
        inputs: 2,
        outputs: 2,
    };
    assert_eq!(cancelling.refactored(0.0).unwrap().rank, 0);
}

/// Values at the ends of what `f32` holds.
#[test]
fn the_largest_and_smallest_values_are_borne() {
    for scale in [1e-38, 1e-30, 1e30, 1e37] {
        let mut before = factors(9, 6, 4, 2);
        before.b.iter_mut().for_each(|x| *x *= scale);
        let after = before.refactored(0.3).unwrap();
        assert!(after.a.iter().chain(&after.b).all(|x| x.is_finite()));
        assert!(before.error_of(&after) < 0.31);
    }
}

fn model() -> ModelConfig {
    ModelConfig {
        d_model: 64,
        encoder_layers: 2,
        decoder_layers: 1,
        encoder_attention_heads: 2,
        decoder_attention_heads: 2,
        encoder_ffn_dim: 128,
        decoder_ffn_dim: 128,
        max_position_embeddings: 64,
        ..ModelConfig::published(90)
    }
}

/// Two languages, German of rank 8 and English of 2, with `B` random or, with a share, pruned so far.
fn updates(share: f32) -> (AdapterSet, ParamStore<f32>) {
    let config = AdapterConfig {
        sites: Sites::Projections([Projection::Q, Projection::Fc1].into()),
        ..AdapterConfig::default()
    };
    let languages: Vec<(Language, Resource)> = vec![
        ("deu_Latn".parse().unwrap(), Resource::Low),
        ("eng_Latn".parse().unwrap(), Resource::High),
    ];
    let (sites, plans) = (
        config.sites(&model()).unwrap(),
        config.per_language(&languages).unwrap(),
    );
    let codes = languages.into_iter().map(|(l, _)| l).collect();
    let mut store = ParamStore::new();
    let set = AdapterSet::new(codes, Preset::Isogloss, sites, plans, 1, &mut store).unwrap();
    let ids: Vec<_> = store.params().iter().map(|p| p.name.clone()).collect();
    for (seed, name) in (0..).zip(ids).filter(|(_, name)| name.contains("lora_B")) {
        let id = store.find(&name).unwrap();
        let values = store.get_mut(id);
        let (drawn, dice) = (
            random(values.len(), seed),
            random(values.len(), seed + 1000),
        );
        for ((x, drawn), dice) in values.iter_mut().zip(drawn).zip(dice) {
            *x = if dice.abs() < share { 0.0 } else { drawn };
        }
    }
    (set, store)
}

fn size(dir: &Path, name: &str) -> u64 {
    std::fs::metadata(dir.join(name)).unwrap().len()
}

/// Pruned at random, ranks stay and files shrink; what is loaded is what was compacted.
#[test]
fn pruned_updates_are_stored_sparse() {
    let (set, store) = updates(0.9);
    let dir = tempfile::tempdir().unwrap();
    let [from, to] = ["a", "b"].map(|name| dir.path().join(name));
    save(&from, &set, &store, "base").unwrap();
    std::fs::write(from.join("vocabulary.json"), "{}").unwrap();
    let report = compact_folder(&from, &to, 0.0).unwrap();
    assert_eq!(std::fs::read(to.join("vocabulary.json")).unwrap(), b"{}");
    let mut names: Vec<_> = to
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = "adapters.json deu_Latn.safetensors eng_Latn.safetensors vocabulary.json";
    assert_eq!(names.join(" "), expected);

    let mut loaded = ParamStore::new();
    let again = load(&to, &model(), "base", &mut loaded).unwrap();
    let Compacted {
        set: small,
        store: values,
        sites,
    } = compact(&set, &store, 0.0);
    assert_eq!((&again, loaded.values()), (&small, values.values()));
    assert_eq!(
        (read(&to, &mut ParamStore::new()).unwrap().1).as_str(),
        "base"
    );
    assert_eq!(again.trained, set.trained);

    for (i, update) in report.updates.iter().enumerate() {
        assert_eq!(update.sites, sites[i]);
        assert!(update.sites.iter().all(|s| s.error == 0.0 && !s.refactored));
        let file = format!("{}.safetensors", update.name);
        assert_eq!(update.before.bytes, size(&from, &file));
        assert_eq!(update.after.bytes, size(&to, &file));
        assert!(update.after.bytes < update.before.bytes * 7 / 10);
        assert_eq!(update.before.parameters, set.counts().by_update[i]);
        assert_eq!(update.after.parameters, small.counts().by_update[i]);
    }
    let nonzero = |store: &ParamStore<f32>| store.values().iter().filter(|&&x| x != 0.0).count();
    assert_eq!(report.after.nonzero, nonzero(&values));
    assert_eq!(report.before.nonzero, nonzero(&store));
    assert_eq!(report.active_before, set.counts().active);
    assert!(report.active < report.active_before && report.active > 0);
    // What is compact already stays as it is.
    let again = compact_folder(&to, &dir.path().join("c"), 0.0).unwrap();
    assert_eq!((again.before, again.active), (report.after, report.active));
    assert_eq!(again.after, again.before);
}

/// Untrained updates do nothing, and nothing is what is left of them.
#[test]
fn updates_that_do_nothing_become_nothing() {
    let (set, store) = updates(1.5);
    let dir = tempfile::tempdir().unwrap();
    let [from, to] = ["a", "b"].map(|name| dir.path().join(name));
    save(&from, &set, &store, "base").unwrap();
    let report = compact_folder(&from, &to, 0.0).unwrap();
    assert_eq!((report.after.parameters, report.active), (0, 0));
    let mut loaded = ParamStore::new();
    let again = load(&to, &model(), "base", &mut loaded).unwrap();
    assert!(loaded.values().is_empty());
    assert!(
        again
            .adapters
            .banks
            .values()
            .all(|bank| bank.updates.iter().all(Option::is_none))
    );
    assert!(
        again
            .languages
            .iter()
            .all(|language| again.adapts(language))
    );
}

/// A tolerance lowers ranks where that is smaller, never by more than it says.
#[test]
fn a_tolerance_lowers_ranks() {
    let (set, mut store) = updates(0.0);
    // Four of German's components hardly add anything.
    for name in store
        .params()
        .iter()
        .map(|p| p.name.clone())
        .collect::<Vec<_>>()
    {
        let id = store.find(&name).unwrap();
        if name.contains("lora_B.deu_Latn") {
            let values = store.get_mut(id).chunks_mut(8);
            values.for_each(|row| row[4..].iter_mut().for_each(|x| *x *= 1e-3));
        }
    }
    let ranks = |tolerance: f64| {
        let compacted = compact(&set, &store, tolerance);
        for site in compacted.sites.iter().flatten() {
            assert!(site.error <= tolerance + ROUNDING && site.rank <= site.rank_before);
        }
        let all = compacted.sites.into_iter();
        let ranks = |sites: Vec<CompactedSite>| sites.iter().map(|s| s.rank).collect::<Vec<_>>();
        all.map(ranks).collect::<Vec<_>>()
    };
    let sites = set.sites.len();
    assert_eq!(ranks(0.0), [vec![8; sites], vec![2; sites]]);
    assert_eq!(ranks(0.01), [vec![4; sites], vec![2; sites]]);
    let small = compact(&set, &store, 0.01).set;
    assert_eq!(small.updates[0].scale(), set.updates[0].scale());
}

#[test]
fn places_and_tolerances_that_do_not_fit_are_refused() {
    let (set, store) = updates(0.9);
    let dir = tempfile::tempdir().unwrap();
    let [from, to] = ["a", "b"].map(|name| dir.path().join(name));
    save(&from, &set, &store, "base").unwrap();
    for tolerance in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
        let refused = compact_folder(&from, &to, tolerance);
        assert!(matches!(refused, Err(CompactError::Tolerance { .. })));
    }
    let same = compact_folder(&from, &dir.path().join("a/../a"), 0.0);
    assert!(matches!(same, Err(CompactError::SamePlace { .. })));
    std::fs::create_dir(&to).unwrap();
    std::fs::write(to.join("letter"), "x").unwrap();
    let full = compact_folder(&from, &to, 0.0);
    assert!(matches!(full, Err(CompactError::Exists { .. })));
    std::fs::remove_file(to.join("letter")).unwrap();
    let none = compact_folder(&dir.path().join("none"), &to, 0.0);
    assert!(matches!(
        none,
        Err(CompactError::Files(AdapterFileError::Read { .. }))
    ));
    // An empty folder may be filled.
    compact_folder(&from, &to, 0.0).unwrap();
    assert_eq!(dir.path().read_dir().unwrap().count(), 2);
}
