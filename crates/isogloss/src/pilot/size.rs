//! Sizes of updates, and in which order they are tried.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::adapter::AdapterConfig;
use crate::config::TrainConfig;
use crate::language::{Language, Resource};

/// How often at most the configured ranks are doubled.
const DOUBLINGS: i32 = 2;

/// Updates of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Size {
    /// `rank-4`, or `ranks-2-8` where languages differ.
    pub name: String,
    /// The configured ranks times 2 to this power.
    pub power: i32,
    /// The adapters' section.
    pub adapter: AdapterConfig,
}

/// A rank times a power of two; at least 1, unless there is no update.
fn times(rank: usize, power: i32) -> usize {
    let moved = match power {
        0.. => rank << power,
        _ => rank >> -power,
    };
    moved.max(rank.min(1))
}

fn scaled(adapter: &AdapterConfig, classes: &[Resource], power: i32) -> AdapterConfig {
    let mut scaled = adapter.clone();
    match &mut scaled.rank {
        Some(rank) => *rank = times(*rank, power),
        None => {
            // The defaults, too, are written out.
            let of = |&class: &Resource| (class, times(adapter.rank_of_class(class), power));
            scaled.ranks = classes.iter().map(of).collect();
        }
    }
    for rank in scaled.language_ranks.values_mut() {
        *rank = times(*rank, power);
    }
    scaled
}

/// Ranks of the languages that have updates.
fn ranks(config: &TrainConfig, adapter: &AdapterConfig) -> BTreeMap<Language, usize> {
    let by_class = config.languages.iter();
    let all = by_class.flat_map(|(&class, languages)| languages.iter().map(move |l| (class, l)));
    all.map(|(class, l)| (l.clone(), adapter.rank_of(l, class)))
        .collect()
}

impl Size {
    fn new(config: &TrainConfig, power: i32) -> Self {
        let classes: Vec<Resource> = config.languages.keys().copied().collect();
        let adapter = scaled(&config.adapter, &classes, power);
        let mut size = Size {
            name: String::new(),
            power,
            adapter,
        };
        let [low, high] = size.range(config);
        size.name = match low == high {
            true => format!("rank-{high}"),
            false => format!("ranks-{low}-{high}"),
        };
        size
    }

    /// Smallest and largest rank of the configuration's languages that have updates.
    fn range(&self, config: &TrainConfig) -> [usize; 2] {
        let ranks = self.ranks(config);
        let some = || ranks.values().copied().filter(|&rank| rank > 0);
        [some().min().unwrap_or(0), some().max().unwrap_or(0)]
    }

    /// Rank of each language of a configuration; 0 has no update.
    #[must_use]
    pub fn ranks(&self, config: &TrainConfig) -> BTreeMap<Language, usize> {
        ranks(config, &self.adapter)
    }

    /// The configured size, up to four times that (but no rank above `limit`), and down to where every rank is 1; largest first.
    #[must_use]
    pub fn ladder(config: &TrainConfig, limit: usize) -> Vec<Size> {
        let mut up: Vec<Size> = (1..=DOUBLINGS)
            .map(|power| Size::new(config, power))
            .collect();
        up.retain(|size| size.range(config)[1] <= limit);
        up.reverse();
        let mut power = 0;
        let mut last = Size::new(config, power);
        loop {
            let done = last.range(config)[1] <= 1;
            up.push(last);
            if done {
                return up;
            }
            power -= 1;
            last = Size::new(config, power);
        }
    }
}

/// What is known of a size that was trained and scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Which size.
    pub power: i32,
    /// Whether its mean change against the base is a significant gain.
    pub gains: bool,
    /// Whether it is significantly worse than the best size.
    pub worse: bool,
}

/// Why no further size is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// A smaller size was significantly worse than the best, or the configured one is than a larger.
    Worse,
    /// No size is significantly better than the base, so there is nothing to keep.
    NoGain,
    /// There is no smaller size.
    Smallest,
    /// No time was left for the next size.
    Time,
}

/// Which size is tried next. The configured one; then twice that, and twice again as long as that is significantly better; then, if
/// something is gained at all, half, a quarter and so on, until one is significantly worse than the best so far. Every comparison is
/// with the best, so small losses don't add up unnoticed; and wherever it breaks off, the smallest size so far that isn't worse is an
/// answer.
///
/// # Errors
/// Why there is none.
pub fn next(judged: &[Judged], powers: &[i32]) -> Result<i32, Stop> {
    let of = |power: i32| judged.iter().find(|j| j.power == power);
    let top = judged.iter().map(|j| j.power).max();
    let (Some(top), Some(low)) = (top, judged.iter().map(|j| j.power).min()) else {
        return Ok(0);
    };
    let larger_was_better = top == 0 || of(top - 1).is_some_and(|below| below.worse);
    if low == 0 && larger_was_better && powers.contains(&(top + 1)) {
        return Ok(top + 1);
    }
    if !judged.iter().any(|j| j.gains) {
        return Err(Stop::NoGain);
    }
    if of(low).is_some_and(|j| j.worse) {
        return Err(Stop::Worse);
    }
    match powers.contains(&(low - 1)) {
        true => Ok(low - 1),
        false => Err(Stop::Smallest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes in the order in which they are tried, where those in `worse` are significantly worse than the best so far.
    fn tried(powers: &[i32], worse: impl Fn(i32, i32) -> bool, gains: bool) -> (Vec<i32>, Stop) {
        let mut judged: Vec<Judged> = Vec::new();
        loop {
            match next(&judged, powers) {
                Err(stop) => return (judged.iter().map(|j| j.power).collect(), stop),
                Ok(power) => judged.push(Judged {
                    power,
                    gains,
                    worse: false,
                }),
            }
            let best = judged.iter().map(|j| j.power).max().unwrap();
            for j in &mut judged {
                j.worse = worse(j.power, best);
            }
        }
    }

    #[test]
    fn sizes_are_tried_up_while_it_pays_and_down_until_it_costs() {
        let powers = [2, 1, 0, -1, -2];
        let never = |_, _| false;
        assert_eq!(
            tried(&powers, never, true),
            (vec![0, 1, -1, -2], Stop::Smallest)
        );
        assert_eq!(tried(&powers, never, false), (vec![0, 1], Stop::NoGain));
        // Half is worse.
        let half = |power, _| power < 0;
        assert_eq!(tried(&powers, half, true), (vec![0, 1, -1], Stop::Worse));
        // Twice as much is better, and four times is not better than that.
        let twice = |power, best| power < 1 && best >= 1;
        assert_eq!(tried(&powers, twice, true), (vec![0, 1, 2], Stop::Worse));
        // Nothing larger to try, nothing smaller.
        assert_eq!(tried(&[0], never, true), (vec![0], Stop::Smallest));
        assert_eq!(tried(&[0, -1], never, true), (vec![0, -1], Stop::Smallest));
    }

    fn config(adapter: &str) -> TrainConfig {
        let text = format!(
            "run = \"r\"\nmodel = \"m\"\ndata = []\n[languages]\nhigh = [\"eng_Latn\", \"deu_Latn\"]\nlow = [\"oci_Latn\"]\n\
             [validation]\ndata = []\n[adapter]\n{adapter}\n"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn ranks_are_halved_down_to_one_and_zero_stays() {
        let names = |adapter: &str, limit| {
            let ladder = Size::ladder(&config(adapter), limit);
            ladder.into_iter().map(|s| s.name).collect::<Vec<_>>()
        };
        assert_eq!(
            names("rank = 4", 64),
            ["rank-16", "rank-8", "rank-4", "rank-2", "rank-1"]
        );
        assert_eq!(
            names("rank = 4", 8),
            ["rank-8", "rank-4", "rank-2", "rank-1"]
        );
        assert_eq!(
            names("", 64),
            [
                "ranks-8-32",
                "ranks-4-16",
                "ranks-2-8",
                "ranks-1-4",
                "ranks-1-2",
                "rank-1"
            ]
        );
        assert_eq!(
            names(
                "language_ranks = { deu_Latn = 0 }\nranks = { high = 3 }",
                12
            ),
            ["ranks-3-8", "ranks-1-4", "ranks-1-2", "rank-1"]
        );
        let config = config("rank = 4\nlanguage_ranks = { deu_Latn = 0 }");
        let smallest = Size::ladder(&config, 4).pop().unwrap();
        let ranks = smallest.ranks(&config);
        assert_eq!(ranks.values().copied().collect::<Vec<_>>(), [0, 1, 1]);
    }
}
