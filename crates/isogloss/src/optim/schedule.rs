use serde::{Deserialize, Serialize};

/// How the learning rate goes from update to update. All rise linearly from 0 over `warmup` updates to the peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Then it falls with the inverse square root of the update (Vaswani et al. 2017, section 5.3; fairseq's `inverse_sqrt`).
    #[default]
    InverseSqrt,
    /// And it falls linearly over the run, to 0 at its end.
    Linear,
    /// Then it stays.
    Constant,
}

impl Schedule {
    /// The learning rate of `update` (from 1), for a peak of 1. `done` is the share of the run that is over before the update,
    /// 0 to 1; only [`Linear`](Schedule::Linear) depends on it.
    #[must_use]
    pub fn factor(self, update: u64, warmup: u64, done: f64) -> f64 {
        let (update, warmup) = (update.max(1) as f64, warmup.max(1) as f64);
        let warming = (update / warmup).min(1.0);
        match self {
            Schedule::InverseSqrt => warming.min((warmup / update).sqrt()),
            Schedule::Linear => warming * (1.0 - done.clamp(0.0, 1.0)),
            Schedule::Constant => warming,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn factors() {
        let table = [
            (Schedule::InverseSqrt, 1, 4, 0.25),
            (Schedule::InverseSqrt, 4, 4, 1.0),
            (Schedule::InverseSqrt, 16, 4, 0.5),
            (Schedule::InverseSqrt, 1, 0, 1.0),
            (Schedule::InverseSqrt, 1, 1, 1.0),
            (Schedule::InverseSqrt, 4, 1, 0.5),
            (Schedule::Linear, 2, 4, 0.5 * 0.98),
            (Schedule::Linear, 4, 4, 0.96),
            (Schedule::Linear, 100, 4, 0.0),
            (Schedule::Linear, 500, 4, 0.0),
            (Schedule::Constant, 99, 4, 1.0),
        ];
        for (schedule, update, warmup, expected) in table {
            let got = schedule.factor(update, warmup, update as f64 / 100.0);
            assert!(
                (got - expected).abs() < 1e-12,
                "{schedule:?} {update} {warmup}: {got}"
            );
        }
    }
}
