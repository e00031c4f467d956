//! Sentences of the demo before and after.

use super::Row;
use super::report::Report;
use isogloss::corpus::Corpus;
use isogloss::evaluate::Metric;
use isogloss::language::{Direction, Language};

/// Languages that many readers know, beside English and the reader's own.
const WIDELY_READ: [&str; 4] = ["deu_Latn", "fra_Latn", "spa_Latn", "ita_Latn"];

/// Longer sentences fill the screen.
const LONGEST: usize = 90;

/// A test sentence, and what became of it.
#[derive(Debug)]
pub(super) struct Example<'a> {
    pub direction: &'a Direction,
    pub source: &'a str,
    pub reference: &'a str,
    pub before: &'a str,
    pub after: &'a str,
    /// Change of the sentence's chrF++.
    gain: f64,
    at: usize,
}

/// The language of the reader's environment.
pub(super) fn reader() -> Option<Language> {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"].iter();
    let locale = set.filter_map(|name| std::env::var(name).ok());
    locale_language(&locale.into_iter().find(|value| !value.is_empty())?)
}

/// `ja_JP.UTF-8` is Japanese; `C` is nothing.
fn locale_language(locale: &str) -> Option<Language> {
    locale.split(['_', '.', '@']).next()?.parse().ok()
}

/// Sentences that LSLo changed most for the better, at most `count`: first of the reader's language, then of widely read ones,
/// each of another language as long as there are some.
pub(super) fn pick<'a>(
    report: &'a Report,
    corpus: &'a Corpus,
    reader: Option<&Language>,
    count: usize,
) -> Vec<Example<'a>> {
    let (Some(base), Some(lslo)) = (
        report.rows.first(),
        report.rows.iter().find(|row| row.method == "lslo"),
    ) else {
        return Vec::new();
    };
    let own = |e: &Example<'_>| reader == Some(foreign(e.direction));
    let known = |e: &Example<'_>| own(e) || WIDELY_READ.contains(&foreign(e.direction).code());
    let mut left: Vec<Example<'_>> = best_of_directions(base, lslo, corpus).collect();
    left.sort_by(|a, b| {
        let order = own(b).cmp(&own(a)).then(known(b).cmp(&known(a)));
        order.then(b.gain.total_cmp(&a.gain))
    });
    let mut picked: Vec<Example<'_>> = Vec::new();
    for another_language in [true, false] {
        for example in std::mem::take(&mut left) {
            let repeats = picked.iter().any(|other| {
                other.at == example.at
                    || (another_language && foreign(other.direction) == foreign(example.direction))
            });
            if repeats || picked.len() == count || (another_language && !known(&example)) {
                left.push(example);
            } else {
                picked.push(example);
            }
        }
    }
    picked
}

/// The language beside English.
fn foreign(direction: &Direction) -> &Language {
    match direction.source.code() {
        "eng_Latn" => &direction.target,
        _ => &direction.source,
    }
}

/// Of each direction the sentence that gained most, if one did.
fn best_of_directions<'a>(
    base: &'a Row,
    lslo: &'a Row,
    corpus: &'a Corpus,
) -> impl Iterator<Item = Example<'a>> {
    let metric = Metric::parse("chrf++").ok();
    let score = move |hypothesis: &str, reference: &str| {
        let score = metric
            .as_ref()
            .map(|m| m.sentence_score(hypothesis, &[reference]));
        score.and_then(Result::ok).map_or(0.0, |s| s.value())
    };
    let both = base.adapted.directions.iter().zip(&lslo.adapted.directions);
    both.filter_map(move |(before, after)| {
        let pairs = corpus.pairs(&before.direction).enumerate();
        let examples = pairs.filter(|(_, (source, reference))| {
            source.chars().count().max(reference.chars().count()) <= LONGEST
        });
        let scored = examples.map(|(at, (source, reference))| {
            let [was, is] = [before, after].map(|d| d.hypotheses[at].as_str());
            Example {
                direction: &before.direction,
                source,
                reference,
                before: was,
                after: is,
                gain: score(is, reference) - score(was, reference),
                at,
            }
        });
        scored
            .filter(|e| e.gain > 0.0)
            .max_by(|a, b| a.gain.total_cmp(&b.gain))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_name_languages() {
        for (locale, code) in [
            ("ja_JP.UTF-8", Some("jpn_Jpan")),
            ("de", Some("deu_Latn")),
            ("fr_CA@euro", Some("fra_Latn")),
            ("C.UTF-8", None),
            ("POSIX", None),
            ("", None),
        ] {
            let language = locale_language(locale);
            assert_eq!(language.as_ref().map(Language::code), code, "{locale}");
        }
    }
}
