//! Everything that reads files, as functions of a file's bytes: whether they are accepted. None may panic, whatever the bytes.
//!
//! `damage.rs` runs them on valid files that were damaged, the targets in `fuzz/` on whatever libFuzzer comes up with.

use std::path::Path;
use std::sync::OnceLock;

use isogloss::adapter::{self, AdapterConfig, AdapterSet};
use isogloss::batch::{Batch, LanguageId, Sentence};
use isogloss::checkpoint;
use isogloss::config::{self, PretrainConfig, TrainConfig};
use isogloss::corpus::{Corpus, DataConfig, DirectionFilter};
use isogloss::decode::{Vocabularies, Vocabulary};
use isogloss::language::{Language, Resource};
use isogloss::model::{Context, Model, ModelConfig};
use isogloss::params::ParamStore;
use isogloss::tokenize::Tokenizer;
use isogloss::tokenize::sentencepiece::SentencePiece;
use isogloss_kernels::Reference;
use tempfile::TempDir;

const CONFIG: &[u8] = include_bytes!("../fixtures/m2m100/model/config.json");
const WEIGHTS: &[u8] = include_bytes!("../fixtures/m2m100/model/model.safetensors");
const PIECES: &[u8] = include_bytes!("../fixtures/tokenize/bpe.model");
const TEXT: &str = "Tighten the bolt, ziehen Sie 3 Schrauben an.";

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).expect("a file in it");
    }
    dir
}

/// A model that opens can be built.
fn model_folder(files: &[(&str, &[u8])]) -> Option<Model<f32>> {
    let found = checkpoint::open(folder(files).path()).ok()?;
    let model = Model::new(&found.config, found.tensors, None);
    Some(model.expect("an open checkpoint is a model"))
}

pub fn safetensors(bytes: &[u8]) -> bool {
    model_folder(&[("config.json", CONFIG), ("model.safetensors", bytes)]).is_some()
}

pub fn model_config(bytes: &[u8]) -> bool {
    model_folder(&[("config.json", bytes), ("model.safetensors", WEIGHTS)]).is_some()
}

pub fn torch(bytes: &[u8]) -> bool {
    model_folder(&[("config.json", CONFIG), ("pytorch_model.bin", bytes)]).is_some()
}

pub fn fairseq(bytes: &[u8]) -> bool {
    model_folder(&[("model.pt", bytes)]).is_some()
}

pub fn sentencepiece(bytes: &[u8]) -> bool {
    let Ok(pieces) = SentencePiece::from_bytes(bytes) else {
        return false;
    };
    let _ = pieces.decode(&pieces.encode(TEXT));
    true
}

fn tokenizer(files: &[(&str, &[u8])]) -> bool {
    let Ok(tokenizer) = Tokenizer::open(folder(files).path()) else {
        return false;
    };
    let _ = tokenizer.decode(&tokenizer.encode(TEXT));
    let rows = tokenizer.vocab_size();
    for language in tokenizer.languages() {
        let ids = tokenizer.source_ids(TEXT, language).unwrap_or_default();
        assert!(ids.iter().all(|&id| (id as usize) < rows), "{language}");
    }
    true
}

pub fn tokenizer_json(bytes: &[u8]) -> bool {
    tokenizer(&[("tokenizer.json", bytes)])
}

pub fn tokenizer_config(bytes: &[u8]) -> bool {
    tokenizer(&[
        ("sentencepiece.bpe.model", PIECES),
        ("tokenizer_config.json", bytes),
    ])
}

pub fn vocab_json(bytes: &[u8]) -> bool {
    tokenizer(&[("sentencepiece.bpe.model", PIECES), ("vocab.json", bytes)])
}

fn corpus(section: &str, files: &[(&str, &[u8])]) -> bool {
    let section: DataConfig = toml::from_str(section).expect("a section");
    let dir = folder(files);
    let Ok(mut corpus) = Corpus::load(&[section], dir.path(), &DirectionFilter::All) else {
        return false;
    };
    let _ = corpus.filter(&Default::default());
    let pairs = corpus.directions().map(|(direction, pairs)| {
        assert_eq!(corpus.pairs(direction).count(), pairs, "{direction}");
        pairs
    });
    pairs.sum::<usize>() > 0
}

pub fn tsv_pair(bytes: &[u8]) -> bool {
    let section =
        "format = 'tsv-pair'\npath = 'pairs.tsv'\ncolumns = ['eng_Latn', 'deu_Latn']\nrows = '1-2'";
    corpus(section, &[("pairs.tsv", bytes)])
}

pub fn tsv_multi(bytes: &[u8]) -> bool {
    let section = "format = 'tsv-multi'\npath = 'all.tsv'";
    corpus(section, &[("all.tsv", bytes)])
}

pub fn tsv_rows(bytes: &[u8]) -> bool {
    let section = "format = 'tsv-rows'\npath = '{lang}.tsv'\nwhere = { part = ['a', 'b'] }";
    let other = b"id\tpart\ttext\n1\ta\tDie Schraube.\n2\tb\tDas Blatt.\n";
    corpus(section, &[("eng_Latn.tsv", bytes), ("deu_Latn.tsv", other)])
}

pub fn jsonl(bytes: &[u8]) -> bool {
    let section = "format = 'jsonl'\npath = 'pairs.jsonl'";
    corpus(section, &[("pairs.jsonl", bytes)])
}

pub fn train_toml(bytes: &[u8]) -> bool {
    let dir = folder(&[("run.toml", bytes)]);
    let read = config::read::<TrainConfig>(&dir.path().join("run.toml"));
    read.is_ok_and(|config| config.training.validate().is_ok() && config.filter.validate().is_ok())
}

pub fn pretrain_toml(bytes: &[u8]) -> bool {
    let dir = folder(&[("run.toml", bytes)]);
    let read = config::read::<PretrainConfig>(&dir.path().join("run.toml"));
    read.is_ok_and(|config| config.training.validate().is_ok() && config.shape.validate().is_ok())
}

/// Saved adapters of the fixtures' model: the description and the weights of one language.
pub struct Saved {
    pub index: Vec<u8>,
    pub weights: Vec<u8>,
}

impl Saved {
    fn read(dir: &Path) -> Self {
        let read = |name: &str| std::fs::read(dir.join(name)).expect(name);
        Saved {
            index: read(INDEX),
            weights: read(OF_GERMAN),
        }
    }
}

const BASE: &str = "0";
const INDEX: &str = "adapters.json";
const OF_GERMAN: &str = "deu_Latn.safetensors";

/// Adapters of one language; with `pruned` two thirds of the values of `lora_B` are zero.
fn save(dir: &Path, pruned: bool) {
    let model: ModelConfig = serde_json::from_slice(CONFIG).expect("the fixture");
    let config = AdapterConfig {
        rank: pruned.then_some(8),
        ..AdapterConfig::default()
    };
    let german: Language = "deu_Latn".parse().expect("a language");
    let updates = config.per_language(&[(german.clone(), Resource::High)]);
    let sites = config.sites(&model).expect("sites");
    let mut store = ParamStore::new();
    let set = AdapterSet::new(
        vec![german],
        config.preset,
        sites,
        updates.expect("an update"),
        1,
        &mut store,
    );
    if pruned {
        let values = store.values_mut().iter_mut().enumerate();
        values.for_each(|(i, x)| {
            *x = if i % 3 == 0 {
                0.01 * (i % 11) as f32
            } else {
                0.0
            }
        });
    }
    adapter::save(dir, &set.expect("a set"), &store, BASE).expect("files");
}

/// The adapters of one language, as they were saved.
pub fn saved() -> &'static Saved {
    static SAVED: OnceLock<Saved> = OnceLock::new();
    SAVED.get_or_init(|| {
        let dir = folder(&[]);
        save(dir.path(), false);
        Saved::read(dir.path())
    })
}

/// The adapters of one language, with ranks by site and sparse tensors.
pub fn compacted() -> &'static Saved {
    static COMPACTED: OnceLock<Saved> = OnceLock::new();
    COMPACTED.get_or_init(|| {
        let dir = folder(&[]);
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        save(&from, true);
        let done = adapter::compact_folder(&from, &to, 0.0).expect("a folder");
        assert!(done.after.bytes < done.before.bytes);
        Saved::read(&to)
    })
}

/// Adapters that can be read can be compacted, and those that load can be computed with.
fn adapters(dir: &Path) -> bool {
    let mut store = ParamStore::new();
    if let Ok((set, _)) = adapter::read(dir, &mut store) {
        let _ = (set.counts(), adapter::compact(&set, &store, 0.1));
    }
    static MODEL: OnceLock<Model<f32>> = OnceLock::new();
    let model = MODEL.get_or_init(|| {
        let files = [("config.json", CONFIG), ("model.safetensors", WEIGHTS)];
        model_folder(&files).expect("the fixture")
    });
    let mut store = ParamStore::new();
    let Ok(set) = adapter::load(dir, model.config(), BASE, &mut store) else {
        return false;
    };
    let _ = set.counts();
    let sentence = Sentence {
        source: &[5, 6, 7, 2],
        target: &[8, 9, 2],
        source_language: LanguageId(0),
        target_language: LanguageId(0),
        key: 0,
    };
    let cx = Context {
        backend: &Reference::<f32>::new(),
        store: &store,
        adapters: &set.adapters,
        dropout: None,
    };
    let batch = Batch::new(&[sentence], model.layout());
    let _ = model.loss(&cx, &batch, Default::default());
    true
}

pub fn adapters_json(bytes: &[u8]) -> bool {
    let dir = folder(&[(INDEX, bytes), (OF_GERMAN, &saved().weights)]);
    adapters(dir.path())
}

pub fn adapter_weights(bytes: &[u8]) -> bool {
    let dir = folder(&[(INDEX, &saved().index), (OF_GERMAN, bytes)]);
    adapters(dir.path())
}

pub fn compact_adapters_json(bytes: &[u8]) -> bool {
    let dir = folder(&[(INDEX, bytes), (OF_GERMAN, &compacted().weights)]);
    adapters(dir.path())
}

pub fn compact_adapter_weights(bytes: &[u8]) -> bool {
    let dir = folder(&[(INDEX, &compacted().index), (OF_GERMAN, bytes)]);
    adapters(dir.path())
}

const VOCABULARY: &str = "vocabulary.json";

/// A tokenizer that output vocabularies are learnt with.
fn pieces() -> &'static Tokenizer {
    static PIECES_OPEN: OnceLock<Tokenizer> = OnceLock::new();
    PIECES_OPEN.get_or_init(|| {
        let dir = folder(&[("sentencepiece.bpe.model", PIECES)]);
        Tokenizer::open(dir.path()).expect("the fixture")
    })
}

/// The output vocabulary of one language, as it was saved.
pub fn learnt() -> &'static [u8] {
    static LEARNT: OnceLock<Vec<u8>> = OnceLock::new();
    LEARNT.get_or_init(|| {
        let german: Language = "deu_Latn".parse().expect("a language");
        let learnt = Vocabulary::learn(pieces(), &german, [TEXT], [TEXT]);
        let by_language = [(german, learnt)].into();
        let dir = folder(&[]);
        let saved = Vocabularies { by_language }.save(dir.path(), pieces());
        saved.expect("a file");
        std::fs::read(dir.path().join(VOCABULARY)).expect(VOCABULARY)
    })
}

pub fn vocabulary_json(bytes: &[u8]) -> bool {
    let dir = folder(&[(VOCABULARY, bytes)]);
    let Ok(found) = Vocabularies::load(dir.path(), pieces()) else {
        return false;
    };
    let size = pieces().vocab_size() as u32;
    for vocabulary in found.by_language.values() {
        assert!(vocabulary.ids().iter().all(|&id| id < size));
    }
    true
}
