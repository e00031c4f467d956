//! The search for one sentence, apart from the model.

use crate::decode::candidates::Candidate;
use crate::decode::{DecodeOptions, Hypothesis};

/// A hypothesis that goes on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Live {
    /// Tokens after the start token: the language tag and the pieces so far.
    pub ids: Vec<u32>,
    /// Sum of the pieces' log-probabilities.
    pub score: f64,
}

/// The state of a sentence's search.
#[derive(Debug, Clone)]
pub(super) struct Search {
    beam: usize,
    length_penalty: f64,
    /// The most pieces after the tag, `</s>` included.
    max_pieces: usize,
    eos: u32,
    /// Best first; at most the beam.
    pub live: Vec<Live>,
    /// Best first; at most the beam.
    finished: Vec<Hypothesis>,
}

impl Search {
    /// A search whose first token is `tag`.
    pub fn new(tag: u32, eos: u32, max_pieces: usize, options: &DecodeOptions) -> Self {
        Search {
            beam: options.beam,
            length_penalty: f64::from(options.length_penalty),
            max_pieces,
            eos,
            live: vec![Live {
                ids: vec![tag],
                score: 0.0,
            }],
            finished: Vec::new(),
        }
    }

    /// How many candidates a step needs: one of each hypothesis may be `</s>`, and the beam shall still be full.
    pub fn candidates(&self) -> usize {
        match self.beam {
            1 => 1,
            beam => 2 * beam,
        }
    }

    /// Takes a step's candidates, best first. Returns, for each hypothesis that is live now, its parent among those that were; none
    /// when the search is over.
    pub fn advance(&mut self, candidates: &[Candidate]) -> Vec<usize> {
        let old = std::mem::take(&mut self.live);
        let mut parents = Vec::with_capacity(self.beam);
        for (rank, c) in candidates.iter().enumerate() {
            let parent = &old[c.parent];
            // `ids` holds the tag beside the pieces.
            let last = parent.ids.len() == self.max_pieces;
            if c.token == self.eos || last {
                // Only the best `beam` of the candidates may finish; the others are there to fill the beam.
                if rank < self.beam {
                    self.finish(parent, Some(c));
                }
            } else if self.live.len() < self.beam {
                let mut ids = Vec::with_capacity(parent.ids.len() + 1);
                ids.extend_from_slice(&parent.ids);
                ids.push(c.token);
                self.live.push(Live {
                    ids,
                    score: c.score,
                });
                parents.push(c.parent);
            }
        }
        if self.live.is_empty() && self.finished.is_empty() {
            // Everything was ruled out.
            for parent in &old {
                self.finish(parent, None);
            }
        }
        if !self.can_improve() {
            self.live.clear();
            parents.clear();
        }
        parents
    }

    /// Whether a live hypothesis may still beat the worst of a full list of finished ones. Takes the best score per length to be
    /// that of now, as `early_stopping=False` does; with a positive length penalty that is a guess.
    fn can_improve(&self) -> bool {
        let (Some(best), Some(worst)) = (self.live.first(), self.finished.last()) else {
            return !self.live.is_empty();
        };
        self.beam > 1
            && (self.finished.len() < self.beam
                || self.normalised(best.score, best.ids.len()) > worst.score)
    }

    fn normalised(&self, score: f64, length: usize) -> f64 {
        score / (length as f64).powf(self.length_penalty)
    }

    fn finish(&mut self, parent: &Live, next: Option<&Candidate>) {
        let mut ids = parent.ids[1..].to_vec();
        let ended = next.is_some_and(|c| c.token == self.eos);
        ids.extend(next.filter(|_| !ended).map(|c| c.token));
        let length = parent.ids.len() + usize::from(next.is_some());
        let score = self.normalised(next.map_or(parent.score, |c| c.score), length);
        // After equals: what was found first stays first.
        let at = self.finished.partition_point(|h| h.score >= score);
        self.finished.insert(at, Hypothesis { ids, score, ended });
        self.finished.truncate(self.beam);
    }

    /// The best hypotheses.
    pub fn into_best(mut self, count: usize) -> Vec<Hypothesis> {
        self.finished.truncate(count);
        self.finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(beam: usize, max_pieces: usize) -> Search {
        let options = DecodeOptions {
            beam,
            ..DecodeOptions::default()
        };
        Search::new(9, 2, max_pieces, &options)
    }

    fn candidate(parent: usize, token: u32, score: f64) -> Candidate {
        Candidate {
            parent,
            token,
            score,
        }
    }

    #[test]
    fn finishes_only_among_the_best_beam_candidates() {
        let mut search = search(2, 10);
        let step = [
            candidate(0, 5, -0.1),
            candidate(0, 6, -0.2),
            candidate(0, 2, -0.3),
            candidate(0, 7, -0.4),
        ];
        assert_eq!(search.advance(&step), [0, 0]);
        assert!(search.finished.is_empty());
    }

    #[test]
    fn length_counts_the_tag_and_the_end() {
        let mut search = search(2, 10);
        search.advance(&[candidate(0, 2, -0.4), candidate(0, 5, -2.0)]);
        assert_eq!(search.finished[0].score, -0.2);
        assert_eq!(search.finished[0].ids, [0u32; 0]);
        assert!(search.finished[0].ended);
    }

    #[test]
    fn the_longest_length_cuts_off() {
        let mut search = search(1, 1);
        assert!(search.advance(&[candidate(0, 5, -1.0)]).is_empty());
        let best = search.into_best(1);
        assert_eq!((&best[0].ids[..], best[0].ended), (&[5][..], false));
    }

    #[test]
    fn nothing_left_returns_what_there_is() {
        let mut search = search(3, 10);
        assert_eq!(search.advance(&[candidate(0, 5, -1.0)]), [0]);
        assert!(search.advance(&[]).is_empty());
        assert_eq!(search.into_best(3)[0].ids, [5]);
    }
}
