//! Compacted adapters translate as before, whole: files, loading, search, on the base that ships here.

use std::path::{Path, PathBuf};

use isogloss::adapter::{self, AdapterConfig, AdapterSet, Half};
use isogloss::checkpoint;
use isogloss::decode::{DecodeOptions, Loaded, TextOptions, Translation};
use isogloss::language::{Direction, Language, Resource};
use isogloss::params::ParamStore;
use isogloss_kernels::Cpu;

use crate::tiny::noise;

const ENGLISH: [&str; 5] = [
    "Tighten the four screws of the pump.",
    "The filter must be replaced after 200 hours.",
    "Do not open the valve while the machine is running.",
    "Call the supervisor.",
    "",
];

const GERMAN: [&str; 3] = [
    "Ziehen Sie die vier Schrauben der Pumpe fest.",
    "Der Filter ist nach 200 Stunden zu ersetzen.",
    "Rufen Sie den Vorgesetzten.",
];

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mini")
}

/// Updates of rank 8: German's has lost nine tenths of `lora_B` at random, and English's is of rank 2 in truth.
fn adapters(dir: &Path) {
    let base = checkpoint::open(&base()).unwrap();
    let languages: Vec<(Language, Resource)> = ["eng_Latn", "deu_Latn"]
        .map(|code| (code.parse().unwrap(), Resource::Low))
        .into();
    let config = AdapterConfig::default();
    let mut store = ParamStore::new();
    let set = AdapterSet::new(
        languages.iter().map(|(l, _)| l.clone()).collect(),
        config.preset,
        config.sites(&base.config).unwrap(),
        config.per_language(&languages).unwrap(),
        1,
        &mut store,
    )
    .unwrap();
    let params = store.params().to_vec();
    for (seed, param) in (0..).zip(&params) {
        if !param.name.contains(Half::B.name()) {
            continue;
        }
        let id = store.find(&param.name).unwrap();
        let values = store.get_mut(id);
        let drawn: Vec<f32> = noise(seed, 2 * values.len()).collect();
        let (drawn, dice) = drawn.split_at(values.len());
        if param.name.ends_with("deu_Latn") {
            for ((x, drawn), dice) in values.iter_mut().zip(drawn).zip(dice) {
                *x = if dice.abs() < 0.9 { 0.0 } else { 0.05 * drawn };
            }
        } else {
            for (row, drawn) in values.chunks_mut(8).zip(drawn.chunks(8)) {
                let column = |j: usize| 0.02 * (drawn[0] + drawn[1] * (j as f32 - 3.0));
                (0..8).for_each(|j| row[j] = column(j));
            }
        }
    }
    adapter::save(dir, &set, &store, &base.hash().to_string()).unwrap();
}

/// The three best translations of every line, to and fro.
fn translations(adapters: Option<&Path>) -> Vec<Translation> {
    let cpu = Cpu::new(1).unwrap();
    let loaded = Loaded::open(&base(), adapters).unwrap().packed(&cpu);
    let translator = loaded.translator(&cpu, None).unwrap();
    let there: Direction = "eng_Latn-deu_Latn".parse().unwrap();
    let back = there.reversed();
    let lines = ENGLISH.iter().map(|&line| (line, &there));
    let lines: Vec<_> = lines
        .chain(GERMAN.iter().map(|&line| (line, &back)))
        .collect();
    let options = DecodeOptions {
        n_best: 3,
        ..DecodeOptions::default()
    };
    let found = translator.translate(&lines, TextOptions::default(), &options, &mut |_| ());
    found.unwrap().into_iter().flatten().collect()
}

#[test]
fn compacted_adapters_translate_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
    adapters(&from);
    let report = adapter::compact_folder(&from, &to, 0.0).unwrap();
    let [english, german] = &report.updates[..] else {
        panic!("two updates");
    };
    assert!(
        english
            .sites
            .iter()
            .all(|s| s.rank == 2 && s.refactored && s.error < 1e-6)
    );
    assert!(german.sites.iter().all(|s| s.rank == 8 && s.error == 0.0));
    // Of German's, `lora_A` is left whole.
    let share =
        |update: &adapter::CompactedUpdate| update.after.bytes as f64 / update.before.bytes as f64;
    assert!(share(english) < 0.26, "{}", share(english));
    assert!(share(german) < 0.8, "{}", share(german));

    let (before, after) = (translations(Some(&from)), translations(Some(&to)));
    assert_eq!(before.len(), 3 * (ENGLISH.len() - 1 + GERMAN.len()));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.ids, after.ids, "{} {}", before.text, after.text);
        assert!(
            (before.score - after.score).abs() < 1e-4,
            "{} {}",
            before.score,
            after.score
        );
    }
    let ids = |all: &[Translation]| all.iter().map(|t| t.ids.clone()).collect::<Vec<_>>();
    assert_ne!(
        ids(&translations(None)),
        ids(&before),
        "the updates are felt"
    );
}
