use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{FileError, create_dir};

/// Links that may lead from one to the next, as Linux has it.
const MAX_LINKS: usize = 40;

/// Sees to it that a file can be written later: makes its directory, refuses a path that names a directory, and tries whether the directory
/// takes a file.
///
/// # Errors
/// [`FileError`], before any work is lost.
pub fn prepare(path: &Path) -> Result<(), FileError> {
    if path.is_dir() || path.file_name().is_none() {
        return Err(FileError::NoFileName {
            path: path.to_owned(),
        });
    }
    let error = |source| FileError::Write {
        path: path.to_owned(),
        source,
    };
    let target = match place(path).map_err(error)? {
        Place::File(target) => target,
        Place::Device => return Ok(()),
        Place::Descriptor(descriptor) => return writer(&descriptor).map(drop).map_err(error),
    };
    let (dir, prefix) = beside(&target)?;
    create_dir(dir)?;
    // It is gone again at the end of the line.
    temporary(dir, &prefix).map(drop).map_err(error)
}

/// Where a path leads.
enum Place {
    /// To a file, which may not be there yet; behind all links.
    File(PathBuf),
    /// To what is no file, such as a pipe.
    Device,
    /// To a descriptor of a process, such as `/dev/stdout`: whatever that is, it isn't to be replaced.
    Descriptor(PathBuf),
}

fn place(path: &Path) -> io::Result<Place> {
    let target = behind_links(path)?;
    if is_descriptor(&target) {
        return Ok(Place::Descriptor(target));
    }
    match fs::metadata(path) {
        Ok(what) if !what.is_file() && !what.is_dir() => Ok(Place::Device),
        _ => Ok(Place::File(target)),
    }
}

/// Whether a path is that of a descriptor: in `/dev/fd` or `/proc/…/fd`.
fn is_descriptor(path: &Path) -> bool {
    let numbered = path.file_name().and_then(|name| name.to_str());
    let numbered = numbered.is_some_and(|name| name.parse::<u32>().is_ok());
    let among = |dir: &Path| {
        dir == Path::new("/dev/fd") || (dir.starts_with("/proc") && dir.ends_with("fd"))
    };
    numbered && path.parent().is_some_and(among)
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
/// A file that was there leaves its permissions to the new one. A link stays one: the file that it leads to is replaced. What is no file, such
/// as a pipe or `/dev/stdout` wherever that leads, is written to as it is, and has what came before an error.
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
    match place(path).map_err(error)? {
        Place::File(target) => {
            let (dir, prefix) = beside(&target)?;
            replace(&target, dir, &prefix, write).map_err(error)
        }
        Place::Device => {
            let device = fs::OpenOptions::new().write(true).open(path);
            device.and_then(|to| write_into(to, write)).map_err(error)
        }
        // Behind what was written to it before.
        Place::Descriptor(descriptor) => {
            let to = writer(&descriptor);
            to.and_then(|to| write_into(to, write)).map_err(error)
        }
    }
}

/// Writes to what isn't replaced.
fn write_into(
    to: impl Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffered = BufWriter::new(to);
    write(&mut buffered)?;
    // With what is behind it: stdout has a buffer of its own.
    buffered.flush()
}

/// What writes to a descriptor: of the two that a program has names for itself, of another one a file that is opened anew, at its end.
fn writer(descriptor: &Path) -> io::Result<Box<dyn Write>> {
    let own = ["/dev/fd", "/proc/self/fd"].map(Path::new);
    let own = descriptor.parent().is_some_and(|dir| own.contains(&dir));
    let name = descriptor.file_name().and_then(|name| name.to_str());
    Ok(match name.filter(|_| own) {
        Some("1") => Box::new(io::stdout()),
        Some("2") => Box::new(io::stderr()),
        _ => Box::new(fs::OpenOptions::new().append(true).open(descriptor)?),
    })
}

/// Where a link leads in the end, whether or not there is a file, or to which descriptor; any other path is its own answer.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        // A descriptor looks like a link to what it has open.
        let is_link = || fs::symlink_metadata(&target).is_ok_and(|what| what.is_symlink());
        if is_descriptor(&target) || !is_link() {
            return Ok(target);
        }
        let next = fs::read_link(&target)?;
        // A relative link starts at its own folder.
        target = target.parent().unwrap_or(Path::new("")).join(next);
    }
    Err(io::Error::other("too many links lead from one to the next"))
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
    let mut temporary = temporary(dir, prefix)?;
    if let Ok(before) = fs::metadata(path) {
        // Where the file system knows of none, there is nothing to take over.
        match temporary.as_file().set_permissions(before.permissions()) {
            Err(e) if e.kind() != io::ErrorKind::Unsupported => return Err(e),
            _ => {}
        }
    }
    let mut buffered = BufWriter::with_capacity(1 << 20, temporary.as_file_mut());
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|e| e.error)?;
    sync_dir(dir);
    Ok(())
}

/// An empty file beside another that it is to replace.
fn temporary(dir: &Path, prefix: &std::ffi::OsStr) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(".tmp");
    // A temporary file is private by default; this one becomes an ordinary file, under the user's umask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(dir)
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
