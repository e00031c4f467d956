//! Which directions stand for all.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::language::{Direction, Language, Resource};

/// A direction that may be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The direction.
    pub direction: Direction,
    /// Pairs of its training text, after cleaning.
    pub pairs: usize,
}

/// A direction that was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The direction.
    pub direction: Direction,
    /// Pairs of its training text, after cleaning.
    pub pairs: usize,
    /// What it stands for, such as `low as target`.
    pub why: Vec<String>,
}

/// Chooses at most `most` directions: each time the one that stands for most of what isn't covered yet. To be covered are each class as
/// source and as target (of languages other than the pivot), the pivot on both sides, and the directions with most and with least
/// training text. Of equals it takes the one with a new script, then with more new languages, then with more text, then the first by
/// name. When all is covered, further ones are chosen for new languages alone.
#[must_use]
pub fn choose(
    candidates: &[Candidate],
    class: impl Fn(&Language) -> Option<Resource>,
    pivot: Option<&Language>,
    most: usize,
) -> Vec<Chosen> {
    let counts = || candidates.iter().map(|c| c.pairs);
    let (least, largest) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
    let stands_for = |c: &Candidate| -> Vec<String> {
        let mut all = Vec::new();
        let sides = [
            (&c.direction.source, "as source", "from the pivot"),
            (&c.direction.target, "as target", "into the pivot"),
        ];
        for (language, side, of_pivot) in sides {
            match class(language) {
                _ if Some(language) == pivot => all.push(format!("{of_pivot} {language}")),
                Some(class) => all.push(format!("{} {side}", class.as_str())),
                None => {}
            }
        }
        if least < largest && c.pairs == largest {
            all.push("most training text".to_owned());
        }
        if least < largest && c.pairs == least {
            all.push("least training text".to_owned());
        }
        all
    };
    let (mut covered, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut chosen: Vec<Chosen> = Vec::new();
    while chosen.len() < most {
        let open = candidates
            .iter()
            .filter(|c| chosen.iter().all(|taken| taken.direction != c.direction));
        let worth = |c: &Candidate| {
            let gains = stands_for(c)
                .iter()
                .filter(|f| !covered.contains(*f))
                .count();
            let sides = [&c.direction.source, &c.direction.target];
            let fresh = sides.iter().filter(|l| !seen.contains(**l)).count();
            let known = |script: &str| seen.iter().any(|l: &Language| l.script() == script);
            let scripts: BTreeSet<&str> = sides.iter().map(|l| l.script()).collect();
            let scripts = scripts.into_iter().filter(|script| !known(script)).count();
            (gains, scripts, fresh, c.pairs)
        };
        let best = open.max_by(|a, b| {
            let by_name = || b.direction.cmp(&a.direction);
            worth(a).cmp(&worth(b)).then_with(by_name)
        });
        let Some(best) = best.filter(|c| worth(c).0 > 0 || worth(c).2 > 0) else {
            break;
        };
        let mut why: Vec<String> = stands_for(best);
        why.retain(|f| covered.insert(f.clone()));
        if why.is_empty() {
            let new = [&best.direction.source, &best.direction.target];
            let new = new.into_iter().filter(|l| !seen.contains(*l));
            why.push(
                match new.map(Language::code).collect::<Vec<_>>().join(", ") {
                    names if names.contains(", ") => format!("other languages: {names}"),
                    name => format!("another language: {name}"),
                },
            );
        }
        seen.extend([best.direction.source.clone(), best.direction.target.clone()]);
        chosen.push(Chosen {
            direction: best.direction.clone(),
            pairs: best.pairs,
            why,
        });
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(language: &Language) -> Option<Resource> {
        Some(match language.code() {
            "eng_Latn" | "deu_Latn" | "fra_Latn" => Resource::High,
            "jpn_Jpan" | "nld_Latn" => Resource::Medium,
            _ => Resource::Low,
        })
    }

    fn chosen(candidates: &[(&str, usize)], pivot: Option<&str>, most: usize) -> Vec<String> {
        let of = |&(direction, pairs): &(&str, usize)| Candidate {
            direction: direction.parse().unwrap(),
            pairs,
        };
        let candidates: Vec<_> = candidates.iter().map(of).collect();
        let pivot = pivot.map(|code| code.parse().unwrap());
        let found = choose(&candidates, class, pivot.as_ref(), most);
        let line = |c: &Chosen| format!("{}: {}", c.direction, c.why.join(", "));
        found.iter().map(line).collect()
    }

    #[test]
    fn each_direction_is_chosen_for_what_it_stands_for() {
        let both = |other: &str, pairs| {
            [
                (format!("eng_Latn-{other}"), pairs),
                (format!("{other}-eng_Latn"), pairs),
            ]
        };
        let pivoted = |list: &[(&str, usize)]| -> Vec<(String, usize)> {
            list.iter().flat_map(|&(l, n)| both(l, n)).collect()
        };
        type Case<'a> = (Vec<(String, usize)>, Option<&'a str>, usize, &'a [&'a str]);
        let table: &[Case] = &[
            // Equal text around a pivot: both classes on both sides, the pivot on both, and the other script first.
            (
                pivoted(&[
                    ("deu_Latn", 9),
                    ("fra_Latn", 9),
                    ("jpn_Jpan", 9),
                    ("nld_Latn", 9),
                ]),
                Some("eng_Latn"),
                4,
                &[
                    "eng_Latn-jpn_Jpan: from the pivot eng_Latn, medium as target",
                    "deu_Latn-eng_Latn: high as source, into the pivot eng_Latn",
                    "eng_Latn-fra_Latn: high as target",
                    "nld_Latn-eng_Latn: medium as source",
                ],
            ),
            // Most and least text count as much as a class.
            (
                pivoted(&[("deu_Latn", 900), ("fra_Latn", 500), ("oci_Latn", 20)]),
                Some("eng_Latn"),
                4,
                &[
                    "deu_Latn-eng_Latn: high as source, into the pivot eng_Latn, most training text",
                    "eng_Latn-oci_Latn: from the pivot eng_Latn, low as target, least training text",
                    "eng_Latn-fra_Latn: high as target",
                    "oci_Latn-eng_Latn: low as source",
                ],
            ),
            // No pivot.
            (
                vec![
                    ("deu_Latn-fra_Latn".to_owned(), 5),
                    ("deu_Latn-oci_Latn".to_owned(), 5),
                    ("oci_Latn-deu_Latn".to_owned(), 5),
                ],
                None,
                4,
                &[
                    "deu_Latn-fra_Latn: high as source, high as target",
                    "deu_Latn-oci_Latn: low as target",
                    "oci_Latn-deu_Latn: low as source",
                ],
            ),
            // Fewer than would be covered; and one is all there is.
            (
                pivoted(&[("deu_Latn", 9)]),
                Some("eng_Latn"),
                1,
                &["deu_Latn-eng_Latn: high as source, into the pivot eng_Latn"],
            ),
            // New languages when all is covered.
            (
                vec![
                    ("deu_Latn-eng_Latn".to_owned(), 5),
                    ("fra_Latn-eng_Latn".to_owned(), 5),
                ],
                None,
                4,
                &[
                    "deu_Latn-eng_Latn: high as source, high as target",
                    "fra_Latn-eng_Latn: another language: fra_Latn",
                ],
            ),
            (Vec::new(), None, 4, &[]),
        ];
        for (candidates, pivot, most, expected) in table {
            let named: Vec<(&str, usize)> =
                candidates.iter().map(|(d, n)| (d.as_str(), *n)).collect();
            assert_eq!(chosen(&named, *pivot, *most), *expected);
        }
    }
}
