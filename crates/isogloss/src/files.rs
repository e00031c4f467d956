//! Files that are either whole or not there.
//!
//! A file is written beside its place, flushed to the disk and renamed, so that neither a crash nor a full disk
//! leaves half of one, and a reader never sees a file that is still being written.

use serde::Serialize;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Links that may lead from one to the next, as Linux has it.
const MAX_LINKS: usize = 40;

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
    /// The file could not be written; what stood at its path before still does.
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

/// Sees to it that a file can be written later: makes its directory, and refuses a path that names a directory.
///
/// # Errors
/// [`FileError`], before any work is lost.
pub fn prepare(path: &Path) -> Result<(), FileError> {
    if path.is_dir() || path.file_name().is_none() {
        return Err(FileError::NoFileName {
            path: path.to_owned(),
        });
    }
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => create_dir(dir),
        _ => Ok(()),
    }
}

/// The folder of a file or folder, and how names of what is written beside it begin: `.NAME.`.
fn beside(path: &Path) -> Result<(&Path, OsString), FileError> {
    let name = path.file_name().ok_or_else(|| FileError::NoFileName {
        path: path.to_owned(),
    })?;
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    Ok((dir, prefix))
}

/// Writes a file through a buffered writer, as a whole or not at all.
///
/// The bytes go to a temporary file in the same directory (`.NAME.….tmp`), are flushed to the disk and renamed over
/// `path`. On any error, also one that `write` returns, the temporary file is removed and `path` is untouched.
///
/// A link stays one: the file that it leads to is replaced. What is no file, such as a pipe or `/dev/stdout`, is written to as it is, and has
/// what came before an error.
///
/// # Errors
/// [`FileError::Write`] and [`FileError::NoFileName`].
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let error = |source| FileError::Write {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).is_ok_and(|what| !what.is_file() && !what.is_dir()) {
        return write_into(path, write).map_err(error);
    }
    let target = behind_links(path).map_err(error)?;
    let (dir, prefix) = beside(&target)?;
    replace(&target, dir, &prefix, write).map_err(error)
}

/// Writes to a pipe or a device.
fn write_into(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut buffered = BufWriter::new(fs::OpenOptions::new().write(true).open(path)?);
    write(&mut buffered)?;
    buffered.flush()
}

/// Where a link leads in the end, whether or not there is a file; any other path is its own answer.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        if !fs::symlink_metadata(&target).is_ok_and(|what| what.is_symlink()) {
            return Ok(target);
        }
        let next = fs::read_link(&target)?;
        // A relative link starts at its own folder.
        target = target.parent().unwrap_or(Path::new("")).join(next);
    }
    Err(io::Error::other("too many links lead from one to the next"))
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

/// Writes a folder as a whole or not at all: `write` fills one beside it (`.NAME.….tmp`), which then takes its place. One that was there
/// is moved away first and removed once the new one stands.
///
/// # Errors
/// [`FileError`], and what `write` returns; the folder is then as it was.
pub fn write_dir_atomic<E: From<FileError>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let (dir, prefix) = beside(path)?;
    create_dir(dir)?;
    let error = |source| FileError::Write {
        path: path.to_owned(),
        source,
    };
    let make = |suffix: &str| {
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(suffix);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        builder.tempdir_in(dir).map_err(error)
    };
    let new = make(".tmp")?;
    write(new.path())?;
    sync_dir(new.path());
    // Removed when it goes out of scope, with what was moved into it.
    let aside = make(".old")?;
    let before = aside.path().join("before");
    let had = path.exists();
    if had {
        fs::rename(path, &before).map_err(error)?;
    }
    if let Err(source) = fs::rename(new.path(), path) {
        if had && let Err(lost) = fs::rename(&before, path) {
            // Better left under another name than removed.
            tracing::error!(
                "what was in {} is in {}: {lost}",
                path.display(),
                aside.keep().display()
            );
        }
        return Err(error(source).into());
    }
    // It has another name by now, and nothing is to be removed.
    let _ = new.keep();
    sync_dir(dir);
    Ok(())
}

fn replace(
    path: &Path,
    dir: &Path,
    prefix: &std::ffi::OsStr,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(".tmp");
    // A temporary file is private by default; this one becomes an ordinary file, under the user's umask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder.tempfile_in(dir)?;
    let mut buffered = BufWriter::with_capacity(1 << 20, temporary.as_file_mut());
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|e| e.error)?;
    sync_dir(dir);
    Ok(())
}

/// A rename is on the disk only once its directory is. Some file systems refuse to flush a directory; the file is in its place all the
/// same.
fn sync_dir(dir: &Path) {
    #[cfg(unix)]
    if let Err(error) = fs::File::open(dir).and_then(|dir| dir.sync_all()) {
        tracing::debug!(path = %dir.display(), "the directory was not flushed: {error}");
    }
    #[cfg(not(unix))]
    let _ = dir;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_a_file_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_atomic(&path, |w| w.write_all(b"one")).unwrap();
        write_atomic(&path, |w| w.write_all(b"two")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(dir.path()), ["a.txt"]);
    }

    #[test]
    fn text_in_another_encoding_is_named_by_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        fs::write(&path, "run = \"Prüfung\"\n").unwrap();
        assert_eq!(read_text(&path).unwrap(), "run = \"Prüfung\"\n");
        // The same in Latin-1.
        fs::write(&path, b"# a\nrun = \"Pr\xfcfung\"\n").unwrap();
        let error = read_text(&path).unwrap_err().to_string();
        assert!(
            error.starts_with("line 2 is not UTF-8 (byte 0xFC)"),
            "{error}"
        );
    }

    #[test]
    fn json_ends_its_last_line_and_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_json(&path, &[1]).unwrap();
        // Keys of JSON are strings.
        let error = write_json(&path, &std::collections::BTreeMap::from([((1, 2), 3)]));
        assert!(matches!(error, Err(FileError::Write { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "[\n  1\n]\n");
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    #[test]
    fn a_full_disk_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_atomic(&path, |w| w.write_all(b"old")).unwrap();
        let error = write_atomic(&path, |w| {
            w.write_all(&[0; 100_000])?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert!(error.to_string().contains("a.txt"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["a.txt"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        create_dir(&at("real")).unwrap();
        std::os::unix::fs::symlink("real/file", at("link")).unwrap();
        std::os::unix::fs::symlink(at("link"), at("second")).unwrap();
        // Once where there's no file yet, once over it.
        for text in ["one", "two"] {
            write_atomic(&at("second"), |w| w.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(at("real/file")).unwrap(), text);
        }
        assert_eq!(names(&at("real")), ["file"]);
        for link in ["link", "second"] {
            assert!(at(link).is_symlink(), "{link}");
        }
        std::os::unix::fs::symlink(at("ring"), at("ring")).unwrap();
        let error = write_atomic(&at("ring"), |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("too many links"), "{error:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_to() {
        use std::io::Read;
        use std::os::unix::fs::FileTypeExt;
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                fs::File::open(pipe)
                    .unwrap()
                    .read_to_string(&mut text)
                    .unwrap();
                text
            }
        });
        write_atomic(&pipe, |w| w.write_all(b"through")).unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(names(dir.path()), ["pipe"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_read_only_directory_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let locked = dir.path().join("locked");
        create_dir(&locked).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
        // The superuser may write anywhere; then there is nothing to see here.
        if fs::write(locked.join("probe"), b"").is_err() {
            let error = write_atomic(&locked.join("a.txt"), |w| w.write_all(b"x")).unwrap_err();
            assert!(error.to_string().contains("locked/a.txt"), "{error}");
            let error = create_dir(&locked.join("b")).unwrap_err();
            assert!(error.to_string().contains("locked/b"), "{error}");
            assert!(names(&locked).is_empty());
        }
    }

    #[test]
    fn impossible_places_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        write_atomic(&file, |_| Ok(())).unwrap();
        assert!(matches!(
            create_dir(&file.join("x")),
            Err(FileError::CreateDir { .. })
        ));
        let under = write_atomic(&file.join("x"), |_| Ok(()));
        assert!(matches!(under, Err(FileError::Write { .. })));
        let over = write_atomic(dir.path(), |_| Ok(()));
        assert!(matches!(over, Err(FileError::Write { .. })));
        assert!(matches!(
            write_atomic(Path::new(".."), |_| Ok(())),
            Err(FileError::NoFileName { .. })
        ));
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn files_are_as_readable_as_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("plain"), b"").unwrap();
        write_atomic(&dir.path().join("atomic"), |_| Ok(())).unwrap();
        let mode = |n: &str| {
            fs::metadata(dir.path().join(n))
                .unwrap()
                .permissions()
                .mode()
        };
        assert_eq!(mode("plain"), mode("atomic"));
    }
}
