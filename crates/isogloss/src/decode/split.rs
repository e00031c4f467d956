//! Where a line that is too long is split.

use unicode_segmentation::UnicodeSegmentation;

/// The sentences of a text, white space around them trimmed, none empty: the sentence boundaries of Unicode (UAX #29, which know
/// `. ! ? 。！？।؟` and their like in all scripts, and closing quotes after them), and after an ellipsis before white space.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_sentence_bounds()
        .flat_map(after_ellipses)
        .map(str::trim)
        .filter(|s| !s.is_empty())
}

fn after_ellipses(text: &str) -> impl Iterator<Item = &str> {
    let mut ended = false;
    text.split_inclusive(move |c: char| {
        let split = ended && c.is_whitespace();
        ended = c == '…';
        split
    })
}

/// Cuts ids into runs of at most `most`, before the start of a word where there is one in a run's last quarter.
pub(super) fn runs<'a>(
    ids: &'a [u32],
    most: usize,
    starts_word: impl Fn(u32) -> bool + 'a,
) -> impl Iterator<Item = &'a [u32]> {
    let most = most.max(1);
    let mut rest = ids;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len();
        if end > most {
            let earliest = (most - most / 4).max(1);
            let word = (earliest..=most).rev().find(|&i| starts_word(rest[i]));
            end = word.unwrap_or(most);
        }
        let (run, after) = rest.split_at(end);
        rest = after;
        Some(run)
    })
}

/// Whether sentences of a script follow each other without a space.
pub(super) fn joins_without_space(script: &str) -> bool {
    matches!(script, "Hans" | "Hant" | "Jpan")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).collect()
    }

    #[test]
    fn sentences_end_in_every_script() {
        let cases: [(&str, &[&str]); 8] = [
            (
                "It rained. We stayed in!  Did you?",
                &["It rained.", "We stayed in!", "Did you?"],
            ),
            ("Pi is 3.14 or so", &["Pi is 3.14 or so"]),
            (
                "He said: \"Go.\" They went.",
                &["He said: \"Go.\"", "They went."],
            ),
            (
                "下雨了。我们在家！你呢？",
                &["下雨了。", "我们在家！", "你呢？"],
            ),
            ("बारिश हुई। हम घर पर थे।", &["बारिश हुई।", "हम घर पर थे।"]),
            ("هل أمطرت؟ نعم.", &["هل أمطرت؟", "نعم."]),
            ("Well… we waited… long", &["Well…", "we waited…", "long"]),
            ("  \t ", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn sentences_lose_white_space_only(text in "([a-z .!?…。]|\\PC){0,60}") {
            let bare = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(bare(&split(&text).concat()), bare(&text));
        }

        #[test]
        fn runs_are_the_ids(ids in prop::collection::vec(0u32..9, 0..80), most in 1usize..20) {
            let runs: Vec<&[u32]> = runs(&ids, most, |id| id < 3).collect();
            prop_assert!(runs.iter().all(|r| (1..=most).contains(&r.len())));
            prop_assert_eq!(runs.concat(), ids);
        }
    }
}
