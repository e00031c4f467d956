//! Files that are either whole or not there.
//!
//! A file is written beside its place, flushed to the disk and renamed, so that neither a crash nor a full disk
//! leaves half of one, and a reader never sees a file that is still being written.

mod atomic;

use serde::Serialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use atomic::{prepare, write_atomic, write_dir_atomic};

/// Why a file or a directory could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The directory could not be made.
    #[error("cannot make the directory {}: {source}", path.display())]
    CreateDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be written; what stood at its path before still does, unless it is a device or a descriptor.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path names no file, such as `..` or `/`.
    #[error("`{}` does not name a file", path.display())]
    NoFileName {
        /// What was given.
        path: PathBuf,
    },
}

/// Makes a directory and those above it; one that exists is fine.
///
/// # Errors
/// [`FileError::CreateDir`], also when something else has that name.
pub fn create_dir(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|source| FileError::CreateDir {
        path: path.to_owned(),
        source,
    })
}

/// Reads a file of text that a person writes.
///
/// # Errors
/// What the system says; or, as [`InvalidData`](io::ErrorKind::InvalidData), the line that isn't UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(fs::read(path)?).map_err(|error| {
        let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let line = 1 + bytes[..at].iter().filter(|&&b| b == b'\n').count();
        let reason = format!(
            "line {line} is not UTF-8 (byte 0x{:02X}); save the file as UTF-8",
            bytes[at]
        );
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })
}

/// Whether two paths lead to the same file or folder, which is there.
#[must_use]
pub fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Writes a value as indented JSON with a line feed behind it, as [`write_atomic`] writes.
///
/// # Errors
/// Those of [`write_atomic`]; what cannot be JSON counts as not written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), FileError> {
    write_atomic(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })
}

#[cfg(test)]
mod tests;
