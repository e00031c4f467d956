//! By what scores and rollouts know adapters.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::index::{INDEX, Index};
use super::{AdapterFileError, VOCABULARY, weights_path};
use crate::hash::hex;

/// SHA-256 of what a folder of adapters holds, `adapters.json`, the updates' files and `vocabulary.json`, names included, in hexadecimal digits: by
/// it scores and rollouts know adapters. Whatever else lies there has no say.
///
/// # Errors
/// If the folder or a file cannot be read, or if the description contradicts itself.
pub fn hash_of_folder(dir: &Path) -> Result<String, AdapterFileError> {
    hash_of(dir, &Index::read(dir)?)
}

fn hash_of(dir: &Path, index: &Index) -> Result<String, AdapterFileError> {
    let updates = index.updates.iter();
    let mut paths: Vec<PathBuf> = updates.map(|u| weights_path(dir, &u.name)).collect();
    paths.push(dir.join(INDEX));
    let vocabulary = dir.join(VOCABULARY);
    if vocabulary.exists() {
        paths.push(vocabulary);
    }
    paths.sort();
    let mut digest = Sha256::new();
    for path in paths {
        let bytes = std::fs::read(&path).map_err(AdapterFileError::read(&path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        digest.update(format!("{name}\n{}\n", bytes.len()));
        digest.update(&bytes);
    }
    Ok(hex(digest))
}

/// The hashes ([`hash_of_folder`]) under which adapters may be known: their own first, then those of which they are a compacted copy that
/// differs by no more than the order of sums (a tolerance of 0), as long as nobody changed the copy.
///
/// # Errors
/// If a file cannot be read, or if the description contradicts itself.
pub fn known_as(dir: &Path) -> Result<Vec<String>, AdapterFileError> {
    let mut index = Index::read(dir)?;
    let mut all = vec![hash_of(dir, &index)?];
    if let Some(copy) = index.exact_copy.take()
        && copy.rest == rest(dir, &index)?
    {
        all.extend(copy.of);
    }
    Ok(all)
}

/// SHA-256 of a description that says nothing of copies, and of `vocabulary.json` beside it. The updates' files it holds by their checksums.
pub(super) fn rest(dir: &Path, index: &Index) -> Result<String, AdapterFileError> {
    let text = serde_json::to_vec(index).map_err(|e| AdapterFileError::Index {
        path: dir.join(INDEX),
        reason: e.to_string(),
    })?;
    let mut digest = Sha256::new_with_prefix(text);
    let path = dir.join(VOCABULARY);
    if path.exists() {
        digest.update(std::fs::read(&path).map_err(AdapterFileError::read(&path))?);
    }
    Ok(hex(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_is_known_by_what_belongs_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        assert!(hash_of_folder(dir.path()).is_err());
        let index = r#"{"format":1,"base":"b","preset":"isogloss","languages":["eng_Latn"],"sites":[],
            "updates":[{"name":"eng_Latn","languages":[0],"rank":2,"alpha":2.0}]}"#;
        write(INDEX, index);
        assert!(hash_of_folder(dir.path()).is_err());
        write("eng_Latn.safetensors", "1");
        let mut seen = vec![hash_of_folder(dir.path()).unwrap()];
        write("NOTES.txt", "ours");
        assert_eq!(hash_of_folder(dir.path()).unwrap(), seen[0]);
        for (name, text) in [
            ("eng_Latn.safetensors", "2"),
            (VOCABULARY, "{}"),
            (INDEX, &index.replace("2.0", "4.0")),
        ] {
            write(name, text);
            let hash = hash_of_folder(dir.path()).unwrap();
            assert!(!seen.contains(&hash), "{name}");
            seen.push(hash);
        }
    }
}
