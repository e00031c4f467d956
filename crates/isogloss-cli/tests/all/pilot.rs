//! `isogloss pilot`, whole, with a tiny base: its answers, its time, resumption, and what it refuses.

use crate::demo;
use crate::workshop::{Workshop, handbook, isogloss, refusal, stdout};
use assert_cmd::Command;
use isogloss::compare::{Speeds, Watcher};
use isogloss::config::{self, TrainConfig};
use isogloss::evaluate::Progress;
use isogloss::pilot::{Ending, Pilot, PilotOptions, PilotPlan, PilotResults, Stop};
use isogloss::report::Tongue;
use isogloss::train::{Event, Observer};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A base whose translations training changes. Nobody writes to it.
fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("piloted-base");
        let _ = std::fs::remove_dir_all(&folder);
        demo::base(&folder);
        folder
    })
}

/// English and German, both ways, 24 sentences of validation text.
fn workshop(epochs: u32) -> Workshop {
    let mut workshop = Workshop::new();
    workshop.top = format!("run = \"run\"\nmodel = {:?}\n", base());
    workshop.data = handbook("data", "train", "1-60");
    workshop.validation = handbook("validation.data", "valid", "1-216");
    workshop.more = format!(
        "[adapter]\nrank = 2\n[training]\nepochs = {epochs}\nbatch_tokens = 800\nmax_tokens = 128\nlearning_rate = 0.01\n"
    );
    let _ = workshop.train();
    workshop
}

fn pilot(workshop: &Workshop, more: &[&str]) -> Command {
    let mut command = isogloss(workshop.path());
    command.args(["pilot", "train.toml", "--threads", "1"]);
    command.args(more);
    command
}

fn read(workshop: &Workshop, name: &str) -> String {
    std::fs::read_to_string(workshop.path().join("run").join(name)).unwrap()
}

fn results(workshop: &Workshop) -> PilotResults {
    serde_json::from_str(&read(workshop, "pilot.json")).unwrap()
}

#[test]
fn curves_of_several_runs_are_not_put_into_one_board() {
    let workshop = workshop(1);
    let text = refusal(&mut pilot(&workshop, &["--tensorboard", "board"]));
    assert!(
        text.contains("`isogloss pilot`") && text.contains("hint: leave it out"),
        "{text}"
    );
    for folder in ["board", "run"] {
        assert!(!workshop.path().join(folder).exists(), "{folder}");
    }
}

#[test]
fn it_says_gain_harm_cost_and_size_and_does_nothing_twice() {
    let mut workshop = workshop(2);
    // More than the half that decides has sentences.
    workshop.validation.insert_str(0, "translate = 20\n");
    let _ = workshop.train();
    let dry = stdout(&mut pilot(&workshop, &["--dry-run"]));
    assert!(
        dry.contains("eng_Latn-deu_Latn") && dry.contains("30 min"),
        "{dry}"
    );
    assert!(!workshop.path().join("run").exists());

    let text = stdout(&mut pilot(&workshop, &[]));
    for part in [
        "Gain: ",
        "Harm: ",
        "Cost: 2 languages and 2 directions",
        "Advice: ",
        "Next:",
        "pilot.md",
    ] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    let found = results(&workshop);
    assert_eq!(found.share.pairs, 1.0);
    assert_eq!(
        (found.deciding_sentences, found.reporting_sentences),
        (12, 12)
    );
    assert!(found.halves && found.left_out.is_empty());
    // The configured size first, then twice that.
    let names: Vec<&str> = found.sizes.iter().map(|row| row.size.as_str()).collect();
    assert_eq!(names[..2], ["rank-2", "rank-4"]);
    let best = found
        .sizes
        .iter()
        .find(|row| row.size == found.best)
        .unwrap();
    for row in &found.sizes {
        assert!(row.change.change <= best.change.change && !row.cut);
        assert_eq!(row.gains, row.change.interval[0] > 0.0);
    }
    let fits = found.sizes.iter().filter(|row| row.gains && !row.worse);
    let smallest = fits.min_by_key(|row| row.power).map(|row| row.size.clone());
    assert_eq!(found.chosen, smallest);
    let gain = found.gain.as_ref().unwrap();
    assert!(gain.directions.iter().all(|d| d.sentences == 12));
    assert_eq!((found.whole.languages, found.whole.directions), (2, 2));
    assert!(found.whole.training_hours > 0.0 && found.whole.sentences_per_second > 0.0);
    assert_eq!(found.next.len(), 1);
    let markdown = read(&workshop, "pilot.md");
    let page = read(&workshop, "report.html");
    assert!(
        page.starts_with("<!doctype html>") || page.starts_with("<!DOCTYPE html>"),
        "{}",
        &page[..40]
    );
    assert!(page.contains("deu_Latn") || page.contains("German"));
    assert!(
        markdown.contains("rank-4") && markdown.contains(&found.next[0]),
        "{markdown}"
    );

    // No sentence that reports chose an epoch: validation saw the first half alone.
    let cell: TrainConfig =
        config::read(&workshop.path().join("run/pilot/rank-2-seed1/config.toml")).unwrap();
    let validation = &cell.validation;
    assert_eq!((validation.sentences, validation.translate), (4, 12));

    // The same command finds everything done; another limit doesn't mix with it.
    let again = pilot(&workshop, &["--json"])
        .assert()
        .success()
        .get_output()
        .stdout
        .clone();
    let again: PilotResults = serde_json::from_slice(&again).unwrap();
    assert_eq!((again.sizes, again.gain), (found.sizes, found.gain));
    let text = refusal(&mut pilot(&workshop, &["--time-limit", "20m"]));
    assert!(text.contains("1800s") && text.contains("--fresh"), "{text}");
    let _ = stdout(&mut pilot(&workshop, &["--time-limit", "20m", "--fresh"]));
    assert_eq!(results(&workshop).limit_seconds, 1200.0);
}

#[test]
fn other_text_may_report() {
    let workshop = workshop(1);
    let test = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/factory");
    let test = test.to_str().unwrap();
    let of = |split| {
        [
            "--test-data",
            test,
            "--split",
            split,
            "--directions",
            "deu_Latn-eng_Latn",
        ]
    };
    let _ = stdout(pilot(&workshop, &of("test")).args(["--lang", "ja"]));
    assert!(read(&workshop, "report.html").contains("lang=\"ja\""));
    let found = results(&workshop);
    assert!(!found.halves);
    assert_eq!(
        (found.deciding_sentences, found.reporting_sentences),
        (24, 104)
    );
    assert_eq!(found.directions.len(), 1);
    assert_eq!(found.directions[0].why, ["asked for"]);
    assert_eq!(found.languages.len(), 2);
    // What decided is left out of what reports.
    let mut again = pilot(&workshop, &of("valid"));
    let _ = stdout(again.arg("--fresh"));
    assert_eq!(results(&workshop).reporting_sentences, 52 - 24);
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_do() {
    let mut workshop = workshop(1);
    for (more, parts) in [
        (&["--time-limit", "soon"][..], &["90s", "1h30m"][..]),
        (&["--time-limit", "1s"], &["smallest pilot", "--time-limit"]),
        (
            &["--directions", "eng_Latn-fra_Latn"],
            &["eng_Latn-fra_Latn", "doesn't train it", "deu_Latn-eng_Latn"],
        ),
        (&["--split", "test"], &["--test-data"]),
    ] {
        let text = refusal(&mut pilot(&workshop, more));
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
    }
    workshop.top += "method = \"full\"\n";
    let _ = workshop.train();
    let text = refusal(&mut pilot(&workshop, &[]));
    assert!(
        text.contains("\"full\"") && text.contains("isogloss compare"),
        "{text}"
    );
    assert!(!workshop.path().join("run").exists());
}

/// Counts updates as seconds, and a new stage as some more; asks to stop at an update.
struct Counter<'a> {
    seconds: &'a AtomicU64,
    stage: u64,
    updates: u64,
    stop_at: u64,
}

impl<'a> Counter<'a> {
    fn new(seconds: &'a AtomicU64) -> Self {
        Counter {
            seconds,
            stage: 0,
            updates: 0,
            stop_at: u64::MAX,
        }
    }
}

impl Observer for Counter<'_> {
    fn event(&mut self, event: &Event) {
        if matches!(event, Event::Update { .. }) {
            self.updates += 1;
            self.seconds.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn stop(&self) -> bool {
        self.updates >= self.stop_at
    }
}

impl Watcher for Counter<'_> {
    fn stage(&mut self, _: &str) {
        self.seconds.fetch_add(self.stage, Ordering::SeqCst);
    }

    fn translating(&mut self, _: Progress) {}
}

fn open(workshop: &Workshop) -> Pilot {
    let mut config: TrainConfig = config::read(&workshop.path().join("train.toml")).unwrap();
    config.compute.threads = 1;
    let options = PilotOptions {
        directions: Vec::new(),
        most: 4,
        test: None,
        tongue: Tongue::English,
    };
    Pilot::open(&config, workshop.path(), &options).unwrap()
}

/// A plan that takes an update for so many seconds, and everything else for nothing.
fn plan(pilot: &Pilot, limit: f64, update: f64) -> PilotPlan {
    let mut speeds = Speeds {
        full: 1e9,
        frozen: 1e9,
        beam: 1e12,
        greedy: 1e12,
    };
    let costs = pilot.costs(&speeds).unwrap();
    speeds.frozen *= costs.training / costs.updates / update;
    pilot.plan_with(limit, speeds, 0.0).unwrap()
}

fn run(workshop: &Workshop, plan: &PilotPlan, watcher: &mut Counter<'_>) -> Option<PilotResults> {
    let seconds = watcher.seconds;
    let start = seconds.load(Ordering::SeqCst);
    let clock = || (seconds.load(Ordering::SeqCst) - start) as f64;
    let ending = open(workshop).run(plan, Path::new("train.toml"), &clock, watcher);
    match ending.unwrap() {
        Ending::Finished(results) => Some(*results),
        Ending::Interrupted(_) => None,
    }
}

#[test]
fn training_ends_with_its_share_of_the_time_and_says_so() {
    let workshop = workshop(60);
    let pilot = open(&workshop);
    // Updates take four times as long as was measured.
    let plan = plan(&pilot, 60.0, 0.25);
    let seconds = AtomicU64::new(0);
    let found = run(&workshop, &plan, &mut Counter::new(&seconds)).unwrap();
    assert!(seconds.load(Ordering::SeqCst) <= 60);
    assert!(found.sizes[0].cut && found.sizes[0].updates > 0);
    assert!(found.sizes[0].updates as f64 <= plan.share.training_seconds.ceil());
    assert!(found.seconds <= 60.0 && found.gain.is_some());
    let markdown = read(&workshop, "pilot.md");
    assert!(markdown.contains("cut short by the limit"), "{markdown}");
    // What was kept of it is whole.
    let adapters = workshop
        .path()
        .join("run/pilot/rank-2-seed1/adapters/adapters.json");
    assert!(adapters.is_file());
}

#[test]
fn what_does_not_fit_is_left_out_and_named() {
    let workshop = workshop(60);
    let plan = plan(&open(&workshop), 240.0, 1.0);
    let seconds = AtomicU64::new(0);
    let mut watcher = Counter::new(&seconds);
    // The base is done after 80 seconds; as long again is kept for scoring and reporting, so one size is all there is time for.
    watcher.stage = 40;
    let found = run(&workshop, &plan, &mut watcher).unwrap();
    assert_eq!(found.stopped, Stop::Time);
    assert_eq!(
        (found.sizes.len(), found.sizes[0].size.as_str()),
        (1, "rank-2")
    );
    assert!(found.left_out[0].contains("rank-4"), "{:?}", found.left_out);
    assert!(found.seconds <= 240.0 && found.gain.is_some());
    let markdown = read(&workshop, "pilot.md");
    assert!(
        markdown.contains("Left out for want of time: rank-4"),
        "{markdown}"
    );
}

/// Without the times, which are never the same.
fn timeless(results: &PilotResults) -> Value {
    let mut value = serde_json::to_value(results).unwrap();
    for key in ["seconds", "whole"] {
        value[key] = Value::Null;
    }
    for row in value["sizes"].as_array_mut().unwrap() {
        row["seconds"] = Value::Null;
    }
    value
}

#[test]
fn stopped_again_and_again_it_finds_the_same() {
    let straight = workshop(3);
    let plan = plan(&open(&straight), 1e6, 1.0);
    let seconds = AtomicU64::new(0);
    let whole = run(&straight, &plan, &mut Counter::new(&seconds)).unwrap();

    let stopped = workshop(3);
    let mut stops = 0;
    let found = loop {
        let mut watcher = Counter::new(&seconds);
        watcher.stop_at = 3;
        match run(&stopped, &plan, &mut watcher) {
            Some(found) => break found,
            None => stops += 1,
        }
        assert!(stops < 100);
    };
    assert!(stops > 2, "{stops}");
    assert_eq!(timeless(&found), timeless(&whole));
    assert!(whole.sizes.iter().any(|row| row.change.change != 0.0));
    // All tries count.
    let updates: u64 = whole.sizes.iter().map(|row| row.updates).sum();
    assert!(found.seconds >= updates as f64);
}
