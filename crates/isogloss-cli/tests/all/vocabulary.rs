//! Output vocabularies: learnt by `isogloss train`, taken by `isogloss translate` and `isogloss evaluate`.

use crate::train::translate;
use crate::workshop::{Workshop, base, refusal, stdout};
use serde_json::Value;

fn stderr(command: &mut assert_cmd::Command) -> String {
    String::from_utf8(command.assert().success().get_output().stderr.clone()).unwrap()
}

#[test]
fn a_run_leaves_vocabularies_and_translation_takes_them() {
    let workshop = Workshop::new();
    let text = stdout(&mut workshop.train());
    let path = workshop.path().join("run/adapters/vocabulary.json");
    let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for language in ["eng_Latn", "deu_Latn"] {
        let [pieces, outside] =
            [0, 1].map(|i| file["languages"][language]["held_out"][i].as_u64().unwrap());
        assert!(pieces > 100 && outside < pieces, "{outside} of {pieces}");
        let line = format!("outside are {outside} of {pieces} in the validation text");
        let start = format!("pieces of {language}: ");
        let mut lines = text.lines().filter(|l| l.starts_with(&start));
        assert!(lines.any(|l| l.contains(&line)), "{text}");
    }

    let model = base().to_str().unwrap();
    let adapted = |more: &[&'static str]| {
        let options = [&["--adapters", "run/adapters"], more].concat();
        translate(workshop.path(), model, &options)
    };
    let whole = stdout(&mut adapted(&["--vocabulary", "full"]));
    let told = "translations are chosen from the pieces of the training text: deu_Latn ";
    assert!(!stderr(&mut adapted(&["--vocabulary", "full"])).contains(told));
    let text = stderr(&mut adapted(&["--vocabulary", "learnt"]));
    assert!(
        text.contains(told) && text.contains("`--vocabulary full`"),
        "{text}"
    );
    let ids = |text: &str| -> Vec<u32> {
        text.split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect()
    };
    let restricted = ids(&stdout(&mut adapted(&["--vocabulary", "learnt", "--ids"])));
    let learnt = file["languages"]["deu_Latn"]["ids"].as_str().unwrap();
    let runs: Vec<(u32, u32)> = learnt
        .split(' ')
        .map(|run| run.split_once('-').unwrap_or((run, run)))
        .map(|(first, last)| (first.parse().unwrap(), last.parse().unwrap()))
        .collect();
    let inside = |id| {
        runs.iter()
            .any(|&(first, last)| (first..=last).contains(&id))
    };
    assert!(!restricted.is_empty() && restricted.iter().all(|&id| inside(id)));

    // Adapters from before work as they did.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(stdout(&mut adapted(&[])), whole);
    let text = stderr(&mut adapted(&["--vocabulary", "learnt"]));
    assert!(
        text.contains("no vocabulary is in use for deu_Latn"),
        "{text}"
    );

    let mut other = file;
    other["tokenizer"] = "0".into();
    std::fs::write(&path, other.to_string()).unwrap();
    let text = refusal(&mut adapted(&[]));
    assert!(
        text.contains("vocabulary.json was learnt with another tokenizer"),
        "{text}"
    );
}
