use std::path::{Path, PathBuf};

use crate::adapter::Adapters;
use crate::checkpoint;
use crate::config::{self, ConfigError, PretrainConfig};
use crate::corpus::{Corpus, Sampler};
use crate::files;
use crate::language::Language;
use crate::model::{DType, Model, ModelConfig, Tensor, initial_tensors, tensors_of};
use crate::params::ParamStore;
use crate::tokenize::{self, Tokenizer, VocabularyOptions, train_vocabulary, write_folder};
use crate::train::material::Material;
use crate::train::memory::Footprint;
use crate::train::run_dir::BEST;
use crate::train::setup::{self, Estimate};
use crate::train::{Observer, Outcome, RunDir, TrainError, Trained, state};

/// What `isogloss pretrain` leaves.
#[derive(Debug)]
pub struct Pretraining {
    /// How training ended.
    pub trained: Trained,
    /// The folder of the base: an ordinary Hugging Face folder. Written when training is finished.
    pub model: PathBuf,
    /// Trained parameters: all.
    pub trainable: usize,
    /// What the run was expected to take.
    pub estimate: Estimate,
}

/// A run from scratch, ready to start.
#[derive(Debug)]
struct Prepared {
    corpus: Corpus,
    validation: Corpus,
    tokenizer: Tokenizer,
    languages: Vec<Language>,
    estimate: Estimate,
}

/// The weights that a run starts with.
#[derive(Debug)]
struct Start {
    model: ModelConfig,
    tensors: Vec<Tensor>,
    /// Hash of the weights, if they are those of another model.
    initial: Option<String>,
}

impl Start {
    /// Those of the folder that the configuration names, or fresh ones.
    fn new(
        config: &PretrainConfig,
        base: &Path,
        tokenizer: &Tokenizer,
    ) -> Result<Self, TrainError> {
        let training = &config.training;
        let rows = tokenizer.vocab_size();
        let Some(dir) = &config.initial else {
            let model = config
                .shape
                .model(rows, training.dropout, training.attention_dropout);
            return Ok(Start {
                tensors: initial_tensors(&model, config.seed),
                model,
                initial: None,
            });
        };
        let dir = setup::resolve(base, dir);
        let checkpoint = checkpoint::open(&dir)?;
        tokenizer.check_rows(checkpoint.config.vocab_size)?;
        Ok(Start {
            model: ModelConfig {
                dropout: training.dropout,
                attention_dropout: training.attention_dropout,
                activation_dropout: 0.0,
                ..checkpoint.config.clone()
            },
            initial: Some(checkpoint.fingerprint()),
            tensors: checkpoint.tensors,
        })
    }
}

/// Trains a base from scratch, or goes on where the run stands. `config_dir` is where relative paths start.
///
/// # Errors
/// [`TrainError`]: text, configuration, files, divergence.
pub fn pretrain(
    config: &PretrainConfig,
    config_dir: &Path,
    observer: &mut dyn Observer,
) -> Result<Pretraining, TrainError> {
    config.validate()?;
    let mut run = RunDir::open(&setup::resolve(config_dir, &config.run), config)?;
    let folder = run.path().join("model");
    let prepared = prepare(config, config_dir, &folder, observer)?;
    let start = Start::new(config, config_dir, &prepared.tokenizer)?;
    let mut inputs = vec![
        ("training text", prepared.corpus.fingerprint()),
        ("validation text", prepared.validation.fingerprint()),
    ];
    inputs.extend(start.initial.map(|hash| ("initial model", hash)));
    run.bind(&inputs)?;
    let backend = config.compute.backend()?;
    let mut store = ParamStore::new();
    let model = Model::<f32>::new(&start.model, start.tensors, Some(&mut store))?;
    let material = Material::new(
        config.into(),
        &prepared.corpus,
        &prepared.validation,
        &prepared.tokenizer,
        &prepared.languages,
        start.model.max_position_embeddings,
    )?;
    let none = Adapters::default();
    let trainer = material.trainer(&backend, &model, &none, None);
    let trained = trainer.train(&mut run, &mut store, observer)?;
    if trained.outcome == Outcome::Finished {
        checkpoint::write(&folder, &start.model, &tensors_of(&store, DType::Bf16))?;
    }
    Ok(Pretraining {
        trained,
        model: folder,
        trainable: store.values().len(),
        estimate: prepared.estimate,
    })
}

/// Writes the best values that a run has validated so far to a folder, as [`pretrain`] does at its end; also while it is still
/// training in another process.
///
/// # Errors
/// [`TrainError`]: there is no validated state yet, it belongs to another shape, or files.
pub fn export(config: &PretrainConfig, config_dir: &Path, to: &Path) -> Result<(), TrainError> {
    let run = setup::resolve(config_dir, &config.run);
    let tokenizer_dir = run.join("model");
    let tokenizer = Tokenizer::open(&tokenizer_dir)?;
    let start = Start::new(config, config_dir, &tokenizer)?;
    let shape = start.model;
    let mut store = ParamStore::new();
    Model::<f32>::new(&shape, start.tensors, Some(&mut store))?;
    state::load_values(&run.join(BEST), &mut store)?;
    files::create_dir(to)?;
    tokenize::copy_files(&tokenizer_dir, to)?;
    Ok(checkpoint::write(
        to,
        &shape,
        &tensors_of(&store, DType::Bf16),
    )?)
}

fn prepare(
    config: &PretrainConfig,
    base: &Path,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<Prepared, TrainError> {
    let classes = config::languages(&config.languages)?;
    let languages: Vec<Language> = classes.into_iter().map(|(language, _)| language).collect();
    let wanted = config.directions.filter(&languages);
    let (corpus, report) = setup::training_text(&config.data, base, &wanted, &config.filter)?;
    observer.cleaned(&report);
    let estimate = config.estimate_for(base, &languages, &corpus)?;
    observer.planned(&estimate);
    let validation = config.validation_text(base, &languages, &corpus)?;
    // The vocabulary is part of the run: once it is written, resuming reads it.
    let tokenizer = match (
        folder.join("sentencepiece.bpe.model").exists(),
        &config.initial,
    ) {
        (true, _) => Tokenizer::open(folder)?,
        (false, Some(initial)) => {
            let initial = setup::resolve(base, initial);
            let tokenizer = Tokenizer::open(&initial)?;
            files::create_dir(folder)?;
            tokenize::copy_files(&initial, folder)?;
            tokenizer
        }
        (false, None) => {
            tracing::info!("training the vocabulary");
            let lines = languages.iter().flat_map(|language| {
                let texts = corpus.texts(language).take(config.vocabulary.lines);
                texts.map(|text| (language.clone(), text))
            });
            let options = VocabularyOptions {
                vocab_size: config.vocabulary.size,
                character_coverage: config.vocabulary.character_coverage,
                ..VocabularyOptions::default()
            };
            let model = train_vocabulary(lines, &options)?;
            write_folder(folder, &model, &languages)?
        }
    };
    Ok(Prepared {
        corpus,
        validation,
        tokenizer,
        languages,
        estimate,
    })
}

impl PretrainConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        config::check_run(&self.run, self.seed, &self.validation)?;
        self.training.validate()?;
        let languages = || self.languages.values().flatten();
        self.training.check_pivot(languages())?;
        self.directions.check(languages())?;
        self.shape.validate()?;
        self.compute.check_reuse(false, &self.training)
    }

    /// Whether [`pretrain`] would start, or go on, in the run's folder.
    ///
    /// # Errors
    /// If the folder was started with another configuration.
    pub fn check_folder(&self, base: &Path) -> Result<(), TrainError> {
        RunDir::check(&setup::resolve(base, &self.run), self)
    }

    /// What the run will take. The vocabulary isn't trained for it.
    ///
    /// # Errors
    /// [`TrainError`]: text or configuration.
    pub fn estimate(&self, base: &Path) -> Result<Estimate, TrainError> {
        self.validate()?;
        let classes = config::languages(&self.languages)?;
        let languages: Vec<Language> = classes.into_iter().map(|(language, _)| language).collect();
        let wanted = self.directions.filter(&languages);
        let (corpus, _) = setup::training_text(&self.data, base, &wanted, &self.filter)?;
        self.validation_text(base, &languages, &corpus)?;
        self.estimate_for(base, &languages, &corpus)
    }

    /// Validation text; where it is training text, it says so.
    fn validation_text(
        &self,
        base: &Path,
        languages: &[Language],
        training: &Corpus,
    ) -> Result<Corpus, TrainError> {
        let text = setup::validation_text(&self.validation, base, &self.directions, languages)?;
        setup::warn_of_overlap("validation", &text, training);
        Ok(text)
    }

    fn estimate_for(
        &self,
        base: &Path,
        languages: &[Language],
        corpus: &Corpus,
    ) -> Result<Estimate, TrainError> {
        let training = &self.training;
        let rows = self.vocabulary.size + languages.len() + 2;
        let model = match &self.initial {
            Some(initial) => checkpoint::open(&setup::resolve(base, initial))?.config,
            None => self
                .shape
                .model(rows, training.dropout, training.attention_dropout),
        };
        let sampler = Sampler::new(corpus.directions(), &training.sample, self.seed)?;
        let parameters = model.parameters();
        let tokens_per_epoch = mean_tokens(corpus) * sampler.pairs_per_epoch() as f64;
        let footprint = Footprint {
            model: &model,
            training,
            // They are parameters, and leave their files before the first update.
            base: 0,
            stored: parameters,
            text: corpus.memory(),
            tokens_per_epoch,
            reuse: None,
        };
        Ok(Estimate {
            base_parameters: parameters,
            by_update: Vec::new(),
            trainable: parameters,
            active: parameters,
            after_compaction: parameters,
            pairs_per_epoch: sampler.pairs_per_epoch(),
            directions: setup::shares(corpus, &sampler),
            memory: footprint.peak(),
            operations: tokens_per_epoch
                * training.epochs as f64
                * setup::operations_per_token(&model, true),
            reuse: None,
        })
    }
}

/// Tokens of a pair's average side, guessed at four characters a token, with tag and `</s>`.
fn mean_tokens(corpus: &Corpus) -> f64 {
    let (mut characters, mut sides) = (0usize, 0usize);
    for (direction, _) in corpus.directions() {
        for (source, target) in corpus.pairs(direction).take(200) {
            characters += source.chars().count() + target.chars().count();
            sides += 2;
        }
    }
    2.0 + characters as f64 / sides.max(1) as f64 / 4.0
}
