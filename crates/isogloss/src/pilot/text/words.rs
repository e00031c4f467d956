//! Sentences about a pilot's result.

use crate::compare::{count, duration, listed, signed, with_interval};
use crate::pilot::text::tables::bytes;
use crate::pilot::{PilotResults, Stop, Whole};

impl Stop {
    /// As the end of a sentence.
    pub(super) fn words(self) -> &'static str {
        match self {
            Stop::Worse => "the next size was significantly worse than the best",
            Stop::NoGain => "no size is significantly better than the base",
            Stop::Smallest => "there is no smaller size",
            Stop::Time => "the time was used up",
        }
    }
}

impl PilotResults {
    /// Gain, harm, cost and what follows, a sentence or two each.
    #[must_use]
    pub fn summary(&self) -> [String; 4] {
        [
            self.gain_words(),
            self.harm_words(),
            cost_words(&self.whole),
            self.advice(),
        ]
    }

    fn gain_words(&self) -> String {
        let Some(gain) = &self.gain else {
            return "Gain: not known; there was no time to score text that took no part in the decisions.".to_owned();
        };
        let mean = |of: &dyn Fn(&crate::evaluate::DirectionChange) -> f64| {
            gain.directions.iter().map(of).sum::<f64>() / gain.directions.len().max(1) as f64
        };
        let [low, high] = gain.mean.interval.map(signed);
        let verdict = match gain.mean.interval {
            [low, _] if low > 0.0 => "adapting helps",
            [_, high] if high < 0.0 => "adapting makes it worse",
            _ => "none is shown; the change may be chance",
        };
        format!(
            "Gain: {verdict}. With {}, chrF++ goes from {:.1} to {:.1} on average over {}: {} points (95% interval {low} to {high}).",
            self.reported(),
            mean(&|d| d.base),
            mean(&|d| d.score),
            count(gain.directions.len(), "direction"),
            signed(gain.mean.change),
        )
    }

    fn harm_words(&self) -> String {
        let Some(gain) = &self.gain else {
            return "Harm: not known, for the same reason.".to_owned();
        };
        let margin = -gain.margin;
        if !gain.harmed.is_empty() {
            return format!("Harm: significantly worse: {}.", listed(&gain.harmed));
        }
        if gain.unproven.is_empty() {
            return format!(
                "Harm: none. No direction loses more than {margin} points; that holds for all {} together with 95% confidence.",
                gain.directions.len()
            );
        }
        let least = gain.directions.iter().map(|d| d.lower_bound);
        let least = least.fold(f64::INFINITY, f64::min);
        format!(
            "Harm: no direction is significantly worse, but a loss of more than {margin} points isn't ruled out for {} (the worst case is {}). \
             More test sentences would tell.",
            listed(&gain.unproven),
            signed(least),
        )
    }

    fn advice(&self) -> String {
        match &self.chosen {
            None => "Advice: don't roll out. No size was significantly better than the base; give it more time or more text, or change \
                     the learning rate."
                .to_owned(),
            Some(_) if self.gain.is_none() => {
                "Advice: give it more time, so that the gain can be checked on other text.".to_owned()
            }
            Some(_) if !self.confirmed() => {
                "Advice: don't roll out yet. The gain that decided wasn't confirmed on other text; give it more time or more text."
                    .to_owned()
            }
            Some(chosen) => {
                let best = match *chosen == self.best {
                    true => ", the best of those tried".to_owned(),
                    false => format!(
                        ": the smallest that isn't significantly worse than the best, {}{}",
                        self.best,
                        self.sizes
                            .iter()
                            .find(|row| row.size == *chosen)
                            .and_then(|row| row.against_best.as_ref())
                            .map_or_else(String::new, |c| format!(" (difference {})", with_interval(c)))
                    ),
                };
                let harm = match self.gain.as_ref().is_some_and(|g| !g.harmed.is_empty()) {
                    true => " Leave the harmed directions on the base (isogloss rollout plan).",
                    false => "",
                };
                format!("Advice: train everything with {chosen}{best}.{harm}")
            }
        }
    }

    /// What isn't as the configuration says, and what there was no time for.
    pub(super) fn limits(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.share.pairs < 1.0 {
            all.push(format!(
                "Trained with {:.0}% of the pairs of an epoch, to fit the limit: the whole may gain more.",
                100.0 * self.share.pairs
            ));
        }
        if self.directions.len() < self.whole.directions {
            all.push(format!(
                "{} of {} directions took part; the others are judged by them.",
                self.directions.len(),
                self.whole.directions
            ));
        }
        if self.reporting_sentences < 200 {
            all.push(format!(
                "Few sentences: {} a direction decided, {} reported. Differences below the width of the intervals can't be seen; take 200 or more.",
                self.deciding_sentences, self.reporting_sentences
            ));
        }
        let cut: Vec<&str> = self
            .sizes
            .iter()
            .filter(|r| r.cut)
            .map(|r| r.size.as_str())
            .collect();
        if !cut.is_empty() {
            all.push(format!(
                "The limit ended the training of {} before its last epoch; sizes that trained longer have an advantage.",
                cut.join(", ")
            ));
        }
        all.extend(
            self.left_out
                .iter()
                .map(|what| format!("Left out for want of time: {what}.")),
        );
        all.push(
            "One seed: another one may move each figure by some tenths of a point.".to_owned(),
        );
        all
    }
}

fn cost_words(whole: &Whole) -> String {
    format!(
        "Cost: {} and {} train in about {} on this machine, with {} of memory; all updates take {} of disk, {:.1}% of the base.",
        count(whole.languages, "language"),
        count(whole.directions, "direction"),
        duration(3600.0 * whole.training_hours),
        bytes(whole.memory_bytes),
        bytes(whole.disk_bytes),
        100.0 * whole.parameters as f64 / whole.base_parameters.max(1) as f64,
    )
}
