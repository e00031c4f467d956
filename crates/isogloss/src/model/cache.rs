//! Keys and values of sentences that are being translated. Sentences come and go while others stay, each at its own length.

use isogloss_kernels::{KeptRows, Real};

/// Rows that are handed out together, so that those of a sentence lie close to each other.
const BLOCK: usize = 8;

/// The cache of a decoder. Keys and values of a sentence's source are there once, and all its hypotheses read the same rows. Of its
/// target, every hypothesis has a list of rows, and adds one of its own at each step: those that go on from the same one share what lies
/// behind them, and no row is ever copied.
#[derive(Debug, Clone)]
pub(crate) struct DecoderCache<R> {
    pub(super) source: Rows<R>,
    pub(super) target: Rows<R>,
}

/// The rows of a sentence, to be given back by [`DecoderCache::remove`].
#[derive(Debug, Default)]
pub(crate) struct CachedSentence {
    /// Rows of the source, in its order.
    source: Vec<u32>,
    source_blocks: Vec<u32>,
    target_blocks: Vec<u32>,
    /// Rows of the target so far, of all hypotheses.
    taken: usize,
}

impl CachedSentence {
    /// Rows of the source, in its order.
    pub fn source(&self) -> &[u32] {
        &self.source
    }
}

impl<R: Real> DecoderCache<R> {
    /// An empty cache for `layers` layers of rows of `width`, in bfloat16 or not.
    pub fn new(layers: usize, width: usize, in_bf16: bool) -> Self {
        DecoderCache {
            source: Rows::new(layers, width, in_bf16),
            target: Rows::new(layers, width, in_bf16),
        }
    }

    /// Sets memory aside for about so many rows, so that they aren't moved as they become more.
    pub fn reserve(&mut self, source: usize, target: usize) {
        self.source.reserve(source);
        self.target.reserve(target);
    }

    /// Takes in a sentence with `source` rows of the encoder; whoever does writes them.
    pub fn insert(&mut self, source: usize) -> CachedSentence {
        let mut sentence = CachedSentence::default();
        for taken in 0..source {
            let row = self.source.take(&mut sentence.source_blocks, taken);
            sentence.source.push(row);
        }
        sentence
    }

    /// A new row of a sentence's target.
    pub fn target_row(&mut self, sentence: &mut CachedSentence) -> u32 {
        let row = self
            .target
            .take(&mut sentence.target_blocks, sentence.taken);
        sentence.taken += 1;
        row
    }

    /// Forgets a sentence; its rows are free for others.
    pub fn remove(&mut self, sentence: CachedSentence) {
        self.source.free.extend(sentence.source_blocks);
        self.target.free.extend(sentence.target_blocks);
    }
}

/// Keys and values of one attention.
#[derive(Debug, Clone)]
pub(super) struct KeysValues<R> {
    pub keys: KeptRows<R>,
    pub values: KeptRows<R>,
}

/// Rows of keys and values for all layers, handed out in blocks.
#[derive(Debug, Clone)]
pub(super) struct Rows<R> {
    pub layers: Vec<KeysValues<R>>,
    width: usize,
    /// Blocks that there is memory for.
    blocks: usize,
    /// Those of them that no sentence has.
    free: Vec<u32>,
}

impl<R: Real> Rows<R> {
    fn new(layers: usize, width: usize, in_bf16: bool) -> Self {
        let empty = KeysValues {
            keys: KeptRows::new(in_bf16),
            values: KeptRows::new(in_bf16),
        };
        Rows {
            layers: vec![empty; layers],
            width,
            blocks: 0,
            free: Vec::new(),
        }
    }

    fn reserve(&mut self, rows: usize) {
        for layer in &mut self.layers {
            layer.keys.reserve(rows * self.width);
            layer.values.reserve(rows * self.width);
        }
    }

    /// The next row of an owner of `blocks`, of whose rows so many are taken.
    fn take(&mut self, blocks: &mut Vec<u32>, taken: usize) -> u32 {
        if taken == blocks.len() * BLOCK {
            blocks.push(self.block());
        }
        blocks[taken / BLOCK] * BLOCK as u32 + (taken % BLOCK) as u32
    }

    /// A free block. Where there is none, memory grows by a quarter.
    fn block(&mut self) -> u32 {
        if let Some(block) = self.free.pop() {
            return block;
        }
        let new = self.blocks..self.blocks + (self.blocks / 4).max(8);
        self.blocks = new.end;
        for layer in &mut self.layers {
            let len = new.end * BLOCK * self.width;
            layer.keys.grow(len);
            layer.values.grow(len);
        }
        // The first one is the next that is handed out.
        self.free.extend(new.rev().map(|block| block as u32));
        self.free.pop().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WIDTH: usize = 2;

    /// Writes `value` to a row of all layers.
    fn write(rows: &mut Rows<f32>, row: u32, value: f32) {
        for layer in &mut rows.layers {
            layer.keys.write(&[row], &[value; WIDTH]);
            layer.values.write(&[row], &[value; WIDTH]);
        }
    }

    fn holds(rows: &Rows<f32>, row: u32, value: f32) -> bool {
        let at = row as usize * WIDTH..(row as usize + 1) * WIDTH;
        let both = rows
            .layers
            .iter()
            .flat_map(|layer| [&layer.keys, &layer.values]);
        both.into_iter()
            .all(|kept| at.clone().all(|i| kept.at(i) == value))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Sentences keep what they hold, whatever comes and goes, and little lies idle.
        #[test]
        fn sentences_keep_their_rows(steps in prop::collection::vec((1usize..40, 0usize..3, any::<u16>()), 1..120)) {
            let mut cache = DecoderCache::<f32>::new(2, WIDTH, false);
            let mut there = Vec::<(CachedSentence, Vec<u32>, f32)>::new();
            // Rows of sources and of targets: in use now, and at most.
            let (mut used, mut most) = ([0, 0], [0, 0]);
            let padded = |rows: usize| rows.next_multiple_of(BLOCK);
            for (n, (rows, what, at)) in steps.into_iter().enumerate() {
                let at = usize::from(at) % there.len().max(1);
                match there.get_mut(at).filter(|_| what > 0) {
                    Some((sentence, target, value)) if what == 1 => {
                        used[1] -= padded(target.len());
                        for _ in 0..rows {
                            let row = cache.target_row(sentence);
                            write(&mut cache.target, row, *value);
                            target.push(row);
                        }
                        used[1] += padded(target.len());
                    }
                    Some(_) => {
                        let (sentence, target, _) = there.swap_remove(at);
                        used[0] -= padded(sentence.source().len());
                        used[1] -= padded(target.len());
                        cache.remove(sentence);
                    }
                    None => {
                        let sentence = cache.insert(rows);
                        used[0] += padded(rows);
                        for &row in sentence.source() {
                            write(&mut cache.source, row, n as f32);
                        }
                        there.push((sentence, Vec::new(), n as f32));
                    }
                }
                for (i, rows) in [&cache.source, &cache.target].into_iter().enumerate() {
                    most[i] = most[i].max(used[i]);
                    // A quarter more, and the first few blocks.
                    prop_assert!(rows.blocks * BLOCK <= most[i] + most[i] / 4 + 8 * BLOCK);
                }
                for (sentence, target, value) in &there {
                    prop_assert!(sentence.source().iter().all(|&row| holds(&cache.source, row, *value)));
                    prop_assert!(target.iter().all(|&row| holds(&cache.target, row, *value)));
                }
            }
        }
    }
}
