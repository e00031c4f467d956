//! Counting n-grams of all orders at once, exactly.

use std::cmp::Ordering;
use std::collections::HashMap;

/// All windows of a sequence, sorted.
///
/// A window is the next `order` symbols packed into one `u128`, first symbol highest, zeros past the end. An n-gram of a
/// lower order is a prefix of a window, so one sort serves every order: equal prefixes stand side by side. No hash is
/// involved, hence no collision.
pub(super) struct Windows {
    keys: Vec<u128>,
    bits: u32,
    order: u32,
}

impl Windows {
    /// Packs and sorts; every symbol is in `1..2^bits`, and `order * bits <= 128`.
    pub(super) fn new(symbols: &[u32], order: usize, bits: u32) -> Self {
        let order = u32::try_from(order).unwrap_or(u32::MAX);
        debug_assert!(order * bits <= u128::BITS);
        debug_assert!(symbols.iter().all(|&s| s > 0 && u64::from(s) < 1 << bits));
        let mut keys = Vec::with_capacity(symbols.len());
        // From the end: each window is its successor moved one symbol down, below the new first symbol.
        let mut window = 0u128;
        let first = (order * bits).saturating_sub(bits);
        for &symbol in symbols.iter().rev() {
            window = (window >> bits) | (u128::from(symbol) << first);
            keys.push(window);
        }
        keys.sort_unstable();
        Self { keys, bits, order }
    }

    /// Number of n-grams of order `n`, `1 <= n <= order`.
    pub(super) fn total(&self, n: usize) -> usize {
        (self.keys.len() + 1).saturating_sub(n)
    }

    /// The distinct n-grams of order `n` in ascending order, each with its count.
    fn runs(&self, n: usize) -> Runs<'_> {
        let drop = (self.order as usize - n) as u32 * self.bits;
        Runs {
            keys: &self.keys,
            drop,
            last: (1 << self.bits) - 1,
        }
    }

    /// Number of n-grams of order `n` that a reference has too, each counted at most as often as in the reference that
    /// has it most.
    pub(super) fn matches(&self, references: &[Windows], n: usize) -> usize {
        let mut others: Vec<_> = references.iter().map(|r| r.runs(n).peekable()).collect();
        let mut matched = 0;
        for (gram, count) in self.runs(n) {
            let mut most = 0;
            for other in &mut others {
                while let Some(&(theirs, times)) = other.peek() {
                    match theirs.cmp(&gram) {
                        Ordering::Less => drop(other.next()),
                        Ordering::Equal => {
                            most = most.max(times);
                            break;
                        }
                        Ordering::Greater => break,
                    }
                }
            }
            matched += count.min(most);
        }
        matched
    }
}

/// Iterator over the runs of equal prefixes.
struct Runs<'a> {
    keys: &'a [u128],
    drop: u32,
    last: u128,
}

impl Iterator for Runs<'_> {
    type Item = (u128, usize);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let gram = *self.keys.first()? >> self.drop;
            let count = self
                .keys
                .iter()
                .take_while(|&&key| key >> self.drop == gram)
                .count();
            self.keys = &self.keys[count..];
            // A zero in the last place: the window ran past the end, so this is no n-gram of the order asked for.
            if gram & self.last != 0 {
                return Some((gram, count));
            }
        }
    }
}

/// The number of `word`, a new one if it has none yet.
pub(super) fn number<'a>(word: &'a str, ids: &mut HashMap<&'a str, u32>) -> u32 {
    let next = ids.len() as u32 + 1;
    *ids.entry(word).or_insert(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(symbols: &[u32], n: usize) -> HashMap<&[u32], usize> {
        let mut counts = HashMap::new();
        for gram in symbols.windows(n) {
            *counts.entry(gram).or_insert(0) += 1;
        }
        counts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_plain_counting(
            hyp in prop::collection::vec(1u32..5, 0..20),
            refs in prop::collection::vec(prop::collection::vec(1u32..5, 0..20), 1..4),
        ) {
            let windows = Windows::new(&hyp, 6, 21);
            let others: Vec<_> = refs.iter().map(|r| Windows::new(r, 6, 21)).collect();
            for n in 1..=6 {
                let counts = counted(&hyp, n);
                prop_assert_eq!(windows.total(n), counts.values().sum::<usize>());
                let expected: usize = counts
                    .iter()
                    .map(|(gram, &count)| {
                        let most = refs.iter().map(|r| counted(r, n).get(gram).copied().unwrap_or(0)).max();
                        count.min(most.unwrap_or(0))
                    })
                    .sum();
                prop_assert_eq!(windows.matches(&others, n), expected);
            }
        }
    }

    #[test]
    fn full_width_symbols_fit() {
        let windows = Windows::new(&[u32::MAX, 1, u32::MAX, 1], 4, 32);
        assert_eq!(windows.total(4), 1);
        assert_eq!(
            windows.matches(&[Windows::new(&[u32::MAX, 1], 4, 32)], 2),
            1
        );
    }
}
