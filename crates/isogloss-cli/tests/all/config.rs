//! `isogloss config show`.

use crate::workshop::{Workshop, isogloss, stdout};
use isogloss::config::{self, TrainConfig};

/// What is shown reads as a person would write it, and means the same when it is read.
#[test]
fn numbers_are_shown_as_they_are_written() {
    let mut workshop = Workshop::new();
    workshop.more = "[training]\nlearning_rate = 0.003\ndropout = 0.3\nlabel_smoothing = 0.15\n\
        adam = { beta2 = 0.98, eps = 1e-8 }\n[adapter]\nalpha = 0.7\n"
        .to_owned();
    let _ = workshop.train();
    let show = |more: &[&str]| {
        let mut command = isogloss(workshop.path());
        stdout(command.args(["config", "show", "train.toml"]).args(more))
    };
    let (text, json) = (show(&[]), show(&["--json"]));
    let numbers = [
        ("learning_rate", "0.003"),
        ("dropout", "0.3"),
        ("label_smoothing", "0.15"),
        ("beta1", "0.9"),
        ("beta2", "0.98"),
        ("alpha", "0.7"),
    ];
    for (key, value) in numbers {
        let line = format!("{key} = {value}");
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
        let line = format!("\"{key}\": {value}");
        let mut lines = json.lines().map(|l| l.trim().trim_end_matches(','));
        assert!(lines.any(|l| l == line), "{line}: {json}");
    }
    assert!(text.contains("\neps = 0.00000001\n") && json.contains("\"eps\": 1e-8,"));
    workshop.write("shown.toml", text);
    let read = |name: &str| config::read::<TrainConfig>(&workshop.path().join(name)).unwrap();
    assert_eq!(read("train.toml"), read("shown.toml"));
}
