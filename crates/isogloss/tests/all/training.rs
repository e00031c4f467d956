//! Training as the library runs it: every method learns, an interrupted run ends as one that wasn't, a run's folder guards
//! itself.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use isogloss::adapter::Adapters;
use isogloss::checkpoint;
use isogloss::config::{PretrainConfig, TrainConfig};
use isogloss::corpus::{Corpus, DirectionFilter};
use isogloss::model::{Context, Model};
use isogloss::params::ParamStore;
use isogloss::tokenize::Tokenizer;
use isogloss::train::{
    Adaptation, Event, HeldOut, LanguageIds, Observer, Outcome, RunDir, Silent, TrainError,
    Validate, adapt, pretrain,
};
use isogloss_kernels::Cpu;
use safetensors::SafeTensors;
use tempfile::TempDir;

/// Text of the factory's handbook: `split` of `rows` rows in all.
pub(crate) fn data(section: &str, split: &str, rows: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/factory/{lang}.tsv");
    format!(
        "[[{section}]]\nformat = \"tsv-rows\"\npath = {path:?}\nrows = \"{rows}\"\nwhere = {{ split = \"{split}\" }}\n"
    )
}

const LANGUAGES: &str =
    "[languages]\nhigh = [\"eng_Latn\"]\nmedium = [\"deu_Latn\"]\nlow = [\"nld_Latn\"]\n";

/// A base that has seen little, trained once.
pub(crate) fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("training");
        let _ = std::fs::remove_dir_all(&folder);
        let text = format!(
            "run = \"base\"\ndirections = {{ pivot = \"eng_Latn\" }}\n{LANGUAGES}{}[validation]\nsentences = 4\n{}\
             [vocabulary]\nsize = 320\n\
             [shape]\nd_model = 16\nencoder_layers = 1\ndecoder_layers = 1\nattention_heads = 2\nffn_dim = 32\n\
             max_position_embeddings = 200\n\
             [training]\nepochs = 2\nbatch_tokens = 800\nmax_tokens = 128\nlearning_rate = 0.01\ndropout = 0.0\n\
             [compute]\nthreads = 1\n",
            data("data", "train", "1-60"),
            data("validation.data", "valid", "1-60"),
        );
        let config: PretrainConfig = toml::from_str(&text).unwrap();
        let done = pretrain(&config, &folder, &mut Silent).unwrap();
        assert_eq!(done.trained.outcome, Outcome::Finished);
        done.model
    })
}

/// A run of a few updates.
pub(crate) fn config(run: &str, method: &str) -> TrainConfig {
    let text = format!(
        "run = {run:?}\nmodel = {:?}\nmethod = {method:?}\ndirections = {{ pivot = \"eng_Latn\" }}\n{LANGUAGES}{}\
         [validation]\nsentences = 6\n{}\
         [training]\nepochs = 2\nbatch_tokens = 500\naccumulate = 2\nmax_tokens = 128\nlearning_rate = 0.02\n\
         attention_dropout = 0.1\nconcatenate = 0.2\n[compute]\nthreads = 1\n",
        base(),
        data("data", "train", "1-40"),
        data("validation.data", "valid", "1-60"),
    );
    toml::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

pub(crate) fn train(config: &TrainConfig, folder: &Path) -> Result<Adaptation, TrainError> {
    adapt(config, folder, &mut Silent)
}

/// Stops after so many updates of this process.
struct StopAfter(u64);

impl Observer for StopAfter {
    fn event(&mut self, event: &Event) {
        if matches!(event, Event::Update { .. }) {
            self.0 -= 1;
        }
    }

    fn stop(&self) -> bool {
        self.0 == 0
    }
}

/// Trains so many updates, and is interrupted.
pub(crate) fn interrupted(config: &TrainConfig, folder: &Path, updates: u64) {
    let mut observer = StopAfter(updates);
    let stopped = adapt(config, folder, &mut observer).unwrap();
    assert_eq!(stopped.trained.outcome, Outcome::Interrupted);
    assert!(!stopped.result.exists(), "no result of half a run");
}

pub(crate) fn events(run: &Path) -> String {
    std::fs::read_to_string(run.join("events.jsonl")).unwrap()
}

fn append(run: &Path, text: &str) {
    let file = OpenOptions::new()
        .append(true)
        .open(run.join("events.jsonl"));
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// What training left, time aside: arrays of the state and of the best values, and the result's weights.
pub(crate) fn left(run: &Path, result: &Path) -> Vec<(String, Vec<u8>)> {
    let mut left = Vec::new();
    let mut folders = vec![run.join("checkpoints"), result.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "safetensors") {
                let bytes = std::fs::read(&path).unwrap();
                let name = path.strip_prefix(run).unwrap().display();
                for (array, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
                    left.push((format!("{name}:{array}"), view.data().to_vec()));
                }
            }
        }
    }
    left.sort();
    left
}

/// The updates at which epochs of a run ended.
pub(crate) fn epoch_ends(events: &str) -> Vec<u64> {
    let lines = events.lines().map(|l| serde_json::from_str(l).unwrap());
    lines
        .filter_map(|event| match event {
            Event::Validation { update, epoch, .. } if epoch > 0 => Some(update),
            _ => None,
        })
        .collect()
}

/// Interrupted early, at the very end of an epoch and shortly before the end, with other numbers of threads, and killed in
/// between: everything is as in one go.
fn resumes_exactly(method: &str) {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let whole = config("whole", method);
    let done = train(&whole, folder).unwrap();
    let expected_events = events(&folder.join("whole"));
    let expected = left(&folder.join("whole"), &done.result);
    assert!(expected.len() > 6);
    let ends = epoch_ends(&expected_events);
    assert!(ends.len() == 2 && ends[0] > 3, "{ends:?}");

    let mut parts = config("parts", method);
    let run = folder.join("parts");
    interrupted(&parts, folder, 2);
    // The first line is the validation before the first update.
    // A process that was killed leaves events that weren't saved: of a later update, the last line torn, …
    let lines: Vec<&str> = expected_events.lines().collect();
    append(&run, &format!("{}\n{}", lines[3], &lines[4][..20]));
    parts.compute.threads = 2;
    interrupted(&parts, folder, ends[0] - 2);
    // … and of the validation after the update that was saved.
    let validation = lines[ends[0] as usize + 1];
    assert!(validation.contains("validation"));
    append(&run, &format!("{validation}\n"));
    interrupted(&parts, folder, 1);
    parts.compute.threads = 3;
    let resumed = train(&parts, folder).unwrap();
    assert_eq!(resumed.trained.outcome, Outcome::Finished);
    assert_eq!(events(&run), expected_events);
    let got = left(&run, &resumed.result);
    assert_eq!(got.len(), expected.len());
    for ((name, got), (expected_name, expected)) in got.iter().zip(&expected) {
        assert_eq!(name, expected_name);
        assert!(got == expected, "{name} differs");
    }

    // What is finished stays as it is.
    let again = train(&parts, folder).unwrap();
    assert_eq!(again.trained.state.update, resumed.trained.state.update);
    assert_eq!(events(&run), expected_events);
}

#[test]
fn language_specific_updates_resume_exactly() {
    resumes_exactly("lslo");
}

#[test]
fn full_fine_tuning_resumes_exactly() {
    resumes_exactly("full");
}

/// A process that dies before anything was saved starts over, its log too.
#[test]
fn a_run_that_never_saved_starts_over() {
    let folder = TempDir::new().unwrap();
    let mut config = config("run", "lslo");
    config.training.epochs = 1;
    let _ = train(&config, folder.path()).unwrap();
    let run = folder.path().join("run");
    let expected = events(&run);
    std::fs::remove_dir_all(run.join("checkpoints")).unwrap();
    std::fs::remove_dir_all(run.join("adapters")).unwrap();
    let _ = train(&config, folder.path()).unwrap();
    assert_eq!(events(&run), expected);
}

/// Validation loss of the base.
fn base_nll(config: &TrainConfig) -> f64 {
    let (checkpoint, tokenizer) = (
        checkpoint::open(base()).unwrap(),
        Tokenizer::open(base()).unwrap(),
    );
    let model = Model::new(&checkpoint.config, checkpoint.tensors, None).unwrap();
    let all = config
        .languages
        .values()
        .flatten()
        .cloned()
        .collect::<Vec<_>>();
    let wanted: DirectionFilter = config.directions.filter(&all);
    let corpus = Corpus::load(&config.validation.data, Path::new("."), &wanted).unwrap();
    let ids = LanguageIds::new(&all);
    let held_out = HeldOut::new(&corpus, &tokenizer, &ids, 6, 0, 128, 500).unwrap();
    let (backend, store) = (Cpu::new(1).unwrap(), ParamStore::new());
    let cx = Context {
        backend: &backend,
        store: &store,
        adapters: &Adapters::default(),
        dropout: None,
    };
    held_out.validate(&cx, &model).unwrap().nll
}

#[test]
fn every_method_lowers_the_validation_loss() {
    let folder = TempDir::new().unwrap();
    for method in ["lslo", "lora", "full"] {
        let mut config = config(method, method);
        config.training.epochs = 5;
        let before = base_nll(&config);
        let done = train(&config, folder.path()).unwrap();
        // What is measured before the first update is the untouched base.
        let state = &done.trained.state;
        assert!((state.before.unwrap().nll - before).abs() < 1e-6);
        let after = state.best_nll.unwrap();
        assert!(
            after < before - 0.02,
            "{method}: {before} before, {after} after"
        );
        assert!(done.trainable > 0 && done.result.is_dir());
    }
}

#[test]
fn a_changed_configuration_is_refused_and_compute_may_change() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let mut config = config("run", "lslo");
    interrupted(&config, folder, 1);
    config.training.learning_rate = 0.5;
    let text = train(&config, folder).unwrap_err().to_string();
    for part in [
        "`training.learning_rate` was 0.0",
        "now it is 0.5",
        "choose another `run`",
    ] {
        assert!(text.contains(part), "{text}");
    }
    config.training.learning_rate = 0.02;
    config.compute.threads = 2;
    let run = RunDir::open(&folder.join("run"), &config).unwrap();
    let text = train(&config, folder).unwrap_err().to_string();
    assert!(text.contains("in use by another process"), "{text}");
    drop(run);
    interrupted(&config, folder, 1);
}

/// A first try that failed before it trained anything doesn't bind the next one.
#[test]
fn a_configuration_may_be_mended_until_something_is_trained() {
    let folder = TempDir::new().unwrap();
    let mut config = config("run", "lslo");
    let sentences = std::mem::take(&mut config.validation.sentences);
    let text = train(&config, folder.path()).unwrap_err().to_string();
    assert!(text.contains("no validation sentence"), "{text}");
    config.validation.sentences = sentences;
    interrupted(&config, folder.path(), 1);
}

/// Every epoch trains on what fits, and counts what doesn't.
#[test]
fn sentences_that_are_too_long_are_left_out() {
    let folder = TempDir::new().unwrap();
    let tokens = |name: &str, max_tokens: usize| {
        let mut config = config(name, "lslo");
        config.training.epochs = 1;
        config.training.concatenate = 0.0;
        config.training.max_tokens = max_tokens;
        train(&config, folder.path())
            .unwrap()
            .trained
            .state
            .total_tokens
    };
    let (all, short) = (tokens("all", 128), tokens("short", 40));
    assert!(0 < short && short < all, "{short} of {all}");
}

/// By default the directions of the run are validated, as many as the text holds.
#[test]
fn validation_follows_the_runs_directions() {
    let folder = TempDir::new().unwrap();
    let mut config = config("run", "lslo");
    config.training.learning_rate = 1e-12;
    config.training.epochs = 1;
    let done = train(&config, folder.path()).unwrap();
    let (got, expected) = (done.trained.state.best_nll.unwrap(), base_nll(&config));
    assert!((got - expected).abs() < 1e-6, "{got}, the base {expected}");

    config.run = "less".into();
    let text = data("data", "valid", "1-60") + "languages = [\"eng_Latn\", \"deu_Latn\"]\n";
    #[derive(serde::Deserialize)]
    struct Sections {
        data: Vec<isogloss::corpus::DataConfig>,
    }
    config.validation.data = toml::from_str::<Sections>(&text).unwrap().data;
    let done = train(&config, folder.path()).unwrap();
    assert_eq!(done.trained.outcome, Outcome::Finished);
}

/// A base or a text that changed under its old name is not what the run was started with.
#[test]
fn changed_inputs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("model");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(base()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let text = folder.path().join("text.tsv");
    let line = "The pump is running.\tDie Pumpe l\u{e4}uft.\n";
    std::fs::write(&text, line.repeat(2) + "Stop.\tHalt.\n").unwrap();
    let mut config = config("run", "lslo");
    config.model = "model".into();
    config.data.push(
        toml::from_str(
            "format = \"tsv-pair\"\npath = \"text.tsv\"\ncolumns = [\"eng_Latn\", \"deu_Latn\"]\n",
        )
        .unwrap(),
    );
    interrupted(&config, folder.path(), 1);

    std::fs::write(&text, "Start.\tStart!\n".to_owned() + line).unwrap();
    let refused = train(&config, folder.path()).unwrap_err().to_string();
    assert!(refused.contains("another training text"), "{refused}");
    std::fs::write(&text, line.repeat(2) + "Stop.\tHalt.\n").unwrap();

    let mut checkpoint = checkpoint::open(&copy).unwrap();
    let mut values = checkpoint.tensors[0].storage.to_f32();
    values[0] += 1.0;
    checkpoint.tensors[0].storage = isogloss::model::Storage::F32(values);
    checkpoint::write(&copy, &checkpoint.config, &checkpoint.tensors).unwrap();
    let refused = train(&config, folder.path()).unwrap_err().to_string();
    assert!(refused.contains("another base"), "{refused}");
}
