//! Rows of translations become a corpus.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::{Corpus, PairList, Place, Texts};
use crate::corpus::{CorpusError, DirectionFilter, clean_text};
use crate::language::{Direction, Language};

/// Takes rows of translations and becomes a [`Corpus`].
pub(in crate::corpus) struct Builder {
    wanted: DirectionFilter,
    texts: Texts,
    /// Hash of a text -> its id. A text whose hash is taken by another is stored again: that costs a few bytes in the
    /// rarest of cases, while a map from texts would hold all of them twice.
    ids: HashMap<u64, u32>,
    /// Without random keys, so that every run builds the same corpus.
    hasher: BuildHasherDefault<DefaultHasher>,
    languages: Vec<Language>,
    /// Number of the list of two languages; `None`: not wanted in either direction.
    list_of: BTreeMap<(u32, u32), Option<usize>>,
    lists: Vec<PairList>,
    pub pairs: usize,
}

/// A language's number inside the builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::corpus) struct LanguageId(u32);

impl Builder {
    pub fn new(wanted: DirectionFilter) -> Self {
        Builder {
            wanted,
            texts: Texts::default(),
            ids: HashMap::new(),
            hasher: BuildHasherDefault::default(),
            languages: Vec::new(),
            list_of: BTreeMap::new(),
            lists: Vec::new(),
            pairs: 0,
        }
    }

    /// Whether the texts of a language are of use, by the section's own restriction and by the directions.
    pub fn wants(&self, language: &Language, section: Option<&[Language]>) -> bool {
        self.wanted.wants_language(language) && section.is_none_or(|only| only.contains(language))
    }

    /// Whether pairs of two languages are of use in either direction.
    pub fn wants_pair(&self, a: &Language, b: &Language) -> bool {
        let direction = Direction::new(a.clone(), b.clone());
        a != b && (self.wanted.wants(&direction) || self.wanted.wants(&direction.reversed()))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "there are far fewer languages"
    )]
    pub fn language(&mut self, language: &Language) -> LanguageId {
        if let Some(at) = self.languages.iter().position(|l| l == language) {
            return LanguageId(at as u32);
        }
        self.languages.push(language.clone());
        LanguageId(self.languages.len() as u32 - 1)
    }

    /// Adds a text as training text (see [`clean_text`]).
    pub fn text(&mut self, line: &str) -> Result<u32, CorpusError> {
        let text = clean_text(line);
        let hash = self.hasher.hash_one(text.as_ref());
        if let Some(&id) = self.ids.get(&hash) {
            if self.texts.get(id) == text {
                return Ok(id);
            }
            return self.texts.push(&text);
        }
        let id = self.texts.push(&text)?;
        self.ids.insert(hash, id);
        Ok(id)
    }

    /// Adds every wanted pair of a row of translations of each other.
    pub fn row(&mut self, cells: &[(LanguageId, u32)]) {
        for (i, &(language_a, text_a)) in cells.iter().enumerate() {
            for &(language_b, text_b) in &cells[i + 1..] {
                let Some(list) = self.list(language_a, language_b) else {
                    continue;
                };
                let list = &mut self.lists[list];
                let in_order = list.languages[0] == self.languages[language_a.0 as usize];
                list.pairs.push(if in_order {
                    (text_a, text_b)
                } else {
                    (text_b, text_a)
                });
                self.pairs += 1;
            }
        }
    }

    fn list(&mut self, a: LanguageId, b: LanguageId) -> Option<usize> {
        let key = (a.0.min(b.0), a.0.max(b.0));
        if let Some(&list) = self.list_of.get(&key) {
            return list;
        }
        let mut languages = [
            &self.languages[key.0 as usize],
            &self.languages[key.1 as usize],
        ];
        languages.sort();
        let list = self.wants_pair(languages[0], languages[1]).then(|| {
            let languages = languages.map(Language::clone);
            self.lists.push(PairList {
                languages,
                pairs: Vec::new(),
            });
            self.lists.len() - 1
        });
        self.list_of.insert(key, list);
        list
    }

    pub fn finish(self) -> Corpus {
        let Builder {
            wanted,
            mut texts,
            mut lists,
            ..
        } = self;
        lists.sort_by(|a, b| a.languages.cmp(&b.languages));
        texts.bytes.shrink_to_fit();
        texts.ends.shrink_to_fit();
        let mut directions = Vec::new();
        for (
            list,
            PairList {
                languages: [a, b],
                pairs,
            },
        ) in lists.iter_mut().enumerate()
        {
            pairs.shrink_to_fit();
            for (source, target, flipped) in [(&*a, &*b, false), (&*b, &*a, true)] {
                let direction = Direction::new(source.clone(), target.clone());
                if wanted.wants(&direction) {
                    directions.push((direction, Place { list, flipped }));
                }
            }
        }
        directions.sort_by(|a, b| a.0.cmp(&b.0));
        Corpus {
            texts,
            lists,
            directions,
        }
    }
}
