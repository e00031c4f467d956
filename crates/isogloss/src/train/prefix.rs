use std::collections::HashSet;

use serde::Serialize;

use crate::adapter::Adapters;
use crate::corpus::Corpus;
use crate::model::{ModelConfig, PrefixCache};
use crate::tokenize::{TokenizeError, Tokenizer};

/// What it takes to keep the encoder's states below the lowest adapted layer from epoch to epoch, and what it saves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrefixReuse {
    /// Encoder layers that a kept sentence doesn't go through again; 0: there is nothing to reuse.
    pub layers: usize,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Bytes of all distinct source sentences of the training text.
    pub full: usize,
    /// Most bytes that are kept.
    pub limit: usize,
    /// Bytes that the run is expected to keep.
    pub kept: usize,
}

impl PrefixReuse {
    /// What keeping at most `limit` bytes means for a run.
    ///
    /// # Errors
    /// If the tokenizer doesn't know a language.
    pub(super) fn new(
        model: &ModelConfig,
        adapters: &Adapters,
        corpus: &Corpus,
        tokenizer: &Tokenizer,
        limit: usize,
        concatenates: bool,
    ) -> Result<Self, TokenizeError> {
        let encoder_layers = model.encoder_layers;
        let layers = adapters.encoder_layers_below(encoder_layers);
        let mut full = 0;
        if layers > 0 {
            let mut seen = HashSet::new();
            for (direction, _) in corpus.directions() {
                for (source, _) in corpus.pairs(direction) {
                    if seen.insert((&direction.source, source)) {
                        let tokens = tokenizer.source_ids(source, &direction.source)?.len();
                        full += PrefixCache::<f32>::sentence_bytes(tokens, model.d_model);
                    }
                }
            }
        }
        Ok(PrefixReuse {
            layers,
            encoder_layers,
            full,
            limit,
            // Joined sentences are others in every epoch, and fill what there is.
            kept: match concatenates && layers > 0 {
                true => limit,
                false => full.min(limit),
            },
        })
    }
}
