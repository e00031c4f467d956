use std::path::Path;

use serde_json::Value;

use super::text_of;
use crate::report::ReportError;
use crate::report::data::Curve;

/// Points of a curve that a page draws at most.
const POINTS: usize = 200;

/// Reads `events.jsonl`. Lines that are no events, such as the last one of a process that was killed, are left out.
pub(super) fn read(path: &Path) -> Result<Curve, ReportError> {
    let Some(text) = text_of(path)? else {
        return Ok(Curve::default());
    };
    let (mut training, mut curve) = (Vec::new(), Curve::default());
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        let number = |key: &str| event.get(key).and_then(Value::as_f64);
        let (Some(update), Some(nll)) = (number("update"), number("nll")) else {
            continue;
        };
        match event.get("event").and_then(Value::as_str) {
            Some("update") => training.push((update, nll, number("tokens").unwrap_or(1.0))),
            Some("validation") => {
                curve.validation.push((update, nll));
                if event.get("best") == Some(&Value::Bool(true)) {
                    curve.best = Some(update);
                }
            }
            _ => {}
        }
    }
    curve.training = thinned(&training);
    Ok(curve)
}

/// Averages neighbouring updates, weighted by their tokens, until at most [`POINTS`] are left.
fn thinned(all: &[(f64, f64, f64)]) -> Vec<(f64, f64)> {
    let together = all.len().div_ceil(POINTS).max(1);
    let mean = |part: &[(f64, f64, f64)]| {
        let tokens: f64 = part.iter().map(|(_, _, tokens)| tokens).sum();
        let nll: f64 = part.iter().map(|(_, nll, tokens)| nll * tokens).sum();
        let last = part.last().map_or(0.0, |(update, _, _)| *update);
        (last, nll / tokens.max(f64::MIN_POSITIVE))
    };
    all.chunks(together).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_updates_are_averaged_by_their_tokens() {
        let updates: Vec<_> = (1..=201)
            .map(|u| (f64::from(u), f64::from(u), 1.0))
            .collect();
        let points = thinned(&updates);
        assert_eq!(points.len(), 101);
        assert_eq!(points[0], (2.0, 1.5));
        assert_eq!(points[100], (201.0, 201.0));
        assert_eq!(
            thinned(&[(1.0, 2.0, 30.0), (2.0, 4.0, 10.0)]),
            [(1.0, 2.0), (2.0, 4.0)]
        );
        let many: Vec<_> = (0..400)
            .map(|u| {
                (
                    f64::from(u),
                    f64::from(u % 2) * 4.0,
                    [3.0, 1.0][u as usize % 2],
                )
            })
            .collect();
        assert_eq!(thinned(&many)[0], (1.0, 1.0));
        assert!(thinned(&[]).is_empty());
    }

    #[test]
    fn what_is_no_event_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        assert_eq!(read(&path).unwrap(), Curve::default());
        let lines = concat!(
            "{\"event\":\"update\",\"update\":1,\"nll\":3.5,\"tokens\":10}\n",
            "{\"event\":\"saved\",\"update\":1}\n",
            "{\"event\":\"validation\",\"update\":1,\"epoch\":1,\"nll\":3.0,\"best\":true}\n",
            "{\"event\":\"validation\",\"update\":2,\"epoch\":2,\"nll\":3.25,\"best\":false}\n",
            "[1]\n",
            "{\"event\":\"update\",\"upda",
        );
        std::fs::write(&path, lines).unwrap();
        let curve = read(&path).unwrap();
        assert_eq!(curve.training, [(1.0, 3.5)]);
        assert_eq!(curve.validation, [(1.0, 3.0), (2.0, 3.25)]);
        assert_eq!(curve.best, Some(1.0));
    }
}
