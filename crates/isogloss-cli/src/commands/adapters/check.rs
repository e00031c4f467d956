//! Translations before compaction and after it.

use crate::commands::decoding;
use crate::failure::{Failure, Outcome};
use isogloss::adapter::AdapterSet;
use isogloss::decode::{DecodeOptions, Loaded, TextOptions, Translation};
use isogloss::language::{Direction, Language};
use isogloss_kernels::Cpu;
use serde::Serialize;
use std::fmt;

/// How translations in a direction compare.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Check {
    direction: Direction,
    /// Lines that aren't blank.
    sentences: usize,
    /// How many of them are translated as before, piece by piece.
    same: usize,
    /// The largest difference of scores, which are mean log-probabilities of a piece.
    largest_score_difference: f64,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} of {} translations are the same, scores differ by {:.1e} at most",
            self.direction, self.same, self.sentences, self.largest_score_difference
        )
    }
}

/// The directions of a check: from a language into those named, else into all that the adapters were trained in.
pub(super) fn directions(
    set: &AdapterSet,
    from: &Language,
    to: &[Language],
) -> Outcome<Vec<Direction>> {
    if !to.is_empty() {
        let direction = |to: &Language| Direction::new(from.clone(), to.clone());
        return Ok(to.iter().map(direction).collect());
    }
    let trained = set.trained.iter().filter(|d| d.source == *from);
    let trained: Vec<Direction> = trained.cloned().collect();
    match trained.is_empty() {
        true => Err(Failure::input(anyhow::anyhow!(
            "the adapters were trained in no direction from {from}"
        ))
        .hint("`isogloss adapters inspect` lists those that they were trained in")),
        false => Ok(trained),
    }
}

/// What `work` gives for one model and then for another, of which only one is in memory at a time.
pub(super) fn both<T>(
    before: Loaded,
    after: impl FnOnce() -> Outcome<Option<Loaded>>,
    cpu: &Cpu,
    work: impl Fn(&Loaded) -> Outcome<T>,
) -> Outcome<[T; 2]> {
    let first = work(&before.packed(cpu))?;
    let after = after()?.ok_or_else(|| Failure::internal(anyhow::anyhow!("no base")))?;
    Ok([first, work(&after.packed(cpu))?])
}

/// The best translation of each line into each language; none of a blank line.
pub(super) fn translate(
    loaded: &Loaded,
    cpu: &Cpu,
    lines: &[String],
    directions: &[Direction],
) -> Outcome<Vec<Vec<Option<Translation>>>> {
    let translator = loaded.translator(cpu, None).map_err(decoding::failure)?;
    let of = |direction: &Direction| {
        let lines: Vec<_> = lines.iter().map(|l| (l.as_str(), direction)).collect();
        let (text, options) = (TextOptions::default(), DecodeOptions::default());
        let found = translator.translate(&lines, text, &options, &mut |_| ());
        let found = found.map_err(decoding::failure)?.into_iter();
        Ok(found.map(|all| all.into_iter().next()).collect())
    };
    directions.iter().map(of).collect()
}

/// Compares what [`translate`] gave.
pub(super) fn compare(
    directions: &[Direction],
    before: &[Vec<Option<Translation>>],
    after: &[Vec<Option<Translation>>],
) -> Vec<Check> {
    let of = |(direction, (before, after)): (&Direction, (&Vec<_>, &Vec<_>))| {
        let pairs: Vec<(&Translation, &Translation)> = before
            .iter()
            .zip(after)
            .filter_map(|(a, b): (&Option<_>, &Option<_>)| a.as_ref().zip(b.as_ref()))
            .collect();
        let differences = pairs.iter().map(|(a, b)| (a.score - b.score).abs());
        Check {
            direction: direction.clone(),
            sentences: pairs.len(),
            same: pairs.iter().filter(|(a, b)| a.ids == b.ids).count(),
            largest_score_difference: differences.fold(0.0, f64::max),
        }
    };
    directions
        .iter()
        .zip(before.iter().zip(after))
        .map(of)
        .collect()
}

/// Whether all translations are the same.
pub(super) fn outcome<'a>(checks: impl Iterator<Item = &'a Check>) -> Outcome {
    let counts = checks.map(|check| (check.sentences - check.same, check.sentences));
    let (changed, all) = counts.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    match changed {
        0 => Ok(()),
        _ => Err(Failure::check(format!(
            "{changed} of {all} translations changed; the copy was written all the same"
        ))
        .hint("score both with `isogloss evaluate`, or take a lower `--tolerance`")),
    }
}
