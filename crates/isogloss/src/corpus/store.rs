//! The pairs of all directions over texts that are stored once.

mod builder;

use std::collections::BTreeSet;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{CorpusError, DataConfig, DirectionFilter, load};
use crate::hash::hex;
use crate::language::{Direction, Language};

pub(super) use builder::{Builder, LanguageId};

/// Parallel text in memory: for each direction a list of sentence pairs, in the order of the data.
#[derive(Debug, Default)]
pub struct Corpus {
    pub(super) texts: Texts,
    pub(super) lists: Vec<PairList>,
    directions: Vec<(Direction, Place)>,
}

/// Where the pairs of a direction lie.
#[derive(Debug, Clone, Copy)]
struct Place {
    list: usize,
    /// The list's first language is this direction's target.
    flipped: bool,
}

/// The pairs of two languages, for both directions.
#[derive(Debug)]
pub(super) struct PairList {
    /// The smaller code first.
    pub languages: [Language; 2],
    /// Ids of texts.
    pub pairs: Vec<(u32, u32)>,
}

impl Corpus {
    /// Reads all sections; `base` is where relative paths start. The same input gives the same corpus, in the same order.
    ///
    /// # Errors
    /// Whatever is wrong with a file or a section, and wanted directions or languages without a single pair.
    pub fn load(
        data: &[DataConfig],
        base: &Path,
        wanted: &DirectionFilter,
    ) -> Result<Self, CorpusError> {
        let corpus = Self::read(data, base, wanted)?;
        corpus.check_complete(wanted)?;
        Ok(corpus)
    }

    /// As [`load`](Self::load), but of what is wanted it takes what the data holds.
    ///
    /// # Errors
    /// Whatever is wrong with a file or a section, and data without a single wanted pair.
    pub fn load_held(
        data: &[DataConfig],
        base: &Path,
        wanted: &DirectionFilter,
    ) -> Result<Self, CorpusError> {
        let mut corpus = Self::read(data, base, wanted)?;
        corpus.drop_empty();
        match corpus.directions.is_empty() {
            true => Err(CorpusError::Nothing),
            false => Ok(corpus),
        }
    }

    fn read(
        data: &[DataConfig],
        base: &Path,
        wanted: &DirectionFilter,
    ) -> Result<Self, CorpusError> {
        let mut builder = Builder::new(wanted.clone());
        for (i, section) in data.iter().enumerate() {
            let before = builder.pairs;
            load::section(i + 1, section, base, &mut builder)?;
            match builder.pairs - before {
                0 => tracing::warn!(
                    section = i + 1,
                    "the data section has no pair of a wanted direction"
                ),
                pairs => tracing::debug!(section = i + 1, pairs, "read"),
            }
        }
        Ok(builder.finish())
    }

    /// Every direction with the number of its pairs, sorted.
    pub fn directions(&self) -> impl ExactSizeIterator<Item = (&Direction, usize)> {
        self.directions
            .iter()
            .map(|(direction, place)| (direction, self.lists[place.list].pairs.len()))
    }

    /// Pairs of a direction; 0 for one that the corpus does not hold.
    #[must_use]
    pub fn len(&self, direction: &Direction) -> usize {
        self.place(direction)
            .map_or(0, |place| self.lists[place.list].pairs.len())
    }

    /// Whether there is no pair at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.iter().all(|list| list.pairs.is_empty())
    }

    /// Keeps the first `pairs` of every direction, or as many as it has.
    pub fn truncate(&mut self, pairs: usize) {
        for list in &mut self.lists {
            list.pairs.truncate(pairs);
        }
    }

    /// Keeps the pairs that `keep` asks for: their place, from 0, among how many, and both texts. The two directions of a pair of
    /// languages share their pairs.
    pub fn retain(&mut self, mut keep: impl FnMut(usize, usize, [&str; 2]) -> bool) {
        let texts = &self.texts;
        for list in &mut self.lists {
            let (mut place, of) = (0, list.pairs.len());
            list.pairs.retain(|&(a, b)| {
                place += 1;
                keep(place - 1, of, [texts.get(a), texts.get(b)])
            });
        }
    }

    /// Source and target text of a pair of a direction.
    #[must_use]
    pub fn pair(&self, direction: &Direction, index: usize) -> Option<(&str, &str)> {
        self.at(self.place(direction)?, index)
    }

    /// As [`pair`](Self::pair), with the direction by its place in [`directions`](Self::directions): the form in which
    /// a sampler names pairs.
    #[must_use]
    pub fn pair_at(&self, direction: usize, index: usize) -> Option<(&str, &str)> {
        self.at(self.directions.get(direction)?.1, index)
    }

    /// All pairs of a direction, in order.
    pub fn pairs(&self, direction: &Direction) -> impl Iterator<Item = (&str, &str)> {
        (0..self.len(direction)).filter_map(|i| self.pair(direction, i))
    }

    /// Leaves out all directions but those of which `keep` says so.
    pub fn retain_directions(&mut self, mut keep: impl FnMut(&Direction) -> bool) {
        self.directions.retain(|(direction, _)| keep(direction));
    }

    /// Every language that stands in a pair.
    #[must_use]
    pub fn languages(&self) -> BTreeSet<&Language> {
        self.directions
            .iter()
            .flat_map(|(d, _)| [&d.source, &d.target])
            .collect()
    }

    /// The distinct texts of a language, in the order in which they were first read.
    pub fn texts(&self, language: &Language) -> impl Iterator<Item = &str> {
        let mut ids = BTreeSet::new();
        for list in &self.lists {
            for (side, of) in list.languages.iter().enumerate() {
                if of == language {
                    ids.extend(
                        list.pairs
                            .iter()
                            .map(|&(a, b)| if side == 0 { a } else { b }),
                    );
                }
            }
        }
        ids.into_iter().map(|id| self.texts.get(id))
    }

    /// SHA-256 of all pairs, in hexadecimal: another text, or another order, gives another value.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for (direction, place) in &self.directions {
            hash.update(format!("{direction} {} {}\n", place.list, place.flipped));
        }
        for list in &self.lists {
            for &(a, b) in &list.pairs {
                hash.update(a.to_le_bytes());
                hash.update(b.to_le_bytes());
            }
        }
        for id in 0..self.texts.len() as u32 {
            hash.update(self.texts.get(id));
            hash.update([0]);
        }
        hex(hash)
    }

    /// Heap memory in bytes, near enough for a prediction.
    #[must_use]
    pub fn memory(&self) -> usize {
        let pairs: usize = self
            .lists
            .iter()
            .map(|list| list.pairs.capacity() * size_of::<(u32, u32)>())
            .sum();
        self.texts.memory() + pairs
    }

    /// Wanted directions of a list.
    pub(super) fn directions_of(&self, list: usize) -> impl Iterator<Item = &Direction> {
        self.directions
            .iter()
            .filter(move |(_, place)| place.list == list)
            .map(|(direction, _)| direction)
    }

    /// Forgets directions without pairs.
    pub(super) fn drop_empty(&mut self) {
        self.directions
            .retain(|(_, place)| !self.lists[place.list].pairs.is_empty());
    }

    fn place(&self, direction: &Direction) -> Option<Place> {
        let at = self
            .directions
            .binary_search_by(|(d, _)| d.cmp(direction))
            .ok()?;
        self.directions.get(at).map(|&(_, place)| place)
    }

    fn at(&self, place: Place, index: usize) -> Option<(&str, &str)> {
        let &(a, b) = self.lists[place.list].pairs.get(index)?;
        let (a, b) = (self.texts.get(a), self.texts.get(b));
        Some(if place.flipped { (b, a) } else { (a, b) })
    }
}

/// Texts end to end.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: String,
    /// End of each text in `bytes`.
    ends: Vec<usize>,
}

impl Texts {
    pub fn get(&self, id: u32) -> &str {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start..self.ends[id]]
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    fn push(&mut self, text: &str) -> Result<u32, CorpusError> {
        let id = u32::try_from(self.ends.len()).map_err(|_| CorpusError::TooLarge)?;
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
        Ok(id)
    }

    fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

impl Corpus {
    fn check_complete(&self, wanted: &DirectionFilter) -> Result<(), CorpusError> {
        match wanted {
            DirectionFilter::All if self.is_empty() => return Err(CorpusError::Nothing),
            DirectionFilter::All => {}
            DirectionFilter::Among(languages) => {
                let held = self.languages();
                let languages: Vec<_> = languages
                    .iter()
                    .filter(|l| !held.contains(l))
                    .cloned()
                    .collect();
                if !languages.is_empty() {
                    return Err(CorpusError::NoLanguage { languages });
                }
            }
            DirectionFilter::Only(directions) => {
                let directions: Vec<_> = directions
                    .iter()
                    .filter(|d| self.len(d) == 0)
                    .cloned()
                    .collect();
                if !directions.is_empty() {
                    return Err(CorpusError::NoPairs { directions });
                }
            }
        }
        Ok(())
    }
}
