//! Adapters serve the directions that they were trained in.

use crate::train::translate;
use crate::workshop::{Workshop, base, isogloss, refusal, stdout};
use serde_json::Value;

/// Adapters know the directions of their training text; the way back is another direction.
#[test]
fn what_was_not_trained_is_not_served() {
    let mut workshop = Workshop::new();
    let top = workshop.top.replace("\"run\"", "\"RUN\"");
    let validation = workshop.validation.clone();
    for method in ["lslo", "lora"] {
        let top = top.replace("RUN", method);
        workshop.top = format!("{top}method = {method:?}\ndirections = [\"deu_Latn-eng_Latn\"]\n");
        // Validation is of what is trained, in whatever direction.
        workshop.validation = format!("directions = [\"eng_Latn-deu_Latn\"]\n{validation}");
        let _ = stdout(&mut workshop.train());
        let read = |name: &str| {
            let path = workshop.path().join(method).join(name);
            std::fs::read_to_string(path).unwrap()
        };
        let index: Value = serde_json::from_str(&read("adapters/adapters.json")).unwrap();
        assert_eq!(index["trained"], serde_json::json!(["deu_Latn-eng_Latn"]));
        let losses: Vec<f64> = read("events.jsonl")
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|event| event["event"] == "validation")
            .map(|event| event["nll"].as_f64().unwrap())
            .collect();
        assert_eq!(losses.len(), 3, "before the first update, and two epochs");
        // In this small base every update of LSLo is chosen by the target, so German's has not moved.
        assert!(method == "lslo" || losses[0] != losses[1], "{losses:?}");

        let adapters = format!("{method}/adapters");
        let model = base().to_str().unwrap();
        let adapted = ["--adapters", &adapters];
        let text = refusal(&mut translate(workshop.path(), model, &adapted));
        assert!(
            text.contains("not trained in eng_Latn-deu_Latn") && text.contains("hint: "),
            "{text}"
        );
        let more = [&adapted[..], &["--missing", "base"]].concat();
        assert_eq!(
            stdout(&mut translate(workshop.path(), model, &more)),
            stdout(&mut translate(workshop.path(), model, &[]))
        );
        let trained = ["translate", "--from", "deu_Latn", "--to", "eng_Latn"];
        let mut command = isogloss(workshop.path());
        command.args(trained).args(["--model", model]).args(adapted);
        let _ = stdout(command.write_stdin("Prüfen Sie die Pumpe.\n"));
    }
}
