use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::files;
use crate::train::{Event, TrainError, TrainState};

/// The folder of a run: `config.toml`, `events.jsonl`, `checkpoints/`, and what training leaves. Locked while it is open.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    events: File,
    /// Lines that could not be written yet.
    pending: String,
    /// The precision that it was begun with, and another one now.
    other_precision: Option<[String; 2]>,
    /// Held for its lock.
    _lock: File,
}

const CONFIG: &str = "config.toml";
/// The best values, within a run's folder.
pub(super) const BEST: &str = "checkpoints/best.safetensors";
const EVENTS: &str = "events.jsonl";
const INPUTS: &str = "inputs.json";

/// First line of the configuration that a run keeps.
const HEAD: &str = "# Written by isogloss: the configuration in force.";

/// What may change between a run and its resumption, because results don't depend on it: the machine's share, and the name of
/// the folder, which may have been moved.
const FREE: [&str; 2] = ["compute", "run"];

impl RunDir {
    /// Opens a run's folder, or makes it and writes the configuration that it is begun with to `config.toml`.
    ///
    /// # Errors
    /// If the folder can't be made or written, if another process trains in it, or if it was started with another configuration.
    pub fn open(path: &Path, config: &impl Serialize) -> Result<Self, TrainError> {
        // Before anything is made.
        Self::check(path, config)?;
        files::create_dir(&path.join("checkpoints"))?;
        let lock = lock(path)?;
        // A run that failed before it made anything, for instance over a path with a typo, doesn't bind the next try.
        keep_config(path, config, started(path))?;
        let other_precision = other_precision(path, config);
        let read_error = |path: &Path, e: &dyn std::fmt::Display| TrainError::Read {
            path: path.to_owned(),
            reason: e.to_string(),
        };
        let events_path = path.join(EVENTS);
        let events = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&events_path);
        Ok(RunDir {
            events: events.map_err(|e| read_error(&events_path, &e))?,
            pending: String::new(),
            path: path.to_owned(),
            other_precision,
            _lock: lock,
        })
    }

    /// Says so where training goes on in another precision than it was begun with.
    pub(super) fn warn_of_precision(&self) {
        if let Some([before, now]) = &self.other_precision {
            tracing::warn!(
                "{} was begun with precision {before}; what is trained from here on is trained with {now}",
                self.path.display()
            );
        }
    }

    /// Whether [`open`](Self::open) would take a folder for a configuration; nothing is made or written.
    ///
    /// # Errors
    /// If the folder was started with another configuration.
    pub fn check(path: &Path, config: &impl Serialize) -> Result<(), TrainError> {
        check_config(path, config, started(path))
    }

    /// Holds the run to what it was started with, beside its configuration: a changed base or text under the same name is refused
    /// once something is trained. `inputs` are names with fingerprints.
    ///
    /// # Errors
    /// If an input changed, or the list can't be read or written.
    pub fn bind(&self, inputs: &[(&'static str, String)]) -> Result<(), TrainError> {
        bind(&self.path, started(&self.path), inputs)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the state for resumption lies.
    #[must_use]
    pub fn last(&self) -> PathBuf {
        self.path.join("checkpoints/last.safetensors")
    }

    /// Where the best values lie.
    #[must_use]
    pub fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// Appends an event to `events.jsonl`. A line that can't be written is not fatal: it is reported once, and written before the next
    /// line that can be. So the file holds whole lines in their order, as far as it goes.
    pub fn log(&mut self, event: &Event) {
        let behind = !self.pending.is_empty();
        self.pending += &serde_json::to_string(event).unwrap_or_default();
        self.pending.push('\n');
        match self.append() {
            Ok(()) => self.pending.clear(),
            Err(_) if behind => {}
            Err(e) => tracing::warn!(
                "cannot write {}: {e}; training goes on, and what is missing there is added once that is possible",
                self.path.join(EVENTS).display()
            ),
        }
    }

    /// Appends what is pending, or nothing.
    fn append(&mut self) -> std::io::Result<()> {
        let len = self.events.metadata()?.len();
        let written = self.events.write_all(self.pending.as_bytes());
        if written.is_err() {
            self.events.set_len(len)?;
        }
        written
    }

    /// Drops events after `state`, which a process that was killed may have left: they will happen again.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub fn truncate_events(&mut self, state: &TrainState) -> Result<(), TrainError> {
        let path = self.path.join(EVENTS);
        let read_error = |e: std::io::Error| TrainError::Read {
            path: path.clone(),
            reason: e.to_string(),
        };
        // A log: damage to a line of it shall not keep a run from going on.
        let text = std::fs::read(&path).map_err(read_error)?;
        let text = String::from_utf8_lossy(&text);
        let mut damaged = 0;
        let kept = |line: &&str| match serde_json::from_str(line) {
            Ok(event) => has_happened(&event, state),
            Err(_) => {
                damaged += 1;
                false
            }
        };
        let lines: Vec<&str> = text.lines().filter(kept).collect();
        if damaged > 0 {
            let path = path.display();
            tracing::warn!("{path}: {damaged} lines are damaged and left out");
        }
        files::write_atomic(&path, |w| {
            lines.iter().try_for_each(|line| writeln!(w, "{line}"))
        })?;
        self.events = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(read_error)?;
        Ok(())
    }
}

/// Whether a state comes after an event of the log.
fn has_happened(event: &serde_json::Value, state: &TrainState) -> bool {
    let number = |key: &str| event.get(key).and_then(serde_json::Value::as_u64);
    // The state before an epoch's validation and the one after it may stand at the same update.
    let ahead = match event["event"].as_str() {
        Some("validation") => {
            let epoch = number("epoch");
            epoch > Some(state.epoch) || (epoch == Some(0) && state.before.is_none())
        }
        // So may the state before an epoch's pruning and the one after it.
        Some("pruned") => number("epoch") > Some(state.epoch + u64::from(state.cursor > 0)),
        _ => false,
    };
    number("update").is_some_and(|u| u <= state.update) && !ahead
}

/// Holds a folder for this process, as long as the file lives.
///
/// # Errors
/// If another process holds it, or the file can't be made.
pub(crate) fn lock(path: &Path) -> Result<File, TrainError> {
    let lock_path = path.join("lock");
    let read_error = |e: std::io::Error| TrainError::Read {
        path: lock_path.clone(),
        reason: e.to_string(),
    };
    let lock = File::create(&lock_path).map_err(read_error)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(TrainError::Busy {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(e)) => Err(read_error(e)),
    }
}

/// Writes the configuration in force to a folder's `config.toml`; where something is `started`, it must be the one that lies there, which
/// stays as it is: how it was begun. A file of that name that somebody else wrote is left alone.
///
/// # Errors
/// If it is another one, if it isn't ours to replace, or if it can't be read or written.
pub(crate) fn keep_config(
    path: &Path,
    config: &impl Serialize,
    started: bool,
) -> Result<(), TrainError> {
    let text = compare_config(path, config, started)?;
    if started && path.join(CONFIG).exists() {
        return Ok(());
    }
    Ok(files::write_atomic(&path.join(CONFIG), |w| {
        write!(w, "{HEAD}\n{text}")
    })?)
}

/// Whether [`keep_config`] would take a configuration; nothing is written.
///
/// # Errors
/// As [`keep_config`].
pub(crate) fn check_config(
    path: &Path,
    config: &impl Serialize,
    started: bool,
) -> Result<(), TrainError> {
    compare_config(path, config, started).map(drop)
}

/// The configuration as a folder keeps it, once it may be kept there.
fn compare_config(
    path: &Path,
    config: &impl Serialize,
    started: bool,
) -> Result<String, TrainError> {
    let config_path = path.join(CONFIG);
    let read_error = |e: &dyn std::fmt::Display| TrainError::Read {
        path: config_path.clone(),
        reason: e.to_string(),
    };
    let table = toml::Table::try_from(config).map_err(|e| read_error(&e))?;
    let text = toml::to_string(&table).map_err(|e| read_error(&e))?;
    if !config_path.exists() {
        return Ok(text);
    }
    let before = std::fs::read_to_string(&config_path).map_err(|e| read_error(&e))?;
    if !started {
        return match before.starts_with(HEAD) {
            true => Ok(text),
            false => Err(TrainError::ForeignConfig { path: config_path }),
        };
    }
    let before: toml::Table = before.parse().map_err(|e| read_error(&e))?;
    match difference(&before, &table, "") {
        None => Ok(text),
        Some(difference) => Err(TrainError::ConfigChanged {
            path: path.to_owned(),
            difference,
        }),
    }
}

/// The precision that a folder was begun with and another that it goes on with, as far as both say. Other numbers of threads give the same
/// results, another precision others.
fn other_precision(path: &Path, config: &impl Serialize) -> Option<[String; 2]> {
    let before: toml::Table = std::fs::read_to_string(path.join(CONFIG))
        .ok()?
        .parse()
        .ok()?;
    let now = toml::Table::try_from(config).ok()?;
    let of = |table: &toml::Table| Some(table.get("compute")?.get("precision")?.to_string());
    let both = [of(&before)?, of(&now)?];
    (both[0] != both[1]).then_some(both)
}

/// Holds a folder to its inputs, names with fingerprints: written down at first, compared where something is `started`.
///
/// # Errors
/// If an input changed, or the list can't be read or written.
pub(crate) fn bind(
    folder: &Path,
    started: bool,
    inputs: &[(&'static str, String)],
) -> Result<(), TrainError> {
    let path = folder.join(INPUTS);
    let read_error = |e: &dyn std::fmt::Display| TrainError::Read {
        path: path.clone(),
        reason: e.to_string(),
    };
    if started && path.exists() {
        let text = std::fs::read_to_string(&path).map_err(|e| read_error(&e))?;
        let before: BTreeMap<String, String> =
            serde_json::from_str(&text).map_err(|e| read_error(&e))?;
        let changed = inputs
            .iter()
            .find(|(name, now)| before.get(*name) != Some(now));
        return match changed {
            None => Ok(()),
            Some((name, _)) => Err(TrainError::InputChanged {
                path: folder.to_owned(),
                what: name,
            }),
        };
    }
    let now: BTreeMap<_, _> = inputs.iter().cloned().collect();
    let text = serde_json::to_string_pretty(&now).map_err(|e| read_error(&e))?;
    Ok(files::write_atomic(&path, |w| writeln!(w, "{text}"))?)
}

/// Whether a run's folder holds anything that depends on its configuration.
fn started(path: &Path) -> bool {
    let checkpoints = std::fs::read_dir(path.join("checkpoints"));
    let saved = checkpoints.is_ok_and(|mut entries| entries.next().is_some());
    saved || path.join("model").exists() || path.join("adapters").exists()
}

/// The first key in which two configurations differ, `compute` aside.
fn difference(before: &toml::Table, now: &toml::Table, prefix: &str) -> Option<String> {
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    for key in keys {
        if prefix.is_empty() && FREE.contains(&key.as_str()) {
            continue;
        }
        let name = format!("{prefix}{key}");
        match (before.get(key), now.get(key)) {
            (Some(toml::Value::Table(a)), Some(toml::Value::Table(b))) => {
                if let Some(found) = difference(a, b, &format!("{name}.")) {
                    return Some(found);
                }
            }
            // Earlier versions wrote every digit of a single-precision number.
            (Some(toml::Value::Float(a)), Some(toml::Value::Float(b)))
                if a == b || *a == f64::from(*b as f32) => {}
            (a, b) if a == b => {}
            (a, b) => {
                let show =
                    |v: Option<&toml::Value>| v.map_or("not set".to_owned(), ToString::to_string);
                return Some(format!("`{name}` was {}, now it is {}", show(a), show(b)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log that can't be written for a while is whole afterwards.
    #[test]
    fn events_wait_until_they_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut run = RunDir::open(dir.path(), &toml::Table::new()).unwrap();
        let path = dir.path().join(EVENTS);
        let read = || std::fs::read_to_string(&path).unwrap();
        let saved = |update| Event::Saved { update };
        run.log(&saved(1));
        let first = read();
        // Opened for reading, it refuses what is written.
        let writable = std::mem::replace(&mut run.events, File::open(&path).unwrap());
        run.log(&saved(2));
        run.log(&saved(3));
        assert_eq!(read(), first);
        run.events = writable;
        run.log(&saved(4));
        let updates = read()
            .lines()
            .map(|line| {
                let event: serde_json::Value = serde_json::from_str(line).unwrap();
                event["update"].as_u64().unwrap()
            })
            .collect::<Vec<_>>();
        assert_eq!(updates, [1, 2, 3, 4]);
    }

    #[test]
    fn digits_of_single_precision_are_no_difference() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let now = table("[training]\nlearning_rate = 0.003");
        let long = table("[training]\nlearning_rate = 0.003000000026077032");
        let other = table("[training]\nlearning_rate = 0.0030000002607703");
        assert_eq!(difference(&long, &now, ""), None);
        let found = difference(&other, &now, "").unwrap();
        assert!(
            found.starts_with("`training.learning_rate` was 0.003000000260"),
            "{found}"
        );
    }
}
