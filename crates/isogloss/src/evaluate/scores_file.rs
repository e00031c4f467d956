//! The scores of many directions, as they are kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Comparison, MadeWith, searched_alike};
use crate::files::{FileError, write_json};
use crate::language::{Direction, Language};

/// One metric of one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricScore {
    /// The metric's name as asked for, such as `spbleu`.
    pub metric: String,
    /// Unrounded.
    pub score: f64,
    /// How it was computed.
    pub signature: String,
}

/// All metrics of one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DirectionScores {
    /// The direction.
    pub direction: Direction,
    /// Sentences that were scored.
    pub sentences: usize,
    /// In the order in which metrics were asked for.
    pub scores: Vec<MetricScore>,
}

/// The mean of a metric over directions, each with the same weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The metric's name.
    pub metric: String,
    /// Unrounded.
    pub score: f64,
    /// Over how many directions.
    pub directions: usize,
}

/// Means over the directions from a class of languages to a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMean {
    /// Class of the source.
    pub source: String,
    /// Class of the target.
    pub target: String,
    /// By metric.
    pub mean: Vec<Mean>,
}

/// Classes of languages by name, such as `high` and `low`, in the order of reports.
pub type Classes = Vec<(String, Vec<Language>)>;

/// The means of every metric over directions; empty without directions.
fn means<'a>(directions: impl Iterator<Item = &'a DirectionScores>) -> Vec<Mean> {
    let mut means: Vec<Mean> = Vec::new();
    for score in directions.flat_map(|d| &d.scores) {
        match means.iter_mut().find(|mean| mean.metric == score.metric) {
            Some(mean) => {
                mean.score += score.score;
                mean.directions += 1;
            }
            None => means.push(Mean {
                metric: score.metric.clone(),
                score: score.score,
                directions: 1,
            }),
        }
    }
    for mean in &mut means {
        mean.score /= mean.directions as f64;
    }
    means
}

/// Why a file of scores cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoresFileError {
    /// It cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is something else.
    #[error("{} holds no scores: {reason}; expected what `isogloss evaluate --out` writes", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where it differs.
        reason: String,
    },
}

/// Scores with what they were made with and from: the content of a `scores.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoresFile {
    /// Hash of the base model; none if no model translated.
    pub model_hash: Option<String>,
    /// Folder of the adapters; none for the base alone.
    pub adapters: Option<PathBuf>,
    /// Hash of that folder ([`hash_of_folder`](crate::adapter::hash_of_folder)); older files lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapters_hash: Option<String>,
    /// Hash of the sentences, sources and references: scores of the same sentences have the same one. Older files lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_hash: Option<String>,
    /// Folder of the translations ([`Hypotheses`](super::Hypotheses)), from the folder of this file on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypotheses: Option<PathBuf>,
    /// Whatever else decides on the scores: text, rows, beam, precision.
    pub options: BTreeMap<String, serde_json::Value>,
    /// Every direction.
    pub directions: Vec<DirectionScores>,
    /// Over all directions.
    pub mean: Vec<Mean>,
    /// By class of source and target, where classes were given; pairs of classes without a direction are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassMean>,
    /// Against another system, in the first metric; none where there was nothing to compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

impl ScoresFile {
    /// Scores of directions, with their means, overall and by `classes` (empty: overall only). A direction with a language of no class
    /// counts overall only.
    #[must_use]
    pub fn new(directions: Vec<DirectionScores>, classes: &Classes) -> Self {
        let mut by_class = Vec::new();
        for (source, sources) in classes {
            for (target, targets) in classes {
                let mean = means(directions.iter().filter(|d| {
                    sources.contains(&d.direction.source) && targets.contains(&d.direction.target)
                }));
                if !mean.is_empty() {
                    by_class.push(ClassMean {
                        source: source.clone(),
                        target: target.clone(),
                        mean,
                    });
                }
            }
        }
        ScoresFile {
            model_hash: None,
            adapters: None,
            adapters_hash: None,
            text_hash: None,
            hypotheses: None,
            options: BTreeMap::new(),
            mean: means(directions.iter()),
            directions,
            classes: by_class,
            comparison: None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ScoresFileError`].
    pub fn read(path: &Path) -> Result<Self, ScoresFileError> {
        let text = std::fs::read(path).map_err(|source| ScoresFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        serde_json::from_slice(&text).map_err(|e| ScoresFileError::Content {
            path: path.to_owned(),
            reason: e.to_string(),
        })
    }

    /// Writes the file, as a whole or not at all.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        write_json(path, self)
    }

    /// The folder with the translations of the scores in `path`: the one that they name, from their own folder on, or the usual one.
    #[must_use]
    pub fn hypotheses_folder(&self, path: &Path) -> PathBuf {
        match &self.hypotheses {
            Some(dir) => path.parent().unwrap_or(Path::new("")).join(dir),
            None => Self::usual_hypotheses(path),
        }
    }

    /// Whether the scores may be of translations that were made with this: the same base, adapters and search, as far as both say. Scores
    /// of no model, and translations that nobody noted, say nothing.
    #[must_use]
    pub fn scored(&self, made_with: &MadeWith) -> bool {
        let copy = |of: &MadeWith| of.get("system").is_some_and(|system| system == "copy");
        if !made_with.is_empty()
            && self.options.contains_key("system")
            && copy(&self.options) != copy(made_with)
        {
            return false;
        }
        if self.model_hash.is_none() || made_with.is_empty() {
            return true;
        }
        let theirs = |name: &str| made_with.get(name).and_then(|value| value.as_str());
        let of_adapters = theirs("adapters_hash") == self.adapters_hash.as_deref()
            || (self.adapters.is_some() && self.adapters_hash.is_none());
        theirs("model_hash") == self.model_hash.as_deref()
            && of_adapters
            && searched_alike(&self.options, made_with)
    }

    /// Where translations lie unless the scores name another folder: `NAME.hypotheses` beside `NAME.json`, or beside `NAME` that doesn't
    /// end so.
    #[must_use]
    pub fn usual_hypotheses(path: &Path) -> PathBuf {
        beside(path, "hypotheses")
    }

    /// Where those of the base lie that the scores compare with: `NAME.base.hypotheses` beside `NAME.json`, or beside `NAME` that doesn't
    /// end so.
    #[must_use]
    pub fn base_hypotheses(path: &Path) -> PathBuf {
        beside(path, "base.hypotheses")
    }
}

/// `NAME.ENDING` beside `NAME.json` or `NAME`. What follows another dot is a part of the name: of `dev.base` and `dev.lslo` each has its own.
fn beside(path: &Path, ending: &str) -> PathBuf {
    match path.extension().is_some_and(|e| e == "json") {
        true => path.with_extension(ending),
        false => {
            let mut name = path.as_os_str().to_owned();
            name.push(".");
            name.push(ending);
            name.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(direction: &str, chrf: f64) -> DirectionScores {
        let score = |metric: &str, score| MetricScore {
            metric: metric.into(),
            score,
            signature: "nrefs:1".into(),
        };
        DirectionScores {
            direction: direction.parse().unwrap(),
            sentences: 3,
            scores: vec![score("chrf++", chrf), score("bleu", chrf / 2.0)],
        }
    }

    #[test]
    fn translations_lie_beside_their_scores() {
        for (scores, ours, base) in [
            ("a/b.json", "a/b.hypotheses", "a/b.base.hypotheses"),
            (
                "dev.base",
                "dev.base.hypotheses",
                "dev.base.base.hypotheses",
            ),
            ("scores", "scores.hypotheses", "scores.base.hypotheses"),
        ] {
            let scores = Path::new(scores);
            assert_eq!(ScoresFile::usual_hypotheses(scores), Path::new(ours));
            assert_eq!(ScoresFile::base_hypotheses(scores), Path::new(base));
        }
    }

    #[test]
    fn means_weigh_directions_alike() {
        let directions = vec![
            of("eng_Latn-deu_Latn", 60.0),
            of("deu_Latn-eng_Latn", 50.0),
            of("eng_Latn-oci_Latn", 10.0),
            of("eng_Latn-fra_Latn", 40.0),
        ];
        let language = |code: &str| code.parse::<Language>().unwrap();
        let classes = vec![
            (
                "high".to_owned(),
                vec![language("eng_Latn"), language("deu_Latn")],
            ),
            ("low".to_owned(), vec![language("oci_Latn")]),
        ];
        let file = ScoresFile::new(directions, &classes);
        let mean = |metric: &str, score, directions| Mean {
            metric: metric.into(),
            score,
            directions,
        };
        assert_eq!(file.mean, [mean("chrf++", 40.0, 4), mean("bleu", 20.0, 4)]);
        let pairs: Vec<_> = file
            .classes
            .iter()
            .map(|c| (c.source.as_str(), c.target.as_str(), c.mean[0].clone()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("high", "high", mean("chrf++", 55.0, 2)),
                ("high", "low", mean("chrf++", 10.0, 1)),
            ]
        );

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.json");
        file.write(&path).unwrap();
        assert_eq!(ScoresFile::read(&path).unwrap(), file);
        std::fs::write(&path, "{\"model\": 1}").unwrap();
        let error = ScoresFile::read(&path).unwrap_err().to_string();
        assert!(error.contains("scores.json holds no scores"), "{error}");
    }

    #[test]
    fn translations_lie_where_the_scores_say_or_beside_them() {
        let mut file = ScoresFile::new(Vec::new(), &Vec::new());
        let path = Path::new("run/a.json");
        assert_eq!(file.hypotheses_folder(path), Path::new("run/a.hypotheses"));
        let base = ScoresFile::base_hypotheses(path);
        assert_eq!(base, Path::new("run/a.base.hypotheses"));
        for (named, folder) in [("kept", "run/kept"), ("/kept", "/kept")] {
            file.hypotheses = Some(named.into());
            assert_eq!(file.hypotheses_folder(path), Path::new(folder));
        }
        file.hypotheses = Some("kept".into());
        let bare = file.hypotheses_folder(Path::new("a.json"));
        assert_eq!(bare, Path::new("kept"));
    }
}
