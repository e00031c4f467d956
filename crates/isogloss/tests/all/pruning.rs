//! Gradual pruning in training: what is left is exactly what was asked for, and resumption goes on with the same entries.

use isogloss::adapter::compact_folder;
use isogloss::config::TrainConfig;
use isogloss::prune::PruningConfig;
use isogloss::train::{Event, Outcome};
use safetensors::SafeTensors;
use tempfile::TempDir;

use crate::training::{config, events, interrupted, left, train};

fn pruned(run: &str, pruning: &str) -> TrainConfig {
    let mut config = config(run, "lslo");
    config.training.epochs = 4;
    config.pruning = Some(toml::from_str::<PruningConfig>(pruning).unwrap());
    config
}

/// Entries of `lora_b` that are zero, and all, in a language's file.
fn zeros(folder: &std::path::Path, language: &str) -> (usize, usize) {
    let bytes = std::fs::read(folder.join(format!("{language}.safetensors"))).unwrap();
    let (mut zeros, mut all) = (0, 0);
    for (name, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
        let values = view.data().chunks_exact(4);
        let zero = values.clone().filter(|x| x == &[0; 4]).count();
        match name.contains("lora_B") {
            true => (zeros, all) = (zeros + zero, all + values.len()),
            false => assert_eq!(zero, 0, "{name} is not pruned"),
        }
    }
    (zeros, all)
}

#[test]
fn what_is_saved_has_the_share_that_was_asked_for() {
    let folder = TempDir::new().unwrap();
    let text =
        "target_ratio = 0.8\nstart_epoch = 1\nduration = 2\nlanguage_ratios = { nld_Latn = 0.5 }";
    let done = train(&pruned("run", text), folder.path()).unwrap();
    for (language, ratio) in [("eng_Latn", 0.8), ("deu_Latn", 0.8), ("nld_Latn", 0.5)] {
        let (zeros, all) = zeros(&done.result, language);
        assert_eq!(zeros, (ratio * all as f64).round() as usize, "{language}");
    }
    // Epochs before the target was reached may have scored better; what counts is an update of the size asked for.
    let lines = events(&folder.path().join("run"));
    let mut shares = Vec::new();
    for line in lines.lines() {
        if let Event::Pruned {
            epoch,
            pruned,
            entries,
            ..
        } = serde_json::from_str(line).unwrap()
        {
            shares.push((epoch, pruned as f64 / entries as f64));
        }
    }
    let epochs: Vec<u64> = shares.iter().map(|&(epoch, _)| epoch).collect();
    assert_eq!(epochs, [2, 3]);
    assert!(shares[0].1 < shares[1].1, "{shares:?}");
}

/// Components that are pruned leave updates of lower rank, which compaction stores as such.
#[test]
fn pruned_components_leave_lower_ranks() {
    let folder = TempDir::new().unwrap();
    let text = "target_ratio = 0.5\nstart_epoch = 1\nduration = 2\nunit = \"component\"";
    let done = train(&pruned("run", text), folder.path()).unwrap();
    let compacted = folder.path().join("compacted");
    let report = compact_folder(&done.result, &compacted, 0.0).unwrap();
    assert!(!report.updates.is_empty());
    for update in &report.updates {
        // At most a component more than half is left.
        let left = update.after.parameters as f64 / update.before.parameters as f64;
        assert!((0.5..0.6).contains(&left), "{}: {left}", update.name);
        let smaller = update
            .sites
            .iter()
            .filter(|site| site.rank < site.rank_before);
        assert!(smaller.count() > 0, "{}", update.name);
    }
}

#[test]
fn a_run_that_prunes_resumes_exactly() {
    for unit in ["entry", "component"] {
        resumes_exactly(&format!(
            "target_ratio = 0.7\nstart_epoch = 1\nduration = 3\nshape = \"linear\"\npool = \"site\"\nunit = \"{unit}\""
        ));
    }
}

fn resumes_exactly(text: &str) {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let done = train(&pruned("whole", text), folder).unwrap();
    let expected_events = events(&folder.join("whole"));
    let expected = left(&folder.join("whole"), &done.result);
    assert!(expected.iter().any(|(name, _)| name.ends_with(":pruned")));
    let updates = expected_events
        .lines()
        .filter(|l| l.contains("\"update\","))
        .count() as u64;
    assert!(updates > 12, "{updates}");

    // In the first epoch, at every place of the second and third, and shortly before the end.
    let mut parts = pruned("parts", text);
    let run = folder.join("parts");
    let mut done = 0;
    for stop in [
        2,
        updates / 4 + 1,
        updates / 2 - 1,
        updates / 2 + 1,
        updates - 1,
    ] {
        interrupted(&parts, folder, stop - done);
        done = stop;
        parts.compute.threads = 1 + done as usize % 3;
    }
    let resumed = train(&parts, folder).unwrap();
    assert_eq!(resumed.trained.outcome, Outcome::Finished);
    assert_eq!(events(&run), expected_events);
    let got = left(&run, &resumed.result);
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(&expected) {
        assert!(got == expected, "{} differs", expected.0);
    }
}

/// A process that dies at the start of an epoch, after its log but before its state was saved, doesn't log the pruning twice.
#[test]
fn pruning_is_logged_once() {
    let folder = TempDir::new().unwrap();
    let text = "target_ratio = 0.5\nstart_epoch = 1\nduration = 1";
    let config = pruned("run", text);
    let done = train(&config, folder.path()).unwrap();
    let run = folder.path().join("run");
    let expected = events(&run);
    let pruned = |text: &str| text.lines().filter(|l| l.contains("pruned")).count();
    assert_eq!(pruned(&expected), 1);
    // A line as it stands when the state is that of the epoch's end.
    let update = done.trained.state.update;
    let line = format!(
        "{{\"event\":\"pruned\",\"update\":{update},\"epoch\":5,\"pruned\":1,\"entries\":2}}\n"
    );
    std::fs::write(run.join("events.jsonl"), expected.clone() + &line).unwrap();
    let _ = train(&config, folder.path()).unwrap();
    assert_eq!(events(&run), expected);
}

#[test]
fn pruning_that_never_ends_or_has_nothing_to_prune_is_refused() {
    let folder = TempDir::new().unwrap();
    let refused = |config: &TrainConfig| train(config, folder.path()).unwrap_err().to_string();
    let late = pruned("run", "");
    let text = refused(&late);
    assert!(text.contains("reached at epoch 12 of 4"), "{text}");
    let mut full = pruned("run", "duration = 1");
    full.method = isogloss::config::Method::Full;
    let text = refused(&full);
    assert!(text.contains("`method` is \"full\""), "{text}");
    assert!(!folder.path().join("run").exists());
}
