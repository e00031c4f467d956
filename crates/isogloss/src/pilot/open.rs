//! A pilot from a training configuration: directions, sizes, and the two texts.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::checkpoint;
use crate::compare::{
    CompareConfig, DecodingConfig, DecodingPrecision, Experiment, ForeignConfig, Kind, LeastConfig,
    ListedDirections, MethodConfig, PlanConfig, Scored, Shared, SignificanceConfig, TestConfig,
};
use crate::config::{Directions, Method, Pivot, TrainConfig, ValidationConfig};
use crate::corpus::{Corpus, DataConfig, DirectionFilter};
use crate::language::{Direction, Language, Resource};
use crate::pilot::{Candidate, Chosen, PilotError, Size, choose};
use crate::report::Tongue;
use crate::train::{DirectionShare, Estimate, TrainError};

/// Fewest sentences of a direction in either text.
const LEAST: usize = 2;

/// What is asked for beside the configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PilotOptions {
    /// Directions that take part; none: they are chosen.
    pub directions: Vec<Direction>,
    /// Most directions that are chosen.
    pub most: usize,
    /// Text that reports; none: the second half of the validation text. Its paths start where the configuration's do.
    pub test: Option<DataConfig>,
    /// Language of the page; the pilot is the same in any.
    #[serde(skip)]
    pub tongue: Tongue,
}

/// Everything of a pilot, read and checked; nothing is written yet.
#[derive(Debug)]
pub struct Pilot {
    /// The whole configuration.
    pub(super) config: TrainConfig,
    /// Where its paths start.
    pub(super) dir: PathBuf,
    pub(super) options: PilotOptions,
    /// Folder of the run.
    pub(super) run: PathBuf,
    pub(super) chosen: Vec<Chosen>,
    /// Largest first.
    pub(super) sizes: Vec<Size>,
    /// The sizes as methods; its sets are the text that decides and the one that reports.
    pub(super) experiment: Experiment,
    /// What training everything takes.
    pub(super) whole: Estimate,
}

impl Pilot {
    /// Chooses directions and reads texts. `dir` is where the configuration's paths start.
    ///
    /// # Errors
    /// [`PilotError`]: another method, base, text, directions.
    pub fn open(
        config: &TrainConfig,
        dir: &Path,
        options: &PilotOptions,
    ) -> Result<Self, PilotError> {
        if config.method != Method::Lslo {
            let method = serde_json::to_value(config.method).unwrap_or_default();
            let method = method.as_str().unwrap_or("other").to_owned();
            return Err(PilotError::Method { method });
        }
        let whole = config.estimate(dir)?;
        let chosen = directions(config, dir, options, &whole)?;
        let run = std::path::absolute(dir.join(&config.run)).map_err(|e| TrainError::Read {
            path: config.run.clone(),
            reason: e.to_string(),
        })?;
        let base = checkpoint::open(&dir.join(&config.model)).map_err(TrainError::from)?;
        let limit = config
            .adapter
            .slice
            .map_or(base.config.d_model, |slice| slice.dim);
        let sizes = Size::ladder(config, limit);
        let small = restricted(config, &chosen, &whole.directions);
        let compared = comparison(&small, &run.join("pilot"), &chosen, &sizes, options);
        let mut experiment = Experiment::open(&compared, dir, |compute| compute)?;
        let shortest = apart(&mut experiment, options.test.is_none(), &chosen)?;
        experiment.warn_of_overlap()?;
        for method in &mut experiment.methods {
            cap(&mut method.config.validation, shortest);
        }
        cap(&mut experiment.plain.validation, shortest);
        Ok(Pilot {
            config: config.clone(),
            dir: dir.to_owned(),
            options: options.clone(),
            run,
            chosen,
            sizes,
            experiment,
            whole,
        })
    }

    /// The directions, and what each stands for.
    #[must_use]
    pub fn directions(&self) -> &[Chosen] {
        &self.chosen
    }

    /// The sizes that may be tried, largest first.
    #[must_use]
    pub fn sizes(&self) -> &[Size] {
        &self.sizes
    }

    /// The run's folder, in which `pilot.json`, `pilot.md` and the folder `pilot` lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.run
    }

    /// Languages that are trained.
    #[must_use]
    pub fn languages(&self) -> BTreeSet<&Language> {
        let sides = self.chosen.iter().map(|c| &c.direction);
        sides.flat_map(|d| [&d.source, &d.target]).collect()
    }
}

/// The directions asked for, or chosen among those with training and validation text.
fn directions(
    config: &TrainConfig,
    dir: &Path,
    options: &PilotOptions,
    whole: &Estimate,
) -> Result<Vec<Chosen>, PilotError> {
    let least = if options.test.is_none() {
        2 * LEAST
    } else {
        LEAST
    };
    let wanted = whole.directions.iter().map(|d| d.direction.clone());
    let wanted = DirectionFilter::Only(wanted.collect());
    let held = Corpus::load_held(&config.validation.data, dir, &wanted)?;
    let candidate = |d: &DirectionShare| Candidate {
        direction: d.direction.clone(),
        pairs: d.pairs,
    };
    let all = || whole.directions.iter().map(candidate);
    let validated = |c: &Candidate| held.len(&c.direction) >= least;
    let candidates: Vec<Candidate> = all().filter(validated).collect();
    let Some(first) = candidates.first() else {
        return Err(PilotError::NoDirection { least });
    };
    if options.directions.is_empty() {
        let class = |language: &Language| class_of(config, language);
        let pivot = pivot(config, &candidates);
        return Ok(choose(&candidates, class, pivot.as_ref(), options.most));
    }
    let mut chosen: Vec<Chosen> = Vec::new();
    for direction in &options.directions {
        let own = candidates.iter().find(|c| c.direction == *direction);
        let Some(own) = own else {
            let trained = all().any(|c| c.direction == *direction);
            return Err(PilotError::Direction {
                direction: direction.clone(),
                reason: match trained {
                    true => "the validation text has too few sentences of it",
                    false => "the configuration doesn't train it",
                },
                example: first.direction.to_string(),
            });
        };
        if chosen.iter().all(|c| c.direction != *direction) {
            chosen.push(Chosen {
                direction: own.direction.clone(),
                pairs: own.pairs,
                why: vec!["asked for".to_owned()],
            });
        }
    }
    Ok(chosen)
}

fn class_of(config: &TrainConfig, language: &Language) -> Option<Resource> {
    let mut classes = config.languages.iter();
    let found = classes.find(|(_, languages)| languages.contains(language));
    found.map(|(&class, _)| class)
}

/// The language that every direction has on one side, if there are three or more languages.
fn pivot(config: &TrainConfig, candidates: &[Candidate]) -> Option<Language> {
    if let Directions::Pivot(Pivot { pivot }) = &config.directions {
        return Some(pivot.clone());
    }
    let languages: BTreeSet<&Language> = candidates
        .iter()
        .flat_map(|c| [&c.direction.source, &c.direction.target])
        .collect();
    let everywhere = |l: &&&Language| candidates.iter().all(|c| c.direction.has(l));
    let found = languages.iter().find(everywhere)?;
    (languages.len() > 2).then(|| (*found).clone())
}

/// Keeps validation, by which the epoch is chosen, within the first sentences of each direction.
fn cap(validation: &mut ValidationConfig, sentences: usize) {
    validation.sentences = validation.sentences.min(sentences);
    validation.translate = validation.translate.min(sentences);
}

/// The configuration with the languages of some directions alone, validated in those, and trained as much as the `whole` would train them.
fn restricted(config: &TrainConfig, chosen: &[Chosen], whole: &[DirectionShare]) -> TrainConfig {
    let mut small = config.clone();
    let takes_part = |l: &Language| chosen.iter().any(|c| c.direction.has(l));
    let both = |d: &Direction| takes_part(&d.source) && takes_part(&d.target);
    for languages in small.languages.values_mut() {
        languages.retain(&takes_part);
    }
    small.languages.retain(|_, languages| !languages.is_empty());
    if let Directions::Only(list) = &mut small.directions {
        list.retain(both);
    }
    small.adapter.language_ranks.retain(|l, _| takes_part(l));
    small.training.narrow_to(whole, both);
    let directions = chosen.iter().map(|c| c.direction.clone()).collect();
    small.validation.directions = Some(Directions::Only(directions));
    small.validation.patience = 0;
    small.explore = None;
    small
}

/// The pilot as a comparison: every size a method, the validation text and the text that reports as test sets.
fn comparison(
    small: &TrainConfig,
    run: &Path,
    chosen: &[Chosen],
    sizes: &[Size],
    options: &PilotOptions,
) -> CompareConfig {
    let directions: Vec<Direction> = chosen.iter().map(|c| c.direction.clone()).collect();
    let directions = ListedDirections::Here(Directions::Only(directions));
    let method = |size: &Size| {
        let mut adapter = size.adapter.clone();
        let known = &small.adapter.language_ranks;
        adapter.language_ranks.retain(|l, _| known.contains_key(l));
        adapter
            .ranks
            .retain(|class, _| small.languages.contains_key(class));
        let mut train = toml::Table::new();
        if let Ok(adapter) = toml::Value::try_from(&adapter) {
            train.insert("adapter".to_owned(), adapter);
        }
        let config = MethodConfig {
            kind: Some(Kind::Lslo),
            train,
            ..MethodConfig::default()
        };
        (size.name.clone(), config)
    };
    let report = ForeignConfig {
        data: options.test.iter().cloned().collect(),
        directions: directions.clone(),
    };
    CompareConfig {
        run: run.to_owned(),
        train: Shared::Table(toml::Table::try_from(small).unwrap_or_default()),
        overrides: toml::Table::new(),
        seeds: vec![small.seed],
        learning_rates: Vec::new(),
        metrics: vec!["chrf++".to_owned()],
        spm: None,
        decoding: DecodingConfig {
            beam: 1,
            precision: DecodingPrecision::Int8,
            ..DecodingConfig::default()
        },
        test: TestConfig {
            data: small.validation.data.clone(),
            directions: Some(directions),
            fewer: None,
            later_seeds: Scored::All,
        },
        foreign: BTreeMap::from([("report".to_owned(), report)]),
        methods: sizes.iter().map(method).collect(),
        interference: None,
        plan: PlanConfig::default(),
        significance: SignificanceConfig::default(),
        least: LeastConfig::default(),
    }
}

/// Makes the sets the text that decides and the text that reports, so that no sentence is in both; gives the fewest sentences of a
/// direction that decide.
fn apart(
    experiment: &mut Experiment,
    halves: bool,
    chosen: &[Chosen],
) -> Result<usize, PilotError> {
    let [deciding, reporting] = experiment.sets.as_mut_slice() else {
        return Err(PilotError::NoDirection { least: LEAST });
    };
    deciding.name = Some("deciding".to_owned());
    reporting.name = Some("reporting".to_owned());
    if halves {
        deciding.text.retain(|place, of, _| place < of / 2);
    }
    let mut seen = HashSet::new();
    for direction in &deciding.directions {
        let texts = deciding.text.pairs(direction);
        seen.extend(texts.flat_map(|(a, b)| [a.to_owned(), b.to_owned()]));
    }
    reporting.text.retain(|place, of, texts| {
        !(halves && place < of / 2) && texts.iter().all(|&text| !seen.contains(text))
    });
    let example = || {
        chosen
            .first()
            .map_or_else(String::new, |c| c.direction.to_string())
    };
    for set in [&*deciding, &*reporting] {
        if let Some(short) = set.directions.iter().find(|d| set.text.len(d) < LEAST) {
            return Err(PilotError::Direction {
                direction: short.clone(),
                reason: match halves {
                    true => "the halves of its validation text have too few different sentences",
                    false => {
                        "the test text has too few sentences of it that aren't validation text, too"
                    }
                },
                example: example(),
            });
        }
    }
    let counts = deciding.directions.iter().map(|d| deciding.text.len(d));
    Ok(counts.min().unwrap_or(LEAST))
}
