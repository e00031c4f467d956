//! Which pairs an epoch trains on.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::{Deserialize, Serialize};

use crate::language::{Direction, Language};

/// How directions share an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleConfig {
    /// `T` in: a direction with `n` pairs gets a share proportional to `n^(1/T)`. 1 is proportional to the data, `inf` gives
    /// every direction the same. At least 1; default 5, as M2M-100 and its successors were trained.
    pub temperature: f64,
    /// Every direction the same, whatever the temperature; default `false`.
    pub balanced: bool,
    /// The directions with one language get a share of their own; default: none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pivot: Option<PivotShare>,
    /// Pairs of an epoch; default: as many as the data has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs_per_epoch: Option<usize>,
}

/// What the directions from and to a language get of an epoch together, whatever their number; they share it, as the others
/// share the rest, by temperature. It counts for nothing where all directions have the language, or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PivotShare {
    /// The language.
    pub language: Language,
    /// Its directions' share of the pairs, above 0 and below 1.
    pub share: f64,
}

impl Default for SampleConfig {
    fn default() -> Self {
        SampleConfig {
            temperature: 5.0,
            balanced: false,
            pivot: None,
            pairs_per_epoch: None,
        }
    }
}

impl SampleConfig {
    /// What each direction weighs, given its pairs.
    fn weights(
        &self,
        directions: &[&Direction],
        counts: &[usize],
    ) -> Result<Vec<f64>, SampleError> {
        if self.temperature.is_nan() || self.temperature < 1.0 {
            return Err(SampleError::Temperature(self.temperature));
        }
        let exponent = if self.balanced {
            0.0
        } else {
            1.0 / self.temperature
        };
        let of = |&n: &usize| {
            if n == 0 {
                0.0
            } else {
                (n as f64).powf(exponent)
            }
        };
        let mut weights: Vec<f64> = counts.iter().map(of).collect();
        let Some(PivotShare { language, share }) = &self.pivot else {
            return Ok(weights);
        };
        if !(*share > 0.0 && *share < 1.0) {
            return Err(SampleError::Share {
                language: language.clone(),
                share: *share,
            });
        }
        let sum_where = |pivot: bool| -> f64 {
            let all = directions.iter().zip(&weights);
            all.filter(|(d, _)| d.has(language) == pivot)
                .map(|(_, w)| w)
                .sum()
        };
        let (with, without) = (sum_where(true), sum_where(false));
        if with > 0.0 && without > 0.0 {
            for (direction, weight) in directions.iter().zip(&mut weights) {
                *weight *= match direction.has(language) {
                    true => share / with,
                    false => (1.0 - share) / without,
                };
            }
        }
        Ok(weights)
    }
}

/// Why no sampler could be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// No direction has a pair.
    #[error(
        "there is no sentence pair to train on; check the paths and `languages` of the data sections"
    )]
    NoPairs,
    /// A temperature below 1, or no number.
    #[error(
        "temperature is {0}; it must be 1 (proportional to the data) or more, `inf` for equal shares"
    )]
    Temperature(f64),
    /// A share of all or nothing, or no number.
    #[error("the share of directions with {language} is {share}; it must lie between 0 and 1")]
    Share {
        /// The language of [`SampleConfig::pivot`].
        language: Language,
        /// Its share.
        share: f64,
    },
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
    /// A sampler over directions with their numbers of pairs. A direction without pairs is never drawn; any other at least once
    /// an epoch.
    ///
    /// # Errors
    /// [`SampleError`], for options that cannot be met.
    pub fn new<'a>(
        directions: impl IntoIterator<Item = (&'a Direction, usize)>,
        config: &SampleConfig,
        seed: u64,
    ) -> Result<Self, SampleError> {
        let (directions, counts): (Vec<&Direction>, Vec<usize>) = directions.into_iter().unzip();
        let weights = config.weights(&directions, &counts)?;
        let drawn = counts.iter().filter(|&&n| n > 0).count();
        let pairs = config
            .pairs_per_epoch
            .unwrap_or_else(|| counts.iter().sum());
        if drawn == 0 {
            return Err(SampleError::NoPairs);
        }
        if pairs < drawn {
            return Err(SampleError::EpochTooSmall {
                pairs,
                directions: drawn,
            });
        }
        let small = |n: usize| u32::try_from(n).map_err(|_| SampleError::TooLarge);
        small(pairs)?;
        small(counts.len())?;
        Ok(Sampler {
            counts: counts.iter().map(|&n| small(n)).collect::<Result<_, _>>()?,
            quotas: apportion(&weights, pairs, drawn)
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
mod tests;
