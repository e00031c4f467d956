//! Confidence intervals and paired tests with the numbers that sacreBLEU prints for the same seed.
//!
//! Its tests are for one corpus and a few systems. For many directions see [`Comparison`](super::Comparison), which also
//! counts a resample that ties with what was observed: sacreBLEU does not, so systems that differ in few sentences or
//! none get too small a p from it.

use super::significance::{bootstrap_scores, percentile_interval, swapped_differences};
use super::{EvaluateError, Metric, Score, Signature};
use serde::Serialize;

/// Seed of sacreBLEU's draws unless another is asked for.
pub const SACREBLEU_SEED: u64 = 12_345;

/// Where the score of a system lies on other test sets of the kind, by the bootstrap (Koehn 2004).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Confidence {
    /// Mean of the resamples' scores.
    pub mean: f64,
    /// Half the width of the interval that holds 95% of them.
    pub half_width: f64,
}

impl Confidence {
    fn of(scores: Vec<f64>) -> Self {
        let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        let [low, high] = percentile_interval(scores, 0.95);
        Confidence {
            mean,
            half_width: 0.5 * (high - low),
        }
    }
}

/// How a system is tested against a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairedTest {
    /// Paired bootstrap resampling (Koehn 2004), as Moses does it.
    Bootstrap,
    /// Approximate randomisation (Riezler and Maxwell 2005).
    Randomisation,
}

impl PairedTest {
    /// Resamples that sacreBLEU takes unless told otherwise: 1,000 and 10,000.
    #[must_use]
    pub fn default_resamples(self) -> u32 {
        match self {
            Self::Bootstrap => 1_000,
            Self::Randomisation => 10_000,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Bootstrap => "bs",
            Self::Randomisation => "ar",
        }
    }
}

/// A system beside the baseline of a paired test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tested {
    /// Of the whole corpus.
    pub score: f64,
    /// Two-sided p against the baseline; none for the baseline itself.
    #[serde(rename = "p_value")]
    pub p: Option<f64>,
    /// With the paired bootstrap only.
    pub confidence: Option<Confidence>,
}

impl Metric {
    /// The score of a corpus with its confidence interval, as `sacrebleu --confidence` gives them.
    ///
    /// # Errors
    /// As [`corpus_score`](Self::corpus_score), or no resamples.
    pub fn corpus_score_with_confidence<H, S, R>(
        &self,
        hypotheses: &[H],
        references: &[S],
        resamples: u32,
        seed: u64,
    ) -> Result<Score, EvaluateError>
    where
        H: AsRef<str> + Sync,
        S: AsRef<[R]> + Sync,
        R: AsRef<str> + Sync,
    {
        if resamples == 0 {
            return Err(EvaluateError::NoResamples);
        }
        let statistics = self.corpus_statistics(hypotheses, references)?;
        let mut score = self.score_from(&sum(&statistics), references.len())?;
        let scores = bootstrap_scores(self, &[&statistics], resamples, seed);
        score.confidence = scores.into_iter().next().map(Confidence::of);
        score.signature = score.signature.resampled("bs", resamples, seed);
        Ok(score)
    }

    /// Systems against the first of them, as `sacrebleu --paired-bs` and `--paired-ar` test them: what
    /// [`corpus_statistics`](Self::corpus_statistics) gives of each system, for the same sentences.
    ///
    /// # Errors
    /// No systems or resamples, systems of different length, or statistics of another metric.
    pub fn paired_test(
        &self,
        systems: &[Vec<Vec<f64>>],
        test: PairedTest,
        resamples: u32,
        seed: u64,
    ) -> Result<Vec<Tested>, EvaluateError> {
        if resamples == 0 {
            return Err(EvaluateError::NoResamples);
        }
        let Some(baseline) = systems.first().filter(|s| !s.is_empty()) else {
            return Err(EvaluateError::NoHypotheses);
        };
        let expected = self.statistics_len();
        for (place, system) in (1..).zip(systems) {
            if system.len() != baseline.len() {
                return Err(EvaluateError::Systems {
                    system: place,
                    found: system.len(),
                    expected: baseline.len(),
                });
            }
            if let Some(line) = system.iter().find(|line| line.len() != expected) {
                return Err(EvaluateError::Statistics {
                    metric: self.name(),
                    expected,
                    found: line.len(),
                });
            }
        }
        let score = |system: &Vec<Vec<f64>>| self.value(&sum(system));
        let base = score(baseline);
        let scores = match test {
            PairedTest::Bootstrap => {
                let all: Vec<&[Vec<f64>]> = systems.iter().map(Vec::as_slice).collect();
                bootstrap_scores(self, &all, resamples, seed)
            }
            PairedTest::Randomisation => Vec::new(),
        };
        let of_system = |(i, system): (usize, &Vec<Vec<f64>>)| {
            let found = score(system);
            let observed = (base - found).abs();
            let differences = || match test {
                PairedTest::Bootstrap => centred(&scores[0], &scores[i]),
                PairedTest::Randomisation => {
                    swapped_differences(self, baseline, system, resamples, seed)
                }
            };
            Tested {
                score: found,
                p: (i > 0).then(|| p_value(&differences(), observed)),
                confidence: scores.get(i).cloned().map(Confidence::of),
            }
        };
        Ok(systems.iter().enumerate().map(of_system).collect())
    }

    /// The signature of a paired test's scores against this many references.
    #[must_use]
    pub fn paired_signature(
        &self,
        references: usize,
        test: PairedTest,
        resamples: u32,
        seed: u64,
    ) -> Signature {
        self.signature(references)
            .resampled(test.key(), resamples, seed)
    }
}

/// How far the systems lie apart in each resample, less the mean of that.
fn centred(base: &[f64], system: &[f64]) -> Vec<f64> {
    let apart: Vec<f64> = base
        .iter()
        .zip(system)
        .map(|(b, s)| (s - b).abs())
        .collect();
    let mean = apart.iter().sum::<f64>() / apart.len().max(1) as f64;
    apart.into_iter().map(|x| x - mean).collect()
}

/// A tie does not count, as in sacreBLEU.
fn p_value(differences: &[f64], observed: f64) -> f64 {
    let beyond = differences.iter().filter(|&&x| x > observed).count();
    (beyond + 1) as f64 / (differences.len() + 1) as f64
}

/// Statistics of a corpus: those of its lines, added up.
pub(super) fn sum(statistics: &[Vec<f64>]) -> Vec<f64> {
    let mut sum = vec![0.0; statistics.first().map_or(0, Vec::len)];
    for line in statistics {
        sum.iter_mut().zip(line).for_each(|(sum, x)| *sum += x);
    }
    sum
}
