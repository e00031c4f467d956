//! What each resample draws: a pure function of seed, purpose, number of sentences and the resample's number, so that
//! neither threads nor the order of work matter.

use super::resample::Test;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Fills in how often a resample takes each sentence: the weights of a bootstrap, or 1 where the systems are swapped.
pub(super) fn weights(test: Test, seed: u64, resample: usize, weights: &mut [f32]) {
    let sentences = weights.len() as u64;
    let purpose: u64 = match test {
        Test::Bootstrap => 1,
        Test::Randomisation => 2,
    };
    let mut key = [0; 32];
    for (part, word) in key
        .chunks_exact_mut(8)
        .zip([seed, purpose, sentences, resample as u64])
    {
        part.copy_from_slice(&word.to_le_bytes());
    }
    let mut rng = ChaCha8Rng::from_seed(key);
    match test {
        Test::Bootstrap => {
            weights.fill(0.0);
            for _ in 0..weights.len() {
                // The bias of the multiplication is below sentences / 2^32.
                let at = (u64::from(rng.next_u32()) * sentences) >> 32;
                weights[at as usize] += 1.0;
            }
        }
        Test::Randomisation => {
            for part in weights.chunks_mut(64) {
                let bits = rng.next_u64();
                for (i, weight) in part.iter_mut().enumerate() {
                    *weight = if bits >> i & 1 == 1 { 1.0 } else { 0.0 };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(test: Test, seed: u64, resample: usize, sentences: usize) -> Vec<f32> {
        let mut found = vec![9.0; sentences];
        weights(test, seed, resample, &mut found);
        found
    }

    #[test]
    fn a_bootstrap_draws_as_many_as_there_are() {
        let (mut most, mut absent) = (0.0_f32, 0);
        for resample in 0..200 {
            let counts = drawn(Test::Bootstrap, 1, resample, 100);
            assert_eq!(counts.iter().sum::<f32>(), 100.0);
            most = counts.iter().copied().fold(most, f32::max);
            absent += counts.iter().filter(|&&c| c == 0.0).count();
        }
        // (1 - 1/100)^100 = 0.366 of 20,000.
        assert!((7100..7500).contains(&absent), "{absent}");
        assert!((4.0..12.0).contains(&most), "{most}");
    }

    #[test]
    fn half_of_the_sentences_are_swapped() {
        let mut swapped = [0; 70];
        for resample in 0..2000 {
            for (sum, weight) in swapped
                .iter_mut()
                .zip(drawn(Test::Randomisation, 1, resample, 70))
            {
                assert!(weight == 0.0 || weight == 1.0);
                *sum += i32::from(weight == 1.0);
            }
        }
        assert!(
            swapped.iter().all(|s| (880..1120).contains(s)),
            "{swapped:?}"
        );
    }

    #[test]
    fn seed_purpose_and_number_matter() {
        let first = drawn(Test::Bootstrap, 1, 0, 50);
        assert_eq!(first, drawn(Test::Bootstrap, 1, 0, 50));
        assert_ne!(first, drawn(Test::Bootstrap, 2, 0, 50));
        assert_ne!(first, drawn(Test::Bootstrap, 1, 1, 50));
        assert_ne!(first, drawn(Test::Randomisation, 1, 0, 50));
    }
}
