//! Learning merges: the pair of neighbouring symbols with the highest weighted count becomes a piece, over and over
//! (Sennrich, Haddow & Birch 2016), with counts kept up to date instead of recounted.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

type Pair = (u32, u32);

struct Learner {
    /// Symbols of each word.
    words: Vec<Vec<u32>>,
    weights: Vec<u64>,
    /// Text and length in characters of each symbol.
    symbols: Vec<(String, usize)>,
    counts: HashMap<Pair, u64>,
    /// Words where a pair stands, or stood.
    places: HashMap<Pair, Vec<u32>>,
    /// Highest count first, then the pair with the smaller ids; entries with an outdated count are corrected when met.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

/// Up to `room` pieces of at most `max_chars` characters, in the order they were learned. Characters outside the alphabet
/// part the words they stand in.
pub(super) fn learn(words: &[(String, u64)], alphabet: &[char], room: usize, max_chars: usize) -> Vec<String> {
    let mut learner = Learner::new(words, alphabet);
    let mut known: HashMap<String, u32> = HashMap::new();
    let mut learned = Vec::new();
    while learned.len() < room {
        let Some((count, Reverse(pair))) = learner.queue.pop() else { break };
        let current = learner.counts.get(&pair).copied().unwrap_or(0);
        if current != count {
            if current > 0 {
                learner.queue.push((current, Reverse(pair)));
            }
            continue;
        }
        let (left, right) = (&learner.symbols[pair.0 as usize], &learner.symbols[pair.1 as usize]);
        let length = left.1 + right.1;
        let text = format!("{}{}", left.0, right.0);
        if length > max_chars {
            learner.counts.remove(&pair);
            continue;
        }
        // The same text by another pair is the same piece.
        let id = *known.entry(text.clone()).or_insert_with(|| {
            learned.push(text.clone());
            learner.symbols.push((text, length));
            learner.symbols.len() as u32 - 1
        });
        learner.merge(pair, id);
    }
    learned
}

impl Learner {
    fn new(words: &[(String, u64)], alphabet: &[char]) -> Self {
        let ids: HashMap<char, u32> = alphabet.iter().copied().zip(0u32..).collect();
        let mut learner = Learner {
            words: Vec::with_capacity(words.len()),
            weights: Vec::with_capacity(words.len()),
            symbols: alphabet.iter().map(|c| (c.to_string(), 1)).collect(),
            counts: HashMap::new(),
            places: HashMap::new(),
            queue: BinaryHeap::new(),
        };
        for (word, weight) in words {
            let mut symbols = Vec::new();
            for c in word.chars().map(Some).chain([None]) {
                match c.and_then(|c| ids.get(&c)) {
                    Some(&id) => symbols.push(id),
                    None if symbols.len() > 1 => {
                        learner.words.push(std::mem::take(&mut symbols));
                        learner.weights.push(*weight);
                    }
                    None => symbols.clear(),
                }
            }
        }
        for index in 0..learner.words.len() {
            for at in 1..learner.words[index].len() {
                let pair = (learner.words[index][at - 1], learner.words[index][at]);
                learner.add(pair, index as u32);
            }
        }
        learner.queue = learner.counts.iter().map(|(pair, count)| (*count, Reverse(*pair))).collect();
        learner
    }

    fn add(&mut self, pair: Pair, word: u32) {
        *self.counts.entry(pair).or_default() += self.weights[word as usize];
        let places = self.places.entry(pair).or_default();
        if places.last() != Some(&word) {
            places.push(word);
        }
    }

    /// Replaces the pair by `id` in all words and brings the counts of its neighbours up to date.
    fn merge(&mut self, pair: Pair, id: u32) {
        let places = self.places.remove(&pair).unwrap_or_default();
        let mut touched: Vec<Pair> = Vec::new();
        for word in places {
            let weight = self.weights[word as usize];
            let old = std::mem::take(&mut self.words[word as usize]);
            let mut new: Vec<u32> = Vec::with_capacity(old.len());
            let mut at = 0;
            while at < old.len() {
                if at + 1 < old.len() && (old[at], old[at + 1]) == pair {
                    new.push(id);
                    at += 2;
                } else {
                    new.push(old[at]);
                    at += 1;
                }
            }
            if new.len() < old.len() {
                for pair in old.windows(2).map(|w| (w[0], w[1])) {
                    if let Some(count) = self.counts.get_mut(&pair) {
                        *count = count.saturating_sub(weight);
                    }
                }
                for pair in new.windows(2).map(|w| (w[0], w[1])) {
                    self.add(pair, word);
                    if pair.0 == id || pair.1 == id {
                        touched.push(pair);
                    }
                }
            }
            self.words[word as usize] = new;
        }
        self.counts.remove(&pair);
        touched.sort_unstable();
        touched.dedup();
        for pair in touched {
            if let Some(&count) = self.counts.get(&pair) {
                self.queue.push((count, Reverse(pair)));
            }
        }
    }
}
