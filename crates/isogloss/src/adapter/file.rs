use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::adapter::config::Preset;
use crate::adapter::set::{AdapterSet, ordered_pairs};
use crate::adapter::spec::{Half, SitePlan, UpdatePlan, lay_out};
use crate::batch::LanguageId;
use crate::files::{self, FileError};
use crate::graph::{ModelConfig, Site};
use crate::language::{Direction, Language};
use crate::params::{ParamId, ParamStore};

/// Name of the description beside the weights.
const INDEX: &str = "adapters.json";
const FORMAT: u32 = 1;

/// `adapters.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    /// Version of this layout.
    format: u32,
    /// Hash of the base's weights; the updates mean nothing on another.
    base: String,
    preset: Preset,
    languages: Vec<Language>,
    sites: Vec<SitePlan>,
    updates: Vec<UpdatePlan>,
    /// The directions of the training text. Files from before they were recorded have none: then every ordered pair of the
    /// languages counts.
    #[serde(default)]
    trained: Option<BTreeSet<Direction>>,
}

/// Why adapters could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterFileError {
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The description is no description.
    #[error("{}: {reason}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another base.
    #[error("{} belongs to the base {expected}, but the model given is {got}; adapters work only on the base that they were trained on", path.display())]
    OtherBase {
        /// The folder.
        path: PathBuf,
        /// Hash that it was trained on.
        expected: String,
        /// Hash of the model given.
        got: String,
    },
    /// The weights' file is damaged.
    #[error("{}: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor is missing, or isn't what the description says.
    #[error("{}: tensor `{tensor}`: expected {expected}, got {got}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What the description says.
        expected: String,
        /// What is there.
        got: String,
    },
}

fn tensor_name(plan: &SitePlan, half: Half) -> String {
    format!("{}.{}.weight", plan.site, half.name())
}

fn weights_path(dir: &Path, update: &str) -> PathBuf {
    dir.join(format!("{update}.safetensors"))
}

/// Saves a set: a safetensors file an update (`deu_Latn.safetensors`, `shared.safetensors`) and `adapters.json`, which is written
/// last, so that a folder with it is whole. `base` is the hash of the base's weights.
///
/// # Errors
/// If a file can't be written.
pub fn save(
    dir: &Path,
    set: &AdapterSet,
    store: &ParamStore<f32>,
    base: &str,
) -> Result<(), AdapterFileError> {
    files::create_dir(dir)?;
    // Weights of another set must not stand beside this description, if writing breaks off.
    let index_path = dir.join(INDEX);
    match std::fs::remove_file(&index_path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(AdapterFileError::Read {
                path: index_path,
                source,
            });
        }
        _ => {}
    }
    for update in &set.updates {
        let mut tensors: Vec<(String, Vec<usize>, &[u8])> = Vec::new();
        for plan in &set.sites {
            if update.rank_at(plan.site) == 0 {
                continue;
            }
            for half in [Half::A, Half::B] {
                let id = parameter(set, update, plan, half);
                let bytes = bytemuck::cast_slice(store.get(id));
                tensors.push((
                    tensor_name(plan, half),
                    store.param(id).shape.clone(),
                    bytes,
                ));
            }
        }
        let path = weights_path(dir, &update.name);
        // One entry only: more would be written in an order that changes from run to run.
        let metadata = [("format".to_owned(), "pt".to_owned())];
        let bytes =
            serialize(&tensors, metadata.into()).map_err(|reason| AdapterFileError::Weights {
                path: path.clone(),
                reason,
            })?;
        files::write_atomic(&path, |w| w.write_all(&bytes))?;
    }
    let index = Index {
        format: FORMAT,
        base: base.to_owned(),
        preset: set.preset,
        languages: set.languages.clone(),
        sites: set.sites.clone(),
        updates: set.updates.clone(),
        trained: Some(set.trained.clone()),
    };
    let path = dir.join(INDEX);
    let text = serde_json::to_string_pretty(&index).map_err(|e| AdapterFileError::Index {
        path: path.clone(),
        reason: e.to_string(),
    })?;
    files::write_atomic(&path, |w| writeln!(w, "{text}"))?;
    Ok(())
}

/// Where the values of half an update lie.
fn parameter(set: &AdapterSet, update: &UpdatePlan, plan: &SitePlan, half: Half) -> ParamId {
    let bank = set.adapters.bank(plan.site);
    let low_rank = bank.and_then(|bank| bank.update(LanguageId(*update.languages.first()?)));
    match (low_rank, half) {
        (Some(low_rank), Half::A) => low_rank.a,
        (Some(low_rank), Half::B) => low_rank.b,
        (None, _) => unreachable!("the set's update has a rank at the site, and a language"),
    }
}

fn serialize(
    tensors: &[(String, Vec<usize>, &[u8])],
    metadata: std::collections::HashMap<String, String>,
) -> Result<Vec<u8>, String> {
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(Dtype::F32, shape.clone(), bytes);
        view.map(|view| (name.as_str(), view))
            .map_err(|e| e.to_string())
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    safetensors::serialize(views, Some(metadata)).map_err(|e| e.to_string())
}

/// Loads a set for the base with hash `base` and configuration `model`; the values go to `store`.
///
/// # Errors
/// If a file is missing or damaged, if the adapters belong to another base, or if the description contradicts the model or
/// the weights.
pub fn load(
    dir: &Path,
    model: &ModelConfig,
    base: &str,
    store: &mut ParamStore<f32>,
) -> Result<AdapterSet, AdapterFileError> {
    let path = dir.join(INDEX);
    let text = read(&path)?;
    let malformed = |reason: String| AdapterFileError::Index {
        path: path.clone(),
        reason,
    };
    let index: Index = serde_json::from_slice(&text).map_err(|e| malformed(e.to_string()))?;
    if index.format != FORMAT {
        return Err(malformed(format!(
            "format {} is newer than this program reads ({FORMAT}); update isogloss",
            index.format
        )));
    }
    if index.base != base {
        return Err(AdapterFileError::OtherBase {
            path: dir.to_owned(),
            expected: index.base,
            got: base.to_owned(),
        });
    }
    check(&index, model).map_err(malformed)?;
    let mut files: BTreeMap<&str, (PathBuf, Vec<u8>)> = BTreeMap::new();
    for update in &index.updates {
        let path = weights_path(dir, &update.name);
        let bytes = read(&path)?;
        files.insert(&update.name, (path, bytes));
    }
    let mut values = |update: &UpdatePlan, plan: &SitePlan, half, shape: [usize; 2]| {
        let (path, bytes) = &files[update.name.as_str()];
        read_tensor(path, bytes, &tensor_name(plan, half), shape)
    };
    let languages = index.languages.len();
    let adapters = lay_out(&index.sites, &index.updates, languages, store, &mut values)?;
    Ok(AdapterSet {
        trained: index
            .trained
            .unwrap_or_else(|| ordered_pairs(&index.languages)),
        languages: index.languages,
        preset: index.preset,
        sites: index.sites,
        updates: index.updates,
        adapters,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, AdapterFileError> {
    std::fs::read(path).map_err(|source| AdapterFileError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Whether a description fits the model; it may have been edited by hand.
fn check(index: &Index, model: &ModelConfig) -> Result<(), String> {
    for plan in &index.sites {
        let layers = match plan.site.stack {
            crate::adapter::Stack::Encoder => model.encoder_layers,
            crate::adapter::Stack::Decoder => model.decoder_layers,
        };
        let (outputs, inputs) = model.site_shape(plan.site);
        let outside =
            |range: &std::ops::Range<usize>, len| range.start >= range.end || range.end > len;
        if plan.site.layer >= layers
            || outside(&plan.input, inputs)
            || outside(&plan.output, outputs)
        {
            return Err(format!("site {} does not fit the model", plan.site));
        }
    }
    let listed = |l: &Language| index.languages.contains(l);
    let mut trained = index.trained.iter().flatten();
    if let Some(direction) = trained.find(|d| !listed(&d.source) || !listed(&d.target)) {
        return Err(format!(
            "`trained` names {direction}, but not both of its languages are listed"
        ));
    }
    let (mut names, mut selected, mut sites) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    if let Some(plan) = index.sites.iter().find(|plan| !sites.insert(plan.site)) {
        return Err(format!("site {} stands twice", plan.site));
    }
    for update in &index.updates {
        if !names.insert(&update.name) {
            return Err(format!("update `{}` stands twice", update.name));
        }
        if update.languages.iter().any(|l| !selected.insert(l)) {
            return Err(format!(
                "update `{}` names a language that has an update already",
                update.name
            ));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if update.name.is_empty() || !update.name.chars().all(plain) {
            return Err(format!("`{}` is no name of an update", update.name));
        }
        if update.languages.is_empty() {
            return Err(format!("update `{}` names no language", update.name));
        }
        if update.rank == 0 || !update.alpha.is_finite() {
            return Err(format!(
                "update `{}` has rank {} and alpha {}",
                update.name, update.rank, update.alpha
            ));
        }
        let limit = |site: Site| {
            let plan = index.sites.iter().find(|plan| plan.site == site)?;
            Some(plan.input.len().min(plan.output.len()))
        };
        let unfit = |&(&site, &rank): &(&Site, &usize)| limit(site).is_none_or(|most| rank > most);
        if let Some((site, rank)) = update.ranks.iter().find(unfit) {
            return Err(format!(
                "update `{}` has rank {rank} at {site}, which is no site of these adapters or is smaller",
                update.name
            ));
        }
        if update
            .languages
            .iter()
            .any(|&l| usize::from(l) >= index.languages.len())
        {
            return Err(format!(
                "update `{}` names a language that is not listed",
                update.name
            ));
        }
    }
    Ok(())
}

fn read_tensor(
    path: &Path,
    bytes: &[u8],
    name: &str,
    shape: [usize; 2],
) -> Result<Vec<f32>, AdapterFileError> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| AdapterFileError::Weights {
        path: path.to_owned(),
        reason: e.to_string(),
    })?;
    let wrong = |got: String| AdapterFileError::Tensor {
        path: path.to_owned(),
        tensor: name.to_owned(),
        expected: format!("F32 {shape:?}"),
        got,
    };
    let view = file.tensor(name).map_err(|_| wrong("nothing".to_owned()))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(wrong(format!("{:?} {:?}", view.dtype(), view.shape())));
    }
    let values: Vec<f32> = view
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    match values.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(wrong(format!("{} at index {at}", values[at]))),
        None => Ok(values),
    }
}
