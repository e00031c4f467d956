//! `cost.json` in the folder of a run: what training took on this machine, for reports. Apart from everything else in the folder, which is
//! the same on any machine.

use std::path::Path;

use crate::config::Compute;
use crate::files;
use crate::report::{COST, Cost};
use crate::train::{Estimate, TrainState};

/// Writes what a run has taken so far. `command` is what was typed, and `peak_memory` the most that the process held, in bytes, where it
/// did nothing but this run. A run isn't lost for want of it, so what fails is only told.
pub fn note_cost(
    run: &Path,
    compute: Compute,
    (state, estimate): (&TrainState, &Estimate),
    command: Option<String>,
    peak_memory: Option<u64>,
) {
    let path = run.join(COST);
    // Of a run that went on, the greatest of its parts.
    let before = std::fs::read_to_string(&path).ok();
    let before: Cost = before
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    if command.is_some() && before.target_tokens == Some(state.total_tokens) {
        // Nothing was trained since: what stands there is how it was.
        return;
    }
    let cost = Cost {
        seconds: Some(state.seconds),
        peak_memory: peak_memory.max(before.peak_memory),
        predicted_memory: Some(estimate.memory as u64),
        target_tokens: Some(state.total_tokens),
        base_parameters: Some(estimate.base_parameters as u64),
        trainable: Some(estimate.trainable as u64),
        active: Some(estimate.active as u64),
        processor: processor(),
        threads: threads(compute),
        command,
    };
    if let Err(error) = files::write_json(&path, &cost) {
        tracing::warn!("{error}; a report will not know what the run took");
    }
}

/// The processor's name, where the system tells it.
fn processor() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let mut lines = info.lines();
    let line = lines.find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Threads, as the configuration in force says; as many as there are where it leaves that open.
fn threads(compute: Compute) -> Option<usize> {
    match compute.threads {
        0 => Some(std::thread::available_parallelism().ok()?.get()),
        threads => Some(threads),
    }
}
