use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::adapter::compact::{Compacted, CompactedSite, compact};
use crate::adapter::file::{self, AdapterFileError, Storage, is_index, known_as, weights_path};
use crate::adapter::inspect::{UpdateSize, update_sizes};
use crate::adapter::set::AdapterSet;
use crate::files::{self, FileError};
use crate::language::Language;
use crate::params::ParamStore;

/// Why adapters were not compacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// The adapters can't be read, or what comes of them not be written.
    #[error(transparent)]
    Files(#[from] AdapterFileError),
    /// The folder can't be made.
    #[error(transparent)]
    Write(#[from] FileError),
    /// The tolerance is none.
    #[error(
        "the tolerance is {tolerance}; it is a relative error, from 0 (exact) to less than 1, such as 0.01"
    )]
    Tolerance {
        /// What was given.
        tolerance: f64,
    },
    /// Something is where the result should go.
    #[error("{} exists already and isn't empty; name another folder", path.display())]
    Exists {
        /// Where the result should go.
        path: PathBuf,
    },
    /// The result would take the place of what it is made from.
    #[error("{} is the folder of the adapters themselves; name another for the result", path.display())]
    SamePlace {
        /// The folder.
        path: PathBuf,
    },
}

/// What became of an update.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CompactedUpdate {
    /// Language code, or `shared`.
    pub name: String,
    /// The languages that select it.
    pub languages: Vec<Language>,
    /// Its size before.
    pub before: UpdateSize,
    /// Its size now.
    pub after: UpdateSize,
    /// What became of it where it acted.
    pub sites: Vec<CompactedSite>,
}

/// What became of a folder of adapters. Its serialised form is what `isogloss adapters compact --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CompactReport {
    /// Hash of the base.
    pub base: String,
    /// The tolerance given.
    pub tolerance: f64,
    /// By update.
    pub updates: Vec<CompactedUpdate>,
    /// All updates before.
    pub before: UpdateSize,
    /// All updates now. The values that aren't zero are the count "left after compaction".
    pub after: UpdateSize,
    /// Parameters that act for the direction that needs most, before.
    pub active_before: usize,
    /// Those that aren't zero, of the direction that needs most now.
    pub active: usize,
}

/// Makes a copy of a folder of adapters in which updates are as small as [`compact`] makes them, each tensor stored sparse where that takes
/// fewer bytes. Other files of the folder, such as output vocabularies, are copied; the base is the same. With a tolerance of 0 the copy is also
/// [known as](known_as) what it was made from. The copy is written beside
/// its place and renamed: it is whole or not there.
///
/// # Errors
/// [`CompactError`]; then nothing is written.
pub fn compact_folder(
    from: &Path,
    to: &Path,
    tolerance: f64,
) -> Result<CompactReport, CompactError> {
    if !(0.0..1.0).contains(&tolerance) {
        return Err(CompactError::Tolerance { tolerance });
    }
    check_place(from, to)?;
    let mut store = ParamStore::new();
    let (set, base) = file::read(from, &mut store)?;
    let compacted = compact(&set, &store, tolerance);
    let exact_copy_of = match tolerance {
        0.0 => known_as(from)?,
        _ => Vec::new(),
    };
    files::write_dir_atomic(to, |dir| {
        copy_others(from, dir, &set)?;
        let Compacted { set, store, .. } = &compacted;
        file::save_as(dir, set, store, &base, Storage::Smallest, exact_copy_of)?;
        Ok::<(), CompactError>(())
    })?;
    let before = update_sizes(from, &set, &store)?;
    let after = update_sizes(to, &compacted.set, &compacted.store)?;
    let each = set.updates.iter().zip(compacted.sites);
    let each = each.zip(before.iter().zip(&after));
    Ok(CompactReport {
        base,
        tolerance,
        before: before.iter().copied().sum(),
        after: after.iter().copied().sum(),
        active_before: set.counts().active,
        active: compacted.set.most_active_nonzero(&compacted.store),
        updates: each
            .map(|((update, sites), (&before, &after))| CompactedUpdate {
                name: update.name.clone(),
                languages: set.languages_of(update),
                before,
                after,
                sites,
            })
            .collect(),
    })
}

fn check_place(from: &Path, to: &Path) -> Result<(), CompactError> {
    let path = to.to_owned();
    if let (Ok(source), Ok(place)) = (from.canonicalize(), to.canonicalize())
        && source == place
    {
        return Err(CompactError::SamePlace { path });
    }
    if to.file_name().is_none() {
        return Err(FileError::NoFileName { path }.into());
    }
    let is_empty = || {
        to.read_dir()
            .is_ok_and(|mut entries| entries.next().is_none())
    };
    match to.symlink_metadata().is_ok() && !is_empty() {
        true => Err(CompactError::Exists { path }),
        false => Ok(()),
    }
}

/// Files beside the updates and their description.
fn copy_others(from: &Path, to: &Path, set: &AdapterSet) -> Result<(), CompactError> {
    let own: Vec<PathBuf> = set
        .updates
        .iter()
        .map(|u| weights_path(from, &u.name))
        .collect();
    let entries = from.read_dir().map_err(AdapterFileError::read(from))?;
    for entry in entries {
        let path = entry.map_err(AdapterFileError::read(from))?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        if is_index(name) || own.contains(&path) || !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).map_err(AdapterFileError::read(&path))?;
        files::write_atomic(&to.join(name), |w| w.write_all(&bytes))?;
    }
    Ok(())
}
