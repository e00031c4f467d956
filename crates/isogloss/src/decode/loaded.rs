use std::path::{Path, PathBuf};

use isogloss_kernels::Backend;

use crate::adapter::{self, AdapterFileError, AdapterSet};
use crate::checkpoint::{self, BaseHash, CheckpointError};
use crate::decode::{DecodeError, TextTranslator, Translator};
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
}

impl Loaded {
    /// Loads the model in a folder, and the adapters in another that were trained on it. Reads every weight: to see that it is
    /// finite, and, with adapters, to see that it is theirs.
    ///
    /// # Errors
    /// If a file is missing or damaged, if the tokenizer's ids don't fit the weights, or if the adapters belong to another base.
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
        let (tokenizer, checkpoint) = (tokenizer?, checkpoint?);
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
        })
    }

    /// The same with the model's weights packed ahead for a backend: translation is faster, takes more memory (the
    /// weights in the precision of products, in place of those in the files), and gives the same. A backend in [`Precision::Int8`](isogloss_kernels::Precision::Int8) computes with bytes what is packed,
    /// and that is all of it.
    #[must_use]
    pub fn packed<B: Backend<Real = f32>>(mut self, backend: &B) -> Self {
        self.model.pack(backend, PackFor::Forward, MAX_PACKED);
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

    /// Translates text with the model and its updates, in batches of about `batch_tokens` source tokens (see
    /// [`Translator::with_batch_tokens`]).
    ///
    /// # Errors
    /// None: that the tokenizer fits was seen when the model was loaded.
    pub fn translator<'a, B: Backend<Real = f32>>(
        &'a self,
        backend: &'a B,
        batch_tokens: usize,
    ) -> Result<TextTranslator<'a, B>, DecodeError> {
        let translator =
            Translator::new(&self.model, self.context(backend)).with_batch_tokens(batch_tokens);
        TextTranslator::new(translator, &self.tokenizer, &self.set)
    }
}
