use crate::report::data::{Projected, Run};

/// Numbers of languages to look ahead to.
const STEPS: [usize; 5] = [12, 30, 60, 100, 200];

/// Bytes that training holds for a trainable parameter: its value, its gradient and two moments, each in `f32`.
const BYTES_PER_PARAMETER: u64 = 16;

/// How directions grow with languages.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Growth {
    /// Every ordered pair.
    All,
    /// From and to one language.
    Pivot,
    /// So many directions a language.
    Ratio(f64),
}

impl Growth {
    fn of(languages: usize, directions: usize) -> Self {
        match languages {
            // Two languages are both; all pairs is the more cautious guess of time.
            n if directions == n * (n - 1) => Growth::All,
            n if directions == 2 * (n - 1) => Growth::Pivot,
            n => Growth::Ratio(directions as f64 / n as f64),
        }
    }

    fn directions(self, languages: usize) -> usize {
        match self {
            Growth::All => languages * (languages - 1),
            Growth::Pivot => 2 * (languages - 1),
            Growth::Ratio(ratio) => (ratio * languages as f64).round() as usize,
        }
    }
}

/// A run with its own languages, then with more: time by directions (of equally much text each), the sizes of a run with an update for each
/// language by languages.
pub(super) fn of(run: &Run) -> Vec<Projected> {
    let (languages, directions) = (run.languages.len(), run.trained.len());
    let Some(cost) = &run.cost else {
        return Vec::new();
    };
    if languages < 2 || directions == 0 {
        return Vec::new();
    }
    let growth = Growth::of(languages, directions);
    let own_updates = run.method.as_deref() == Some("lslo");
    let disk = run.bytes_to_translate();
    let disk = (disk > 0).then_some(disk);
    let more = STEPS.into_iter().filter(|&n| n > languages);
    let of = |n: usize| {
        let directions_then = growth.directions(n);
        let by_language = |amount: u64| match own_updates {
            true => (amount as f64 * n as f64 / languages as f64).round() as u64,
            false => amount,
        };
        let trainable = run.parameters.trainable.map(by_language);
        let added = trainable.unwrap_or(0) - run.parameters.trainable.unwrap_or(0);
        let factor = directions_then as f64 / directions as f64;
        Projected {
            languages: n,
            directions: directions_then,
            trainable,
            disk: disk.map(by_language),
            seconds: cost.seconds.map(|seconds| seconds * factor),
            memory: cost
                .peak_memory
                .map(|peak| peak + BYTES_PER_PARAMETER * added),
        }
    };
    std::iter::once(languages).chain(more).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::data::{Cost, Parameters, Piece, RunLanguage};

    fn run(method: &str, trained: &[&str]) -> Run {
        let language = |code: &str| RunLanguage {
            language: code.parse().unwrap(),
            class: None,
            parameters: None,
        };
        Run {
            method: Some(method.into()),
            languages: ["eng_Latn", "deu_Latn", "fra_Latn"].map(language).into(),
            trained: trained.iter().map(|d| d.parse().unwrap()).collect(),
            parameters: Parameters {
                trainable: Some(300),
                ..Parameters::default()
            },
            disk: vec![
                Piece {
                    name: "adapters".into(),
                    bytes: 1500,
                    needed: true,
                },
                Piece {
                    name: "checkpoints".into(),
                    bytes: 9999,
                    needed: false,
                },
            ],
            cost: Some(Cost {
                seconds: Some(60.0),
                peak_memory: Some(10_000),
                ..Cost::default()
            }),
            ..Run::default()
        }
    }

    const PIVOT: [&str; 4] = [
        "eng_Latn-deu_Latn",
        "deu_Latn-eng_Latn",
        "eng_Latn-fra_Latn",
        "fra_Latn-eng_Latn",
    ];

    #[test]
    fn time_grows_with_directions_and_size_with_languages() {
        let rows = of(&run("lslo", &PIVOT));
        let counts: Vec<_> = rows.iter().map(|r| (r.languages, r.directions)).collect();
        assert_eq!(
            counts,
            [
                (3, 4),
                (12, 22),
                (30, 58),
                (60, 118),
                (100, 198),
                (200, 398)
            ]
        );
        let twelve = &rows[1];
        assert_eq!(twelve.trainable, Some(1200));
        assert_eq!(twelve.disk, Some(6000));
        assert_eq!(twelve.seconds, Some(330.0));
        assert_eq!(twelve.memory, Some(10_000 + 16 * 900));
        // What is there now is what was measured.
        assert_eq!(
            (rows[0].disk, rows[0].seconds, rows[0].memory),
            (Some(1500), Some(60.0), Some(10_000))
        );
    }

    #[test]
    fn one_update_for_all_keeps_its_size() {
        let rows = of(&run("lora", &PIVOT[..3]));
        assert_eq!(
            (rows[1].trainable, rows[1].disk, rows[1].directions),
            (Some(300), Some(1500), 12)
        );
        assert_eq!(rows[1].memory, Some(10_000));
        assert!(
            of(&Run {
                cost: None,
                ..run("lora", &PIVOT)
            })
            .is_empty()
        );
        assert!(of(&run("lora", &[])).is_empty());
    }
}
