//! The most probable segmentation under a unigram language model (Kudo 2018), as `Model::EncodeOptimized` of SentencePiece's
//! `unigram_model.cc` finds it. The order of comparisons and the width of the floats decide ties, so both follow it.

use super::double_array::DoubleArray;
use super::proto::{Piece, PieceKind};
use super::{Span, char_len};

/// What an unknown character costs below the worst piece.
const UNKNOWN_PENALTY: f32 = 10.0;
/// Beyond this the running scores are moved back to zero, or a long text would run out of digits.
const RESET_BEYOND: f32 = 100_000.0;
/// `Best::start` of a position that no path has reached.
const UNREACHED: u32 = u32::MAX;

/// Scores for the search over segmentations.
#[derive(Debug, Clone)]
pub struct Unigram {
    unknown_score: f32,
}

/// The last piece of the best path that ends at a position.
#[derive(Clone, Copy)]
struct Best {
    score: f32,
    start: u32,
    id: u32,
}

/// Best paths by the byte where they end.
struct Paths {
    ends: Vec<Best>,
    /// The furthest position reached.
    frontier: usize,
}

impl Unigram {
    /// Reads the range of the scores.
    #[must_use]
    pub fn new(pieces: &[Piece]) -> Self {
        let normal = pieces.iter().filter(|p| p.kind == PieceKind::Normal);
        let worst = normal.map(|p| p.score).fold(f32::MAX, f32::min);
        Unigram {
            unknown_score: worst - UNKNOWN_PENALTY,
        }
    }

    /// Cuts normalised text. Time grows with its length times the longest match at each character.
    #[must_use]
    pub fn encode(
        &self,
        text: &[u8],
        trie: &DoubleArray,
        pieces: &[Piece],
        unknown: u32,
    ) -> Vec<Span> {
        let unreached = Best {
            score: 0.0,
            start: UNREACHED,
            id: 0,
        };
        let mut paths = Paths {
            ends: vec![unreached; text.len() + 1],
            frontier: 0,
        };
        let mut start = 0;
        while start < text.len() {
            let here = paths.score_at(start);
            let single = char_len(&text[start..]);
            let mut has_single = false;
            let mut cursor = trie.root();
            for (i, &byte) in text[start..].iter().enumerate() {
                let Some(found) = trie.step(&mut cursor, byte) else {
                    break;
                };
                let Some(id) = found else { continue };
                let Some(piece) = pieces.get(id as usize) else {
                    continue;
                };
                let length = i + 1;
                let score = match piece.kind {
                    PieceKind::Unused => continue,
                    // Above any log probability, and the more the longer: such a symbol is always kept whole.
                    PieceKind::UserDefined => (0.1 * (length as f64 - 1.0)) as f32,
                    _ => piece.score,
                };
                paths.offer(start, start + length, score + here, id);
                has_single |= length == single;
            }
            if !has_single {
                paths.offer(start, start + single, self.unknown_score + here, unknown);
            }
            start += single;
        }
        paths.trace_back(text.len())
    }
}

impl Paths {
    /// The score of the best path that ends at `start`, after a reset if it is due.
    fn score_at(&mut self, start: usize) -> f32 {
        let score = self.ends[start].score;
        if score.abs() <= RESET_BEYOND {
            return score;
        }
        for (at, best) in self.ends[start..=self.frontier.max(start)]
            .iter_mut()
            .enumerate()
        {
            if at == 0 || best.start != UNREACHED {
                best.score -= score;
            }
        }
        0.0
    }

    /// Keeps the piece if its path is better than the one known; the first of equals stays.
    #[inline]
    fn offer(&mut self, start: usize, end: usize, score: f32, id: u32) {
        self.frontier = self.frontier.max(end);
        let target = &mut self.ends[end];
        if target.start == UNREACHED || score > target.score {
            *target = Best {
                score,
                start: start as u32,
                id,
            };
        }
    }

    fn trace_back(&self, length: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut end = length;
        // A reached position always starts before it ends; the comparison guards against broken normalisation rules that
        // cut characters, where a piece can end inside one.
        while end > 0 && (self.ends[end].start as usize) < end {
            let node = self.ends[end];
            spans.push(Span {
                start: node.start as usize,
                end,
                id: node.id,
            });
            end = node.start as usize;
        }
        spans.reverse();
        spans
    }
}
