//! Byte-pair merges in the order of the pieces' scores, as `bpe_model.cc` of SentencePiece does them: the best pair anywhere
//! first, the leftmost of equals. A heap of candidate pairs over a linked list of symbols keeps it at n log n.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::double_array::DoubleArray;
use super::proto::{Piece, PieceKind};
use super::{Span, char_len};

#[derive(Clone, Copy)]
struct Symbol {
    start: u32,
    /// Equal to `start` once merged into its left neighbour.
    end: u32,
    prev: u32,
    next: u32,
    /// A user-defined symbol: never merged.
    frozen: bool,
}

const NONE: u32 = u32::MAX;

struct Candidate {
    score: f32,
    left: u32,
    right: u32,
    length: u32,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = self
            .score
            .partial_cmp(&other.score)
            .unwrap_or(Ordering::Equal);
        by_score.then_with(|| other.left.cmp(&self.left))
    }
}
impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Candidate {}

/// The state of cutting one text.
struct Merger<'a> {
    text: &'a [u8],
    trie: &'a DoubleArray,
    pieces: &'a [Piece],
    symbols: Vec<Symbol>,
    agenda: BinaryHeap<Candidate>,
    /// How an unused piece came about: its text to where its left half ends. Unused pieces are taken apart again.
    halves: HashMap<&'a [u8], u32>,
}

/// Cuts normalised text.
#[must_use]
pub fn encode(
    text: &[u8],
    trie: &DoubleArray,
    user_defined: &DoubleArray,
    pieces: &[Piece],
    unknown: u32,
) -> Vec<Span> {
    let mut symbols = Vec::with_capacity(text.len());
    let mut start = 0;
    while start < text.len() {
        let matched = user_defined.longest_prefix(&text[start..]);
        let length = matched.map_or_else(|| char_len(&text[start..]), |(length, _)| length);
        let index = symbols.len() as u32;
        let end = start + length;
        symbols.push(Symbol {
            start: start as u32,
            end: end as u32,
            prev: index.checked_sub(1).unwrap_or(NONE),
            next: if end < text.len() { index + 1 } else { NONE },
            frozen: matched.is_some(),
        });
        start = end;
    }
    let mut merger = Merger {
        text,
        trie,
        pieces,
        symbols,
        agenda: BinaryHeap::new(),
        halves: HashMap::new(),
    };
    merger.run();
    merger.spans(unknown)
}

impl<'a> Merger<'a> {
    fn run(&mut self) {
        for right in 1..self.symbols.len() as u32 {
            self.consider(right - 1, right);
        }
        while let Some(top) = self.agenda.pop() {
            let (left, right) = (
                self.symbols[top.left as usize],
                self.symbols[top.right as usize],
            );
            let is_stale = left.start == left.end
                || right.start == right.end
                || left.end - left.start + right.end - right.start != top.length;
            if is_stale {
                continue;
            }
            let merged = &mut self.symbols[top.left as usize];
            merged.end = right.end;
            merged.next = right.next;
            let (prev, next) = (merged.prev, merged.next);
            if next != NONE {
                self.symbols[next as usize].prev = top.left;
            }
            let gone = &mut self.symbols[top.right as usize];
            gone.end = gone.start;
            self.consider(prev, top.left);
            self.consider(top.left, next);
        }
    }

    /// Puts the pair on the agenda if its text is a piece.
    fn consider(&mut self, left: u32, right: u32) {
        if left == NONE || right == NONE {
            return;
        }
        let (l, r) = (self.symbols[left as usize], self.symbols[right as usize]);
        if l.frozen || r.frozen {
            return;
        }
        let text: &'a [u8] = &self.text[l.start as usize..r.end as usize];
        let Some(piece) = self
            .trie
            .get(text)
            .and_then(|id| self.pieces.get(id as usize))
        else {
            return;
        };
        self.agenda.push(Candidate {
            score: piece.score,
            left,
            right,
            length: text.len() as u32,
        });
        if piece.kind == PieceKind::Unused {
            self.halves.insert(text, l.end - l.start);
        }
    }

    fn spans(&self, unknown: u32) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut pending = Vec::new();
        let mut index = if self.symbols.is_empty() { NONE } else { 0 };
        while index != NONE {
            let symbol = self.symbols[index as usize];
            pending.push((symbol.start as usize, symbol.end as usize));
            while let Some((start, end)) = pending.pop() {
                let id = self.trie.get(&self.text[start..end]).unwrap_or(unknown);
                let is_unused = self
                    .pieces
                    .get(id as usize)
                    .is_some_and(|p| p.kind == PieceKind::Unused);
                match self.halves.get(&self.text[start..end]) {
                    Some(&half) if is_unused => {
                        let middle = start + half as usize;
                        pending.push((middle, end));
                        pending.push((start, middle));
                    }
                    _ => spans.push(Span { start, end, id }),
                }
            }
            index = symbol.next;
        }
        spans
    }
}
