//! `cost.json` in the folder of a run: what training took on this machine, for reports. Apart from everything else in the folder, which is
//! the same on any machine.

use isogloss::config::Compute;
use isogloss::files;
use isogloss::report::{Cost, shell_word};
use isogloss::train::{Estimate, TrainState};
use std::path::Path;

/// Name of the file.
const FILE: &str = "cost.json";

/// Writes what the run has taken so far. A run isn't lost for want of it, so what fails is only told.
pub(crate) fn note(run: &Path, compute: Compute, state: &TrainState, estimate: &Estimate) {
    let path = run.join(FILE);
    let cost = cost(&path, compute, state, estimate);
    let text = serde_json::to_string_pretty(&cost).unwrap_or_default();
    if let Err(error) = files::write_atomic(&path, |w| writeln!(w, "{text}")) {
        tracing::warn!("{error}; a report will not know what the run took");
    }
}

fn cost(path: &Path, compute: Compute, state: &TrainState, estimate: &Estimate) -> Cost {
    // Of a run that went on, the greatest of its parts.
    let before = std::fs::read_to_string(path).ok();
    let before: Cost = before
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    Cost {
        seconds: Some(state.seconds),
        peak_memory: isogloss::memory::peak_bytes().max(before.peak_memory),
        predicted_memory: Some(estimate.memory as u64),
        target_tokens: Some(state.total_tokens),
        base_parameters: Some(estimate.base_parameters as u64),
        trainable: Some(estimate.trainable as u64),
        active: Some(estimate.active as u64),
        processor: processor(),
        threads: threads(compute),
        command: Some(command(std::env::args())),
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

/// The command line, without the folder of the program.
fn command(words: impl Iterator<Item = String>) -> String {
    let rest = words.skip(1).map(|word| shell_word(&word));
    std::iter::once("isogloss".to_owned())
        .chain(rest)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_given_to_a_shell_again() {
        let words = [
            "/opt/bin/isogloss",
            "train",
            "my runs/a.toml",
            "--threads",
            "2",
        ];
        assert_eq!(
            command(words.into_iter().map(str::to_owned)),
            "isogloss train 'my runs/a.toml' --threads 2"
        );
    }
}
