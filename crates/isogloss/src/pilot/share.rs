//! How the time is shared out, before anything starts.

use serde::{Deserialize, Serialize};

use crate::compare::Speeds;
use crate::pilot::Chosen;

/// Share of the limit for translating and scoring, at most.
const SCORING: f64 = 0.25;

/// Share of the limit that nothing is planned for: reading, measuring, comparing, and a machine that slows down.
const RESERVE: f64 = 0.1;

/// Of a training's time this much is planned; the rest is for predictions that are wrong.
const PLANNED: f64 = 0.8;

/// Fewer updates than this are spread over fewer sizes.
const UPDATES: f64 = 30.0;

/// Fewer updates than this show nothing.
const LEAST_UPDATES: f64 = 10.0;

/// Fewer sentences of a direction than this show nothing.
const LEAST_SENTENCES: usize = 20;

/// What things take here, by prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// Seconds of training one size as configured, in the chosen languages.
    pub training: f64,
    /// Its updates.
    pub updates: f64,
    /// Seconds of its validations.
    pub validation: f64,
    /// Its validations.
    pub validations: f64,
    /// Seconds of translating one sentence of each chosen direction.
    pub sentence: f64,
    /// Most sentences of a direction.
    pub sentences: usize,
    /// Sizes that are tried if time is no object.
    pub sizes: usize,
}

/// How much of everything is done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Sizes that time is planned for.
    pub sizes: usize,
    /// Share of the configured pairs of an epoch.
    pub pairs: f64,
    /// Most sentences that are scored in a direction, in either text.
    pub sentences: usize,
    /// Whether training is validated at its end alone.
    pub validate_once: bool,
    /// Seconds after which a training ends by itself.
    pub training_seconds: f64,
    /// Seconds of translating either text once, by prediction.
    pub scoring_seconds: f64,
    /// Seconds of what follows on a training's last update, by prediction: validations, and the check of what was saved.
    pub finishing_seconds: f64,
}

/// What a pilot does: the file `plan.json` in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PilotPlan {
    /// The limit in seconds.
    pub limit_seconds: f64,
    /// Seconds that measuring took.
    pub measuring_seconds: f64,
    /// Directions, and what they stand for.
    pub directions: Vec<Chosen>,
    /// What this machine does in a second.
    pub speeds: Speeds,
    /// How much of everything is done.
    #[serde(flatten)]
    pub share: Share,
}

impl Share {
    /// Shares a limit of so many seconds out: at most a quarter for scoring (fewer sentences otherwise), a tenth in reserve, the rest in
    /// equal parts to trainings, which get fewer pairs an epoch, so that all sizes are trained alike. If too few updates would be left,
    /// fewer sizes are planned.
    ///
    /// # Errors
    /// Seconds that the smallest pilot takes.
    pub fn new(limit: f64, costs: &Costs) -> Result<Self, f64> {
        if let Some(share) = Self::within(limit, costs) {
            return Ok(share);
        }
        let mut least = limit.max(1.0);
        while Self::within(least, costs).is_none() && least < 1e9 {
            least *= 1.1;
        }
        Err(least)
    }

    fn within(limit: f64, costs: &Costs) -> Option<Self> {
        let mut best = None;
        for sizes in (1..=costs.sizes.max(1)).rev() {
            let Some(share) = Self::of_sizes(limit, costs, sizes) else {
                continue;
            };
            if share.pairs >= 1.0 || share.pairs * costs.updates >= UPDATES {
                return Some(share);
            }
            best = Some(share);
        }
        best.filter(|share| share.pairs * costs.updates >= LEAST_UPDATES)
    }

    fn of_sizes(limit: f64, costs: &Costs, sizes: usize) -> Option<Self> {
        // The base and every size on the text that decides; the base and two sizes at most on the one that reports.
        let scored = (1 + sizes + 3) as f64;
        let fit = SCORING * limit / (scored * costs.sentence.max(1e-9));
        let sentences = costs.sentences.min(fit as usize);
        if sentences < costs.sentences.min(LEAST_SENTENCES) {
            return None;
        }
        let scoring_seconds = sentences as f64 * costs.sentence;
        let training_seconds = ((1.0 - RESERVE) * limit - scored * scoring_seconds) / sizes as f64;
        let planned = PLANNED * training_seconds;
        let validate_once = costs.validation > 0.3 * planned;
        let validation = match validate_once {
            true => costs.validation / costs.validations.max(1.0),
            false => costs.validation,
        };
        let pairs = ((planned - validation) / costs.training.max(1e-9)).min(1.0);
        (pairs > 0.0).then_some(Share {
            sizes,
            pairs,
            sentences,
            validate_once,
            training_seconds,
            scoring_seconds,
            finishing_seconds: 3.0 * costs.validation / costs.validations.max(1.0),
        })
    }

    /// Seconds that this takes by prediction, if all sizes are tried.
    #[must_use]
    pub fn seconds(&self, costs: &Costs) -> f64 {
        let validation = match self.validate_once {
            true => costs.validation / costs.validations.max(1.0),
            false => costs.validation,
        };
        let training = self.pairs * costs.training + validation;
        (self.sizes + 4) as f64 * self.scoring_seconds + self.sizes as f64 * training
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: Costs = Costs {
        training: 600.0,
        updates: 1000.0,
        validation: 20.0,
        validations: 4.0,
        sentence: 0.2,
        sentences: 500,
        sizes: 5,
    };

    #[test]
    fn whatever_the_limit_it_is_kept_and_more_time_is_never_less() {
        let mut last: Option<Share> = None;
        for minutes in 1..600 {
            let limit = 60.0 * f64::from(minutes);
            let Ok(share) = Share::new(limit, &COSTS) else {
                assert!(last.is_none(), "{minutes}");
                continue;
            };
            assert!(share.seconds(&COSTS) < limit, "{minutes}: {share:?}");
            let trained = share.sizes as f64 * share.training_seconds;
            assert!(trained + 5.0 * share.scoring_seconds < limit);
            assert!(share.pairs * COSTS.updates >= LEAST_UPDATES && share.sentences >= 20);
            if let Some(last) = last {
                assert!(share.sizes >= last.sizes, "{minutes}");
            }
            last = Some(share);
        }
        let whole = last.unwrap();
        assert_eq!((whole.pairs, whole.sentences, whole.sizes), (1.0, 500, 5));
    }

    #[test]
    fn little_time_is_spent_on_few_sizes_and_too_little_says_how_much_it_takes() {
        let share = Share::new(180.0, &COSTS).unwrap();
        assert!(
            share.sizes < 5 && share.pairs < 0.2 && share.sentences < 500,
            "{share:?}"
        );
        let least = Share::new(5.0, &COSTS).unwrap_err();
        assert!(Share::new(least, &COSTS).is_ok() && Share::new(0.8 * least, &COSTS).is_err());
    }

    #[test]
    fn long_validations_come_once() {
        let costs = Costs {
            validation: 400.0,
            ..COSTS
        };
        let share = Share::new(1800.0, &costs).unwrap();
        assert!(share.validate_once && share.seconds(&costs) < 1800.0);
    }
}
