//! Test text: what is scored, and its translations on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use isogloss_kernels::{Backend, Cpu};

use crate::compare::{CompareConfig, CompareError, Extent, Scored};
use crate::config::TrainConfig;
use crate::corpus::{Corpus, DirectionFilter};
use crate::decode::{DecodeOptions, LongLines, MissingUpdates, TextOptions, TextTranslator};
use crate::evaluate::{
    Classes, Evaluation, Groups, Hypotheses, Metric, NamedMetric, ScoresFile, SystemStatistics,
};
use crate::language::{Direction, Language};
use crate::tokenize::{TokenizeError, Tokenizer};

/// Sentences of a direction by which its length is judged.
const SAMPLE: usize = 10;

/// How text is brought to the model. A direction that the adapters weren't trained in runs on the base, unless a method combines.
pub(super) const TEXT_OPTIONS: TextOptions = TextOptions {
    long_lines: LongLines::Split,
    missing: MissingUpdates::Base,
};

/// Parallel text in the directions that are scored.
#[derive(Debug)]
pub struct TestSet {
    /// Its name; none for the test proper.
    pub name: Option<String>,
    /// The text.
    pub text: Corpus,
    /// The directions, sorted.
    pub directions: Vec<Direction>,
    /// Fewer of them, if some are named.
    pub fewer: Option<Vec<Direction>>,
}

/// Mean source tokens of a sentence, by direction.
pub(crate) type Lengths = BTreeMap<Direction, f64>;

/// The files of a set within a cell's folder.
pub(crate) struct Files {
    pub scores: PathBuf,
    pub hypotheses: PathBuf,
}

impl TestSet {
    /// The test, then the foreign sets by name.
    pub(super) fn load_all(
        config: &CompareConfig,
        dir: &Path,
        train: &TrainConfig,
    ) -> Result<Vec<Self>, CompareError> {
        let languages: Vec<Language> = train.languages.values().flatten().cloned().collect();
        let test = &config.test;
        let wanted = match &test.directions {
            Some(directions) => directions.filter(dir, &languages)?,
            None => train.directions.filter(&languages),
        };
        let mut set = Self::load(None, &test.data, dir, &wanted)?;
        if let Some(fewer) = &test.fewer {
            let fewer = match fewer.filter(dir, &languages)? {
                DirectionFilter::Only(directions) => directions,
                _ => set.directions.iter().cloned().collect(),
            };
            if let Some(outside) = fewer.iter().find(|d| !set.directions.contains(d)) {
                return Err(CompareError::NotAmong {
                    direction: outside.to_string(),
                });
            }
            set.fewer = Some(fewer.into_iter().collect());
        }
        let mut sets = vec![set];
        for (name, foreign) in &config.foreign {
            let data = match foreign.data.is_empty() {
                true => &test.data,
                false => &foreign.data,
            };
            let wanted = foreign.directions.filter(dir, &languages)?;
            sets.push(Self::load(Some(name.clone()), data, dir, &wanted)?);
        }
        Ok(sets)
    }

    fn load(
        name: Option<String>,
        data: &[crate::corpus::DataConfig],
        dir: &Path,
        wanted: &DirectionFilter,
    ) -> Result<Self, CompareError> {
        let text = Corpus::load(data, dir, wanted)?.without_blank();
        let directions = text.directions().map(|(d, _)| d.clone()).collect();
        Ok(TestSet {
            name,
            text,
            directions,
            fewer: None,
        })
    }

    /// `test`, or the name.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or("test")
    }

    /// The most sentences of a direction.
    pub(crate) fn longest(&self) -> usize {
        self.text.directions().map(|(_, n)| n).max().unwrap_or(0)
    }

    /// What is scored of it.
    pub(super) fn scored(&self, scored: Scored, extent: &Extent) -> &[Direction] {
        match &self.fewer {
            Some(fewer) if scored == Scored::Fewer || extent.fewer_directions => fewer,
            _ => &self.directions,
        }
    }

    /// Source tokens of a sentence in each direction, judged by a few of its first.
    pub(crate) fn lengths(&self, tokenizer: &Tokenizer) -> Result<Lengths, TokenizeError> {
        let of = |direction: &Direction| {
            let (mut tokens, mut seen) = (0, 0);
            for (source, _) in self.text.pairs(direction).take(SAMPLE) {
                tokens += tokenizer.source_ids(source, &direction.source)?.len();
                seen += 1;
            }
            Ok((direction.clone(), tokens as f64 / f64::from(seen.max(1))))
        };
        self.directions.iter().map(of).collect()
    }

    /// Source tokens of some directions' first sentences.
    pub(crate) fn tokens(
        &self,
        lengths: &Lengths,
        directions: &[Direction],
        sentences: usize,
    ) -> f64 {
        let of = |direction: &Direction| {
            let length = lengths.get(direction).copied().unwrap_or_default();
            length * self.text.len(direction).min(sentences) as f64
        };
        directions.iter().map(of).fold(0.0, |all, one| all + one)
    }

    pub(crate) fn files(&self, cell: &Path) -> Files {
        let folder = match &self.name {
            Some(name) => cell.join(name),
            None => cell.to_owned(),
        };
        Files {
            scores: folder.join("scores.json"),
            hypotheses: folder.join("hypotheses"),
        }
    }

    /// Sources of a direction.
    fn sources(&self, direction: &Direction) -> Vec<&str> {
        self.text.pairs(direction).map(|(s, _)| s).collect()
    }

    /// Directions whose translations don't lie in a cell's folder yet.
    pub(super) fn missing(&self, kept: &Hypotheses, directions: &[Direction]) -> Vec<Direction> {
        let missing = |d: &&Direction| kept.kept(d, &self.sources(d)).is_none();
        directions.iter().filter(missing).cloned().collect()
    }

    /// Translates directions and writes each one's translations; false if it was stopped between two [groups](Groups) of them.
    pub(super) fn translate<B: Backend>(
        &self,
        translator: &TextTranslator<'_, B>,
        (missing, options): (MissingUpdates, &DecodeOptions),
        kept: &mut Hypotheses,
        directions: &[Direction],
        watcher: &mut (dyn super::Watcher + '_),
    ) -> Result<bool, CompareError> {
        let of_sentences: usize = directions.iter().map(|d| self.text.len(d)).sum();
        let text = TextOptions {
            missing,
            ..TEXT_OPTIONS
        };
        let mut done = 0;
        for group in Groups::new(directions, |d| self.text.len(d)) {
            if watcher.stop() {
                return Ok(false);
            }
            let now: Vec<Direction> = group.iter().map(|&i| directions[i].clone()).collect();
            let evaluation = Evaluation::new(&self.text, now, vec![any_metric()?])?;
            let found = evaluation.translate(translator, text, options, &mut |p| {
                watcher.translating(p.within(done, of_sentences));
            })?;
            done += evaluation.sentences();
            for (direction, lines) in evaluation.directions().iter().zip(&found) {
                kept.put(direction, &self.sources(direction), lines)?;
            }
        }
        Ok(true)
    }

    /// Writes the sources in place of translations.
    pub(super) fn copy(
        &self,
        kept: &mut Hypotheses,
        directions: &[Direction],
    ) -> Result<(), CompareError> {
        for direction in directions {
            let sources = self.sources(direction);
            let lines: Vec<String> = sources.iter().map(|&s| s.to_owned()).collect();
            kept.put(direction, &sources, &lines)?;
        }
        Ok(())
    }

    /// The translations of directions that lie in a cell's folder.
    pub(crate) fn hypotheses(
        &self,
        cell: &Path,
        directions: &[Direction],
    ) -> Result<Vec<Vec<String>>, CompareError> {
        let kept = Hypotheses::open(&self.files(cell).hypotheses)?;
        let read = |direction: &Direction| {
            let found = kept.read(direction, &self.sources(direction))?;
            let path = kept.path(direction);
            found.ok_or_else(|| CompareError::read(&path, &"it is missing"))
        };
        directions.iter().map(read).collect()
    }

    /// A metric's statistics of the translations that lie in a cell's folder.
    pub(crate) fn statistics(
        &self,
        metric: &Metric,
        cell: &Path,
        directions: &[Direction],
    ) -> Result<SystemStatistics, CompareError> {
        let translations = self.hypotheses(cell, directions)?;
        let of = |(direction, lines): (&Direction, &Vec<String>)| {
            let references: Vec<&str> = self.text.pairs(direction).map(|(_, r)| r).collect();
            Ok(metric.corpus_statistics(lines, &[references])?)
        };
        directions.iter().zip(&translations).map(of).collect()
    }

    /// Scores what lies in a cell's folder, and writes the scores beside it.
    pub(super) fn score(
        &self,
        cell: &Path,
        directions: &[Direction],
        metrics: &[NamedMetric],
        classes: &Classes,
        describe: impl FnOnce(&mut ScoresFile),
        backend: &Cpu,
    ) -> Result<(), CompareError> {
        let translations = self.hypotheses(cell, directions)?;
        let evaluation = Evaluation::new(&self.text, directions.to_vec(), metrics.to_vec())?;
        let scores = backend.install(|| evaluation.score(&translations))?;
        let mut file = ScoresFile::new(scores, classes);
        file.text_hash = Some(evaluation.text_hash());
        file.hypotheses = Some("hypotheses".into());
        describe(&mut file);
        Ok(file.write(&self.files(cell).scores)?)
    }
}

/// An evaluation that only translates wants a metric all the same.
fn any_metric() -> Result<NamedMetric, CompareError> {
    let name = "chrf++".to_owned();
    let metric = Metric::parse(&name)?;
    Ok(NamedMetric { name, metric })
}
