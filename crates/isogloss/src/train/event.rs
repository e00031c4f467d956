use serde::{Deserialize, Serialize};

use crate::corpus::FilterReport;
use crate::train::Estimate;

/// What a run reports, and writes to `events.jsonl`, a line each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An update (optimiser step).
    Update {
        /// Its number, from 1.
        update: u64,
        /// Updates planned, as far as can be told from the epochs so far.
        planned: u64,
        /// The epoch, from 1.
        epoch: u64,
        /// Learning rate.
        learning_rate: f64,
        /// Label-smoothed loss for each target token, in nats.
        loss: f64,
        /// Negative log-likelihood for each target token, in nats.
        nll: f64,
        /// Norm of the gradient before clipping.
        norm: f64,
        /// Target tokens.
        tokens: usize,
        /// Target tokens since the start of the run.
        total_tokens: u64,
        /// Seconds that the update took. Left out of the file, which is the same whatever the machine.
        #[serde(skip)]
        seconds: f64,
        /// Share of the run that is done, 0 to 1.
        #[serde(skip)]
        done: f64,
    },
    /// A validation; the one before the first update has epoch 0 and is never the best.
    Validation {
        /// Updates so far.
        update: u64,
        /// Epochs so far.
        epoch: u64,
        /// Negative log-likelihood for each target token, in nats, averaged over directions.
        nll: f64,
        /// chrF++ by greedy decoding, averaged over directions, if it is measured.
        #[serde(skip_serializing_if = "Option::is_none")]
        chrf: Option<f64>,
        /// Whether it is the best so far.
        best: bool,
    },
    /// Entries of updates were pruned.
    Pruned {
        /// Updates so far.
        update: u64,
        /// The epoch that starts, from 1.
        epoch: u64,
        /// Entries that are pruned.
        pruned: usize,
        /// Entries that could be.
        entries: usize,
    },
    /// The state was saved.
    Saved {
        /// Updates so far.
        update: u64,
    },
}

/// Receives events as they happen.
pub trait Observer {
    /// The training text was cleaned.
    fn cleaned(&mut self, _report: &FilterReport) {}

    /// What the run will take, before it starts.
    fn planned(&mut self, _estimate: &Estimate) {}

    /// Something happened.
    fn event(&mut self, event: &Event);

    /// Whether to finish the update, save and stop (Ctrl-C).
    fn stop(&self) -> bool {
        false
    }

    /// Whether the run ends with this update, as if its last epoch were over: it is validated, and the best is kept. Once true, it
    /// stays so.
    fn enough(&self) -> bool {
        false
    }
}

/// Looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event) {}
}
