//! `isogloss compare`, whole, with a tiny base: dry runs, budgets, interruption, and what it refuses.

use crate::demo;
use crate::workshop::{Workshop, handbook, isogloss, refusal, stdout};
use assert_cmd::Command;
use isogloss::compare::{CompareConfig, Experiment};
use isogloss::config::{self, Compute, ComputePrecision, TrainConfig};
use isogloss::plan::Plan;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

mod gains;
mod refusals;
mod stops;

/// A base whose translations training changes. Nobody writes to it.
fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compared-base");
        let _ = std::fs::remove_dir_all(&folder);
        demo::base(&folder);
        folder
    })
}

/// A folder with a training configuration in one direction, and a comparison; the way back is nobody's.
fn workshop(comparison: &str, methods: &str) -> Workshop {
    let mut workshop = Workshop::new();
    workshop.top = format!(
        "run = \"run\"\nmodel = {:?}\ndirections = [\"eng_Latn-deu_Latn\"]\n",
        base()
    );
    workshop.data = handbook("data", "train", "1-24");
    let _ = workshop.train();
    workshop.write("compare.toml", toml(comparison, methods));
    workshop
}

fn toml(comparison: &str, methods: &str) -> String {
    let test = handbook("test.data", "test", "1-108");
    format!(
        "run = \"compared\"\ntrain = \"train.toml\"\n{comparison}\n[decoding]\nbeam = 2\nno_repeat_ngram = 3\n[significance]\nresamples = 200\n{test}\
         [foreign.back]\ndirections = [\"deu_Latn-eng_Latn\"]\n{methods}"
    )
}

const METHODS: &str =
    "[methods.full]\n[methods.lora-total]\n[methods.lora-active]\n[methods.lslo]\n";

fn compare(workshop: &Workshop, more: &[&str]) -> Command {
    let mut command = isogloss(workshop.path());
    command.args(["compare", "compare.toml", "--threads", "1"]);
    command.args(more);
    command
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn read(workshop: &Workshop, name: &str) -> Value {
    json(&std::fs::read_to_string(workshop.path().join("compared").join(name)).unwrap())
}

/// Results without the times, which are never the same.
fn timeless(mut results: Value) -> Value {
    for method in results["methods"].as_array_mut().unwrap() {
        assert!(method["training_seconds"].as_f64().unwrap() > 0.0);
        method["training_seconds"] = Value::Null;
    }
    results
}

fn row<'a>(results: &'a Value, test: usize, method: &str) -> &'a Value {
    let rows = results["tests"][test]["rows"].as_array().unwrap();
    rows.iter().find(|row| row["method"] == method).unwrap()
}

#[test]
fn a_dry_run_names_cells_sizes_and_hours_and_starts_nothing() {
    let workshop = workshop("seeds = [1, 2]\nlearning_rates = [0.01, 0.03]", METHODS);
    let text = stdout(&mut compare(&workshop, &["--dry-run"]));
    let plan = json(&stdout(&mut compare(&workshop, &["--dry-run", "--json"])));
    assert!(!workshop.path().join("compared").exists());
    let cells = plan["cells"].as_array().unwrap();
    let names: BTreeSet<&str> = cells.iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(cells.len(), 2 + 2 * 4);
    for name in [
        "base",
        "copy",
        "full-seed1",
        "lora-total-seed2",
        "lslo-seed2",
    ] {
        assert!(
            names.contains(name) && text.contains(name),
            "{name}: {text}"
        );
    }
    assert!(
        text.contains("published") && text.contains("--budget-hours"),
        "{text}"
    );
    // Both rates are tried with the first seed alone.
    let rates = |name: &str| cells.iter().find(|c| c["name"] == name).unwrap()["rates"].clone();
    assert_eq!(
        (rates("full-seed1"), rates("full-seed2")),
        (2.into(), 1.into())
    );
    let methods = plan["methods"].as_array().unwrap();
    let of = |name: &str, key: &str| {
        let found = methods.iter().find(|m| m["method"] == name).unwrap();
        found[key].as_u64().unwrap_or_else(|| panic!("{found}"))
    };
    // Ranks 2 and 8, and the update of a source and of a target act at once.
    let unit = of("lora-total", "trained") / of("lora-total", "rank");
    for (name, count) in [
        ("lora-total", of("lslo", "trained")),
        ("lora-active", of("lslo", "active")),
    ] {
        let off = of(name, "trained").abs_diff(count);
        assert!(2 * off <= unit, "{name}: {off} of {unit}");
        assert_eq!(of(name, "trained"), unit * of(name, "rank"));
    }
    assert!(plan["hours"].as_f64().unwrap() > 0.0);
}

#[test]
fn it_trains_scores_and_compares_and_does_nothing_twice() {
    // No method is named: all that don't have to be asked for.
    let workshop = workshop("seeds = [1, 2]", "");
    let text = stdout(&mut compare(&workshop, &["--published"]));
    assert!(
        text.contains("results.md") && text.contains("(published)"),
        "{text}"
    );
    let path = workshop.path().join("compared/results.md");
    let markdown = std::fs::read_to_string(path).unwrap();
    let searched = "beam 2, no run of 3 tokens twice. Changes";
    assert!(markdown.contains(searched), "{markdown}");
    let results = read(&workshop, "results.json");
    assert_eq!(results["label"], "published");
    // The test, and the way back.
    assert_eq!(results["tests"][0]["test"], "test");
    assert_eq!(results["tests"][1]["test"], "back");
    let planned = ["lslo-placement", "lslo-plan", "lslo-plan-pruned"];
    let methods = ["full", "lora-total", "lora-active", "lslo", "lslo-pruned"];
    for method in methods.into_iter().chain(planned) {
        let found = row(&results, 0, method);
        assert_eq!(found["seeds"], serde_json::json!([1, 2]));
        let change = found["change"]["change"].as_f64().unwrap();
        let base = row(&results, 0, "base")["mean"].as_f64().unwrap();
        assert!((found["mean"].as_f64().unwrap() - base - change).abs() < 1e-9);
        let worst = &found["worst"];
        assert!(worst["lower_bound"].as_f64() <= worst["change"].as_f64());
        assert_eq!(found["classes"][0]["source"], "high");
        // Adapters leave to the base what they weren't trained in; full fine-tuning doesn't.
        let harm = row(&results, 1, method);
        assert_eq!(harm["change"]["change"] == 0.0, method != "full", "{harm}");
    }
    assert!(row(&results, 0, "base")["change"].is_null());
    assert!(workshop.path().join("compared/explore/plan.toml").is_file());
    let config = |method: &str| -> TrainConfig {
        let path = format!("compared/{method}-seed2/config.toml");
        config::read(&workshop.path().join(path)).unwrap()
    };
    let plan = Plan::read(&workshop.path().join("compared/explore/plan.toml")).unwrap();
    for method in planned {
        assert_eq!(config(method).adapter.sides, plan.sides, "{method}");
    }
    assert_eq!(config("lslo-plan").adapter.language_ranks, plan.ranks);
    assert!(config("lslo-placement").adapter.language_ranks.is_empty());
    let pruned = |method: &str| config(method).pruning.is_some();
    assert!(pruned("lslo-plan-pruned") && !pruned("lslo-plan") && !pruned("lslo-placement"));
    // One page speaks of all methods, tested, with what exploring found.
    let page = std::fs::read_to_string(workshop.path().join("compared/report.html")).unwrap();
    for part in [
        "lslo-plan-pruned-seed1",
        "id=\"trade-off\"",
        "id=\"demand\"",
        "id=\"map\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let scores = read(&workshop, "full-seed1/scores.json");
    let (compared, full) = (&scores["comparison"], row(&results, 0, "full"));
    assert_eq!(compared["against"], "base");
    assert_eq!(
        compared["directions"].as_array().unwrap().len(),
        full["directions"].as_array().unwrap().len()
    );
    // A cell is an ordinary run, with its scores and translations.
    let cell = workshop.path().join("compared/lslo-seed2");
    for name in [
        "config.toml",
        "events.jsonl",
        "scores.json",
        "back/scores.json",
    ] {
        assert!(cell.join(name).is_file(), "{name}");
    }
    let translations = std::fs::read_to_string(cell.join("hypotheses/eng_Latn-deu_Latn.txt"));
    assert_eq!(translations.unwrap().lines().count(), 24);
    let adapters = cell.join("adapters");
    let served = ["--adapters", adapters.to_str().unwrap()];
    let model = base().to_str().unwrap();
    let _ = stdout(&mut crate::train::translate(
        workshop.path(),
        model,
        &served,
    ));

    let log = |name: &str| {
        std::fs::metadata(cell.join(name))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = [log("events.jsonl"), log("scores.json")];
    // Without a budget: that of the first time.
    let again = stdout(&mut compare(&workshop, &["--json"]));
    assert_eq!(json(&again), results);
    assert_eq!([log("events.jsonl"), log("scores.json")], before);
}

#[test]
fn validation_chooses_the_learning_rate_and_directions_can_be_trained_apart() {
    let methods = "[methods.lslo]\n[methods.lora-direction]\nlearning_rates = [0.01]\n\
        [methods.lslo-pruned]\nseeds = [1]\nlearning_rates = []\n\
        train = { training = { learning_rate = 0.02 }, pruning = { target_ratio = 0.5, duration = 0 } }\n";
    let workshop = workshop("seeds = [1, 2]\nlearning_rates = [0.01, 0.00001]", methods);
    let _ = stdout(&mut compare(&workshop, &["--published"]));
    let tuning = read(&workshop, "tuning/lslo.json");
    let tried = tuning["tried"].as_array().unwrap();
    let score = |i: usize| tried[i]["validation_score"].as_f64().unwrap();
    let best = tried[usize::from(score(1) > score(0))]["learning_rate"].clone();
    assert_eq!(tuning["learning_rate"], best);
    let summary = |results: &Value, name: &str| {
        let all = results["methods"].as_array().unwrap();
        all.iter().find(|m| m["method"] == name).unwrap().clone()
    };
    let results = read(&workshop, "results.json");
    let lslo = summary(&results, "lslo");
    assert_eq!(
        (&lslo["learning_rate"], &lslo["rate_at_the_end"]),
        (&best, &true.into())
    );
    for cell in ["lslo-seed1", "lslo-seed2"] {
        assert_eq!(
            read(&workshop, &format!("{cell}/trained.json"))["learning_rate"],
            best
        );
    }
    let pruned = summary(&results, "lslo-pruned");
    assert_eq!(pruned["learning_rate"], 0.02);
    assert!(pruned["after_compaction"].as_u64() < pruned["trained"].as_u64());
    assert!(pruned["active_left"].as_u64() < pruned["active"].as_u64());
    assert_eq!(lslo["active_left"], lslo["active"]);
    // One direction is trained, so one run is all of it.
    let apart = "lora-direction-seed1/eng_Latn-deu_Latn/adapters/adapters.json";
    assert!(workshop.path().join("compared").join(apart).is_file());
}

#[test]
fn what_a_comparison_was_started_with_stays() {
    let workshop = workshop("", "[methods.lslo]\n");
    let text = refusal(&mut compare(&workshop, &[]));
    assert!(
        text.contains("--budget-hours") && text.contains("--published"),
        "{text}"
    );
    let text = refusal(&mut compare(&workshop, &["--budget-hours", "1e-9"]));
    assert!(
        text.contains("smallest form") && text.contains("[least]"),
        "{text}"
    );
    assert!(!workshop.path().join("compared").exists());

    // Room for everything: nothing is reduced.
    let _ = stdout(&mut compare(&workshop, &["--budget-hours", "1000"]));
    let protocol = read(&workshop, "protocol.json");
    assert_eq!(
        (&protocol["label"], &protocol["budget_hours"]),
        (&"published".into(), &1000.0.into())
    );
    let text = refusal(&mut compare(&workshop, &["--published"]));
    assert!(
        text.contains("1000 hours") && text.contains("--published"),
        "{text}"
    );
    let text = refusal(&mut compare(&workshop, &["--budget-hours", "2"]));
    assert!(
        text.contains("1000 hours") && text.contains("2 hours"),
        "{text}"
    );
    workshop.write("compare.toml", toml("seeds = [1, 2]", "[methods.lslo]\n"));
    for more in [&[][..], &["--dry-run"]] {
        let text = refusal(&mut compare(&workshop, more));
        assert!(
            text.contains("another configuration") && text.contains("`seeds`"),
            "{text}"
        );
    }
    workshop.write("compare.toml", toml("", "[methods.lslo]\n"));
    let train = std::fs::read_to_string(workshop.path().join("train.toml")).unwrap();
    workshop.write(
        "train.toml",
        train.replace("learning_rate = 0.01", "learning_rate = 0.02"),
    );
    let text = refusal(&mut compare(&workshop, &[]));
    assert!(
        text.contains("`train.training.learning_rate` was 0.01"),
        "{text}"
    );
}

/// Estimates are of the run as the command line has it.
#[test]
fn the_command_lines_precision_counts_in_the_estimates() {
    let workshop = workshop("", "[methods.lslo]\n");
    let config: CompareConfig = config::read(&workshop.path().join("compare.toml")).unwrap();
    let memory = |precision: ComputePrecision| {
        let compute = |config: Compute| Compute {
            precision,
            threads: 1,
            ..config
        };
        let experiment = Experiment::open(&config, workshop.path(), compute).unwrap();
        let method = &experiment.methods()[0];
        let own = method.config.estimate(&method.dir).unwrap();
        assert_eq!(method.estimate.memory, own.memory);
        own.memory
    };
    assert!(memory(ComputePrecision::Bf16) < memory(ComputePrecision::F32));
}

/// What a comparison settles itself, and what would count for nothing, isn't taken from a method.
#[test]
fn a_methods_keys_that_would_count_for_nothing_are_refused() {
    for (more, part) in [
        (
            "train = { method = \"full\" }",
            "`method` would count for nothing",
        ),
        ("train = { seed = 7 }", "`seeds` names them"),
        (
            "train = { pruning = { target_ratio = 0.5 } }",
            "a kind that prunes",
        ),
    ] {
        let workshop = workshop("", &format!("[methods.lslo]\n{more}\n"));
        let text = refusal(&mut compare(&workshop, &["--published"]));
        assert!(text.contains("`lslo`") && text.contains(part), "{text}");
    }
    let workshop = workshop(
        "",
        "[methods.lslo-plan]\n[plan]\nfile = \"p.toml\"\nbudget = \"5%\"\n",
    );
    let text = refusal(&mut compare(&workshop, &["--published"]));
    assert!(text.contains("`plan.file`"), "{text}");
}

#[test]
fn curves_of_several_runs_are_not_put_into_one_board() {
    let workshop = workshop("", "[methods.lslo]\n");
    let text = refusal(&mut compare(
        &workshop,
        &["--published", "--tensorboard", "board"],
    ));
    assert!(
        text.contains("`isogloss compare`") && text.contains("hint: leave it out"),
        "{text}"
    );
    for folder in ["board", "compared"] {
        assert!(!workshop.path().join(folder).exists(), "{folder}");
    }
}

#[test]
fn a_method_may_take_the_rate_of_another_and_all_may_differ_from_the_shared_file() {
    let workshop = workshop(
        "learning_rates = [0.001, 0.03]\noverrides = { training = { epochs = 3 } }",
        "[methods.lslo]\n[methods.lslo-pruned]\nlike = \"lslo\"\n",
    );
    let _ = stdout(&mut compare(&workshop, &["--published"]));
    let rate = |name: &str| {
        read(&workshop, &format!("{name}-seed1/trained.json"))["learning_rate"].clone()
    };
    assert_eq!(rate("lslo"), 0.03);
    assert_eq!(rate("lslo-pruned"), rate("lslo"));
    assert!(
        !workshop
            .path()
            .join("compared/tuning/lslo-pruned.json")
            .exists()
    );
    let config: TrainConfig =
        config::read(&workshop.path().join("compared/lslo-seed1/config.toml")).unwrap();
    assert_eq!(config.training.epochs, 3);
}
