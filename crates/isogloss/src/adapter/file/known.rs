//! By what scores and rollouts know adapters.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::AdapterFileError;
use super::index::Index;
use crate::hash::hex;

/// SHA-256 of a folder's files, their names included, in hexadecimal digits: by it scores and rollouts know adapters.
///
/// # Errors
/// If the folder or a file cannot be read.
pub fn hash_of_folder(dir: &Path) -> Result<String, AdapterFileError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(AdapterFileError::read(dir))? {
        let path = entry.map_err(AdapterFileError::read(dir))?.path();
        // What begins with a dot is on its way to being written, or not ours.
        let hidden = path
            .file_name()
            .is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if path.is_file() && !hidden {
            paths.push(path);
        }
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
/// differs by no more than the order of sums (a tolerance of 0).
///
/// # Errors
/// If a file cannot be read, or if the description contradicts itself.
pub fn known_as(dir: &Path) -> Result<Vec<String>, AdapterFileError> {
    let mut all = vec![hash_of_folder(dir)?];
    all.extend(Index::read(dir)?.exact_copy_of);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_is_known_by_names_and_contents() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "1").unwrap();
        let first = hash_of_folder(dir.path()).unwrap();
        fs::write(dir.path().join(".b.tmp"), "1").unwrap();
        assert_eq!(hash_of_folder(dir.path()).unwrap(), first);
        fs::write(dir.path().join("a"), "2").unwrap();
        let second = hash_of_folder(dir.path()).unwrap();
        assert_ne!(second, first);
        fs::rename(dir.path().join("a"), dir.path().join("c")).unwrap();
        assert_ne!(hash_of_folder(dir.path()).unwrap(), second);
        assert!(hash_of_folder(&dir.path().join("absent")).is_err());
    }
}
