//! A random model of 64 positions and a few dozen pieces, and adapters for it.

use isogloss::adapter::{self, AdapterConfig, AdapterSet};
use isogloss::checkpoint;
use isogloss::language::{Language, Resource};
use isogloss::model::{ModelConfig, Storage, initial_tensors};
use isogloss::params::ParamStore;
use isogloss::tokenize::Tokenizer;
use std::path::{Path, PathBuf};

/// Ids below are marks and pieces, from there on tags.
const WORDS: usize = 111;

/// The library's fixtures.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../isogloss/tests/fixtures")
}

/// Makes a model folder. The same every time.
pub(crate) fn model(dir: &Path) {
    seeded_model(dir, 1);
}

/// Another model for each seed, with the same tokenizer.
pub(crate) fn seeded_model(dir: &Path, seed: u64) {
    std::fs::create_dir(dir).unwrap();
    let pieces = "sentencepiece.bpe.model";
    std::fs::copy(fixtures().join("decoding").join(pieces), dir.join(pieces)).unwrap();
    let config = std::fs::read(fixtures().join("m2m100/model/config.json")).unwrap();
    let config = ModelConfig {
        vocab_size: Tokenizer::open(dir).unwrap().vocab_size(),
        ..serde_json::from_slice(&config).unwrap()
    };
    let mut tensors = initial_tensors(&config, seed);
    // A tied embedding says again what it has just read: unless tags are faint, nothing else.
    for tensor in tensors.iter_mut().filter(|t| t.name == "shared.weight") {
        let mut values = tensor.storage.to_f32();
        let words = 4 * config.d_model..WORDS * config.d_model;
        for (i, x) in values.iter_mut().enumerate() {
            *x *= if words.contains(&i) { 1.0 } else { 0.1 };
        }
        tensor.storage = Storage::F32(values);
    }
    checkpoint::write(dir, &config, &tensors).unwrap();
}

/// Makes a folder with adapters of some languages for the model in a folder; strong enough that translations change.
pub(crate) fn adapters(dir: &Path, model: &Path, languages: &[&str]) {
    trained_adapters(dir, model, languages, None);
}

/// The same, trained in some directions alone.
pub(crate) fn trained_adapters(
    dir: &Path,
    model: &Path,
    languages: &[&str],
    trained: Option<&[&str]>,
) {
    let base = checkpoint::open(model).unwrap();
    let languages: Vec<Language> = languages.iter().map(|code| code.parse().unwrap()).collect();
    let classes: Vec<_> = languages
        .iter()
        .map(|language| (language.clone(), Resource::Low))
        .collect();
    let config = AdapterConfig::default();
    let mut store = ParamStore::new();
    let mut set = AdapterSet::new(
        languages,
        config.preset,
        config.sites(&base.config).unwrap(),
        config.per_language(&classes).unwrap(),
        1,
        &mut store,
    )
    .unwrap();
    if let Some(trained) = trained {
        set.trained = trained.iter().map(|d| d.parse().unwrap()).collect();
    }
    for (i, x) in store.values_mut().iter_mut().enumerate() {
        *x = (i % 7) as f32 - 3.0;
    }
    adapter::save(dir, &set, &store, &base.hash().to_string()).unwrap();
}
