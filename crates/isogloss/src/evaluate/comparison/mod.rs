//! Two systems over many directions: who gained, who lost, and what may be chance.

mod judge;

use super::significance::{Paired, Test, percentile_interval, simultaneous_lower_bounds};
use super::{Classes, NamedMetric, SystemStatistics};
use crate::language::Direction;
pub(super) use judge::check_pair;
use judge::{by_class, changes, judge, mean};
use serde::{Deserialize, Serialize};

/// How p is corrected for the number of directions, so that an alarm in any of them is as rare as promised for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// Step-down max-T (Westfall and Young 1993): knows that directions go up and down together; the default.
    #[default]
    MaxT,
    /// Holm (1979): assumes nothing, finds less. Needs `directions / (1 - level)` resamples or more to find anything.
    Holm,
}

impl Correction {
    /// Its usual name: `max-T` or `Holm`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxT => "max-T",
            Self::Holm => "Holm",
        }
    }
}

/// How two systems are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompareOptions {
    /// Resamples of each kind, default 20,000.
    pub resamples: u32,
    /// Seed of their draws, default 12345.
    pub seed: u64,
    /// Confidence of intervals, bounds and verdicts, between 0 and 1; default 0.95.
    pub level: f64,
    /// A change above this is no harm, in points of the metric; default -0.5.
    pub margin: f64,
    /// Correction of p over directions.
    pub correction: Correction,
}

impl Default for CompareOptions {
    fn default() -> Self {
        CompareOptions {
            resamples: 20_000,
            seed: 12_345,
            level: 0.95,
            margin: -0.5,
            correction: Correction::MaxT,
        }
    }
}

/// The statistics of both systems' translations of a direction, sentence by sentence, as
/// [`Metric::corpus_statistics`](super::Metric::corpus_statistics) gives them.
#[derive(Debug, Clone, PartialEq)]
pub struct PairedStatistics {
    /// The direction.
    pub direction: Direction,
    /// Of the system that is compared against.
    pub base: Vec<Vec<f64>>,
    /// Of the system that is judged; of the same sentences in the same order.
    pub system: Vec<Vec<f64>>,
}

impl PairedStatistics {
    /// Pairs the statistics of two systems in the same directions, in their order.
    #[must_use]
    pub fn zip(
        directions: &[Direction],
        base: SystemStatistics,
        system: SystemStatistics,
    ) -> Vec<Self> {
        let both = directions.iter().zip(base.into_iter().zip(system));
        let pair = |(direction, (base, system)): (&Direction, _)| PairedStatistics {
            direction: direction.clone(),
            base,
            system,
        };
        both.map(pair).collect()
    }
}

/// Why systems cannot be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ComparisonError {
    /// There is nothing to compare.
    #[error("no directions to compare: expected at least one that both systems translated")]
    NoDirections,
    /// Statistics of more or fewer directions than are compared.
    #[error(
        "a system has statistics of {found} directions: expected the {expected} that are compared"
    )]
    Directions {
        /// Directions that are compared.
        expected: usize,
        /// Directions given.
        found: usize,
    },
    /// The systems translated different numbers of sentences.
    #[error(
        "{direction}: {base} sentences against {system}: expected the same sentences of both systems"
    )]
    Sentences {
        /// The direction.
        direction: Direction,
        /// Of the system that is compared against.
        base: usize,
        /// Of the other.
        system: usize,
    },
    /// One sentence says nothing about others.
    #[error(
        "{direction} has {sentences} sentences: at least 2 are needed to compare systems, some hundred to find anything"
    )]
    TooFew {
        /// The direction.
        direction: Direction,
        /// Its sentences.
        sentences: usize,
    },
    /// Statistics of another metric.
    #[error("{direction}: a sentence has {found} statistics where {metric} has {expected}")]
    Statistics {
        /// The direction.
        direction: Direction,
        /// The metric's name.
        metric: String,
        /// Numbers it has for a sentence.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
    /// Too few resamples: no p could be significant.
    #[error(
        "{found} resamples can show nothing, corrected for {tests} tests: expected at least {needed}"
    )]
    Resamples {
        /// What was given.
        found: u32,
        /// The least that can.
        needed: u64,
        /// Directions that are corrected for.
        tests: usize,
    },
    /// A setting outside its range.
    #[error("{setting} is {found}: expected {expected}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What was given.
        found: f64,
        /// What is possible.
        expected: &'static str,
    },
}

/// What is known of a direction's change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Better, and significantly so after correction.
    Better,
    /// Worse, and significantly so after correction.
    Worse,
    /// The change may be chance; this is not proof that there is none.
    Unclear,
}

/// One direction of a [`Comparison`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DirectionChange {
    /// The direction.
    pub direction: Direction,
    /// Sentences that both systems translated.
    pub sentences: usize,
    /// Score of the system that is compared against.
    pub base: f64,
    /// Score of the system that is judged.
    pub score: f64,
    /// By how much it is better: `score - base`, or `base - score` where lower is better (TER).
    pub change: f64,
    /// Bootstrap interval of the change, of this direction alone (not corrected).
    pub interval: [f64; 2],
    /// One-sided lower bound of the change; those of all directions hold together.
    pub lower_bound: f64,
    /// Two-sided p by approximate randomisation, of this direction alone.
    pub p: f64,
    /// The same, corrected for the number of directions.
    pub p_adjusted: f64,
    /// What follows from the corrected p.
    pub verdict: Verdict,
}

/// The mean change over directions, each with the same weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeOfMean {
    /// The mean of the changes.
    pub change: f64,
    /// Its bootstrap interval: over other sentences, for these same directions.
    pub interval: [f64; 2],
    /// Over how many directions.
    pub directions: usize,
}

/// The mean change over the directions from a class of languages to a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassChange {
    /// Class of the source.
    pub source: String,
    /// Class of the target.
    pub target: String,
    /// The mean.
    #[serde(flatten)]
    pub mean: ChangeOfMean,
}

/// A system against another in one metric, over many directions: part of a `scores.json`.
///
/// Three questions have an answer each. *Does it help?* `change` with its `interval`, and `verdict`. *Does it harm?* `harmed`
/// lists the directions that are significantly worse; but not to be found is no proof of absence, so `unproven` lists those
/// whose `lower_bound` doesn't lie above `margin`. *On the whole?* `mean` and `classes`.
///
/// Everything is resampled over sentences, never over directions: a statement is about these directions on other
/// sentences of the kind, not about other languages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What it is compared against, in words.
    pub against: String,
    /// The metric's name as asked for, such as `chrf++`.
    pub metric: String,
    /// How scores were computed.
    pub signature: String,
    /// Resamples of each kind.
    pub resamples: u32,
    /// Seed of their draws.
    pub seed: u64,
    /// Confidence of intervals, bounds and verdicts.
    pub level: f64,
    /// A change above this is no harm, in points of the metric.
    pub margin: f64,
    /// How `p_adjusted` was corrected.
    pub correction: Correction,
    /// Every direction, in the order of the scores.
    pub directions: Vec<DirectionChange>,
    /// Over all directions.
    pub mean: ChangeOfMean,
    /// By class of source and target, where classes were given; pairs of classes without a direction are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassChange>,
    /// Directions that are significantly worse.
    pub harmed: Vec<Direction>,
    /// Directions of which it isn't shown that they lose less than the margin; the harmed are among them.
    pub unproven: Vec<Direction>,
}

impl Comparison {
    /// Compares; `references` is the number of reference translations, for the signature.
    ///
    /// p comes from approximate randomisation, intervals and bounds from the bootstrap, with the same draws for all
    /// directions of equally many sentences: row `i` of each is taken for the same sentence. The result depends on the
    /// options and the statistics alone, not on the number of threads. Takes 8 bytes for each direction and resample.
    ///
    /// ```
    /// use isogloss::evaluate::{Comparison, CompareOptions, Metric, NamedMetric, PairedStatistics, Verdict};
    ///
    /// let chrf = NamedMetric { name: "chrf++".into(), metric: Metric::parse("chrf++")? };
    /// let references = [["The pump runs.", "Close the valve.", "Oil the chain.", "Wait an hour.", "Call us.", "Stop."]];
    /// let base = ["A pump", "Close it.", "Oil it.", "Wait.", "Call.", "Go."];
    /// let statistics = |lines: &[&str]| chrf.metric.corpus_statistics(lines, &references);
    /// let pair = PairedStatistics {
    ///     direction: "deu_Latn-eng_Latn".parse()?,
    ///     base: statistics(&base)?,
    ///     system: statistics(&references[0])?,
    /// };
    /// let found = Comparison::new("the base", &chrf, 1, &[pair], &vec![], &CompareOptions::default())?;
    /// assert!(found.directions[0].change > 50.0 && found.harmed.is_empty());
    /// // Six sentences can be swapped in 64 ways only.
    /// assert!((found.directions[0].p - 2.0 / 64.0).abs() < 0.005);
    /// assert_eq!(found.directions[0].verdict, Verdict::Better);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ComparisonError`].
    pub fn new(
        against: &str,
        metric: &NamedMetric,
        references: usize,
        pairs: &[PairedStatistics],
        classes: &Classes,
        options: &CompareOptions,
    ) -> Result<Self, ComparisonError> {
        let NamedMetric { name, metric } = metric;
        for pair in pairs {
            check_pair(metric, &pair.direction, &pair.base, &pair.system)?;
        }
        let names: Vec<Direction> = pairs.iter().map(|p| p.direction.clone()).collect();
        let sentences: Vec<usize> = pairs.iter().map(|p| p.base.len()).collect();
        Self::check(&names, &sentences, options)?;
        let paired: Vec<Paired> = pairs
            .iter()
            .map(|pair| Paired::new(&pair.base, &pair.system))
            .collect();
        let directions = judge(metric, pairs, &paired, options);
        let bootstrap = changes(metric, &paired, Test::Bootstrap, options);
        let mut found = Comparison {
            against: against.into(),
            metric: name.clone(),
            signature: metric.signature(references).to_string(),
            resamples: options.resamples,
            seed: options.seed,
            level: options.level,
            margin: options.margin,
            correction: options.correction,
            mean: mean(&directions, &bootstrap, options.level, |_| true),
            classes: by_class(&directions, &bootstrap, classes, options.level),
            directions,
            harmed: Vec::new(),
            unproven: Vec::new(),
        };
        found.bound(&bootstrap);
        Ok(found)
    }

    /// Whether directions of so many sentences can be compared with these options at all: to be asked before translating.
    ///
    /// # Errors
    /// If there is no direction, if one has fewer than 2 sentences, if an option is out of range, or if there are too few
    /// resamples for the smallest possible p to be significant after correction.
    pub fn check(
        directions: &[Direction],
        sentences: &[usize],
        options: &CompareOptions,
    ) -> Result<(), ComparisonError> {
        let setting = |setting, found, expected| {
            Err(ComparisonError::Setting {
                setting,
                found,
                expected,
            })
        };
        let CompareOptions { level, margin, .. } = *options;
        if !(level > 0.0 && level < 1.0) {
            let expected = "between 0 and 1, such as 0.95";
            return setting("the confidence level", level, expected);
        }
        if !margin.is_finite() {
            return setting("the margin", margin, "a finite number of points");
        }
        if directions.is_empty() {
            return Err(ComparisonError::NoDirections);
        }
        let mut lengths = directions.iter().zip(sentences);
        if let Some((direction, &sentences)) = lengths.find(|&(_, &sentences)| sentences < 2) {
            return Err(ComparisonError::TooFew {
                direction: direction.clone(),
                sentences,
            });
        }
        let tests = match options.correction {
            Correction::MaxT => 1,
            Correction::Holm => directions.len(),
        };
        // The smallest p is 1 / (resamples + 1). A hundred are the least that an interval can be read off.
        let needed = (tests as f64 / (1.0 - level) - 1.0 - 1e-9)
            .ceil()
            .max(100.0);
        if f64::from(options.resamples) < needed {
            return Err(ComparisonError::Resamples {
                found: options.resamples,
                needed: needed as u64,
                tests,
            });
        }
        Ok(())
    }

    /// The direction's entry.
    #[must_use]
    pub fn direction(&self, direction: &Direction) -> Option<&DirectionChange> {
        self.directions.iter().find(|d| d.direction == *direction)
    }

    /// Fills in intervals and bounds, and what follows from them.
    fn bound(&mut self, bootstrap: &[Vec<f32>]) {
        let observed: Vec<f64> = self.directions.iter().map(|d| d.change).collect();
        let bounds = simultaneous_lower_bounds(&observed, bootstrap, self.level);
        for ((direction, bound), changes) in self.directions.iter_mut().zip(bounds).zip(bootstrap) {
            direction.lower_bound = bound;
            let changes = changes.iter().map(|&x| f64::from(x)).collect();
            direction.interval = percentile_interval(changes, self.level);
        }
        let those = |which: &dyn Fn(&DirectionChange) -> bool| {
            let those = self.directions.iter().filter(|d| which(d));
            those.map(|d| d.direction.clone()).collect()
        };
        self.harmed = those(&|d| d.verdict == Verdict::Worse);
        self.unproven = those(&|d| d.verdict == Verdict::Worse || d.lower_bound <= self.margin);
    }
}
