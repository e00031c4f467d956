use std::collections::HashSet;

use crate::corpus::Corpus;
use crate::language::Direction;

impl Corpus {
    /// How many pairs of each direction stand in another corpus as well, letter by letter, with their number here. Directions without
    /// such a pair are left out. The other corpus may be large: it takes memory for the pairs here alone.
    #[must_use]
    pub fn shared_with(&self, other: &Corpus) -> Vec<(Direction, usize, usize)> {
        let shared = self.directions().filter_map(|(direction, pairs)| {
            let ours: HashSet<_> = self.pairs(direction).collect();
            let theirs = other.pairs(direction);
            let found: HashSet<_> = theirs.filter(|pair| ours.contains(pair)).collect();
            let both = self.pairs(direction).filter(|pair| found.contains(pair));
            let both = both.count();
            (both > 0).then(|| (direction.clone(), both, pairs))
        });
        shared.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DirectionFilter, folder};
    use super::*;
    use crate::language::Language;

    #[test]
    fn pairs_that_stand_in_both_are_counted_by_direction() {
        let languages = ["deu_Latn", "eng_Latn", "fra_Latn"].map(|l| l.parse().unwrap());
        let read = |texts: [&str; 3]| {
            let dir = tempfile::tempdir().unwrap();
            for (language, text) in languages.iter().zip(texts) {
                let path = dir.path().join(format!("{language}.txt"));
                std::fs::write(path, text).unwrap();
            }
            let section = folder(dir.path(), None, None, &languages).unwrap();
            let all: std::collections::BTreeSet<Language> = languages.iter().cloned().collect();
            Corpus::load(&[section], dir.path(), &DirectionFilter::Among(all)).unwrap()
        };
        let training = read([
            "eins\nzwei\ndrei\n",
            "one\ntwo\nthree\n",
            "un\ndeux\ntrois\n",
        ]);
        // The second is translated otherwise into German, and the last is new.
        let other = read([
            "eins\nzwo\nvier\n",
            "one\ntwo\nfour\n",
            "un\ndeux\nquatre\n",
        ]);
        let found: Vec<(String, usize, usize)> = other
            .shared_with(&training)
            .into_iter()
            .map(|(direction, shared, pairs)| (direction.to_string(), shared, pairs))
            .collect();
        let of = |direction: &str, shared| (direction.to_owned(), shared, 3);
        let expected = [
            of("deu_Latn-eng_Latn", 1),
            of("deu_Latn-fra_Latn", 1),
            of("eng_Latn-deu_Latn", 1),
            of("eng_Latn-fra_Latn", 2),
            of("fra_Latn-deu_Latn", 1),
            of("fra_Latn-eng_Latn", 2),
        ];
        assert_eq!(found, expected);
        assert!(
            read(["a\n", "b\n", "c\n"])
                .shared_with(&training)
                .is_empty()
        );
    }
}
