//! Training that can't go on: states that are damaged, learning rates that run away.

use std::path::Path;

use isogloss::config::TrainConfig;
use tempfile::TempDir;

use crate::training::{config, epoch_ends, events, interrupted, train};

#[test]
fn a_damaged_state_is_refused() {
    let folder = TempDir::new().unwrap();
    let config = config("run", "lslo");
    interrupted(&config, folder.path(), 1);
    let state = folder.path().join("run/checkpoints/last.safetensors");
    let bytes = std::fs::read(&state).unwrap();
    std::fs::write(&state, &bytes[..bytes.len() - 7]).unwrap();
    let text = train(&config, folder.path()).unwrap_err().to_string();
    assert!(
        text.contains("last.safetensors") && text.contains("remove the run's folder"),
        "{text}"
    );
}

/// Whatever bit of a state flips, training doesn't go on from it, and the file is named; a line of the log is no state.
#[test]
fn a_state_with_a_flipped_bit_is_refused() {
    let folder = TempDir::new().unwrap();
    // In the second epoch, where there is a best state, too.
    let whole = config("whole", "lslo");
    train(&whole, folder.path()).unwrap();
    let ends = epoch_ends(&events(&folder.path().join("whole")));
    let config = config("run", "lslo");
    interrupted(&config, folder.path(), ends[0] + 1);
    let run = folder.path().join("run");
    for name in ["last", "best"] {
        let path = run.join(format!("checkpoints/{name}.safetensors"));
        let whole = std::fs::read(&path).unwrap();
        let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        for at in [9, header / 2, 8 + header, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            std::fs::write(&path, &bytes).unwrap();
            let text = train(&config, folder.path()).unwrap_err().to_string();
            assert!(
                text.contains(&format!("{name}.safetensors is damaged")),
                "{at}: {text}"
            );
        }
        std::fs::write(&path, &whole).unwrap();
    }
    let mut log = std::fs::read(run.join("events.jsonl")).unwrap();
    log[20] = 0xff;
    std::fs::write(run.join("events.jsonl"), &log).unwrap();
    train(&config, folder.path()).unwrap();
    let lines = events(&run);
    assert!(
        lines
            .lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
}

/// What a run says whose learning rate is beyond all measure.
fn runs_away(folder: &Path, method: &str, change: impl FnOnce(&mut TrainConfig)) -> String {
    let mut config = config("run", method);
    config.training.learning_rate = 1e30;
    change(&mut config);
    train(&config, folder).unwrap_err().to_string()
}

/// Where training runs away before twenty updates are over, translating what is validated notices first: it's the rate that is to blame.
#[test]
fn divergence_is_no_matter_of_broken_weights() {
    let folder = TempDir::new().unwrap();
    let text = runs_away(folder.path(), "lslo", |config| {
        config.training.epochs = 1;
        config.validation.translate = 2;
    });
    assert!(text.contains("training.learning_rate"), "{text}");
}

/// The run says so instead of saving what is no number.
#[test]
fn divergence_is_an_error() {
    let folder = TempDir::new().unwrap();
    let text = runs_away(folder.path(), "full", |_| ());
    assert!(text.contains("training.learning_rate"), "{text}");
    assert!(!folder.path().join("run/model").exists());
}

/// Epochs of a few updates each add up: what is skipped is counted over all of them.
#[test]
fn divergence_is_noticed_in_short_epochs() {
    let folder = TempDir::new().unwrap();
    let text = runs_away(folder.path(), "full", |config| {
        config.training.epochs = 30;
        config.validation.every_epochs = 1000;
    });
    assert!(text.contains("not finite in 20 updates in a row"), "{text}");
    let log = events(&folder.path().join("run"));
    let update = log.lines().filter(|l| l.contains("\"update\",")).count();
    assert!((20..40).contains(&update), "{update} updates");
}
