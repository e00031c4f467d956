//! Text that stands under another language's name, as where columns or files are swapped: cleaning can't tell it within a script.

use isogloss_kernels::Backend;

use crate::adapter::Adapters;
use crate::batch::LanguageId;
use crate::corpus::Corpus;
use crate::language::{Direction, Language};
use crate::model::{Context, Model};
use crate::params::ParamStore;
use crate::tokenize::Tokenizer;
use crate::train::TrainError;
use crate::train::data::{Example, pack};

/// Pairs of a language, spread over the text, that are looked at.
const LOOKS: usize = 3;

/// By how many nats a token the base must find a text likelier under another name. A text under the wrong one costs several; the names
/// of machines, or the same sentence in two close languages, nearly nothing.
const MARGIN: f64 = 0.5;

/// Tokens that are looked at under other names, more or less: seconds of a small model, a minute or two of a large one. With many languages
/// those texts are looked at that are least likely under their own.
const TOKENS: usize = 20_000;

/// Without updates, whose they are doesn't matter.
const NOBODY: LanguageId = LanguageId(u16::MAX);

/// A language whose text looks like another's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mislabelled {
    /// The name that the text has.
    pub named: Language,
    /// The language that it is likelier in.
    pub likelier: Language,
    /// By how many nats a token.
    pub nats: f64,
}

/// The untouched base, asked for the likelihood of texts.
#[derive(Debug)]
pub(super) struct Judge<'a, B: Backend> {
    pub backend: &'a B,
    pub model: &'a Model<B::Real>,
    pub store: &'a ParamStore<B::Real>,
    pub tokenizer: &'a Tokenizer,
    /// Longest side in tokens; longer ones aren't looked at.
    pub max_tokens: usize,
}

impl<B: Backend> Judge<'_, B> {
    /// The languages whose text is far likelier under the name of another language of the corpus, in the same script: as the target of a
    /// translation, whatever its source.
    ///
    /// # Errors
    /// If the tokenizer doesn't know a language.
    pub fn mislabelled(&self, corpus: &Corpus) -> Result<Vec<Mislabelled>, TrainError> {
        let languages: Vec<Language> = corpus.languages().into_iter().cloned().collect();
        let mut own = Vec::new();
        for language in &languages {
            let mut into = corpus.directions().map(|(direction, _)| direction);
            let Some(direction) = into.find(|d| d.target == *language) else {
                continue;
            };
            if let Some((nll, _)) = self.nll(corpus, direction, language)? {
                own.push((direction, nll));
            }
        }
        own.sort_by(|a, b| b.1.total_cmp(&a.1));
        let (mut found, mut tokens) = (Vec::new(), 0);
        for (direction, own) in own {
            let named = &direction.target;
            let others = languages
                .iter()
                .filter(|l| *l != named && l.script() == named.script());
            let mut best = (own - MARGIN, None);
            for other in others {
                let Some((nll, looked)) = self.nll(corpus, direction, other)? else {
                    continue;
                };
                tokens += looked;
                if nll < best.0 {
                    best = (nll, Some(other));
                }
            }
            if let (nll, Some(likelier)) = best {
                found.push(Mislabelled {
                    named: named.clone(),
                    likelier: likelier.clone(),
                    nats: own - nll,
                });
            }
            if tokens > TOKENS {
                break;
            }
        }
        Ok(found)
    }

    /// Negative log-likelihood of a few targets of a direction as text of a language, in nats a token, and the tokens of it; none if all pairs
    /// are too long.
    fn nll(
        &self,
        corpus: &Corpus,
        direction: &Direction,
        language: &Language,
    ) -> Result<Option<(f64, usize)>, TrainError> {
        let pairs = corpus.len(direction);
        let looks = LOOKS.min(pairs);
        let mut examples = Vec::new();
        for i in 0..looks {
            let Some((source, target)) = corpus.pair(direction, (2 * i + 1) * pairs / (2 * looks))
            else {
                continue;
            };
            let source = (source, &direction.source, NOBODY);
            let example = Example::new(self.tokenizer, source, (target, language, NOBODY), 0)?;
            examples.extend(Some(example).filter(|e| e.tokens() <= self.max_tokens));
        }
        if examples.is_empty() {
            return Ok(None);
        }
        let adapters = Adapters::default();
        let cx = Context {
            backend: self.backend,
            store: self.store,
            adapters: &adapters,
            dropout: None,
        };
        let batch = pack(&examples, self.model.layout());
        let loss = self.model.loss(&cx, &batch, Default::default());
        Ok((loss.tokens > 0).then(|| (loss.nll / loss.tokens as f64, loss.tokens)))
    }
}

/// Says so.
pub(super) fn warn(found: &[Mislabelled], what: &str) {
    for Mislabelled {
        named,
        likelier,
        nats,
    } in found
    {
        let both = found
            .iter()
            .any(|other| other.named == *likelier && other.likelier == *named);
        let and = match both {
            true => ", and the other way round: are the two exchanged?",
            false => "; look at the order of the columns and the names of the files",
        };
        tracing::warn!(
            "{what} text: what stands under {named} looks like {likelier} (by {nats:.1} nats a token, to the base){and}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint;
    use crate::corpus::{DirectionFilter, folder};
    use isogloss_kernels::Cpu;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The text of `names` under the names of `languages`.
    fn text(languages: &[&str], names: &[&str]) -> Corpus {
        let everyday = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/everyday");
        let dir = tempfile::tempdir().unwrap();
        for (language, of) in languages.iter().zip(names) {
            let to = dir.path().join(format!("{language}.tsv"));
            std::fs::copy(everyday.join(format!("{of}.tsv")), to).unwrap();
        }
        let all: BTreeSet<Language> = languages.iter().map(|l| l.parse().unwrap()).collect();
        let section = folder(dir.path(), None, None, &all).unwrap();
        Corpus::load(&[section], dir.path(), &DirectionFilter::Among(all)).unwrap()
    }

    #[test]
    fn text_under_another_languages_name_is_found_and_nothing_else() {
        let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mini");
        let checkpoint = checkpoint::open(&mini).unwrap();
        let (backend, store) = (Cpu::new(2).unwrap(), ParamStore::new());
        let judge = Judge {
            backend: &backend,
            model: &Model::new(&checkpoint.config, checkpoint.tensors, None).unwrap(),
            store: &store,
            tokenizer: &Tokenizer::open(&mini).unwrap(),
            max_tokens: 128,
        };
        let found = |languages: &[&str], names: &[&str]| {
            let found = judge.mislabelled(&text(languages, names)).unwrap();
            let mut found: Vec<String> = found
                .iter()
                .map(|m| format!("{} {}", m.named, m.likelier))
                .collect();
            found.sort();
            found
        };
        let languages = [
            "deu_Latn", "eng_Latn", "fra_Latn", "hun_Latn", "por_Latn", "rus_Cyrl", "spa_Latn",
            "ukr_Cyrl",
        ];
        assert!(found(&languages, &languages).is_empty());
        // Whether or not others are beside them.
        let swapped = ["por_Latn spa_Latn", "spa_Latn por_Latn"];
        let two = ["por_Latn", "spa_Latn"];
        assert_eq!(found(&two, &["spa_Latn", "por_Latn"]), swapped);
        let mut names = languages;
        names.swap(4, 6);
        assert_eq!(found(&languages, &names), swapped);
        names.swap(4, 6);
        names[0] = "fra_Latn";
        assert_eq!(found(&languages, &names), ["deu_Latn fra_Latn"]);
    }
}
