//! A comparison from its configuration to its results.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use isogloss_kernels::Cpu;

use crate::checkpoint::{self, BaseHash};
use crate::compare::cell::{Bench, cell_name};
use crate::compare::explore::{EXPLORE, Source};
use crate::compare::interference::Alone;
use crate::compare::method::Workbench;
use crate::compare::{
    Budget, CellPlan, CellResult, CompareConfig, CompareError, Kind, Prepared, Protocol, Results,
    Shared, TestSet, read_json,
};
use crate::config::{Compute, TrainConfig};
use crate::corpus::Corpus;
use crate::decode::DecodeOptions;
use crate::evaluate::{Bleu, Classes, Comparison, Metric, NamedMetric, Progress, Tokenizer};
use crate::files;
use crate::language::Language;
use crate::report::Tongue;
use crate::tokenize;
use crate::train::{self, Observer, TrainError};

/// Watches a comparison, and may stop it.
pub trait Watcher: Observer + Send {
    /// A cell, or a part of one, begins to be trained or scored.
    fn stage(&mut self, name: &str);

    /// How far the translation of a test set has come.
    fn translating(&mut self, progress: Progress);
}

/// How a comparison ended.
#[derive(Debug)]
pub enum Ending {
    /// All cells are done.
    Finished(Box<Results>),
    /// It was asked to stop in this cell; the same command goes on.
    Interrupted(String),
}

/// Everything that is compared, read and checked; nothing is written yet.
#[derive(Debug)]
pub struct Experiment {
    pub(super) config: CompareConfig,
    /// Its folder.
    pub(super) run: PathBuf,
    /// Where the shared training configuration's paths start.
    pub(super) train_dir: PathBuf,
    /// The shared configuration, as LSLo would be trained by it.
    pub(crate) plain: TrainConfig,
    /// The base's folder.
    pub(crate) base: PathBuf,
    pub(crate) tokenizer: tokenize::Tokenizer,
    /// What is trained, in the order of reports.
    pub(crate) methods: Vec<Prepared>,
    /// What is trained a language at a time beside that.
    pub(super) alone: Vec<Alone>,
    /// The test, then the foreign sets.
    pub(crate) sets: Vec<TestSet>,
    pub(super) classes: Classes,
    pub(crate) metrics: Vec<NamedMetric>,
    /// The plan of methods that go by one, if any does.
    pub(super) plan: Option<Source>,
    base_hash: OnceLock<BaseHash>,
    /// Language of the page.
    pub(super) tongue: Tongue,
}

impl Experiment {
    /// Reads texts and configurations. `dir` is where the comparison's paths start; `compute` takes the place of every method's.
    ///
    /// # Errors
    /// [`CompareError`]: configuration, base, text.
    pub fn open(
        config: &CompareConfig,
        dir: &Path,
        compute: impl Fn(Compute) -> Compute,
    ) -> Result<Self, CompareError> {
        config.validate()?;
        let workbench = Workbench::new(config, dir, &compute)?;
        let plain = workbench.plain()?;
        let mut methods = workbench.methods()?;
        let plan = Experiment::plan_source(config, dir, &mut methods, &plain)?;
        let sets = TestSet::load_all(config, dir, &plain)?;
        let alone = Alone::all(config, &methods, &plain, &sets[0])?;
        let base = workbench.dir.join(&plain.model);
        let classes = plain.languages.iter();
        let classes = classes.map(|(class, all)| (class.as_str().to_owned(), all.clone()));
        let mut resolved = config.clone();
        resolved.train = Shared::Table(workbench.shared);
        // They are in the table now.
        resolved.overrides.clear();
        Ok(Experiment {
            run: std::path::absolute(dir.join(&config.run))
                .map_err(|e| CompareError::read(&config.run, &e))?,
            tokenizer: tokenize::Tokenizer::open(&base).map_err(TrainError::from)?,
            classes: classes.collect(),
            metrics: metrics(config, dir)?,
            config: resolved,
            train_dir: workbench.dir,
            plain,
            base,
            methods,
            alone,
            sets,
            plan,
            base_hash: OnceLock::new(),
            tongue: Tongue::default(),
        })
    }

    /// Chooses the language of `report.html`; English, if it is left out.
    pub fn set_page_language(&mut self, tongue: Tongue) {
        self.tongue = tongue;
    }

    /// The folder of the comparison.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.run
    }

    /// What is trained, in the order of reports.
    #[must_use]
    pub fn methods(&self) -> &[Prepared] {
        &self.methods
    }

    /// Says so where text that is scored is training text.
    ///
    /// # Errors
    /// If the training text can't be read.
    pub fn warn_of_overlap(&self) -> Result<(), CompareError> {
        let languages: Vec<Language> = self.plain.languages.values().flatten().cloned().collect();
        let wanted = self.plain.directions.filter(&languages);
        let training = Corpus::load(&self.plain.data, &self.train_dir, &wanted)?;
        for set in &self.sets {
            train::warn_of_overlap(set.label(), &set.text, &training);
        }
        Ok(())
    }

    /// Says so where a method is trained in directions of a foreign set, which are reported as what nobody adapted.
    pub fn warn_of_trained(&self) {
        for set in &self.sets[1..] {
            for method in &self.methods {
                let trained = set.directions.iter().filter(|d| method.trains(d));
                let trained: Vec<String> = trained.map(ToString::to_string).collect();
                if !trained.is_empty() {
                    tracing::warn!(
                        "`foreign.{}` is reported as what nobody adapted, but `{}` is trained in {} of its directions: {}",
                        set.label(),
                        method.name,
                        trained.len(),
                        trained.join(", ")
                    );
                }
            }
        }
    }

    /// The test, then the foreign sets.
    #[must_use]
    pub fn sets(&self) -> &[TestSet] {
        &self.sets
    }

    pub(super) fn decode_options(&self) -> DecodeOptions {
        self.config.decoding.options()
    }

    pub(super) fn decoding_backend(&self) -> Result<Cpu, CompareError> {
        let backend = self.plain.compute.backend()?;
        Ok(backend.with_precision(self.config.decoding.precision.into()))
    }

    fn protocol_file(&self) -> PathBuf {
        self.run.join("protocol.json")
    }

    /// The protocol that the comparison was started with, if it was.
    ///
    /// # Errors
    /// If its file can't be read.
    pub fn started(&self) -> Result<Option<Protocol>, CompareError> {
        let found = read_json::<Protocol>(&self.protocol_file())?;
        // Before the first cell nothing depends on it.
        Ok(found.filter(|p| {
            p.cells
                .iter()
                .any(|cell| self.run.join(&cell.name).exists())
        }))
    }

    /// The protocol for a budget: that of the comparison where it was started, otherwise a new one, after measuring.
    ///
    /// # Errors
    /// If nothing fits, if no budget is given, or if it was started under another or with another configuration; if `[significance]` is out of
    /// range or a direction has a single sentence, so that what would be trained could not be compared.
    pub fn plan(&self, budget: Option<Budget>) -> Result<Protocol, CompareError> {
        for set in &self.sets {
            let sentences = set.directions.iter().map(|d| set.text.len(d));
            let sentences: Vec<usize> = sentences.collect();
            let options = self.config.significance.options();
            Comparison::check(&set.directions, &sentences, &options)?;
        }
        let started = self.started()?;
        train::check_config(&self.run, &self.kept(), started.is_some())?;
        match (started, budget) {
            (Some(started), None) => Ok(started),
            (Some(started), Some(budget)) if started.is_for(budget) => Ok(started),
            (Some(started), Some(now)) => {
                let said = |budget: Option<f64>| match budget {
                    Some(hours) => format!("with a budget of {hours} hours"),
                    None => "whole (--published)".to_owned(),
                };
                let now = match now {
                    Budget::Hours(hours) => Some(hours),
                    Budget::Published => None,
                };
                Err(CompareError::OtherBudget {
                    path: self.run.clone(),
                    before: said(started.budget_hours),
                    now: said(now),
                })
            }
            (None, None) => Err(CompareError::NoBudget),
            (None, Some(budget)) => self.protocol(budget, self.measure()?),
        }
    }

    /// Writes the protocol down, then trains and scores every cell that isn't done, and puts the results together.
    ///
    /// # Errors
    /// [`CompareError`].
    pub fn run(
        &mut self,
        protocol: &Protocol,
        watcher: &mut dyn Watcher,
    ) -> Result<Ending, CompareError> {
        files::create_dir(&self.run)?;
        let _lock = train::lock(&self.run)?;
        let started = self.started()?.is_some();
        train::keep_config(&self.run, &self.kept(), started)?;
        train::bind(&self.run, started, &self.inputs()?)?;
        files::write_json(&self.protocol_file(), protocol)?;
        for set in &mut self.sets {
            set.text.truncate(protocol.extent.sentences);
        }
        for cell in &protocol.cells {
            let untrained = [Kind::Copy, Kind::Base];
            let untrained = untrained.iter().find(|kind| kind.as_str() == cell.method);
            let done = match untrained {
                Some(kind) => self.score(*kind, cell, None, protocol, watcher)?,
                None if cell.method == EXPLORE => self.explore(&protocol.extent, watcher)?,
                None => self.cell(cell, protocol, watcher)?,
            };
            if !done {
                return Ok(Ending::Interrupted(cell.name.clone()));
            }
        }
        let results = Results::read(self, protocol)?;
        results.write(&self.run)?;
        self.write_page(protocol)?;
        Ok(Ending::Finished(Box::new(results)))
    }

    /// The configuration by which a comparison is known again: the shared one in place, the machine's share left out.
    fn kept(&self) -> CompareConfig {
        let mut config = self.config.clone();
        if let Shared::Table(table) = &mut config.train {
            for key in ["compute", "run", "method"] {
                table.remove(key);
            }
        }
        for method in config.methods.values_mut() {
            method.train.remove("compute");
        }
        config
    }

    fn inputs(&self) -> Result<[(&'static str, String); 3], CompareError> {
        let text: Vec<String> = self.sets.iter().map(|set| set.text.fingerprint()).collect();
        let base = checkpoint::open(&self.base).map_err(TrainError::from)?;
        // Its fingerprint needs it, too.
        self.base_hash.get_or_init(|| base.hash());
        let plan = match &self.plan {
            Some(Source::Plan(plan)) => plan.to_toml(&crate::plan::Reasons::default()),
            _ => String::new(),
        };
        Ok([
            ("base", base.fingerprint()),
            ("test text", text.join(" ")),
            ("plan", plan),
        ])
    }

    /// The hash of the base's weights. Reading them all takes a second or two, so that it is done once, when it is first asked for.
    pub(super) fn base_hash(&self) -> Result<BaseHash, CompareError> {
        if let Some(&known) = self.base_hash.get() {
            return Ok(known);
        }
        let base = checkpoint::open(&self.base).map_err(TrainError::from)?;
        Ok(*self.base_hash.get_or_init(|| base.hash()))
    }

    /// Trains and scores a cell; false if it was stopped.
    fn cell(
        &self,
        cell: &CellPlan,
        protocol: &Protocol,
        watcher: &mut dyn Watcher,
    ) -> Result<bool, CompareError> {
        let Some((method, _)) = self.method_of(cell) else {
            return Ok(true);
        };
        let kind = method.kind;
        match self.train_cell(cell, protocol, watcher)? {
            None => Ok(false),
            Some(trained) => self.score(kind, cell, Some(&trained), protocol, watcher),
        }
    }

    /// Trains a cell, unless it is trained; none if it was stopped, or is none of a method's.
    pub(crate) fn train_cell(
        &self,
        cell: &CellPlan,
        protocol: &Protocol,
        watcher: &mut dyn Watcher,
    ) -> Result<Option<CellResult>, CompareError> {
        let Some((method, at)) = self.method_of(cell) else {
            return Ok(None);
        };
        let mut method = self.planned(method)?;
        if let Some(like) = &method.like {
            method.rates = vec![self.rate_of(like)?];
        }
        let bench = Bench {
            run: &self.run,
            method: &method,
            extent: &protocol.extent,
        };
        bench.cell(at, watcher)
    }

    /// The name of a method's cell with its first seed.
    pub(super) fn first_cell(&self, name: &str) -> String {
        let method = self.methods.iter().find(|m| m.name == name);
        let seed = method.and_then(|m| m.seeds.first().copied());
        cell_name(name, seed.unwrap_or(1))
    }

    /// The learning rate of a method that is trained with its first seed.
    pub(super) fn rate_of(&self, name: &str) -> Result<f64, CompareError> {
        let cell = self.run.join(self.first_cell(name));
        let missing = || CompareError::read(&cell, &"it is not trained yet");
        let trained = CellResult::read(&cell)?.ok_or_else(missing)?;
        Ok(trained.learning_rate)
    }

    /// A cell's method, and the place of its seed.
    pub(super) fn method_of(&self, cell: &CellPlan) -> Option<(&Prepared, usize)> {
        let alone = self.alone.iter().map(|alone| &alone.method);
        let mut methods = self.methods.iter().chain(alone);
        let method = methods.find(|m| m.name == cell.method)?;
        let at = method.seeds.iter().position(|&s| Some(s) == cell.seed)?;
        Some((method, at))
    }
}

fn metrics(config: &CompareConfig, dir: &Path) -> Result<Vec<NamedMetric>, CompareError> {
    let of = |name: &String| {
        let metric = match (name.as_str(), &config.spm) {
            ("spbleu", Some(path)) => Metric::Bleu(Bleu {
                tokenizer: Tokenizer::open_sentencepiece(&dir.join(path))?,
                ..Bleu::default()
            }),
            _ => Metric::parse(name)?,
        };
        let name = name.clone();
        Ok(NamedMetric { name, metric })
    };
    config.metrics.iter().map(of).collect()
}
