use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use isogloss_kernels::Cpu;

use crate::adapter::{self, AdapterSet};
use crate::checkpoint::{self, Checkpoint};
use crate::config::{Method, TrainConfig};
use crate::corpus::Corpus;
use crate::decode::{LoadError, Loaded, Vocabularies, Vocabulary};
use crate::language::{Language, Resource};
use crate::model::{Context, DType, Model, ModelConfig, tensors_of};
use crate::params::ParamStore;
use crate::tokenize::{self, Tokenizer};
use crate::train::material::Material;
use crate::train::opened::Opened;
use crate::train::setup::{self, Estimate};
use crate::train::{Observer, Outcome, RunDir, TrainError, Trained, Validate};

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

pub(super) fn subject(
    config: &TrainConfig,
    checkpoint: &Checkpoint,
    languages: &[(Language, Resource)],
) -> Result<Subject, TrainError> {
    let mut store = ParamStore::new();
    let codes: Vec<Language> = languages
        .iter()
        .map(|(language, _)| language.clone())
        .collect();
    let shape = ModelConfig {
        dropout: config.training.dropout,
        attention_dropout: config.training.attention_dropout,
        activation_dropout: 0.0,
        ..checkpoint.config.clone()
    };
    let tensors = checkpoint.tensors.clone();
    if config.method == Method::Full {
        return Ok(Subject {
            model: Model::new(&shape, tensors, Some(&mut store))?,
            set: AdapterSet::none(codes),
            store,
        });
    }
    let set = adapter_set(config, &shape, languages, &mut store)?;
    Ok(Subject {
        model: Model::new(&shape, tensors, None)?,
        set,
        store,
    })
}

pub(super) fn adapter_set(
    config: &TrainConfig,
    model: &ModelConfig,
    languages: &[(Language, Resource)],
    store: &mut ParamStore<f32>,
) -> Result<AdapterSet, TrainError> {
    let codes: Vec<Language> = languages
        .iter()
        .map(|(language, _)| language.clone())
        .collect();
    let updates = match config.method {
        Method::Lora => config.adapter.shared(languages.len())?,
        _ => config.adapter.per_language(languages)?,
    };
    let (sites, preset) = (config.adapter.sites(model)?, config.adapter.preset);
    Ok(AdapterSet::new(
        codes,
        preset,
        sites,
        updates,
        config.seed,
        store,
    )?)
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
    let recorded = TrainConfig {
        // It has no say here.
        explore: None,
        ..config.clone()
    };
    let mut run = RunDir::open(&setup::resolve(config_dir, &config.run), &recorded)?;
    let (corpus, report) = opened.training_text(config, config_dir)?;
    observer.cleaned(&report);
    let backend = config.compute.backend()?;
    let estimate = config.estimate_for(&opened, &corpus, &backend)?;
    observer.planned(&estimate);
    let Subject {
        mut model,
        mut set,
        mut store,
    } = subject(config, &opened.checkpoint, &opened.languages)?;
    set.trained = corpus.directions().map(|(d, _)| d.clone()).collect();
    let validation = setup::validation_text(
        &config.validation,
        config_dir,
        &config.directions,
        &set.languages,
    )?;
    run.bind(&[
        ("base", opened.checkpoint.fingerprint()),
        ("training text", corpus.fingerprint()),
        ("validation text", validation.fingerprint()),
    ])?;
    let material = Material::new(
        config.into(),
        &corpus,
        &validation,
        &opened.tokenizer,
        &set.languages,
        model.config().max_position_embeddings,
    )?;
    setup::pack_for_training(&mut model, &backend);
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
        trainable: store.values().len(),
        estimate,
        vocabularies: Vocabularies::default(),
        pieces: opened.tokenizer.vocab_size(),
    };
    if adaptation.trained.outcome == Outcome::Finished {
        if !set.updates.is_empty() {
            adaptation.vocabularies = vocabularies(&opened.tokenizer, &corpus, &validation);
        }
        opened.save(&adaptation, &set, &store)?;
        let cx = Context {
            backend: &backend,
            store: &store,
            adapters: &set.adapters,
            dropout: None,
        };
        let trained = material.held_out().validate(&cx, &model)?.nll;
        opened.check(
            &adaptation.result,
            config.method,
            (trained, &cx, &model),
            &material,
        )?;
    }
    Ok(adaptation)
}

/// For each target language the pieces of all its training text, measured on the validation references.
fn vocabularies(tokenizer: &Tokenizer, training: &Corpus, validation: &Corpus) -> Vocabularies {
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
    Vocabularies {
        by_language: targets(training).into_iter().map(learn).collect(),
    }
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
            material.held_out().validate(&cx, &loaded.model)?
        } else {
            Vocabularies::load(dir, &self.tokenizer).map_err(LoadError::from)?;
            let (mut store, base) = (ParamStore::new(), self.checkpoint.hash().to_string());
            let set = adapter::load(dir, &self.checkpoint.config, &base, &mut store)?;
            let cx = Context {
                store: &store,
                adapters: &set.adapters,
                ..*cx
            };
            material.held_out().validate(&cx, model)?
        };
        if (reloaded.nll - trained).abs() > RELOAD_TOLERANCE {
            return Err(TrainError::Reload {
                path: dir.to_owned(),
                trained,
                reloaded: reloaded.nll,
            });
        }
        Ok(())
    }
}
