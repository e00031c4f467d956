//! A trie as a double array in the layout of Darts-clone, the one that SentencePiece stores in its compiled normalisation
//! rules. The same layout, built here, holds the vocabulary.
//!
//! A unit is 32 bits. Of an inner node: bits 0..8 the byte that leads to it, bit 8 whether a key ends here, bits 10..31 the
//! offset to its children (shifted by 8 more if bit 9 is set). The child by byte `c` of a node at `i` lies at
//! `i ^ offset ^ c`; the value of a key lies at the child by byte 0, with bit 31 set.

use super::SentencePieceError;

const BLOCK: usize = 256;
/// Free places in older blocks are given up: few are left there, and searching them costs more than they save.
const OPEN_BLOCKS: usize = 16;
const VALUE: u32 = 1 << 31;

/// A map from byte strings without NUL to values below 2^31, searched by prefix.
#[derive(Debug, Clone, Default)]
pub struct DoubleArray {
    units: Vec<u32>,
}

/// A place inside the trie, between two bytes of a key.
#[derive(Debug, Clone, Copy)]
pub struct Cursor(usize);

impl DoubleArray {
    /// Takes stored units as they are. Any content is safe to search: a unit outside the array ends the search.
    #[must_use]
    pub fn from_le_bytes(bytes: &[u8]) -> Self {
        let units = bytes
            .chunks_exact(4)
            .map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]));
        DoubleArray {
            units: units.collect(),
        }
    }

    /// The stored form.
    #[must_use]
    pub fn to_le_bytes(&self) -> Vec<u8> {
        self.units.iter().flat_map(|u| u.to_le_bytes()).collect()
    }

    /// Before the first byte.
    #[must_use]
    pub fn root(&self) -> Cursor {
        Cursor(self.units.first().map_or(0, |&unit| offset(unit)))
    }

    /// Goes down by one byte. `None`: no key goes on like this. Otherwise the value if a key ends here.
    #[inline]
    pub fn step(&self, cursor: &mut Cursor, byte: u8) -> Option<Option<u32>> {
        let at = cursor.0 ^ usize::from(byte);
        let unit = *self.units.get(at)?;
        if unit & (VALUE | 0xff) != u32::from(byte) {
            return None;
        }
        *cursor = Cursor(at ^ offset(unit));
        if unit & (1 << 8) == 0 {
            return Some(None);
        }
        Some(self.units.get(cursor.0).map(|value| value & !VALUE))
    }

    /// The longest key that `text` starts with: its length and value.
    #[must_use]
    pub fn longest_prefix(&self, text: &[u8]) -> Option<(usize, u32)> {
        let mut cursor = self.root();
        let mut best = None;
        for (i, &byte) in text.iter().enumerate() {
            match self.step(&mut cursor, byte) {
                None => break,
                Some(Some(value)) => best = Some((i + 1, value)),
                Some(None) => {}
            }
        }
        best
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<u32> {
        let mut cursor = self.root();
        let mut found = None;
        for &byte in key {
            found = self.step(&mut cursor, byte)?;
        }
        found
    }

    /// Builds the trie of `entries`, in any order.
    ///
    /// # Errors
    /// [`SentencePieceError::Vocabulary`] for an empty key, a NUL in a key, a key given twice or a value from 2^31 up.
    pub fn build<'a>(
        entries: impl IntoIterator<Item = (&'a [u8], u32)>,
    ) -> Result<Self, SentencePieceError> {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_unstable();
        for (i, (key, value)) in entries.iter().enumerate() {
            let wrong = if key.is_empty() {
                "is empty"
            } else if key.contains(&0) {
                "contains NUL"
            } else if i > 0 && entries[i - 1].0 == *key {
                "is defined twice"
            } else if *value >= VALUE {
                "has too large a value"
            } else {
                continue;
            };
            return Err(SentencePieceError::Vocabulary {
                reason: format!("the piece `{}` {wrong}", String::from_utf8_lossy(key)),
            });
        }
        let mut builder = Builder::new();
        if !entries.is_empty() {
            builder.insert(&entries);
        }
        Ok(DoubleArray {
            units: builder.finish(),
        })
    }
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

struct Builder {
    units: Vec<u32>,
    /// Units that hold a node.
    taken: Vec<bool>,
    /// Places that are some node's `i ^ offset`; two nodes never share one.
    is_base: Vec<bool>,
    /// Free units of the open blocks, ascending.
    free: Vec<usize>,
}

impl Builder {
    fn new() -> Self {
        let mut builder = Builder {
            units: Vec::new(),
            taken: Vec::new(),
            is_base: Vec::new(),
            free: Vec::new(),
        };
        builder.add_block();
        // Unit 0 is the root, and no children are placed around it.
        builder.taken[0] = true;
        builder.is_base[0] = true;
        builder.free.remove(0);
        builder
    }

    fn add_block(&mut self) {
        let start = self.units.len();
        self.units.resize(start + BLOCK, 0);
        self.taken.resize(start + BLOCK, false);
        self.is_base.resize(start + BLOCK, false);
        if self.units.len() > OPEN_BLOCKS * BLOCK {
            let oldest = self.units.len() - OPEN_BLOCKS * BLOCK;
            self.free.retain(|&at| at >= oldest);
        }
        self.free.extend(start..start + BLOCK);
    }

    /// Places the children of every node, with an explicit stack because keys can be thousands of bytes long.
    fn insert(&mut self, entries: &[(&[u8], u32)]) {
        let mut stack = vec![(0usize, 0..entries.len(), 0usize)];
        let mut labels: Vec<(u8, std::ops::Range<usize>)> = Vec::new();
        while let Some((node, range, depth)) = stack.pop() {
            labels.clear();
            for i in range {
                let label = entries[i].0.get(depth).copied().unwrap_or(0);
                match labels.last_mut() {
                    Some((last, group)) if *last == label => group.end = i + 1,
                    _ => labels.push((label, i..i + 1)),
                }
            }
            let base = self.place(node, &labels);
            for (label, group) in &labels {
                let child = base ^ usize::from(*label);
                if *label == 0 {
                    self.units[node] |= 1 << 8;
                    self.units[child] = VALUE | entries[group.start].1;
                } else {
                    self.units[child] = u32::from(*label);
                    stack.push((child, group.clone(), depth + 1));
                }
            }
        }
    }

    /// Finds a base where all children of `node` are free, and takes those places.
    fn place(&mut self, node: usize, labels: &[(u8, std::ops::Range<usize>)]) -> usize {
        let first = usize::from(labels[0].0);
        let fits = |at: &usize| {
            let base = at ^ first;
            let relative = node ^ base;
            // An offset is either below 2^21 or a multiple of 256.
            let encodable = relative < 1 << 21 || relative & 0xff == 0;
            let is_free = |(label, _): &(u8, _)| !self.taken[base ^ usize::from(*label)];
            encodable && !self.is_base[base] && labels.iter().all(is_free)
        };
        let base = match self.free.iter().copied().find(|at| fits(at)) {
            Some(at) => at ^ first,
            None => {
                let base = self.units.len() | (node & 0xff);
                self.add_block();
                base
            }
        };
        self.is_base[base] = true;
        for (label, _) in labels {
            let child = base ^ usize::from(*label);
            self.taken[child] = true;
            if let Ok(at) = self.free.binary_search(&child) {
                self.free.remove(at);
            }
        }
        let relative = (node ^ base) as u32;
        self.units[node] |= if relative < 1 << 21 {
            relative << 10
        } else {
            (relative << 2) | (1 << 9)
        };
        base
    }

    /// Gives each unused unit a label that no search asks for there.
    fn finish(mut self) -> Vec<u32> {
        for start in (0..self.units.len()).step_by(BLOCK) {
            let block = start..start + BLOCK;
            // With all 256 places of a block in use as bases, each has a child in it, and no unit is unused.
            let Some(nobody) = block.clone().find(|&at| !self.is_base[at]) else {
                continue;
            };
            for at in block {
                if !self.taken[at] {
                    self.units[at] = ((at ^ nobody) & 0xff) as u32;
                }
            }
        }
        self.units
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn finds_what_was_put_in_and_nothing_else(
            map in proptest::collection::btree_map(
                proptest::collection::vec(1u8..=255, 1..5), 0u32..1000, 0..300),
            probe in proptest::collection::vec(any::<u8>(), 0..6),
        ) {
            let map: BTreeMap<Vec<u8>, u32> = map;
            let trie = DoubleArray::build(map.iter().map(|(k, v)| (k.as_slice(), *v))).unwrap();
            for (key, value) in &map {
                prop_assert_eq!(trie.get(key), Some(*value));
            }
            prop_assert_eq!(trie.get(&probe), map.get(&probe).copied());
            let longest = (1..=probe.len()).rev().find_map(|n| map.get(&probe[..n]).map(|v| (n, *v)));
            prop_assert_eq!(trie.longest_prefix(&probe), longest);
        }

        #[test]
        fn searching_garbage_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            text in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let trie = DoubleArray::from_le_bytes(&bytes);
            let _ = trie.longest_prefix(&text);
        }
    }

    #[test]
    fn offsets_beyond_21_bits_are_encoded() {
        // More than 2^21 units: the wide form of the offset must be taken.
        let keys: Vec<[u8; 4]> = (0..700_000u32)
            .map(|i| {
                let i = i.wrapping_mul(2_654_435_761);
                [
                    1 + (i % 250) as u8,
                    1 + (i / 250 % 250) as u8,
                    1 + (i / 62_500 % 250) as u8,
                    1 + (i >> 25) as u8,
                ]
            })
            .collect();
        let map: BTreeMap<_, _> = keys.iter().zip(0u32..).collect();
        let trie = DoubleArray::build(map.iter().map(|(k, v)| (k.as_slice(), *v))).unwrap();
        assert!(trie.units.len() > 1 << 21);
        assert!(map.iter().all(|(k, v)| trie.get(k.as_slice()) == Some(*v)));
    }

    #[test]
    fn rejects_keys_it_cannot_hold() {
        for keys in [
            vec![&b""[..]],
            vec![&b"a\0"[..]],
            vec![&b"a"[..], &b"a"[..]],
        ] {
            assert!(DoubleArray::build(keys.into_iter().map(|k| (k, 0))).is_err());
        }
    }
}
