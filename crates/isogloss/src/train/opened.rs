use std::path::{Path, PathBuf};

use crate::checkpoint::{self, Checkpoint};
use crate::config::{self, Method, TrainConfig};
use crate::corpus::{Corpus, FilterReport};
use crate::language::{Language, Resource};
use crate::tokenize::Tokenizer;
use crate::train::{TrainError, setup};

/// The base with its tokenizer.
pub(super) struct Opened {
    pub dir: PathBuf,
    pub checkpoint: Checkpoint,
    pub tokenizer: Tokenizer,
    pub languages: Vec<(Language, Resource)>,
}

impl Opened {
    pub fn new(config: &TrainConfig, config_dir: &Path) -> Result<Self, TrainError> {
        config.training.validate()?;
        config.check_pruning()?;
        let frozen = config.method != Method::Full;
        config.compute.check_reuse(frozen, &config.training)?;
        let languages = config::languages(&config.languages)?;
        let dir = setup::resolve(config_dir, &config.model);
        let checkpoint = checkpoint::open(&dir)?;
        let tokenizer = Tokenizer::open(&dir)?;
        tokenizer.check_rows(checkpoint.config.vocab_size)?;
        Ok(Opened {
            dir,
            checkpoint,
            tokenizer,
            languages,
        })
    }

    /// The run's languages.
    pub fn codes(&self) -> Vec<Language> {
        self.languages.iter().map(|(l, _)| l.clone()).collect()
    }

    pub fn training_text(
        &self,
        config: &TrainConfig,
        config_dir: &Path,
    ) -> Result<(Corpus, FilterReport), TrainError> {
        let wanted = config.directions.filter(&self.codes());
        setup::training_text(&config.data, config_dir, &wanted, &config.filter)
    }
}
