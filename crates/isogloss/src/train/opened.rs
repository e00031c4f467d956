use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::adapter::{self, AdapterSet};
use crate::checkpoint::{self, Checkpoint};
use crate::config::{self, Method, TrainConfig, TrainingConfig};
use crate::corpus::{Corpus, CorpusError, FilterReport};
use crate::hash::hex;
use crate::language::{Language, Resource};
use crate::model::ModelConfig;
use crate::params::ParamStore;
use crate::tokenize::Tokenizer;
use crate::train::{TrainError, setup};

/// The base with its tokenizer.
pub(super) struct Opened {
    pub dir: PathBuf,
    pub checkpoint: Checkpoint,
    pub tokenizer: Tokenizer,
    pub languages: Vec<(Language, Resource)>,
    /// Adapters that languages are added to.
    pub extended: Option<Extended>,
    /// The languages that get an update: all, or those that the extended adapters have none of.
    pub added: Vec<(Language, Resource)>,
}

/// Adapters of an earlier run, to which languages are added.
pub(super) struct Extended {
    pub dir: PathBuf,
    pub set: AdapterSet,
    /// Their values.
    pub store: ParamStore<f32>,
}

impl Extended {
    fn new(dir: PathBuf, checkpoint: &Checkpoint) -> Result<Self, TrainError> {
        let mut store = ParamStore::new();
        let base = checkpoint.hash().to_string();
        let set = adapter::load(&dir, &checkpoint.config, &base, &mut store)?;
        Ok(Extended { dir, set, store })
    }

    /// Changes with every value.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        self.store.hash_layout(&mut hash);
        hash.update(bytemuck::cast_slice(self.store.values()));
        hex(hash)
    }
}

impl Opened {
    pub fn new(config: &TrainConfig, config_dir: &Path) -> Result<Self, TrainError> {
        config::check_run(&config.run, config.seed, &config.validation)?;
        config.training.validate()?;
        config.check_pruning()?;
        config.check_extends()?;
        let training = &config.training;
        let known = || config.languages.values().flatten();
        training.check_pivot(known())?;
        // Adapters that are extended know languages of their own.
        if config.extends.is_none() {
            config.directions.check(known())?;
        }
        let frozen = config.method != Method::Full;
        config.compute.check_reuse(frozen, training)?;
        let languages = config::languages(&config.languages)?;
        let dir = setup::resolve(config_dir, &config.model);
        let checkpoint = checkpoint::open(&dir)?;
        let tokenizer = Tokenizer::open(&dir)?;
        tokenizer.check_rows(checkpoint.config.vocab_size)?;
        let extended = config.extends.as_ref().map(|dir| {
            let dir = setup::resolve(config_dir, dir);
            Extended::new(dir, &checkpoint)
        });
        let extended = extended.transpose()?;
        let mut added = languages.clone();
        if let Some(extended) = &extended {
            let ranks = &config.adapter;
            added.retain(|(l, class)| !extended.set.adapts(l) && ranks.rank_of(l, *class) > 0);
            if added.is_empty() {
                return Err(TrainError::NothingToAdd);
            }
        }
        Ok(Opened {
            dir,
            checkpoint,
            tokenizer,
            languages,
            extended,
            added,
        })
    }

    /// The base's configuration, with the dropout of training.
    pub fn shape(&self, training: &TrainingConfig) -> ModelConfig {
        ModelConfig {
            dropout: training.dropout,
            attention_dropout: training.attention_dropout,
            activation_dropout: 0.0,
            ..self.checkpoint.config.clone()
        }
    }

    /// Notes which directions the updates are trained in: those of the text, beside what extended adapters were trained in before.
    pub fn note_trained(&self, set: &mut AdapterSet, corpus: &Corpus) {
        let trained = corpus.directions().map(|(d, _)| d.clone());
        match self.extended {
            Some(_) => set.trained.extend(trained),
            None => set.trained = trained.collect(),
        }
    }

    /// The run's languages.
    pub fn codes(&self) -> Vec<Language> {
        self.languages.iter().map(|(l, _)| l.clone()).collect()
    }

    /// Leaves out the directions in which nothing would be trained.
    fn retain(&self, corpus: &mut Corpus) -> Result<(), TrainError> {
        if self.extended.is_none() {
            return Ok(());
        }
        corpus.retain_directions(|d| self.added.iter().any(|(language, _)| d.has(language)));
        match corpus.directions().len() {
            0 => Err(CorpusError::Nothing.into()),
            _ => Ok(()),
        }
    }

    pub fn training_text(
        &self,
        config: &TrainConfig,
        config_dir: &Path,
    ) -> Result<(Corpus, FilterReport), TrainError> {
        let wanted = config.directions.filter(&self.codes());
        let (mut corpus, report) =
            setup::training_text(&config.data, config_dir, &wanted, &config.filter)?;
        self.retain(&mut corpus)?;
        Ok((corpus, report))
    }

    /// Validation text; where it is training text, it says so.
    pub fn validation_text(
        &self,
        config: &TrainConfig,
        config_dir: &Path,
        training: &Corpus,
    ) -> Result<Corpus, TrainError> {
        let (validation, directions) = (&config.validation, &config.directions);
        let mut corpus = setup::validation_text(validation, config_dir, directions, &self.codes())?;
        self.retain(&mut corpus)?;
        setup::warn_of_overlap("validation", &corpus, training);
        Ok(corpus)
    }
}
