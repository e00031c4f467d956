use super::Corpus;

impl Corpus {
    /// Leaves out pairs without text on one of their sides, which stand for missing translations, and says how many there were. For text that
    /// is measured on: a blank reference would count as one that no translation meets. Directions of which nothing is left are forgotten.
    #[must_use]
    pub fn without_blank(mut self) -> Self {
        let (mut blank, mut all) = (0, 0);
        let texts = &self.texts;
        for list in &mut self.lists {
            all += list.pairs.len();
            list.pairs.retain(|&(a, b)| {
                let whole = [a, b].iter().all(|&id| !texts.get(id).trim().is_empty());
                blank += usize::from(!whole);
                whole
            });
        }
        if blank > 0 {
            tracing::warn!("left out {blank} of {all} pairs: no text on one side");
            self.drop_empty();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DirectionFilter, folder};
    use super::*;
    use crate::language::{Direction, Language};

    #[test]
    fn missing_translations_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("deu_Latn.txt", "eins\n\ndrei\n");
        write("eng_Latn.txt", "one\ntwo\n \n");
        write("fra_Latn.txt", "\ndeux\n\n");
        let languages =
            ["deu_Latn", "eng_Latn", "fra_Latn"].map(|l| l.parse::<Language>().unwrap());
        let section = folder(dir.path(), None, None, &languages).unwrap();
        let wanted = DirectionFilter::Among(languages.iter().cloned().collect());
        let corpus = Corpus::load(&[section], dir.path(), &wanted).unwrap();
        let direction = |pair: &str| pair.parse::<Direction>().unwrap();
        assert_eq!(corpus.len(&direction("deu_Latn-fra_Latn")), 3);
        let corpus = corpus.without_blank();
        let pairs = |pair: &str| corpus.pairs(&direction(pair)).collect::<Vec<_>>();
        assert_eq!(pairs("deu_Latn-eng_Latn"), [("eins", "one")]);
        assert_eq!(pairs("fra_Latn-eng_Latn"), [("deux", "two")]);
        // Nothing of it is left in either direction.
        assert_eq!(corpus.len(&direction("deu_Latn-fra_Latn")), 0);
        assert_eq!(corpus.directions().count(), 4);
    }
}
