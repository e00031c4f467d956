use serde::{Deserialize, Serialize};

use crate::adapter::{DemandConfig, PlacementConfig};
use crate::config::{ConfigError, value};

/// `[explore]`: two short runs with the text and the settings of training, from which a plan is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExploreConfig {
    /// Rank of every update while exploring. Default 8.
    pub rank: usize,
    /// Epochs in which placement is learnt. Default: a third of `training.epochs`, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement_epochs: Option<u64>,
    /// Epochs before demand is measured. Default: half of `training.epochs`, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demand_epochs: Option<u64>,
    /// Weights of two sides that lie closer than this are a tie: the side whose loss is missed more is taken. 0 to 1, default 0.05.
    pub tie: f64,
    /// Which places are looked at.
    pub placement: PlacementConfig,
    /// How demand is measured.
    pub demand: DemandConfig,
}

impl Default for ExploreConfig {
    fn default() -> Self {
        ExploreConfig {
            rank: 8,
            placement_epochs: None,
            demand_epochs: None,
            tie: 0.05,
            placement: PlacementConfig::default(),
            demand: DemandConfig::default(),
        }
    }
}

impl ExploreConfig {
    /// Epochs in which placement is learnt and demand is grown, where training takes so many.
    #[must_use]
    pub fn epochs(&self, training: u64) -> [u64; 2] {
        let placement = self.placement_epochs.unwrap_or(training / 3).max(1);
        [placement, self.demand_epochs.unwrap_or(training / 2).max(1)]
    }

    /// Checks ranges that types don't.
    ///
    /// # Errors
    /// Names the key, what it may be and what it is.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let positive = [
            ("explore.rank", self.rank as u64),
            (
                "explore.placement_epochs",
                self.placement_epochs.unwrap_or(1),
            ),
            ("explore.demand_epochs", self.demand_epochs.unwrap_or(1)),
        ];
        for (key, number) in positive {
            if number == 0 {
                return value(key, "is 0; it must be at least 1".to_owned());
            }
        }
        if !(0.0..=1.0).contains(&self.tie) {
            let reason = format!("is {}; it must be from 0 to 1", self.tie);
            return value("explore.tie", reason);
        }
        let rate = self.placement.rate;
        if !(rate.is_finite() && rate > 0.0) {
            return value(
                "explore.placement.rate",
                format!("is {rate}; it must be positive"),
            );
        }
        let ratio = self.demand.target_ratio;
        if !(ratio > 0.0 && ratio < 1.0) {
            let reason = format!("is {ratio}; it must be above 0 and below 1");
            return value("explore.demand.target_ratio", reason);
        }
        Ok(())
    }
}
