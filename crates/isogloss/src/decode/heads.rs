use std::collections::BTreeMap;
use std::sync::OnceLock;

use isogloss_kernels::{Backend, Real};

use crate::batch::LanguageId;
use crate::decode::DecodeError;
use crate::graph::ModelConfig;
use crate::model::{Context, Head, Model};

/// For some target languages the pieces that translations are made of: logits are computed for these alone, which is faster, and the
/// search takes their softmax. Each language's part of the embedding is copied when it is first needed: `pieces * d_model` values as
/// the model stores them, and once more where the backend packs weights ahead.
#[derive(Debug, Clone, Default)]
pub struct Heads<R> {
    by_language: BTreeMap<LanguageId, Part<R>>,
}

#[derive(Debug, Clone)]
struct Part<R> {
    /// Ascending.
    ids: Vec<u32>,
    head: OnceLock<Head<R>>,
}

impl<R: Real> Heads<R> {
    /// Vocabularies of target languages for a model; any other language has all pieces. `</s>` is always among them, padding never.
    ///
    /// # Errors
    /// If an id lies outside the model's vocabulary.
    pub fn new(
        vocabularies: impl IntoIterator<Item = (LanguageId, Vec<u32>)>,
        config: &ModelConfig,
    ) -> Result<Self, DecodeError> {
        let mut by_language = BTreeMap::new();
        for (language, mut ids) in vocabularies {
            ids.push(config.eos_token_id);
            ids.sort_unstable();
            ids.dedup();
            ids.retain(|&id| id != config.pad_token_id);
            if let Some(&id) = ids.last().filter(|&&id| id as usize >= config.vocab_size) {
                return Err(DecodeError::Vocabulary {
                    id,
                    vocabulary: config.vocab_size,
                });
            }
            let head = OnceLock::new();
            by_language.insert(language, Part { ids, head });
        }
        Ok(Heads { by_language })
    }

    /// Pieces of a language's translations; none if it has all.
    #[must_use]
    pub fn pieces(&self, language: LanguageId) -> Option<usize> {
        self.by_language.get(&language).map(|part| part.ids.len())
    }

    /// The head of a language, made now if need be; none if it is the whole.
    pub(super) fn get<B: Backend<Real = R>>(
        &self,
        model: &Model<R>,
        cx: &Context<'_, B>,
        language: LanguageId,
    ) -> Option<&Head<R>> {
        let part = self.by_language.get(&language)?;
        if let Some(head) = part.head.get() {
            return Some(head);
        }
        // Not under the lock: whoever else waits for it might be a thread that packing needs.
        let made = model.head(cx, &part.ids);
        Some(part.head.get_or_init(|| made))
    }
}
