//! What is refused before anything is trained.

use super::{compare, toml, workshop};
use crate::workshop::refusal;

#[test]
fn what_makes_no_sense_is_refused_with_its_name() {
    for (comparison, methods, parts) in [
        (
            "",
            "[methods.mine]\n",
            &["methods.mine", "\"lora-total\""][..],
        ),
        ("", "[methods.base]\n", &["`base`", "name of a method"]),
        ("", "[methods.lslo]\nscored = \"fewer\"\n", &["test.fewer"]),
        ("seeds = [1, 1]", "", &["seeds", "different numbers"]),
        (
            "learning_rates = [-1.0]",
            "",
            &["learning_rates", "positive"],
        ),
        (
            "",
            "[methods.lslo.train.training]\nepoch = 3\n",
            &["`lslo`", "epoch"],
        ),
        (
            "",
            "[methods.full]\nmissing = \"combine\"\n",
            &["`methods.full.missing`", "\"combine\""],
        ),
        (
            "",
            "[methods.each]\nkind = \"lora-direction\"\nmissing = \"combine\"\n",
            &["`methods.each.missing`", "`lora-direction`"],
        ),
        (
            "",
            "[methods.lslo]\nmissing = \"error\"\n",
            &["missing", "`base`", "`combine`"],
        ),
        (
            "",
            "[methods.full]\nlike = \"lslo\"\n[methods.lslo]\n",
            &["`full`", "`like = \"lslo\"` is none of"],
        ),
        (
            "",
            "[methods.full]\n[methods.lslo]\nlike = \"full\"\nlearning_rates = [0.1]\n",
            &["`lslo`", "leave one of the two out"],
        ),
        ("colour = 3", "", &["colour"]),
        ("", "[least]\npairs = 0.0\n", &["least.pairs"]),
    ] {
        let workshop = workshop(comparison, methods);
        let text = refusal(&mut compare(&workshop, &["--dry-run"]));
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
    }
}

#[test]
fn what_could_not_be_compared_afterwards_is_refused_before_training() {
    for (from, to, part) in [
        ("resamples = 200", "resamples = 99", "expected at least 100"),
        (
            "resamples = 200",
            "resamples = 200\nlevel = 95.0",
            "confidence level is 95",
        ),
        ("beam = 2", "beam = 0", "beam is 0"),
        (
            "rows = \"1-108\"",
            "rows = \"30-30\"",
            "at least 2 are needed",
        ),
    ] {
        let workshop = workshop("", "[methods.lslo]\n");
        let config = toml("", "[methods.lslo]\n");
        assert!(config.contains(from), "{config}");
        workshop.write("compare.toml", config.replace(from, to));
        let text = refusal(&mut compare(&workshop, &["--published"]));
        assert!(text.contains(part), "{part:?} is not in: {text}");
        assert!(!workshop.path().join("compared").exists());
    }
}
