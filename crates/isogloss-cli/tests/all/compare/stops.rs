//! Stopping a comparison, going on with it, and budgets that leave out a part of it.

use super::{compare, read, row, timeless, workshop};
use crate::workshop::{Workshop, refusal, stdout};
use isogloss::compare::{Budget, CompareConfig, Ending, Experiment, Label, Speeds, Watcher};
use isogloss::config::{self, TrainConfig};
use isogloss::evaluate::Progress;
use isogloss::train::{Event, Observer};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Stdio;

/// Asks to stop at every so manieth event of training, and once between translations.
#[derive(Default)]
struct Stopper {
    updates: usize,
    at: usize,
    scoring: bool,
    stage: String,
}

impl Observer for Stopper {
    fn event(&mut self, event: &Event) {
        self.updates += usize::from(matches!(event, Event::Update { .. }));
    }

    fn stop(&self) -> bool {
        self.updates >= self.at || (self.scoring && self.stage.contains(" on "))
    }
}

impl Watcher for Stopper {
    fn stage(&mut self, name: &str) {
        name.clone_into(&mut self.stage);
    }

    fn translating(&mut self, _: Progress) {}
}

fn experiment(folder: &Path) -> Experiment {
    let config: CompareConfig = config::read(&folder.join("compare.toml")).unwrap();
    let one_thread = |mut compute: config::Compute| {
        compute.threads = 1;
        compute
    };
    Experiment::open(&config, folder, one_thread).unwrap()
}

#[test]
fn stopped_again_and_again_it_finds_the_same() {
    let methods = "[methods.full]\nseeds = [1]\n[methods.lslo]\n";
    let comparison = "seeds = [1, 2]\nlearning_rates = [0.01, 0.03]";
    let straight = workshop(comparison, methods);
    let _ = stdout(&mut compare(&straight, &["--published"]));

    let stopped = workshop(comparison, methods);
    let mut stops = 0;
    let mut watcher = Stopper {
        at: 1,
        scoring: true,
        ..Stopper::default()
    };
    loop {
        let mut experiment = experiment(stopped.path());
        let protocol = match stops {
            0 => experiment.plan(Some(Budget::Published)).unwrap(),
            _ => experiment.plan(None).unwrap(),
        };
        match experiment.run(&protocol, &mut watcher).unwrap() {
            Ending::Finished(_) => break,
            Ending::Interrupted(cell) => assert!(protocol.cells.iter().any(|c| c.name == cell)),
        }
        stops += 1;
        // A little further each time; translations are stopped once.
        watcher = Stopper {
            at: 2 + stops,
            ..Stopper::default()
        };
    }
    assert!(stops > 3, "{stops}");
    let [a, b] = [&straight, &stopped].map(|w| timeless(read(w, "results.json")));
    assert_eq!(a, b);
    // There is something to be the same.
    assert!(row(&a, 0, "base")["mean"].as_f64().unwrap() > 0.0);
    assert!(row(&a, 0, "lslo")["change"]["change"] != 0.0);
    let markdown = |w: &Workshop| std::fs::read_to_string(w.path().join("compared/results.md"));
    assert!(markdown(&stopped).unwrap().contains("| lslo | 2 |"));
}

/// Ctrl-C ends with 130 and says how to go on, and another process is kept out meanwhile.
#[cfg(unix)]
#[test]
fn an_interrupted_comparison_says_how_to_go_on() {
    let endless = "[methods.lslo]\ntrain = { training = { epochs = 100000 } }\n";
    let workshop = workshop("", endless);
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("isogloss"))
        .current_dir(workshop.path())
        .args(["compare", "compare.toml", "--published", "--threads", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("lslo-seed1: epoch 1, update 1 ") {
        line.clear();
        assert!(messages.read_line(&mut line).unwrap() > 0, "it ended");
    }
    let text = refusal(&mut compare(&workshop, &[]));
    assert!(text.contains("in use by another process"), "{text}");
    let id = child.id().to_string();
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut rest = String::new();
    messages.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("stopped in lslo-seed1") && rest.contains("same command again"));
    let saved = workshop
        .path()
        .join("compared/lslo-seed1/checkpoints/last.safetensors");
    assert!(saved.is_file());
}

#[test]
fn a_budget_reduces_what_it_says_and_marks_it() {
    let workshop = workshop(
        "seeds = [1, 2]",
        "[methods.lslo]\n[least]\npairs = 0.5\nsentences = 12\n",
    );
    let speeds = Speeds {
        full: 2e8,
        frozen: 2e8,
        beam: 100.0,
        greedy: 100.0,
    };
    let mut experiment = experiment(workshop.path());
    let whole = experiment.protocol(Budget::Published, speeds).unwrap();
    assert_eq!(whole.label, Label::Published);
    let mut last = whole.clone();
    let mut seen = BTreeSet::new();
    for percent in (1..100).rev() {
        let budget = Budget::Hours(whole.hours * f64::from(percent) / 100.0);
        let Ok(now) = experiment.protocol(budget, speeds) else {
            break;
        };
        assert!(now.hours <= last.hours && now.label == Label::Reduced);
        assert!(now.extent.pairs <= last.extent.pairs && now.extent.seeds <= last.extent.seeds);
        assert!(now.extent.sentences <= last.extent.sentences);
        seen.insert(format!("{:?}", now.extent));
        last = now;
    }
    // Half the pairs by way of three quarters, then one seed, then fewer sentences.
    assert_eq!(
        (last.extent.pairs, last.extent.seeds, last.extent.sentences),
        (0.5, 1, 12)
    );
    assert_eq!(seen.len(), 4, "{seen:?}");

    let mut watcher = Stopper {
        at: usize::MAX,
        ..Stopper::default()
    };
    let Ending::Finished(results) = experiment.run(&last, &mut watcher).unwrap() else {
        panic!("nobody stopped it");
    };
    let at = |name: &str| workshop.path().join("compared").join(name);
    let cell: TrainConfig = config::read(&at("lslo-seed1/config.toml")).unwrap();
    assert_eq!(cell.training.sample.pairs_per_epoch, Some(12));
    assert!(!at("lslo-seed2").exists());
    let protocol = read(&workshop, "protocol.json");
    assert_eq!(protocol["extent"]["sentences"], 12);
    assert_eq!(
        (results.label, results.tests[0].sentences),
        (Label::Reduced, 12)
    );
    let markdown = std::fs::read_to_string(at("results.md")).unwrap();
    assert!(markdown.contains("50% of the pairs of an epoch, 1 of 2 seeds, the first 12 of 24"));
    for line in markdown.lines().filter(|line| line.contains("chrF++ (")) {
        assert!(
            line.contains("(reduced)") || line.contains("chrF2++|"),
            "{line}"
        );
    }
}
