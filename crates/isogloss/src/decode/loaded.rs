use std::path::{Path, PathBuf};

use isogloss_kernels::Backend;

use crate::adapter::{self, AdapterFileError, AdapterSet};
use crate::checkpoint::{self, BaseHash, CheckpointError};
use crate::decode::{
    DecodeError, Heads, TextTranslator, Translator, Vocabularies, VocabularyError, VocabularyUse,
};
use crate::model::{Context, Model, ModelError, PackFor};
use crate::params::ParamStore;
use crate::tokenize::{TokenizeError, Tokenizer};

/// Why a model cannot be loaded for translation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The folder's tokenizer cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] TokenizeError),
    /// The weights cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Tokenizer and weights of the folder are not each other's.
    #[error("the tokenizer and the weights in {} don't belong together: {reason}", dir.display())]
    OtherTokenizer {
        /// The model folder.
        dir: PathBuf,
        /// How they differ.
        reason: TokenizeError,
    },
    /// The weights make no model.
    #[error("cannot use the model in {}", dir.display())]
    Model {
        /// The model folder.
        dir: PathBuf,
        /// What is wrong with them.
        source: ModelError,
    },
    /// The adapters cannot be read, or are another base's.
    #[error(transparent)]
    Adapters(#[from] AdapterFileError),
    /// The adapters' output vocabularies cannot be read, or are another tokenizer's.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
}

/// Most bytes for weights packed ahead that stay as they are as well: the embedding.
const MAX_PACKED: usize = 2 << 30;

/// A model with all that belongs to it, ready to translate.
#[derive(Debug)]
pub struct Loaded {
    /// The base.
    pub model: Model<f32>,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Values of the updates.
    pub store: ParamStore<f32>,
    /// The updates; none without adapters.
    pub set: AdapterSet,
    /// Hash of the base's tensors, by which adapters know it; none if nobody asked.
    pub hash: Option<BaseHash>,
    /// The output vocabularies that lie beside the updates; none without adapters, or with adapters from before there were any.
    pub vocabularies: Vocabularies,
    /// Those in use.
    heads: Heads<f32>,
}

impl Loaded {
    /// Loads the model in a folder, and the adapters in another that were trained on it. Reads every weight: to see that it is
    /// finite, and, with adapters, to see that it is theirs.
    ///
    /// # Errors
    /// If a file is missing or damaged, if the tokenizer's ids don't fit the weights, or if the adapters belong to another base or
    /// their output vocabularies to another tokenizer.
    pub fn open(model_dir: &Path, adapters: Option<&Path>) -> Result<Self, LoadError> {
        Self::load(model_dir, adapters, adapters.is_some())
    }

    /// The same, and the hash in any case, which takes about a second for 500 million parameters.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_hash(model_dir: &Path, adapters: Option<&Path>) -> Result<Self, LoadError> {
        Self::load(model_dir, adapters, true)
    }

    fn load(model_dir: &Path, adapters: Option<&Path>, hash: bool) -> Result<Self, LoadError> {
        let (tokenizer, checkpoint) = rayon::join(
            || Tokenizer::open(model_dir),
            || {
                checkpoint::open(model_dir).inspect(|checkpoint| {
                    if hash {
                        checkpoint.hash();
                    }
                })
            },
        );
        // Where both fail, the path is wrong, which the second says.
        let (checkpoint, tokenizer) = (checkpoint?, tokenizer?);
        tokenizer
            .check_rows(checkpoint.config.vocab_size)
            .map_err(|reason| LoadError::OtherTokenizer {
                dir: model_dir.to_owned(),
                reason,
            })?;
        let hash = hash.then(|| checkpoint.hash());
        let base = hash.map(|hash| hash.to_string()).unwrap_or_default();
        let mut store = ParamStore::new();
        let mut set = match adapters {
            Some(dir) => adapter::load(dir, &checkpoint.config, &base, &mut store)?,
            None => AdapterSet::none(Vec::new()),
        };
        set.share_with(tokenizer.languages());
        let vocabularies = match adapters {
            Some(dir) => Vocabularies::load(dir, &tokenizer)?,
            None => Vocabularies::default(),
        };
        let model = Model::new(&checkpoint.config, checkpoint.tensors, None).map_err(|source| {
            LoadError::Model {
                dir: model_dir.to_owned(),
                source,
            }
        })?;
        Ok(Loaded {
            model,
            tokenizer,
            store,
            set,
            hash,
            vocabularies,
            heads: Heads::default(),
        })
    }

    /// The same with output vocabularies in use, in all translators that it makes; by default none is. See
    /// [`Translator::with_heads`] for what changes.
    ///
    /// # Errors
    /// None: that the tokenizer fits was seen when the model was loaded.
    pub fn with_vocabularies(mut self, using: VocabularyUse) -> Result<Self, DecodeError> {
        let languages = self.vocabularies.by_language.iter();
        let served = languages.filter(|(_, vocabulary)| vocabulary.serves(using));
        let heads = served.filter_map(|(language, vocabulary)| {
            Some((self.set.language_id(language)?, vocabulary.ids().to_vec()))
        });
        self.heads = Heads::new(heads, self.model.config())?;
        Ok(self)
    }

    /// The same with the model's weights and the updates prepared for a backend: translation is faster, takes the weights' memory in the
    /// precision of products in place of those in the files, and gives the same but for the last digits of what updates add. In [`Precision::Int8`](isogloss_kernels::Precision::Int8) what
    /// is packed is quantised, and that is all of it.
    #[must_use]
    pub fn packed<B: Backend<Real = f32>>(mut self, backend: &B) -> Self {
        self.model.pack(backend, PackFor::Forward, MAX_PACKED);
        self.set.adapters.keep(backend, &mut self.store);
        self
    }

    /// What a pass through the model needs, without dropout.
    #[must_use]
    pub fn context<'a, B: Backend<Real = f32>>(&'a self, backend: &'a B) -> Context<'a, B> {
        Context {
            backend,
            store: &self.store,
            adapters: &self.set.adapters,
            dropout: None,
        }
    }

    /// Translates text with the model and its updates, about `batch_tokens` source tokens at a time, or as many as are best (see
    /// [`Translator::with_batch_tokens`]).
    ///
    /// # Errors
    /// None: that the tokenizer fits was seen when the model was loaded.
    pub fn translator<'a, B: Backend<Real = f32>>(
        &'a self,
        backend: &'a B,
        batch_tokens: Option<usize>,
    ) -> Result<TextTranslator<'a, B>, DecodeError> {
        let translator = Translator::new(&self.model, self.context(backend));
        let translator = match batch_tokens {
            Some(tokens) => translator.with_batch_tokens(tokens),
            None => translator,
        };
        let translator = translator.with_heads(&self.heads);
        TextTranslator::new(translator, &self.tokenizer, &self.set)
    }
}
