//! Null experiments: how often a comparison raises an alarm where there is nothing, and that it finds what there is.

use isogloss::evaluate::{
    CompareOptions, Comparison, ComparisonError, Correction, Metric, NamedMetric, PairedStatistics,
    Verdict,
};
use isogloss::language::Direction;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

const DIRECTIONS: [&str; 6] = [
    "eng_Latn-deu_Latn",
    "deu_Latn-eng_Latn",
    "eng_Latn-fra_Latn",
    "fra_Latn-eng_Latn",
    "deu_Latn-fra_Latn",
    "fra_Latn-deu_Latn",
];
const SENTENCES: usize = 60;
const EXPERIMENTS: usize = 300;

type Statistics = Vec<Vec<f64>>;

fn chrf() -> NamedMetric {
    let name = "chrf++".to_owned();
    let metric = Metric::parse(&name).unwrap();
    NamedMetric { name, metric }
}

fn options() -> CompareOptions {
    CompareOptions {
        resamples: 400,
        ..CompareOptions::default()
    }
}

fn below(rng: &mut ChaCha8Rng, n: u32) -> u32 {
    rng.next_u32() % n
}

/// What a system makes of sentences of random words that loses this many words in a hundred.
fn system(rng: &mut ChaCha8Rng, references: &[String], lost: u32) -> Statistics {
    let mut translate = |line: &String| -> String {
        let mut kept = |_: &&str| below(rng, 100) >= lost;
        let words: Vec<&str> = line.split(' ').filter(|word| kept(word)).collect();
        words.join(" ")
    };
    let lines: Vec<String> = references.iter().map(&mut translate).collect();
    chrf()
        .metric
        .corpus_statistics(&lines, &[references])
        .unwrap()
}

fn references(rng: &mut ChaCha8Rng, sentences: usize) -> Vec<String> {
    let mut word = || {
        let length = 2 + below(rng, 6);
        let letters = (0..length).map(|_| char::from(b'a' + below(rng, 20) as u8));
        letters.collect::<String>()
    };
    let mut line = |i: usize| (0..6 + i % 9).map(|_| word()).collect::<Vec<_>>().join(" ");
    (0..sentences).map(&mut line).collect()
}

/// Both systems in all directions, with the words that the second loses in each.
fn systems(seed: u64, sentences: usize, lost: [u32; 6]) -> Vec<PairedStatistics> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let pair = |(direction, lost): (&str, u32)| {
        let references = references(&mut rng, sentences);
        PairedStatistics {
            direction: direction.parse().unwrap(),
            base: system(&mut rng, &references, 20),
            system: system(&mut rng, &references, lost),
        }
    };
    DIRECTIONS.into_iter().zip(lost).map(pair).collect()
}

fn compare(pairs: &[PairedStatistics], options: &CompareOptions) -> Comparison {
    Comparison::new("the base", &chrf(), 1, pairs, &vec![], options).unwrap()
}

/// Which of two outputs is whose is tossed for each sentence, in all directions alike.
fn shuffled(pairs: &[PairedStatistics], rng: &mut ChaCha8Rng) -> Vec<PairedStatistics> {
    let swapped: Vec<bool> = (0..SENTENCES).map(|_| below(rng, 2) == 1).collect();
    let mut pairs = pairs.to_vec();
    for pair in &mut pairs {
        for (i, _) in swapped.iter().enumerate().filter(|(_, swap)| **swap) {
            std::mem::swap(&mut pair.base[i], &mut pair.system[i]);
        }
    }
    pairs
}

#[test]
fn identical_systems_never_raise_an_alarm() {
    for (seed, correction) in [(1, Correction::MaxT), (2, Correction::Holm)] {
        let mut pairs = systems(seed, 30, [20; 6]);
        for pair in &mut pairs {
            pair.system = pair.base.clone();
        }
        let found = compare(
            &pairs,
            &CompareOptions {
                correction,
                ..options()
            },
        );
        for direction in &found.directions {
            assert_eq!(direction.verdict, Verdict::Unclear);
            assert_eq!((direction.p, direction.p_adjusted), (1.0, 1.0));
            assert_eq!((direction.interval, direction.lower_bound), ([0.0; 2], 0.0));
        }
        assert!(found.harmed.is_empty() && found.unproven.is_empty());
        assert_eq!(found.mean.interval, [0.0; 2]);
    }
}

/// Of 300 experiments at 5%, 15 false alarms are expected; 4 to 28 is what chance allows but one time in a thousand.
#[test]
fn shuffled_systems_raise_false_alarms_at_the_stated_rate() {
    let pairs = systems(3, SENTENCES, [20; 6]);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let (mut families, mut holm, mut single, mut bounds, mut intervals) = (0, 0, 0, 0, 0);
    for seed in 0..EXPERIMENTS as u64 {
        let pairs = shuffled(&pairs, &mut rng);
        let found = compare(&pairs, &CompareOptions { seed, ..options() });
        let alarm = |v: Verdict| v != Verdict::Unclear;
        families += usize::from(found.directions.iter().any(|d| alarm(d.verdict)));
        single += found.directions.iter().filter(|d| d.p <= 0.05).count();
        bounds += usize::from(found.directions.iter().any(|d| d.lower_bound > 0.0));
        let [low, high] = found.mean.interval;
        intervals += usize::from(low > 0.0 || high < 0.0);
        let correction = Correction::Holm;
        let found = compare(
            &pairs,
            &CompareOptions {
                seed,
                correction,
                ..options()
            },
        );
        holm += usize::from(found.directions.iter().any(|d| alarm(d.verdict)));
    }
    let plausible = 4..=28;
    assert!(plausible.contains(&families), "max-T: {families}");
    assert!(holm <= families, "Holm: {holm} beside {families}");
    assert!(plausible.contains(&bounds), "bounds: {bounds}");
    assert!(plausible.contains(&intervals), "mean: {intervals}");
    // Of one direction, as often as stated; of any of six, that would be far too often.
    assert!(
        (45..=140).contains(&single),
        "uncorrected: {single} of 1800"
    );
}

#[test]
fn a_planted_harm_is_found_and_no_other() {
    let pairs = systems(5, 200, [20, 20, 20, 45, 20, 20]);
    for correction in [Correction::MaxT, Correction::Holm] {
        let found = compare(
            &pairs,
            &CompareOptions {
                correction,
                ..options()
            },
        );
        let harmed: Direction = DIRECTIONS[3].parse().unwrap();
        assert_eq!(found.harmed, std::slice::from_ref(&harmed));
        assert!(found.unproven.contains(&harmed));
        let direction = found.direction(&harmed).unwrap();
        assert!(direction.change < -5.0 && direction.interval[1] < 0.0);
        assert!(direction.lower_bound < direction.interval[0]);
        // The mean sees it as well, diluted.
        assert!(found.mean.change < -1.0 && found.mean.interval[1] < 0.0);
    }
    // A gain is no harm, and is proven to be none.
    let found = compare(&systems(6, 200, [5; 6]), &options());
    assert!(
        found
            .directions
            .iter()
            .all(|d| d.verdict == Verdict::Better)
    );
    assert!(found.unproven.is_empty());
    // Without evidence of harm there may be no evidence of its absence either.
    let found = compare(&systems(7, 20, [20; 6]), &options());
    assert!(found.harmed.is_empty() && found.unproven.len() == 6);
}

#[test]
fn max_t_knows_that_directions_go_together() {
    let one = systems(8, SENTENCES, [27; 6]).swap_remove(0);
    let copy = |name: &str| PairedStatistics {
        direction: name.parse().unwrap(),
        ..one.clone()
    };
    let pairs = DIRECTIONS.map(copy);
    let found = compare(&pairs, &options());
    let alone = &found.directions[0];
    assert!(alone.p > 0.002 && alone.p < 0.5, "{}", alone.p);
    assert!(found.directions.iter().all(|d| d.p_adjusted == alone.p));
    let correction = Correction::Holm;
    let found = compare(
        &pairs,
        &CompareOptions {
            correction,
            ..options()
        },
    );
    let holm = found.directions[0].p_adjusted;
    assert!((holm - (6.0 * alone.p).min(1.0)).abs() < 1e-12);
}

#[test]
fn results_are_the_same_on_any_number_of_threads_and_in_any_order() {
    let mut pairs = systems(9, 40, [22; 6]);
    // Another number of sentences: its draws are its own.
    pairs[2].base.truncate(33);
    pairs[2].system.truncate(33);
    let on = |threads: usize, pairs: &[PairedStatistics]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| compare(pairs, &options()))
    };
    let found = on(1, &pairs);
    assert_eq!(found, on(3, &pairs));
    assert_eq!(found.directions[2].sentences, 33);
    pairs.reverse();
    let mut reversed = on(2, &pairs);
    reversed.directions.reverse();
    assert_eq!(found.directions, reversed.directions);
    // What one direction says of itself doesn't depend on the others.
    let alone = compare(&pairs[3..4], &options());
    let (alone, among) = (&alone.directions[0], &found.directions[2]);
    assert_eq!((alone.p, alone.interval), (among.p, among.interval));
}

#[test]
fn lower_is_better_for_ter() {
    let ter = NamedMetric {
        name: "ter".into(),
        metric: Metric::parse("ter").unwrap(),
    };
    let references = [(0..30)
        .map(|i| format!("the {i} of words here"))
        .collect::<Vec<_>>()];
    let all = |line: &str| {
        let lines: Vec<String> = (0..30).map(|i| line.replace('#', &i.to_string())).collect();
        ter.metric.corpus_statistics(&lines, &references).unwrap()
    };
    let pair = PairedStatistics {
        direction: DIRECTIONS[0].parse().unwrap(),
        base: all("# of words"),
        system: all("the # of words here"),
    };
    let found = Comparison::new("x", &ter, 1, &[pair], &vec![], &options()).unwrap();
    let direction = &found.directions[0];
    assert_eq!(
        (direction.base, direction.score, direction.change),
        (40.0, 0.0, 40.0)
    );
    assert_eq!(direction.verdict, Verdict::Better);
}

#[test]
fn what_cannot_be_compared_is_named() {
    let pairs = systems(10, 5, [20; 6]);
    let error = |pairs: &[PairedStatistics], options: CompareOptions| {
        let found = Comparison::new("x", &chrf(), 1, pairs, &vec![], &options);
        found.unwrap_err().to_string()
    };
    let holm = CompareOptions {
        correction: Correction::Holm,
        resamples: 110,
        ..options()
    };
    let text = error(&pairs, holm);
    assert_eq!(
        text,
        "110 resamples can show nothing, corrected for 6 tests: expected at least 119"
    );
    let few = CompareOptions {
        resamples: 99,
        ..options()
    };
    assert!(error(&pairs, few).contains("at least 100"));
    let level = CompareOptions {
        level: 95.0,
        ..options()
    };
    assert!(error(&pairs, level).contains("the confidence level is 95"));
    let margin = CompareOptions {
        margin: f64::NAN,
        ..options()
    };
    assert!(error(&pairs, margin).contains("the margin is NaN"));
    assert_eq!(
        error(&[], options()),
        ComparisonError::NoDirections.to_string()
    );
    let mut uneven = pairs.clone();
    uneven[4].base.pop();
    assert!(error(&uneven, options()).contains("deu_Latn-fra_Latn: 4 sentences against 5"));
    let mut short = pairs.clone();
    short[0].base.truncate(1);
    short[0].system.truncate(1);
    assert!(error(&short, options()).contains("eng_Latn-deu_Latn has 1 sentences"));
    let mut other = pairs;
    other[1].system[2].pop();
    assert!(error(&other, options()).contains("23 statistics where chrF2++ has 24"));
}
