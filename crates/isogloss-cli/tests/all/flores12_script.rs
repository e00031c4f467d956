//! `examples/flores12/run.sh`, whole, with a stand-in for the program.

use crate::examples::{METHODS, flores12};
use assert_cmd::Command;
use flate2::{Compression, write::GzEncoder};
use isogloss::config::{self, TrainConfig};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// What stands in for the program. Validation prefers the middle rate, with full fine-tuning the lowest.
const STAND_IN: &str = r#"#!/bin/sh
command=$1
echo "$@" >> calls
if [ $command = train ]; then
    score=20
    case $2 in *-0.001.toml | *full-0.0003.toml) score=30.5 ;; esac
    printf '{\n  "finished": true,\n  "validation_score": %s,\n  "trainable": 1\n}\n' $score
    exit
fi
while [ $# -gt 0 ]; do
    if [ "$1" = --out ]; then out=$2; fi
    shift
done
cat > "$out" <<END
{
  "directions": [
    { "metric": "chrf++", "score": 99 }
  ],
  "mean": [
    {
      "metric": "chrf++",
      "score": 41.25,
      "directions": 132
    },
    {
      "metric": "bleu",
      "score": 10.5,
      "directions": 132
    }
  ],
  "classes": [
    {
      "source": "high",
      "target": "low",
      "mean": [
        {
          "metric": "chrf++",
          "score": 33.44,
          "directions": 16
        }
      ]
    }
  ]
}
END
"#;

/// The script in a folder of its own, with the stand-in and as much text as it reads itself.
fn script_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let configs = METHODS.map(|name| format!("{name}.toml"));
    let others = [
        "run.sh",
        "harm-directions.txt",
        "domain-directions.txt",
        "reduced-directions.txt",
    ];
    for name in configs.iter().map(String::as_str).chain(others) {
        std::fs::copy(flores12().join(name), at(name)).unwrap();
    }
    std::fs::write(at("isogloss"), STAND_IN).unwrap();
    std::fs::set_permissions(at("isogloss"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::create_dir_all(at("data/lohelp")).unwrap();
    let help = std::fs::File::create(at("data/lohelp/multiparallel.tsv.gz")).unwrap();
    let mut help = GzEncoder::new(help, Compression::fast());
    let codes = [
        "eng", "deu", "spa", "fra", "ita", "nld", "ces", "hun", "tur",
    ];
    writeln!(
        help,
        "{}",
        codes.map(|code| format!("{code}_Latn")).join("\t")
    )
    .unwrap();
    for row in 1..=27_000 {
        writeln!(help, "{}", [row.to_string().as_str(); 9].join("\t")).unwrap();
    }
    // Held out: whole, Spanish is missing (not needed), German is missing.
    writeln!(help, "e1\td1\ts1\tf1\ti1\tn1\tc1\th1\tt1").unwrap();
    writeln!(help, "e2\td2\t\tf2\ti2\tn2\tc2\th2\tt2").unwrap();
    writeln!(help, "e3\t\ts3\tf3\ti3\tn3\tc3\th3\tt3").unwrap();
    help.finish().unwrap();
    folder
}

fn script(folder: &Path, step: &str) -> String {
    run(command(folder).env("OUT", "out").arg(step))
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .current_dir(folder)
        .env("ISOGLOSS", "./isogloss")
        .env_remove("OUT")
        .arg("run.sh");
    command
}

fn run(command: &mut Command) -> String {
    let output = command.assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap()
}

#[test]
fn it_trains_the_grid_once_chooses_on_validation_and_scores_what_was_chosen() {
    let folder = script_folder();
    let at = |name: &str| folder.path().join(name);
    let calls = || -> Vec<String> {
        let text = std::fs::read_to_string(at("calls")).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let table = script(folder.path(), "table");
    assert_eq!(table.matches("not run yet").count(), 11 * 7, "{table}");

    for _ in 0..2 {
        script(folder.path(), "train");
    }
    assert_eq!(calls().len(), 15);
    for line in calls() {
        let name = line.split(' ').nth(1).unwrap();
        let config: TrainConfig = config::read(&at(name)).unwrap();
        let rate = config.training.learning_rate;
        let method = name.strip_prefix("grid.").unwrap();
        let method = method.strip_suffix(".toml").unwrap();
        assert_eq!(config.run, Path::new("out").join(method));
        assert!(method.ends_with(&format!("-{rate}")), "{method} {rate}");
    }
    script(folder.path(), "choose");
    let chosen = std::fs::read_to_string(at("out/chosen.txt")).unwrap();
    assert_eq!(chosen.lines().count(), METHODS.len());
    for line in chosen.lines() {
        let expected = match line.starts_with("full") {
            true => " 0.0003",
            false => " 0.001",
        };
        assert!(line.ends_with(expected), "{line}");
    }

    for _ in 0..2 {
        script(folder.path(), "score");
    }
    let scored = calls().split_off(15);
    assert_eq!(scored.len(), 3 * 7);
    let of = |system: &str| {
        let mut found = scored.iter();
        found.find(|line| line.contains(system)).unwrap().clone()
    };
    assert!(of("--system copy").contains("--class low=fur_Latn,lij_Latn,lmo_Latn,ltg_Latn"));
    assert!(of("out/full-0.0003/model").contains("--data data/flores200/devtest"));
    assert!(of("--adapters out/lora-total-0.001/adapters").contains("--missing base"));
    let domain = |name: &str| std::fs::read_to_string(at("out/domain").join(name)).unwrap();
    assert_eq!(domain("deu_Latn.txt"), "d1\nd2\n");
    assert_eq!(domain("tur_Latn.txt"), "t1\nt2\n");

    let table = script(folder.path(), "table");
    assert_eq!(table.matches(" 33.4 |").count(), 7, "{table}");
    assert_eq!(table.matches(" 41.2 |").count(), 2 * 7, "{table}");
    assert!(table.contains("| high to low | 33.4 |"), "{table}");
}

/// The reduced protocol changes what the README says, and nothing else; its results lie apart.
#[test]
fn reduced_it_trains_less_and_scores_less() {
    let folder = script_folder();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("a/b")).unwrap();
    let inner = at("a/b");
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "a" {
            std::fs::rename(entry.path(), inner.join(entry.file_name())).unwrap();
        }
    }
    run(command(&inner).env("REDUCED", "1"));
    assert!(at("runs/flores12-reduced/scores/lslo-paper/harm.json").is_file());
    for method in METHODS {
        let full: TrainConfig = config::read(&inner.join(format!("{method}.toml"))).unwrap();
        for rate in [0.001, 0.003] {
            let name = format!("grid.{method}-{rate}.toml");
            let mut config: TrainConfig = config::read(&inner.join(name)).unwrap();
            let training = &mut config.training;
            assert_eq!(training.learning_rate.to_string(), rate.to_string());
            assert_eq!((training.epochs, training.warmup), (3, 30));
            assert_eq!(training.sample.pairs_per_epoch, Some(3000));
            assert_eq!(config.validation.translate, 20);
            config.training = full.training.clone();
            config.validation.translate = full.validation.translate;
            config.run = full.run.clone();
            assert_eq!(config, full);
        }
    }
    let calls = std::fs::read_to_string(inner.join("calls")).unwrap();
    assert_eq!(calls.lines().count(), 5 * 2 + 3 * 7);
    let text = std::fs::read_to_string(flores12().join("reduced-directions.txt")).unwrap();
    let directions: Vec<&str> = text.lines().collect();
    assert_eq!(directions.len(), 36);
    let flores = format!("--directions {} --rows 1-50", directions.join(","));
    assert_eq!(calls.matches(&flores).count(), 7);
}
