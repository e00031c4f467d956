//! In what portions directions are translated.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::language::Direction;

/// Sentences of a group as long as it isn't known how long they take.
const FIRST: usize = 1000;

/// How long a group takes, if more than [`FIRST`] sentences can be translated in that time: it is what is lost, or waited for, when somebody
/// stops.
const PERIOD: Duration = Duration::from_secs(60);

/// Groups of directions that are translated together, so that what one of them gave can be kept before the next begins.
///
/// A group is about a minute's worth, 1,000 sentences at first and at least, or one direction if that is more. Directions from a
/// language follow each other, since sources that are translated together are encoded once for all their targets.
#[derive(Debug)]
pub struct Groups {
    /// Places of directions, and their sentences.
    waiting: VecDeque<(usize, usize)>,
    /// When the last group was handed out, and its sentences.
    last: Option<(Instant, usize)>,
}

impl Groups {
    /// Groups of `directions`; `sentences` says how many each has.
    pub fn new(directions: &[Direction], sentences: impl Fn(&Direction) -> usize) -> Self {
        let mut first = HashMap::new();
        for (i, direction) in directions.iter().enumerate() {
            first.entry(&direction.source).or_insert(i);
        }
        let mut places: Vec<usize> = (0..directions.len()).collect();
        places.sort_by_key(|&i| first[&directions[i].source]);
        let waiting = places.into_iter().map(|i| (i, sentences(&directions[i])));
        Groups {
            waiting: waiting.collect(),
            last: None,
        }
    }

    /// The next group, when the one before took so long.
    fn after(&mut self, taken: Option<(Duration, usize)>) -> Vec<usize> {
        let worth = taken.map_or(0.0, |(time, sentences)| {
            PERIOD.as_secs_f64() * sentences as f64 / time.as_secs_f64().max(1e-3)
        });
        let most = FIRST.max(worth as usize);
        let mut group = Vec::new();
        let mut of_group = 0;
        while let Some(&(place, sentences)) = self.waiting.front() {
            if !group.is_empty() && of_group + sentences > most {
                break;
            }
            of_group += sentences;
            group.push(place);
            self.waiting.pop_front();
        }
        self.last = Some((Instant::now(), of_group));
        group
    }
}

impl Iterator for Groups {
    type Item = Vec<usize>;

    /// Places of directions, at least one.
    fn next(&mut self) -> Option<Vec<usize>> {
        let taken = self
            .last
            .map(|(start, sentences)| (start.elapsed(), sentences));
        Some(self.after(taken)).filter(|group| !group.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directions(names: &[&str]) -> Vec<Direction> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_group_is_a_minutes_worth_of_directions_from_the_same_languages() {
        let all = directions(&[
            "eng_Latn-deu_Latn",
            "fra_Latn-eng_Latn",
            "eng_Latn-fra_Latn",
            "deu_Latn-eng_Latn",
            "fra_Latn-deu_Latn",
            "eng_Latn-ita_Latn",
        ]);
        let mut groups = Groups::new(&all, |_| 400);
        assert_eq!(groups.after(None), [0, 2], "a thousand at first");
        let minute = Duration::from_secs(60);
        assert_eq!(groups.after(Some((minute, 1200))), [5, 1, 4]);
        assert_eq!(groups.after(Some((minute, 10))), [3], "what is left");
        assert!(groups.after(Some((minute, 10))).is_empty());
    }

    #[test]
    fn every_direction_is_in_one_group_however_long() {
        let all = directions(&["eng_Latn-deu_Latn", "deu_Latn-eng_Latn"]);
        let groups: Vec<_> = Groups::new(&all, |_| 5000).collect();
        assert_eq!(groups, [[0], [1]]);
        assert_eq!(Groups::new(&[], |_| 1).next(), None);
    }
}
