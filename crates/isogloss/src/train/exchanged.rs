//! Text of two languages that stands under each other's names: swapped columns or files, which cleaning can't tell within a script.

use std::collections::BTreeSet;

use isogloss_kernels::Backend;

use crate::adapter::Adapters;
use crate::corpus::Corpus;
use crate::language::{Direction, Language};
use crate::model::{Context, Model};
use crate::params::ParamStore;
use crate::tokenize::Tokenizer;
use crate::train::TrainError;
use crate::train::data::{Example, LanguageIds, pack};

/// Pairs that are looked at first, and in all where one of these is suspicious.
const LOOKS: [usize; 2] = [3, 9];

/// By how many nats a token the base must find a pair likelier with the names exchanged. Text in the wrong language costs several; the names
/// of machines, or the same sentence in two close languages, nearly nothing.
const MARGIN: f64 = 0.5;

/// What looks exchanged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exchanged {
    /// The two languages, as a direction of the text.
    pub direction: Direction,
    /// Pairs that the base finds likelier with the names exchanged.
    pub pairs: usize,
    /// Pairs that were looked at.
    pub of: usize,
}

/// The untouched base, asked for the likelihood of pairs.
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
    /// Where most of a few pairs, spread over the text, are far likelier under each other's names. Every language is looked at beside
    /// one other.
    ///
    /// # Errors
    /// If the tokenizer doesn't know a language.
    pub fn exchanged(&self, corpus: &Corpus) -> Result<Vec<Exchanged>, TrainError> {
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        for (direction, pairs) in corpus.directions() {
            let new = [&direction.source, &direction.target].map(|l| seen.insert(l));
            if new == [false, false] {
                continue;
            }
            for looks in LOOKS {
                let (worse, of) = self.look(corpus, direction, pairs, looks)?;
                if worse == 0 {
                    break;
                }
                if looks == LOOKS[1] && 2 * worse > of {
                    found.push(Exchanged {
                        direction: direction.clone(),
                        pairs: worse,
                        of,
                    });
                }
            }
        }
        Ok(found)
    }

    /// How many of so many pairs are likelier exchanged, and how many were short enough to be looked at.
    fn look(
        &self,
        corpus: &Corpus,
        direction: &Direction,
        pairs: usize,
        looks: usize,
    ) -> Result<(usize, usize), TrainError> {
        let (mut worse, mut of) = (0, 0);
        let looks = looks.min(pairs);
        for i in 0..looks {
            let Some(texts) = corpus.pair(direction, (2 * i + 1) * pairs / (2 * looks)) else {
                continue;
            };
            let languages = [&direction.source, &direction.target];
            let as_it_is = self.nll([texts.0, texts.1], languages)?;
            let exchanged = self.nll([texts.1, texts.0], languages)?;
            if let (Some(as_it_is), Some(exchanged)) = (as_it_is, exchanged) {
                of += 1;
                worse += usize::from(as_it_is > exchanged + MARGIN);
            }
        }
        Ok((worse, of))
    }

    /// Negative log-likelihood of two texts in two languages, each translated into the other, in nats a token; none if one is too long.
    fn nll(&self, texts: [&str; 2], languages: [&Language; 2]) -> Result<Option<f64>, TrainError> {
        let nobody = LanguageIds::new([]);
        let example = |source: usize| {
            let side = |i: usize| (texts[i], languages[i]);
            Example::new(self.tokenizer, &nobody, side(source), side(1 - source))
        };
        let both = [example(0)?, example(1)?];
        if both.iter().any(|e| e.tokens() > self.max_tokens) {
            return Ok(None);
        }
        let adapters = Adapters::default();
        let cx = Context {
            backend: self.backend,
            store: self.store,
            adapters: &adapters,
            dropout: None,
        };
        let batch = pack(&both, self.model.layout());
        let loss = self.model.loss(&cx, &batch, Default::default());
        Ok((loss.tokens > 0).then(|| loss.nll / loss.tokens as f64))
    }
}

/// Says so.
pub(super) fn warn(found: &[Exchanged], what: &str) {
    for Exchanged {
        direction,
        pairs,
        of,
    } in found
    {
        tracing::warn!(
            "{what} text: {} and {} look exchanged: the base finds {pairs} of {of} sampled pairs far likelier with the names the other way \
             round; look at the order of the columns or the names of the files",
            direction.source,
            direction.target
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint;
    use crate::corpus::{DirectionFilter, folder};
    use isogloss_kernels::Cpu;
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
    fn exchanged_languages_are_found_and_nothing_else() {
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
        let languages = ["deu_Latn", "eng_Latn", "fra_Latn", "por_Latn", "spa_Latn"];
        assert_eq!(judge.exchanged(&text(&languages, &languages)).unwrap(), []);

        let swapped = ["deu_Latn", "eng_Latn", "fra_Latn", "spa_Latn", "por_Latn"];
        let found = judge.exchanged(&text(&languages[3..], &swapped[3..]));
        let direction: Direction = "por_Latn-spa_Latn".parse().unwrap();
        let expected = Exchanged {
            direction,
            pairs: 9,
            of: 9,
        };
        assert_eq!(found.unwrap(), [expected]);
    }
}
