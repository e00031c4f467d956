use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::scores::Scored;
use super::text;
use crate::corpus::Corpus;
use crate::evaluate::{Hypotheses, Metric, ScoresFile};
use crate::language::Direction;
use crate::report::data::Example;

/// Candidates of a direction at each end, of which one is taken at most: the first whose sentence isn't there yet, in the same language.
const CANDIDATES: usize = 3;

/// The folder with the translations that a run is compared with; none where there is none.
fn folder_before(scored: &Scored, base: Option<&Scored>) -> Option<PathBuf> {
    let against = scored.file.comparison.as_ref().map(|c| c.against.as_str());
    let found = match (against, base) {
        (Some("base"), _) => ScoresFile::base_hypotheses(&scored.path),
        (Some(other), _) if Path::new(other).is_dir() => PathBuf::from(other),
        (Some(other), _) if Path::new(other).is_file() => {
            let other = Path::new(other);
            ScoresFile::read(other).ok()?.hypotheses_folder(other)
        }
        _ => PathBuf::new(),
    };
    match (found.is_dir(), base) {
        (true, _) => Some(found),
        (false, Some(base)) => {
            Some(base.file.hypotheses_folder(&base.path)).filter(|dir| dir.is_dir())
        }
        (false, None) => None,
    }
}

/// The translations of a direction; none if they aren't there.
fn lines(folder: &Path, direction: &Direction) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(folder.join(format!("{direction}.txt"))).ok()?;
    // As they were written: a line feed behind each.
    Some(text.split_terminator('\n').map(str::to_owned).collect())
}

/// The translations that changed most, `most` of them to the better and `most` to the worse, in the order of their change.
pub(super) fn choose(scored: &Scored, base: Option<&Scored>, most: usize) -> Vec<Example> {
    let directions: Vec<Direction> = scored
        .file
        .directions
        .iter()
        .map(|d| d.direction.clone())
        .collect();
    let after = scored.file.hypotheses_folder(&scored.path);
    let Some(before) = folder_before(scored, base) else {
        return Vec::new();
    };
    // Another system may have translated into that folder since.
    let ours = Hypotheses::open(&after);
    if !ours.is_ok_and(|kept| scored.file.scored(kept.made_with())) {
        return Vec::new();
    }
    let corpus = text::of(scored, &directions);
    let metric = Metric::Chrf(crate::evaluate::Chrf::plus_plus());
    let found: Vec<Vec<Example>> = directions
        .par_iter()
        .map(|direction| {
            let pair = (lines(&before, direction), lines(&after, direction));
            let (Some(before), Some(after)) = pair else {
                return Vec::new();
            };
            of_direction(direction, &before, &after, corpus.as_ref(), &metric)
        })
        .collect();
    pick(found.into_iter().flatten().collect(), most)
}

/// The extremes of a direction: its greatest gains and its greatest losses, or without references what differs most.
fn of_direction(
    direction: &Direction,
    before: &[String],
    after: &[String],
    corpus: Option<&Corpus>,
    metric: &Metric,
) -> Vec<Example> {
    if before.len() != after.len() {
        return Vec::new();
    }
    let pairs: Vec<(&str, &str)> =
        corpus.map_or_else(Vec::new, |corpus| corpus.pairs(direction).collect());
    let known = pairs.len() == after.len();
    let score = |hypothesis: &str, reference: &str| {
        let score = metric.sentence_score(hypothesis, &[reference]);
        score.map_or(0.0, |score| score.value())
    };
    let mut ranked: Vec<(f64, usize)> = (0..after.len())
        .filter(|&i| before[i] != after[i])
        .map(|i| match known {
            true => (
                score(&after[i], pairs[i].1) - score(&before[i], pairs[i].1),
                i,
            ),
            false => (score(&after[i], &before[i]) - 100.0, i),
        })
        .collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let example = |&(change, i): &(f64, usize)| Example {
        direction: direction.clone(),
        sentence: i + 1,
        source: known.then(|| pairs[i].0.to_owned()),
        reference: known.then(|| pairs[i].1.to_owned()),
        before: before[i].clone(),
        after: after[i].clone(),
        change: known.then_some(change),
    };
    let losses = ranked.iter().take(CANDIDATES);
    let losses = losses.filter(|(change, _)| *change < 0.0);
    let gains = ranked.iter().rev().take(CANDIDATES);
    let gains = gains.filter(|(change, _)| *change > 0.0);
    losses.chain(gains).map(example).collect()
}

/// The greatest gains, then the greatest losses: one a direction, and none of a sentence into a language that is there already, so that the
/// page shows different things.
fn pick(all: Vec<Example>, most: usize) -> Vec<Example> {
    let change = |e: &Example| e.change.unwrap_or(0.0);
    let (mut losses, mut gains): (Vec<_>, Vec<_>) = all.into_iter().partition(|e| change(e) < 0.0);
    let order = |a: &Example, b: &Example| {
        let by_change = change(a).total_cmp(&change(b));
        by_change.then_with(|| (&a.direction, a.sentence).cmp(&(&b.direction, b.sentence)))
    };
    losses.sort_by(order);
    gains.sort_by(|a, b| order(b, a));
    let distinct = |list: Vec<Example>| {
        let mut shown: Vec<Example> = Vec::new();
        for example in list {
            let again = |e: &Example| {
                let into = e.direction.target == example.direction.target;
                e.direction == example.direction || (into && e.sentence == example.sentence)
            };
            if shown.len() < most && !shown.iter().any(again) {
                shown.push(example);
            }
        }
        shown
    };
    let mut picked = distinct(gains);
    picked.extend(distinct(losses));
    picked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(direction: &str, sentence: usize, change: f64) -> Example {
        Example {
            direction: direction.parse().unwrap(),
            sentence,
            source: None,
            reference: None,
            before: String::new(),
            after: String::new(),
            change: Some(change),
        }
    }

    #[test]
    fn examples_are_the_extremes_and_differ() {
        let (de, fr, back) = (
            "deu_Latn-eng_Latn",
            "fra_Latn-eng_Latn",
            "eng_Latn-deu_Latn",
        );
        let all = vec![
            example(de, 1, 9.0),
            example(de, 2, 8.0),
            example(fr, 1, 7.0),
            example(fr, 3, 6.0),
            example(back, 1, 5.0),
            example(back, 4, -1.0),
            example(fr, 5, -3.0),
        ];
        let picked = |most| -> Vec<(String, usize)> {
            let picked = pick(all.clone(), most);
            picked
                .into_iter()
                .map(|e| (e.direction.to_string(), e.sentence))
                .collect()
        };
        let of = |list: &[(&str, usize)]| -> Vec<(String, usize)> {
            list.iter().map(|(d, n)| ((*d).to_owned(), *n)).collect()
        };
        assert_eq!(
            picked(9),
            of(&[(de, 1), (fr, 3), (back, 1), (fr, 5), (back, 4)])
        );
        assert_eq!(picked(1), of(&[(de, 1), (fr, 5)]));
    }
}
