use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

fn new(counts: &[usize], config: &SampleConfig, seed: u64) -> Result<Sampler, SampleError> {
    let direction: Direction = "deu_Latn-fra_Latn".parse().unwrap();
    let directions = counts.iter().map(|&n| (&direction, n));
    Sampler::new(directions, config, seed)
}

fn sampler(counts: &[usize], temperature: f64, pairs: Option<usize>, seed: u64) -> Sampler {
    let config = SampleConfig {
        temperature,
        pairs_per_epoch: pairs,
        ..SampleConfig::default()
    };
    new(counts, &config, seed).unwrap()
}

#[test]
fn directions_with_the_pivot_get_their_share() {
    let codes = [
        "deu_Latn-eng_Latn",
        "eng_Latn-deu_Latn",
        "deu_Latn-fra_Latn",
        "fra_Latn-deu_Latn",
    ];
    let directions: Vec<Direction> = codes.iter().map(|d| d.parse().unwrap()).collect();
    let quotas = |counts: [usize; 4], share| {
        let language = "eng_Latn".parse().unwrap();
        let config = SampleConfig {
            temperature: 1.0,
            pivot: Some(PivotShare { language, share }),
            pairs_per_epoch: Some(100),
            ..SampleConfig::default()
        };
        let sampler = Sampler::new(directions.iter().zip(counts), &config, 0)?;
        Ok(sampler.quotas().to_vec())
    };
    assert_eq!(quotas([30, 10, 500, 500], 0.6), Ok(vec![45, 15, 20, 20]));
    // There is but one kind of direction.
    assert_eq!(quotas([30, 10, 0, 0], 0.6), Ok(vec![75, 25, 0, 0]));
    assert_eq!(quotas([0, 0, 10, 30], 0.6), Ok(vec![0, 0, 25, 75]));
    for share in [0.0, 1.0, -0.5, f64::NAN] {
        let error = quotas([30, 10, 500, 500], share).unwrap_err();
        assert!(matches!(error, SampleError::Share { .. }), "{error}");
        assert!(error.to_string().contains("eng_Latn"), "{error}");
    }
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
    assert_eq!(new(&counts, &balanced, 0).unwrap().quotas(), [4, 0, 3, 3]);
    // Each direction once, though its share is a thousandth.
    assert_eq!(sampler(&counts, 1.0, Some(5), 0).quotas(), [3, 0, 1, 1]);
}

#[test]
fn options_that_cannot_be_met() {
    let new = |counts: &[usize], temperature, pairs| {
        let config = SampleConfig {
            temperature,
            pairs_per_epoch: pairs,
            ..SampleConfig::default()
        };
        new(counts, &config, 0).map(|_| ()).unwrap_err()
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
