use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use isogloss_kernels::Cpu;

use crate::adapter::{self, AdapterSet};
use crate::checkpoint;
use crate::config::{Method, TrainConfig};
use crate::corpus::Corpus;
use crate::decode::{LoadError, Loaded, Vocabularies, Vocabulary};
use crate::language::Language;
use crate::model::{Context, DType, Model, tensors_of};
use crate::params::ParamStore;
use crate::tokenize;
use crate::train::material::Material;
use crate::train::mislabelled::{self, Judge};
use crate::train::opened::{Extended, Opened};
use crate::train::setup::{self, Estimate};
use crate::train::{Observer, Outcome, RunDir, TrainError, Trained};

/// What `isogloss train` leaves.
#[derive(Debug)]
pub struct Adaptation {
    /// How training ended.
    pub trained: Trained,
    /// Folder of the adapters (`lslo`, `lora`) or of the fine-tuned model (`full`). Written when training is finished.
    pub result: PathBuf,
    /// Trainable parameters.
    pub trainable: usize,
    /// What the run was expected to take.
    pub estimate: Estimate,
    /// The output vocabularies that lie beside the adapters, by target language; none before training is finished, nor with `full`.
    pub vocabularies: Vocabularies,
    /// Pieces of the tokenizer.
    pub pieces: usize,
}

/// How far the score may move between training and reload, in nats: the files hold the very bits, so nothing but the order of
/// sums could.
const RELOAD_TOLERANCE: f64 = 1e-6;

/// What is trained, and what it is added to.
pub(super) struct Subject {
    pub model: Model<f32>,
    pub set: AdapterSet,
    pub store: ParamStore<f32>,
}

pub(super) fn subject(config: &TrainConfig, opened: &Opened) -> Result<Subject, TrainError> {
    let mut store = ParamStore::new();
    let shape = opened.shape(&config.training);
    let tensors = opened.checkpoint.tensors.clone();
    if config.method == Method::Full {
        return Ok(Subject {
            model: Model::new(&shape, tensors, Some(&mut store))?,
            set: AdapterSet::none(opened.codes()),
            store,
        });
    }
    let set = adapter_set(config, opened, &mut store)?;
    Ok(Subject {
        model: Model::new(&shape, tensors, None)?,
        set,
        store,
    })
}

pub(super) fn adapter_set(
    config: &TrainConfig,
    opened: &Opened,
    store: &mut ParamStore<f32>,
) -> Result<AdapterSet, TrainError> {
    if let Some(extended) = &opened.extended {
        return extend(config, opened, extended, store);
    }
    let languages = &opened.languages;
    let updates = match config.method {
        Method::Lora => config.adapter.shared(languages.len())?,
        _ => config.adapter.per_language(languages)?,
    };
    let model = &opened.checkpoint.config;
    let (sites, preset) = (config.adapter.sites(model)?, config.adapter.preset);
    let codes = opened.codes();
    Ok(AdapterSet::new(
        codes,
        preset,
        sites,
        updates,
        config.seed,
        store,
    )?)
}

/// The adapters of an earlier run, frozen, with updates of the languages that are added.
fn extend(
    config: &TrainConfig,
    opened: &Opened,
    extended: &Extended,
    store: &mut ParamStore<f32>,
) -> Result<AdapterSet, TrainError> {
    let (mut set, added) = (extended.set.clone(), &opened.added);
    *store = extended.store.clone();
    let own = |language: &Language| added.iter().any(|(l, _)| l == language);
    let mut adapter = config.adapter.clone();
    adapter.language_ranks.retain(|language, _| own(language));
    let updates = adapter.per_language(added)?;
    // The others of the run take part, too.
    for language in opened.codes() {
        if !set.languages.contains(&language) {
            set.languages.push(language);
        }
    }
    let codes: Vec<Language> = added.iter().map(|(language, _)| language.clone()).collect();
    set.extend(&codes, updates, config.seed, store)?;
    Ok(set)
}

impl TrainConfig {
    /// As a run's folder keeps it.
    fn recorded(&self) -> TrainConfig {
        TrainConfig {
            // It has no say in training.
            explore: None,
            ..self.clone()
        }
    }

    /// Whether [`adapt`] would start, or go on, in the run's folder.
    ///
    /// # Errors
    /// If the folder was started with another configuration.
    pub fn check_folder(&self, config_dir: &Path) -> Result<(), TrainError> {
        RunDir::check(&setup::resolve(config_dir, &self.run), &self.recorded())
    }
}

/// Adapts a base, or goes on where the run stands; in the end loads what was saved and checks that it scores the same.
/// `config_dir` is where relative paths start.
///
/// # Errors
/// [`TrainError`]: text, configuration, files, divergence.
pub fn adapt(
    config: &TrainConfig,
    config_dir: &Path,
    observer: &mut dyn Observer,
) -> Result<Adaptation, TrainError> {
    let opened = Opened::new(config, config_dir)?;
    let backend = config.compute.backend()?;
    let folder = setup::resolve(config_dir, &config.run);
    let mut run = RunDir::open(&folder, &config.recorded())?;
    let (corpus, report) = opened.training_text(config, config_dir)?;
    observer.cleaned(&report);
    let estimate = config.estimate_for(&opened, &corpus, &backend)?;
    observer.planned(&estimate);
    let Subject {
        mut model,
        mut set,
        mut store,
    } = subject(config, &opened)?;
    opened.note_trained(&mut set, &corpus);
    let validation = opened.validation_text(config, config_dir, &corpus)?;
    let mut inputs = vec![
        ("base", opened.checkpoint.fingerprint()),
        ("training text", corpus.fingerprint()),
        ("validation text", validation.fingerprint()),
    ];
    let extended = opened.extended.as_ref();
    inputs.extend(extended.map(|e| ("set of adapters to extend", e.fingerprint())));
    run.bind(&inputs)?;
    let material = Material::new(
        config.into(),
        &corpus,
        &validation,
        &opened.tokenizer,
        &set.languages,
        model.config().max_position_embeddings,
    )?;
    setup::pack_for_training(&mut model, &backend);
    if !run.last().exists() {
        let judge = Judge {
            backend: &backend,
            model: &model,
            store: &store,
            tokenizer: &opened.tokenizer,
            max_tokens: config
                .training
                .max_tokens
                .min(model.config().max_position_embeddings),
        };
        for (corpus, what) in [(&corpus, "training"), (&validation, "validation")] {
            mislabelled::warn(&judge.mislabelled(corpus)?, what);
        }
    }
    let pruner = config.pruner(&set, &store)?;
    let trainer = material.trainer(&backend, &model, &set.adapters, pruner.as_ref());
    let trained = trainer.train(&mut run, &mut store, observer)?;
    let result = run.path().join(match config.method {
        Method::Full => "model",
        _ => "adapters",
    });
    let mut adaptation = Adaptation {
        trained,
        result,
        trainable: store.trainable(),
        estimate,
        vocabularies: Vocabularies::default(),
        pieces: opened.tokenizer.vocab_size(),
    };
    if adaptation.trained.outcome == Outcome::Finished {
        if !set.updates.is_empty() {
            adaptation.vocabularies = vocabularies(&opened, &corpus, &validation)?;
        }
        opened.save(&adaptation, &set, &store)?;
        let cx = Context {
            backend: &backend,
            store: &store,
            adapters: &set.adapters,
            dropout: None,
        };
        let trained = material.held_out().nll(&cx, &model);
        opened.check(
            &adaptation.result,
            config.method,
            (trained, &cx, &model),
            &material,
        )?;
    }
    Ok(adaptation)
}

/// For each target language the pieces of all its training text, measured on the validation references. Of a language that was there before
/// it was added to, this text is a part: what it had stays.
fn vocabularies(
    opened: &Opened,
    training: &Corpus,
    validation: &Corpus,
) -> Result<Vocabularies, TrainError> {
    let tokenizer = &opened.tokenizer;
    let targets = |corpus: &Corpus| -> BTreeSet<Language> {
        corpus.directions().map(|(d, _)| d.target.clone()).collect()
    };
    let held_out = targets(validation);
    let learn = |language: Language| {
        let references = held_out.get(&language).into_iter();
        let references = references.flat_map(|language| validation.texts(language));
        let text = training.texts(&language);
        let learnt = Vocabulary::learn(tokenizer, &language, text, references);
        (language, learnt)
    };
    let mut learnt: BTreeMap<_, _> = targets(training).into_iter().map(learn).collect();
    if let Some(extended) = &opened.extended {
        learnt.retain(|language, _| !extended.set.languages.contains(language));
        let before = Vocabularies::load(&extended.dir, tokenizer).map_err(LoadError::from)?;
        learnt.extend(before.by_language);
    }
    Ok(Vocabularies {
        by_language: learnt,
    })
}

impl Opened {
    fn save(
        &self,
        adaptation: &Adaptation,
        set: &AdapterSet,
        store: &ParamStore<f32>,
    ) -> Result<(), TrainError> {
        let dir = &adaptation.result;
        if set.updates.is_empty() {
            let tensors = tensors_of(store, DType::F32);
            checkpoint::write(dir, &self.checkpoint.config, &tensors)?;
            return Ok(tokenize::copy_files(&self.dir, dir)?);
        }
        // Before the adapters' description, so that a folder that has that is whole.
        adaptation.vocabularies.save(dir, &self.tokenizer)?;
        Ok(adapter::save(
            dir,
            set,
            store,
            &self.checkpoint.hash().to_string(),
        )?)
    }

    /// Loads what was saved, and holds it to the score in training; adapters on the base that they were trained on, as it was prepared.
    fn check(
        &self,
        dir: &Path,
        method: Method,
        (trained, cx, model): (f64, &Context<'_, Cpu>, &Model<f32>),
        material: &Material<'_>,
    ) -> Result<(), TrainError> {
        let reloaded = if method == Method::Full {
            let loaded = Loaded::open(dir, None)?;
            let cx = loaded.context(cx.backend);
            material.held_out().nll(&cx, &loaded.model)
        } else {
            Vocabularies::load(dir, &self.tokenizer).map_err(LoadError::from)?;
            let (mut store, base) = (ParamStore::new(), self.checkpoint.hash().to_string());
            let set = adapter::load(dir, &self.checkpoint.config, &base, &mut store)?;
            let cx = Context {
                store: &store,
                adapters: &set.adapters,
                ..*cx
            };
            material.held_out().nll(&cx, model)
        };
        if (reloaded - trained).abs() > RELOAD_TOLERANCE {
            return Err(TrainError::Reload {
                path: dir.to_owned(),
                trained,
                reloaded,
            });
        }
        Ok(())
    }
}
