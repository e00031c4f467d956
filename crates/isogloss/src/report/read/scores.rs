use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Input, json_of, malformed};
use crate::adapter;
use crate::evaluate::{self, Correction, DirectionScores, Metric, ScoresFile};
use crate::language::{Direction, Language};
use crate::report::ReportError;
use crate::report::data::{
    ClassChange, DirectionChange, MeanChange, MetricMean, Quality, Run, Test,
};

/// A `scores.json`.
#[derive(Debug)]
pub(in crate::report) struct Scored {
    pub path: PathBuf,
    pub file: ScoresFile,
}

impl Scored {
    /// Opens a file of scores.
    pub(in crate::report) fn open(path: &Path) -> Result<Self, ReportError> {
        let Some(file) = json_of::<ScoresFile>(path)? else {
            let source = std::io::ErrorKind::NotFound.into();
            let path = path.to_owned();
            return Err(ReportError::Read { path, source });
        };
        let finite = |d: &DirectionScores| d.scores.iter().all(|s| s.score.is_finite());
        if let Some(direction) = file.directions.iter().find(|d| !finite(d)) {
            let reason = format!("a score of {} is no number", direction.direction);
            return Err(malformed(path, &reason));
        }
        Ok(Scored {
            path: path.to_owned(),
            file,
        })
    }

    /// The scores of a run: those named, or those in its folder, if there are any.
    pub(in crate::report) fn of_run(input: &Input) -> Result<Option<Self>, ReportError> {
        if let Some(path) = &input.scores {
            return Self::open(path).map(Some);
        }
        let path = input.run.join("scores.json");
        match path.exists() {
            true => Self::open(&path).map(Some),
            false => Ok(None),
        }
    }

    /// Whether the scores are not of the run as it is now: of another base, of other adapters, or of the base alone.
    pub(in crate::report) fn of_another(&self, run: &Run) -> bool {
        let adapters = run.path.join("adapters");
        let adapted = matches!(run.method.as_deref(), Some("lslo" | "lora"));
        if !adapted || !adapters.is_dir() {
            return false;
        }
        let differ =
            |a: &Option<String>, b: Option<&String>| matches!((a, b), (Some(a), Some(b)) if a != b);
        let now = adapter::hash_of_folder(&adapters).ok();
        self.file.adapters.is_none()
            || differ(&self.file.model_hash, run.base.as_ref())
            || differ(&self.file.adapters_hash, now.as_ref())
    }

    /// The metric that a report goes by: the compared one, else the first.
    fn metric(&self) -> Option<&str> {
        let first = || {
            Some(
                self.file
                    .directions
                    .first()?
                    .scores
                    .first()?
                    .metric
                    .as_str(),
            )
        };
        let compared = self.file.comparison.as_ref().map(|c| c.metric.as_str());
        compared.or_else(first)
    }

    /// Score and signature of a direction in a metric.
    fn score(&self, direction: &Direction, metric: &str) -> Option<(f64, &str)> {
        let of = self.file.directions.iter();
        let of = of.filter(|d| d.direction == *direction);
        let mut scores = of.flat_map(|d| &d.scores);
        let found = scores.find(|s| s.metric == metric)?;
        Some((found.score, &found.signature))
    }
}

/// What the scores of a run say.
pub(super) fn quality(
    scored: &Scored,
    base: Option<&Scored>,
    run: &Run,
) -> Result<Quality, ReportError> {
    let Some(metric) = scored.metric() else {
        return Err(malformed(&scored.path, &"it holds no scores"));
    };
    let higher_is_better = Metric::parse(metric).map_or(true, |m| m.higher_is_better());
    let directions = changes(scored, base, metric, higher_is_better);
    let scored_ones: BTreeSet<&Direction> = directions.iter().map(|d| &d.direction).collect();
    let missing = run.trained.iter().filter(|d| !scored_ones.contains(d));
    let missing: Vec<Direction> = missing.cloned().collect();
    let comparison = scored.file.comparison.as_ref();
    let signature = comparison.map(|c| c.signature.clone());
    let signature = signature.or_else(|| {
        let all = scored.file.directions.iter();
        let mut found = all.filter_map(|d| scored.score(&d.direction, metric));
        Some(found.next()?.1.to_owned())
    });
    let mean = match comparison {
        Some(c) => Some(mean_of(&c.mean)),
        None => plain_mean(directions.iter()),
    };
    Ok(Quality {
        metric: metric.to_owned(),
        signature: signature.unwrap_or_default(),
        higher_is_better,
        metrics: metrics(scored),
        options: scored.file.options.clone(),
        classes: classes(scored, run, metric, &directions),
        missing,
        mean,
        test: comparison.map(|c| Test {
            against: c.against.clone(),
            resamples: u64::from(c.resamples),
            seed: c.seed,
            level: c.level,
            margin: c.margin,
            correction: match c.correction {
                Correction::MaxT => "max-t",
                Correction::Holm => "holm",
            }
            .to_owned(),
        }),
        harmed: comparison.map_or_else(Vec::new, |c| c.harmed.clone()),
        unproven: comparison.map_or_else(Vec::new, |c| c.unproven.clone()),
        directions,
    })
}

fn mean_of(mean: &evaluate::ChangeOfMean) -> MeanChange {
    MeanChange {
        change: mean.change,
        interval: Some(mean.interval),
        directions: mean.directions,
    }
}

/// Every direction: as compared, or with the plain difference to the base's score of the same signature.
fn changes(
    scored: &Scored,
    base: Option<&Scored>,
    metric: &str,
    higher_is_better: bool,
) -> Vec<DirectionChange> {
    let compared: BTreeMap<&Direction, &evaluate::DirectionChange> = scored
        .file
        .comparison
        .iter()
        .flat_map(|c| &c.directions)
        .map(|d| (&d.direction, d))
        .collect();
    let of = |d: &DirectionScores| {
        if let Some(c) = compared.get(&d.direction) {
            return Some(DirectionChange {
                direction: c.direction.clone(),
                sentences: c.sentences,
                score: c.score,
                base: Some(c.base),
                change: Some(c.change),
                interval: Some(c.interval),
                lower_bound: Some(c.lower_bound),
                p: Some(c.p),
                p_adjusted: Some(c.p_adjusted),
                verdict: Some(c.verdict),
            });
        }
        let score = d.scores.iter().find(|s| s.metric == metric)?;
        let before = base.and_then(|base| base.score(&d.direction, metric));
        let before = before.filter(|(_, signature)| *signature == score.signature);
        let before = before.map(|(score, _)| score);
        let sign = if higher_is_better { 1.0 } else { -1.0 };
        Some(DirectionChange {
            direction: d.direction.clone(),
            sentences: d.sentences,
            score: score.score,
            base: before,
            change: before.map(|before| sign * (score.score - before)),
            interval: None,
            lower_bound: None,
            p: None,
            p_adjusted: None,
            verdict: None,
        })
    };
    scored.file.directions.iter().filter_map(of).collect()
}

fn plain_mean<'a>(all: impl Iterator<Item = &'a DirectionChange>) -> Option<MeanChange> {
    let changes: Vec<f64> = all.filter_map(|d| d.change).collect();
    (!changes.is_empty()).then(|| MeanChange {
        change: changes.iter().sum::<f64>() / changes.len() as f64,
        interval: None,
        directions: changes.len(),
    })
}

fn metrics(scored: &Scored) -> Vec<MetricMean> {
    let first = scored.file.directions.first();
    let signature = |metric: &str| {
        let score = first?.scores.iter().find(|s| s.metric == metric)?;
        Some(score.signature.clone())
    };
    let of = |mean: &evaluate::Mean| MetricMean {
        metric: mean.metric.clone(),
        score: mean.score,
        signature: signature(&mean.metric).unwrap_or_default(),
    };
    scored.file.mean.iter().map(of).collect()
}

/// Means by class: the classes that were compared, else those of the run.
fn classes(
    scored: &Scored,
    run: &Run,
    metric: &str,
    directions: &[DirectionChange],
) -> Vec<ClassChange> {
    let compared = scored
        .file
        .comparison
        .as_ref()
        .map_or(&[][..], |c| &c.classes);
    if !compared.is_empty() {
        let score = |c: &evaluate::ClassChange| {
            let mut all = scored.file.classes.iter();
            let class = all.find(|f| f.source == c.source && f.target == c.target)?;
            Some(class.mean.iter().find(|m| m.metric == metric)?.score)
        };
        let of = |c: &evaluate::ClassChange| {
            Some(ClassChange {
                source: c.source.clone(),
                target: c.target.clone(),
                score: score(c)?,
                directions: c.mean.directions,
                change: Some(mean_of(&c.mean)),
            })
        };
        let found: Vec<ClassChange> = compared.iter().filter_map(of).collect();
        if found.len() == compared.len() {
            return found;
        }
    }
    let class = |language: &Language| {
        let of = run.languages.iter().find(|l| l.language == *language)?;
        of.class.as_deref()
    };
    let mut names: Vec<&str> = Vec::new();
    for name in run.languages.iter().filter_map(|l| l.class.as_deref()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let pairs = names
        .iter()
        .flat_map(|a| names.iter().map(move |b| (*a, *b)));
    let of = |(source, target): (&str, &str)| {
        let among: Vec<&DirectionChange> = directions
            .iter()
            .filter(|d| class(&d.direction.source) == Some(source))
            .filter(|d| class(&d.direction.target) == Some(target))
            .collect();
        (!among.is_empty()).then(|| ClassChange {
            source: source.to_owned(),
            target: target.to_owned(),
            score: among.iter().map(|d| d.score).sum::<f64>() / among.len() as f64,
            directions: among.len(),
            change: plain_mean(among.iter().copied()),
        })
    };
    pairs.filter_map(of).collect()
}
