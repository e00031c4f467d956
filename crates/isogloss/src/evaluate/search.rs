//! The search that found translations, as their note names it.

use serde_json::Value;

use crate::decimal::shortest;
use crate::decode::{DecodeOptions, MaxLength};
use crate::evaluate::MadeWith;

/// An option of the search, in our translations and in others.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherSearch {
    /// Its name.
    pub option: &'static str,
    /// What it is of ours.
    pub ours: Value,
    /// What it is of the others.
    pub theirs: Value,
}

/// Every option of the search that a note can name.
fn named(options: &DecodeOptions) -> [(&'static str, Value); 4] {
    let max_length = match options.max_length {
        MaxLength::Pieces(pieces) => pieces.into(),
        MaxLength::Relative { .. } => Value::Null,
    };
    [
        ("beam", options.beam.into()),
        ("length_penalty", shortest(options.length_penalty).into()),
        ("no_repeat_ngram", options.no_repeat_ngram.into()),
        ("max_length", max_length),
    ]
}

/// What translations are known by of the search that found them: the beam, and what is not as usual, so that translations of earlier
/// versions still count.
#[must_use]
pub fn searched_by(options: &DecodeOptions) -> MadeWith {
    let all = named(options)
        .into_iter()
        .zip(named(&DecodeOptions::default()));
    let told = all.filter(|((option, ours), (_, usual))| *option == "beam" || ours != usual);
    told.map(|((option, ours), _)| (option.to_owned(), ours))
        .collect()
}

/// Of what translations or scores were made with, what decides on the search and on the numbers that it computes with. What is as usual may
/// be absent.
#[must_use]
pub fn search_of(made_with: &MadeWith) -> MadeWith {
    let names = named(&DecodeOptions::default()).map(|(name, _)| name);
    let told = made_with.iter().filter(|(name, value)| {
        (names.contains(&name.as_str()) || *name == "precision") && !value.is_null()
    });
    told.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Whether two were searched for alike, as far as both say ([`search_of`]).
#[must_use]
pub fn searched_alike(a: &MadeWith, b: &MadeWith) -> bool {
    let (a, b) = (search_of(a), search_of(b));
    a.iter()
        .all(|(name, value)| b.get(name).is_none_or(|other| other == value))
}

/// Options that other translations were searched for with, as far as they differ. What their note doesn't name was as usual; without
/// a beam in it nothing is known, and nothing differs.
#[must_use]
pub fn searched_otherwise(options: &DecodeOptions, theirs: &MadeWith) -> Vec<OtherSearch> {
    if !theirs.contains_key("beam") {
        return Vec::new();
    }
    let all = named(options)
        .into_iter()
        .zip(named(&DecodeOptions::default()));
    let of = all.map(|((option, ours), (_, usual))| OtherSearch {
        option,
        ours,
        theirs: theirs.get(option).cloned().unwrap_or(usual),
    });
    of.filter(|one| one.ours != one.theirs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_usual_is_not_named_and_does_not_differ() {
        let usual = DecodeOptions::default();
        assert_eq!(
            Value::from_iter(searched_by(&usual)).to_string(),
            r#"{"beam":5}"#
        );
        let other = DecodeOptions {
            beam: 1,
            length_penalty: 0.6,
            no_repeat_ngram: 3,
            max_length: MaxLength::Pieces(7),
            ..DecodeOptions::default()
        };
        let told = searched_by(&other);
        assert_eq!(
            Value::from_iter(told.clone()).to_string(),
            r#"{"beam":1,"length_penalty":0.6,"max_length":7,"no_repeat_ngram":3}"#
        );
        assert_eq!(searched_otherwise(&other, &told), []);
        assert_eq!(searched_otherwise(&usual, &MadeWith::new()), []);
        let found = searched_otherwise(&usual, &told);
        let names: Vec<&str> = found.iter().map(|one| one.option).collect();
        assert_eq!(
            names,
            ["beam", "length_penalty", "no_repeat_ngram", "max_length"]
        );
        assert_eq!(
            (&found[2].ours, &found[2].theirs),
            (&Value::from(0), &Value::from(3))
        );
    }
}
