//! Which pairs an epoch trains on.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::{Deserialize, Serialize};

/// How directions share an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleConfig {
    /// `T` in: a direction with `n` pairs gets a share proportional to `n^(1/T)`. 1 is proportional to the data, `inf` gives
    /// every direction the same. At least 1; default 5, as M2M-100 and its successors were trained.
    pub temperature: f64,
    /// Every direction the same, whatever the temperature; default `false`.
    pub balanced: bool,
    /// Pairs of an epoch; default: as many as the data has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs_per_epoch: Option<usize>,
}

impl Default for SampleConfig {
    fn default() -> Self {
        SampleConfig {
            temperature: 5.0,
            balanced: false,
            pairs_per_epoch: None,
        }
    }
}

/// Why no sampler could be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// No direction has a pair.
    #[error("there is no sentence pair to train on")]
    NoPairs,
    /// A temperature below 1, or no number.
    #[error(
        "temperature is {0}; it must be 1 (proportional to the data) or more, `inf` for equal shares"
    )]
    Temperature(f64),
    /// An epoch that cannot show each direction once.
    #[error(
        "an epoch of {pairs} pairs cannot hold {directions} directions; raise `pairs_per_epoch` or train fewer directions"
    )]
    EpochTooSmall {
        /// Pairs of an epoch.
        pairs: usize,
        /// Directions with data.
        directions: usize,
    },
    /// Counts that do not fit the sampler's indices.
    #[error(
        "more than {} directions, or pairs of a direction or an epoch",
        u32::MAX
    )]
    TooLarge,
}

/// A pair by its place: the direction's in the counts that the sampler was made from, the pair's in the direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sample {
    /// Index of the direction.
    pub direction: u32,
    /// Index of the pair in the direction.
    pub pair: u32,
}

/// Draws the pairs of each epoch. An epoch is a function of the seed and its number alone, so a run resumes from these two.
///
/// Every epoch takes the same number of pairs of a direction, its quota. A direction is walked through in a random order; when
/// all its pairs were used, in a new one. So within a pass no pair comes twice, and over the epochs all come equally often, even
/// where a quota is smaller or larger than the direction.
#[derive(Debug, Clone)]
pub struct Sampler {
    counts: Vec<u32>,
    quotas: Vec<u32>,
    seed: u64,
}

/// Streams of random numbers that must differ.
const WITHIN_DIRECTION: u64 = 1;
const WITHIN_EPOCH: u64 = 2;

impl Sampler {
    /// A sampler over directions with `counts` pairs. A direction without pairs is never drawn; any other at least once an epoch.
    ///
    /// # Errors
    /// [`SampleError`], for options that cannot be met.
    pub fn new(counts: &[usize], config: &SampleConfig, seed: u64) -> Result<Self, SampleError> {
        // NaN is refused, too.
        if !matches!(
            config.temperature.partial_cmp(&1.0),
            Some(std::cmp::Ordering::Greater | std::cmp::Ordering::Equal)
        ) {
            return Err(SampleError::Temperature(config.temperature));
        }
        let directions = counts.iter().filter(|&&n| n > 0).count();
        let pairs = config
            .pairs_per_epoch
            .unwrap_or_else(|| counts.iter().sum());
        if directions == 0 {
            return Err(SampleError::NoPairs);
        }
        if pairs < directions {
            return Err(SampleError::EpochTooSmall { pairs, directions });
        }
        let exponent = if config.balanced {
            0.0
        } else {
            1.0 / config.temperature
        };
        let weights: Vec<f64> = counts
            .iter()
            .map(|&n| {
                if n == 0 {
                    0.0
                } else {
                    (n as f64).powf(exponent)
                }
            })
            .collect();
        let small = |n: usize| u32::try_from(n).map_err(|_| SampleError::TooLarge);
        small(pairs)?;
        small(counts.len())?;
        Ok(Sampler {
            counts: counts.iter().map(|&n| small(n)).collect::<Result<_, _>>()?,
            quotas: apportion(&weights, pairs, directions)
                .into_iter()
                .map(small)
                .collect::<Result<_, _>>()?,
            seed,
        })
    }

    /// Pairs of each direction in an epoch.
    #[must_use]
    pub fn quotas(&self) -> &[u32] {
        &self.quotas
    }

    /// Pairs of an epoch.
    #[must_use]
    pub fn pairs_per_epoch(&self) -> usize {
        self.quotas.iter().map(|&q| q as usize).sum()
    }

    /// How often each pair of a direction was used before an epoch (0-based) starts: passes that are over, with the share
    /// of the one that goes on. 0 for a direction without pairs.
    #[must_use]
    pub fn passes(&self, direction: usize, epoch: u64) -> f64 {
        match (self.counts.get(direction), self.quotas.get(direction)) {
            (Some(&count), Some(&quota)) if count > 0 => {
                epoch as f64 * f64::from(quota) / f64::from(count)
            }
            _ => 0.0,
        }
    }

    /// The pairs of an epoch (0-based), in the order of training.
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(self.pairs_per_epoch());
        for (direction, (&count, &quota)) in (0_u32..).zip(self.counts.iter().zip(&self.quotas)) {
            // u128, so that no epoch number overflows.
            let start = u128::from(epoch) * u128::from(quota);
            let end = start + u128::from(quota);
            let mut at = start;
            while at < end {
                let (pass, first) = (at / u128::from(count), at % u128::from(count));
                let taken = (end - at).min(u128::from(count) - first);
                let order = self.permutation(direction, pass, count);
                let range = first as usize..(first + taken) as usize;
                samples.extend(order[range].iter().map(|&pair| Sample { direction, pair }));
                at += taken;
            }
        }
        let mut rng = self.stream(WITHIN_EPOCH, u64::MAX, u128::from(epoch));
        shuffle(&mut samples, &mut rng);
        samples
    }

    /// The order in which a pass goes through the pairs of a direction.
    fn permutation(&self, direction: u32, pass: u128, count: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count).collect();
        shuffle(
            &mut order,
            &mut self.stream(WITHIN_DIRECTION, u64::from(direction), pass),
        );
        order
    }

    /// A generator of its own for every purpose: its key is what it is for, so no two share numbers.
    fn stream(&self, purpose: u64, direction: u64, number: u128) -> ChaCha8Rng {
        let mut key = [0; 32];
        // A pass number is below 2^96, the purpose goes into the high bits above it.
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&direction.to_le_bytes());
        key[16..].copy_from_slice(&(number | u128::from(purpose) << 120).to_le_bytes());
        ChaCha8Rng::from_seed(key)
    }
}

/// Fisher-Yates, written out so that an update of a library cannot change the order of a run's data. The bias of the
/// multiplication is below 2^-32.
fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        let j = (u128::from(rng.next_u64()) * (i as u128 + 1)) >> 64;
        items.swap(i, j as usize);
    }
}

/// Shares `pairs` out by weight in whole numbers: one for each direction of positive weight, the rest by largest remainder;
/// of equal remainders the first wins.
fn apportion(weights: &[f64], pairs: usize, directions: usize) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let ideal: Vec<f64> = weights.iter().map(|w| w / total * pairs as f64).collect();
    let mut quotas: Vec<usize> = ideal
        .iter()
        .map(|&q| if q == 0.0 { 0 } else { (q as usize).max(1) })
        .collect();
    let mut order: Vec<usize> = (0..weights.len()).filter(|&d| weights[d] > 0.0).collect();
    let mut given: usize = quotas.iter().sum();
    // Who was rounded down most comes first.
    let surplus = |quotas: &[usize], d: usize| quotas[d] as f64 - ideal[d];
    order.sort_by(|&a, &b| {
        surplus(&quotas, a)
            .total_cmp(&surplus(&quotas, b))
            .then(a.cmp(&b))
    });
    for &d in order.iter().cycle().take(directions * 2) {
        if given >= pairs {
            break;
        }
        quotas[d] += 1;
        given += 1;
    }
    // The guaranteed ones may have cost more than there is: the largest pay.
    while given > pairs {
        let Some(largest) = (0..quotas.len()).max_by_key(|&d| (quotas[d], std::cmp::Reverse(d)))
        else {
            break;
        };
        quotas[largest] -= 1;
        given -= 1;
    }
    quotas
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn sampler(counts: &[usize], temperature: f64, pairs: Option<usize>, seed: u64) -> Sampler {
        let config = SampleConfig {
            temperature,
            balanced: false,
            pairs_per_epoch: pairs,
        };
        Sampler::new(counts, &config, seed).unwrap()
    }

    #[test]
    fn shares_follow_the_temperature() {
        let counts = [100_000, 0, 1_000, 10];
        assert_eq!(
            sampler(&counts, 1.0, None, 0).quotas(),
            [100_000, 0, 1_000, 10]
        );
        assert_eq!(
            sampler(&counts, f64::INFINITY, Some(300), 0).quotas(),
            [100, 0, 100, 100]
        );
        // 10 + 3.981 + 1.585 parts.
        assert_eq!(
            sampler(&counts, 5.0, Some(1000), 0).quotas(),
            [642, 0, 256, 102]
        );
        let balanced = SampleConfig {
            balanced: true,
            pairs_per_epoch: Some(10),
            ..SampleConfig::default()
        };
        assert_eq!(
            Sampler::new(&counts, &balanced, 0).unwrap().quotas(),
            [4, 0, 3, 3]
        );
        // Each direction once, though its share is a thousandth.
        assert_eq!(sampler(&counts, 1.0, Some(5), 0).quotas(), [3, 0, 1, 1]);
    }

    #[test]
    fn options_that_cannot_be_met() {
        let new = |counts: &[usize], temperature, pairs| {
            let config = SampleConfig {
                temperature,
                balanced: false,
                pairs_per_epoch: pairs,
            };
            Sampler::new(counts, &config, 0).map(|_| ()).unwrap_err()
        };
        assert_eq!(new(&[], 5.0, None), SampleError::NoPairs);
        assert_eq!(new(&[0, 0], 5.0, Some(10)), SampleError::NoPairs);
        assert_eq!(new(&[1], 0.5, None), SampleError::Temperature(0.5));
        assert!(matches!(
            new(&[1], f64::NAN, None),
            SampleError::Temperature(_)
        ));
        assert_eq!(
            new(&[9, 9, 0], 5.0, Some(1)),
            SampleError::EpochTooSmall {
                pairs: 1,
                directions: 2
            }
        );
        assert_eq!(new(&[1], 5.0, Some(1 << 33)), SampleError::TooLarge);
    }

    #[test]
    fn an_epoch_is_a_function_of_seed_and_number() {
        let make = |seed| sampler(&[50, 7], 5.0, Some(40), seed);
        assert_eq!(make(3).epoch(17), make(3).epoch(17));
        assert_ne!(make(3).epoch(17), make(3).epoch(18));
        assert_ne!(make(3).epoch(17), make(4).epoch(17));
        assert_eq!(make(3).epoch(u64::MAX).len(), 40);
        assert!((make(3).passes(0, 5) - 5.0 * 24.0 / 50.0).abs() < 1e-12);
    }

    #[test]
    fn the_order_stays_what_it_was() {
        let first: Vec<u32> = sampler(&[10], 1.0, None, 42)
            .epoch(0)
            .iter()
            .map(|s| s.pair)
            .collect();
        assert_eq!(
            first,
            [6, 1, 0, 2, 5, 3, 9, 8, 4, 7],
            "runs that are under way would go on with other data"
        );
    }

    #[test]
    fn directions_are_mixed() {
        let epoch = sampler(&[500, 500], 1.0, None, 1).epoch(0);
        let changes = epoch
            .windows(2)
            .filter(|w| w[0].direction != w[1].direction)
            .count();
        assert!((400..600).contains(&changes), "{changes}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_pair_comes_twice_before_all_came_once(
            counts in prop::collection::vec(0_usize..40, 1..6), temperature in 1.0..10.0_f64, pairs in 6_usize..150, seed: u64,
        ) {
            prop_assume!(counts.iter().any(|&n| n > 0));
            let sampler = sampler(&counts, temperature, Some(pairs), seed);
            let mut used: HashMap<Sample, usize> = HashMap::new();
            for epoch in 0..8 {
                let samples = sampler.epoch(epoch);
                prop_assert_eq!(samples.len(), pairs);
                for sample in samples {
                    *used.entry(sample).or_default() += 1;
                }
                for (d, &count) in counts.iter().enumerate() {
                    let of = |pair| used.get(&Sample { direction: d as u32, pair }).copied().unwrap_or(0);
                    let uses: HashSet<usize> = (0..count as u32).map(of).collect();
                    let (low, high) = (uses.iter().min(), uses.iter().max());
                    prop_assert!(high.zip(low).is_none_or(|(h, l)| h - l <= 1), "{:?}", uses);
                }
            }
        }
    }
}
