//! Keys and values of sentences that are being translated. Sentences come and go while others stay, each at its own length.

use std::ops::Range;

use isogloss_kernels::Real;

/// Target rows that a slot starts with, and the least that it grows by.
const ROWS: usize = 16;

/// A sentence in a [`DecoderCache`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CacheKey(usize);

/// The cache of a decoder. Keys and values of a sentence's source are there once, and all its hypotheses read the same rows. Those
/// of its target so far lie in slots of contiguous rows, a slot a hypothesis; a hypothesis that lives on keeps its slot, so that
/// only a second child of the same parent costs a copy.
#[derive(Debug, Clone)]
pub(crate) struct DecoderCache<R> {
    pub(super) source: Arena<R>,
    pub(super) target: Arena<R>,
    sentences: Vec<Option<Entry>>,
    /// Slots of a sentence.
    slots: usize,
}

/// A sentence's rows.
#[derive(Debug, Clone, Copy)]
struct Entry {
    source: Region,
    /// `slots` runs of `capacity` rows, of which the first `len` are filled.
    target: Region,
    capacity: usize,
    len: usize,
}

impl<R: Real> DecoderCache<R> {
    /// An empty cache for `layers` layers of rows of `width`, with `slots` slots a sentence.
    pub fn new(layers: usize, width: usize, slots: usize) -> Self {
        DecoderCache {
            source: Arena::new(layers, width),
            target: Arena::new(layers, width),
            sentences: Vec::new(),
            slots,
        }
    }

    /// Takes in a sentence with `source` rows of the encoder; whoever does writes them.
    pub fn insert(&mut self, source: usize) -> CacheKey {
        let entry = Entry {
            source: self.source.allocate(source),
            target: self.target.allocate(0),
            capacity: 0,
            len: 0,
        };
        match self.sentences.iter().position(Option::is_none) {
            Some(free) => {
                self.sentences[free] = Some(entry);
                CacheKey(free)
            }
            None => {
                self.sentences.push(Some(entry));
                CacheKey(self.sentences.len() - 1)
            }
        }
    }

    /// Forgets a sentence; its rows are free for others.
    pub fn remove(&mut self, key: CacheKey) {
        if let Some(entry) = self.sentences[key.0].take() {
            self.source.free(entry.source);
            self.target.free(entry.target);
        }
    }

    /// Target tokens so far of each of a sentence's hypotheses, the start token included.
    pub fn len(&self, key: CacheKey) -> usize {
        self.entry(key).len
    }

    /// The rows of a sentence's source.
    pub fn source_rows(&self, key: CacheKey) -> Range<usize> {
        self.source.rows(self.entry(key).source)
    }

    /// The first row of a slot.
    pub fn slot_start(&self, key: CacheKey, slot: usize) -> usize {
        debug_assert!(slot < self.slots, "a sentence has {} slots", self.slots);
        let entry = self.entry(key);
        self.target.rows(entry.target).start + slot * entry.capacity
    }

    /// Copies what is filled of a sentence's slot `from` to its slot `to`.
    pub fn copy_slot(&mut self, key: CacheKey, from: usize, to: usize) {
        let (from, to) = (self.slot_start(key, from), self.slot_start(key, to));
        let len = self.entry(key).len;
        self.target.copy(from..from + len, to);
    }

    /// Makes room for one more row in each of a sentence's slots.
    pub fn reserve(&mut self, key: CacheKey) {
        let old = self.entry(key);
        if old.len < old.capacity {
            return;
        }
        // By half, so that little lies idle.
        let capacity = old.capacity + (old.capacity / 2).max(ROWS);
        let target = self.target.allocate(self.slots * capacity);
        let (from, to) = (self.target.rows(old.target), self.target.rows(target));
        for slot in 0..self.slots {
            let start = from.start + slot * old.capacity;
            self.target
                .copy(start..start + old.len, to.start + slot * capacity);
        }
        self.target.free(old.target);
        self.sentences[key.0] = Some(Entry {
            target,
            capacity,
            ..old
        });
    }

    /// Counts one more row in each of a sentence's slots.
    pub fn advance(&mut self, key: CacheKey) {
        if let Some(entry) = &mut self.sentences[key.0] {
            entry.len += 1;
        }
    }

    fn entry(&self, key: CacheKey) -> Entry {
        match self.sentences[key.0] {
            Some(entry) => entry,
            None => unreachable!("a key is used after its sentence was removed"),
        }
    }
}

/// Keys and values of one attention.
#[derive(Debug, Clone, Default)]
pub(super) struct KeysValues<R> {
    pub keys: Vec<R>,
    pub values: Vec<R>,
}

impl<R: Real> KeysValues<R> {
    /// Overwrites rows of `width` from `row` on.
    pub fn write(&mut self, row: usize, width: usize, keys: &[R], values: &[R]) {
        let to = row * width..row * width + keys.len();
        self.keys[to.clone()].copy_from_slice(keys);
        self.values[to].copy_from_slice(values);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Region(usize);

/// Rows of keys and values for all layers, handed out in contiguous regions. A region stays where it is until another is allocated.
#[derive(Debug, Clone)]
pub(super) struct Arena<R> {
    pub layers: Vec<KeysValues<R>>,
    pub width: usize,
    rows: usize,
    /// None where a region was freed.
    regions: Vec<Option<Range<usize>>>,
}

impl<R: Real> Arena<R> {
    fn new(layers: usize, width: usize) -> Self {
        Arena {
            layers: vec![KeysValues::default(); layers],
            width,
            rows: 0,
            regions: Vec::new(),
        }
    }

    fn rows(&self, region: Region) -> Range<usize> {
        self.regions[region.0].clone().unwrap_or_default()
    }

    fn free(&mut self, region: Region) {
        self.regions[region.0] = None;
    }

    /// A region of `rows` rows, which hold anything. Moves others together, or grows, where no gap is large enough. At most a quarter
    /// of the rows lies idle at the end; and since an eighth is free after moving, a row is moved a few times in all, however many
    /// sentences come and go.
    fn allocate(&mut self, rows: usize) -> Region {
        let start = self.gap(rows).unwrap_or_else(|| {
            let used: usize = self
                .regions
                .iter()
                .flatten()
                .map(ExactSizeIterator::len)
                .sum();
            let needed = used + rows;
            let grown = match self.rows < needed + needed / 8 {
                true => needed + needed / 4,
                false => self.rows,
            };
            self.compact(grown)
        });
        let region = Some(start..start + rows);
        match self.regions.iter().position(Option::is_none) {
            Some(free) => {
                self.regions[free] = region;
                Region(free)
            }
            None => {
                self.regions.push(region);
                Region(self.regions.len() - 1)
            }
        }
    }

    /// The regions in the order of their rows.
    fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.regions.len())
            .filter(|&i| self.regions[i].is_some())
            .collect();
        order.sort_by_key(|&i| self.regions[i].clone().map(|r| (r.start, r.end)));
        order
    }

    /// The start of the first gap of `rows` rows.
    fn gap(&self, rows: usize) -> Option<usize> {
        let mut end = 0;
        for i in self.in_order() {
            let region = self.rows(Region(i));
            if region.start - end >= rows {
                return Some(end);
            }
            end = region.end;
        }
        (self.rows - end >= rows).then_some(end)
    }

    /// Moves all regions to the front, in their order, with room for `rows` rows in all. Returns the first free row.
    fn compact(&mut self, rows: usize) -> usize {
        let (mut end, mut moves) = (0, Vec::new());
        for i in self.in_order() {
            let old = self.rows(Region(i));
            let new = end..end + old.len();
            end = new.end;
            moves.push((old, new.start));
            self.regions[i] = Some(new);
        }
        let (width, grow) = (self.width, rows > self.rows);
        for layer in &mut self.layers {
            for values in [&mut layer.keys, &mut layer.values] {
                if grow {
                    let mut grown = vec![R::zero(); rows * width];
                    for (old, to) in &moves {
                        let from = &values[old.start * width..old.end * width];
                        grown[to * width..to * width + from.len()].copy_from_slice(from);
                    }
                    *values = grown;
                } else {
                    move_rows(values, width, &moves);
                }
            }
        }
        self.rows = rows;
        end
    }

    fn copy(&mut self, from: Range<usize>, to: usize) {
        for layer in &mut self.layers {
            for values in [&mut layer.keys, &mut layer.values] {
                move_rows(values, self.width, &[(from.clone(), to)]);
            }
        }
    }
}

/// Moves runs of rows one after the other.
fn move_rows<R: Copy>(values: &mut [R], width: usize, moves: &[(Range<usize>, usize)]) {
    for (from, to) in moves.iter().filter(|(from, to)| from.start != *to) {
        values.copy_within(from.start * width..from.end * width, to * width);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WIDTH: usize = 2;

    fn fill(arena: &mut Arena<f32>, region: Region, value: f32) {
        let rows = arena.rows(region);
        let run = vec![value; rows.len() * WIDTH];
        for layer in &mut arena.layers {
            layer.write(rows.start, WIDTH, &run, &run);
        }
    }

    fn holds(arena: &Arena<f32>, region: Region, value: f32) -> bool {
        let rows = arena.rows(region);
        let range = rows.start * WIDTH..rows.end * WIDTH;
        arena.layers.iter().all(|layer| {
            let both = [&layer.keys[range.clone()], &layer.values[range.clone()]];
            both.iter().all(|run| run.iter().all(|&x| x == value))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Regions keep what they hold, whatever comes and goes, and little lies idle.
        #[test]
        fn regions_keep_their_rows(steps in prop::collection::vec((0usize..40, any::<bool>(), any::<u16>()), 1..120)) {
            let mut arena = Arena::<f32>::new(2, WIDTH);
            let (mut there, mut most) = (Vec::<(Region, usize, f32)>::new(), 0);
            for (n, (rows, remove, at)) in steps.into_iter().enumerate() {
                if remove && !there.is_empty() {
                    let (region, ..) = there.swap_remove(usize::from(at) % there.len());
                    arena.free(region);
                } else {
                    let region = arena.allocate(rows);
                    fill(&mut arena, region, n as f32);
                    there.push((region, rows, n as f32));
                }
                let used: usize = there.iter().map(|(_, rows, _)| rows).sum();
                most = most.max(used);
                prop_assert!(arena.rows <= most + most / 4);
                for &(region, rows, value) in &there {
                    prop_assert_eq!(arena.rows(region).len(), rows);
                    prop_assert!(holds(&arena, region, value));
                }
            }
        }
    }

    #[test]
    fn slots_grow_and_are_copied() {
        let mut cache = DecoderCache::<f32>::new(1, WIDTH, 3);
        let keys = [cache.insert(4), cache.insert(1)];
        for n in 0..2 * ROWS {
            for (k, &key) in keys.iter().enumerate() {
                cache.reserve(key);
                let row = cache.slot_start(key, k) + n;
                let value = [(100 * k + n) as f32; WIDTH];
                cache.target.layers[0].write(row, WIDTH, &value, &value);
                cache.advance(key);
            }
        }
        let rows = |cache: &DecoderCache<f32>, key, slot| {
            let start = cache.slot_start(key, slot);
            let rows = start..start + cache.len(key);
            let first = |row: usize| cache.target.layers[0].values[row * WIDTH] as usize;
            rows.map(first).collect::<Vec<_>>()
        };
        cache.copy_slot(keys[1], 1, 2);
        let second: Vec<usize> = (100..100 + 2 * ROWS).collect();
        assert_eq!(rows(&cache, keys[1], 2), second);
        cache.remove(keys[0]);
        let third = cache.insert(9);
        cache.reserve(third);
        assert_eq!((cache.len(third), cache.source_rows(third).len()), (0, 9));
        assert_eq!(rows(&cache, keys[1], 1), second);
    }
}
