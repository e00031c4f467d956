//! What differs between two sentences, word by word.

use unicode_segmentation::UnicodeSegmentation as _;

/// Words of a sentence beyond which everything counts as different: the table below is quadratic.
const MOST_WORDS: usize = 600;

/// A stretch of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub text: String,
    /// Whether the other sentence lacks it.
    pub differs: bool,
}

/// The stretches of two sentences; words and what stands between them in both are the heaviest common subsequence.
///
/// Words are those of Unicode's word boundaries: in Japanese, Chinese or Thai mostly single characters, which is what one wants to see
/// marked there.
pub(super) fn stretches(a: &str, b: &str) -> (Vec<Stretch>, Vec<Stretch>) {
    let a: Vec<&str> = a.split_word_bounds().collect();
    let b: Vec<&str> = b.split_word_bounds().collect();
    let (mut of_a, mut of_b) = (vec![true; a.len()], vec![true; b.len()]);
    if a.len() <= MOST_WORDS && b.len() <= MOST_WORDS {
        for (i, j) in common(&a, &b) {
            of_a[i] = false;
            of_b[j] = false;
        }
    }
    (joined(&a, &of_a), joined(&b, &of_b))
}

/// Places of a heaviest common subsequence.
fn common(a: &[&str], b: &[&str]) -> Vec<(usize, usize)> {
    let width = b.len() + 1;
    // A word in common counts for more than the spaces that could be matched instead.
    let weight = |word: &str| if word.trim().is_empty() { 1 } else { 4u16 };
    // Weight of the heaviest of `a[i..]` and `b[j..]`.
    let mut heaviest = vec![0u16; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            heaviest[i * width + j] = match a[i] == b[j] {
                true => heaviest[(i + 1) * width + j + 1] + weight(a[i]),
                false => heaviest[(i + 1) * width + j].max(heaviest[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            found.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if heaviest[(i + 1) * width + j] >= heaviest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

/// Neighbours of a kind become one stretch; a space between two words that differ does, too.
fn joined(words: &[&str], differs: &[bool]) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let between = i > 0 && i + 1 < words.len() && word.trim().is_empty();
        let differs = match between {
            true => differs[i - 1] && differs[i + 1],
            false => differs[i],
        };
        match all.last_mut() {
            Some(last) if last.differs == differs => last.text.push_str(word),
            _ => all.push(Stretch {
                text: (*word).to_owned(),
                differs,
            }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Marked parts in brackets.
    fn shown(stretches: &[Stretch]) -> String {
        let part = |s: &Stretch| match s.differs {
            true => format!("[{}]", s.text),
            false => s.text.clone(),
        };
        stretches.iter().map(part).collect()
    }

    fn both(a: &str, b: &str) -> (String, String) {
        let (a, b) = stretches(a, b);
        (shown(&a), shown(&b))
    }

    fn pair(a: &str, b: &str) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }

    #[test]
    fn differing_words_are_marked() {
        assert_eq!(
            both("The pump is running.", "The big pump runs."),
            pair("The pump [is running].", "The [big] pump [runs].")
        );
        assert_eq!(both("same", "same"), pair("same", "same"));
        assert_eq!(both("", "new"), pair("", "[new]"));
        assert_eq!(
            both("ポンプを止める", "ポンプが止まる"),
            pair("ポンプ[を]止[め]る", "ポンプ[が]止[ま]る")
        );
    }

    #[test]
    fn long_sentences_are_not_compared_word_by_word() {
        let long = "word ".repeat(MOST_WORDS);
        let (a, b) = stretches(&long, &long);
        assert_eq!((a.len(), b.len()), (1, 1));
        assert!(a[0].differs);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_what_is_common_is_equal(a in "[ab あ\\.]{0,30}", b in "[ab あ\\.]{0,30}") {
            let (of_a, of_b) = stretches(&a, &b);
            let text = |s: &[Stretch]| s.iter().map(|s| s.text.as_str()).collect::<String>();
            prop_assert_eq!(text(&of_a), a.clone());
            prop_assert_eq!(text(&of_b), b.clone());
            let common = |s: &[Stretch]| -> String {
                let same = s.iter().filter(|s| !s.differs);
                same.flat_map(|s| s.text.chars()).filter(|c| !c.is_whitespace()).collect()
            };
            prop_assert_eq!(common(&of_a), common(&of_b));
        }
    }
}
