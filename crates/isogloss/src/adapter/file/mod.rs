//! Adapters on disk: a safetensors file an update, and `adapters.json`.

mod error;
mod index;
mod known;
mod tensor;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use crate::adapter::set::AdapterSet;
use crate::adapter::spec::{Half, SitePlan, UpdatePlan, lay_out};
use crate::files;
use crate::graph::ModelConfig;
use crate::language::ordered_pairs;
use crate::params::{ParamId, ParamStore};

pub use error::AdapterFileError;
use index::{ExactCopy, INDEX, Index};
pub use known::{hash_of_folder, known_as};
use tensor::{Entry, Source};
pub(crate) use tensor::{Storage, smallest};

/// The output vocabularies beside the updates, see [`Vocabularies`](crate::decode::Vocabularies).
pub(crate) const VOCABULARY: &str = "vocabulary.json";

/// Name of half an update at a site in its file.
pub(crate) fn tensor_name(plan: &SitePlan, half: Half) -> String {
    format!("{}.{}.weight", plan.site, half.name())
}

/// The file of an update.
pub(crate) fn weights_path(dir: &Path, update: &str) -> PathBuf {
    dir.join(format!("{update}.safetensors"))
}

/// Whether a file of a folder is the description.
pub(crate) fn is_index(name: &std::ffi::OsStr) -> bool {
    name == INDEX
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
    save_as(dir, set, store, base, Storage::Dense, Vec::new())
}

/// [`save`] in a storage, as an exact copy of folders with these hashes.
pub(crate) fn save_as(
    dir: &Path,
    set: &AdapterSet,
    store: &ParamStore<f32>,
    base: &str,
    storage: Storage,
    exact_copy_of: Vec<String>,
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
    let (mut format, mut crc32) = (index::DENSE, BTreeMap::new());
    for update in &set.updates {
        let entries = entries(set, store, update, storage);
        if tensor::any_sparse(&entries) {
            format = index::SPARSE;
        }
        let path = weights_path(dir, &update.name);
        let bytes = tensor::serialize(&entries).map_err(|reason| AdapterFileError::Weights {
            path: path.clone(),
            reason,
        })?;
        crc32.insert(update.name.clone(), index::checksum(&bytes));
        files::write_atomic(&path, |w| w.write_all(&bytes))?;
    }
    let mut index = Index {
        format,
        base: base.to_owned(),
        preset: set.preset,
        languages: set.languages.clone(),
        sites: set.sites.clone(),
        updates: set.updates.clone(),
        trained: Some(set.trained.clone()),
        crc32,
        exact_copy: None,
    };
    if !exact_copy_of.is_empty() {
        index.exact_copy = Some(ExactCopy {
            of: exact_copy_of,
            rest: known::rest(dir, &index)?,
        });
    }
    let text = serde_json::to_string_pretty(&index).map_err(|e| AdapterFileError::Index {
        path: index_path.clone(),
        reason: e.to_string(),
    })?;
    files::write_atomic(&index_path, |w| writeln!(w, "{text}"))?;
    Ok(())
}

/// The tensors of an update's file.
fn entries<'a>(
    set: &AdapterSet,
    store: &'a ParamStore<f32>,
    update: &UpdatePlan,
    storage: Storage,
) -> Vec<Entry<'a>> {
    let sites = set.sites.iter().filter(|p| update.rank_at(p.site) > 0);
    let halves = sites.flat_map(|plan| [Half::A, Half::B].map(|half| (plan, half)));
    let entries = halves.flat_map(|(plan, half)| {
        let shape = plan.shape(half, update.rank_at(plan.site));
        let values = store.get(parameter(set, update, plan, half));
        tensor::entries(tensor_name(plan, half), shape, values, storage)
    });
    entries.collect()
}

/// Where the values of half an update lie.
///
/// # Panics
/// If the update has rank 0 at the site.
pub(crate) fn parameter(
    set: &AdapterSet,
    update: &UpdatePlan,
    plan: &SitePlan,
    half: Half,
) -> ParamId {
    match (set.low_rank(update, plan.site), half) {
        (Some(low_rank), Half::A) => low_rank.a,
        (Some(low_rank), Half::B) => low_rank.b,
        (None, _) => unreachable!("the set's update has a rank at the site, and a language"),
    }
}

/// Loads a set for the base with hash `base` and configuration `model`; the values go to `store`. Sparse tensors become dense.
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
    let index = Index::read(dir)?;
    if index.base != base {
        return Err(AdapterFileError::OtherBase {
            path: dir.to_owned(),
            expected: index.base,
            got: base.to_owned(),
        });
    }
    index.check_model(dir, model)?;
    read_weights(dir, index, store)
}

/// Loads a set without its base, of which only the hash is known: it is given back with the set.
///
/// # Errors
/// If a file is missing or damaged, or if the description contradicts itself or the weights.
pub fn read(
    dir: &Path,
    store: &mut ParamStore<f32>,
) -> Result<(AdapterSet, String), AdapterFileError> {
    let mut index = Index::read(dir)?;
    let base = std::mem::take(&mut index.base);
    Ok((read_weights(dir, index, store)?, base))
}

fn read_weights(
    dir: &Path,
    index: Index,
    store: &mut ParamStore<f32>,
) -> Result<AdapterSet, AdapterFileError> {
    let mut contents: BTreeMap<&str, (PathBuf, Vec<u8>)> = BTreeMap::new();
    for update in &index.updates {
        let path = weights_path(dir, &update.name);
        let bytes = std::fs::read(&path).map_err(AdapterFileError::read(&path))?;
        index.check_weights(update, &path, &bytes)?;
        contents.insert(&update.name, (path, bytes));
    }
    let mut files = BTreeMap::new();
    for (&name, (path, bytes)) in &contents {
        let file = SafeTensors::deserialize(bytes).map_err(|e| AdapterFileError::Weights {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        files.insert(name, Source { path, file });
    }
    let mut values = |update: &UpdatePlan, plan: &SitePlan, half, shape: [usize; 2]| {
        files[update.name.as_str()].read(&tensor_name(plan, half), shape)
    };
    let languages = index.languages.len();
    let adapters = lay_out(&index.sites, &index.updates, languages, store, &mut values)?;
    Ok(AdapterSet {
        trained: index
            .trained
            .unwrap_or_else(|| ordered_pairs(&index.languages).collect()),
        languages: index.languages,
        preset: index.preset,
        sites: index.sites,
        updates: index.updates,
        adapters,
    })
}
