//! Translations of many directions in a folder, with a note of what made them and of what they translate.

use crate::corpus::{CorpusError, Lines};
use crate::files::{FileError, create_dir, write_atomic, write_json};
use crate::hash::hex;
use crate::language::Direction;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The note in the folder.
const NOTE: &str = "hypotheses.json";

/// Why kept translations cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HypothesesError {
    /// The note or a folder cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file of translations cannot be read.
    #[error(transparent)]
    Lines(#[from] CorpusError),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// Translations of another number of sentences.
    #[error("{} has {found} lines, but {expected} sentences are evaluated: expected a translation of each", path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// Sentences of the text.
        expected: usize,
        /// Lines of the file.
        found: usize,
    },
    /// Translations of other sentences.
    #[error("{} translates other sentences than those that are evaluated: expected the same text and rows", path.display())]
    OtherText {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else's file where translations shall be kept.
    #[error(
        "{} isn't what was left there by this program: it would be replaced; keep translations in another folder, or move the file away",
        path.display()
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
}

/// What made translations: model, adapters and options by name.
pub type MadeWith = BTreeMap<String, serde_json::Value>;

/// A file of translations, by the hashes of what went in and came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    sources: String,
    translations: String,
}

/// The version of notes that name every file of the folder.
const FORMAT: u32 = 2;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Note {
    /// 0 in notes of earlier versions, which may have left files that no note names any more.
    #[serde(default)]
    format: u32,
    made_with: MadeWith,
    directions: BTreeMap<String, Entry>,
    /// Hashes of what others have translated into the folder by this program, and is still there: it may be replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    earlier: BTreeMap<String, String>,
    /// Directions whose file is being written: until it is noted, what lies there is ours all the same.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    writing: BTreeSet<String>,
}

/// A folder of translations, a file a direction: `SOURCE-TARGET.txt`, a line a sentence.
///
/// Beside them lies `hypotheses.json`: what made them, and for each file the hashes of its sources and its lines. So
/// an evaluation that was cut short goes on where it stopped, and translations of other sentences aren't compared by
/// mistake. A folder from elsewhere lacks the note; its files are taken by their names and numbers of lines.
#[derive(Debug)]
pub struct Hypotheses {
    dir: PathBuf,
    note: Note,
}

impl Hypotheses {
    /// The translations in a folder, whoever made them.
    ///
    /// # Errors
    /// If the folder or its note cannot be read.
    pub fn open(dir: &Path) -> Result<Self, HypothesesError> {
        let failed = |path: &Path, reason: String| HypothesesError::Read {
            path: path.to_owned(),
            reason,
        };
        fs::read_dir(dir).map_err(|e| failed(dir, e.to_string()))?;
        let path = dir.join(NOTE);
        let note = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| failed(&path, format!("not a note on translations: {e}")))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Note::default(),
            Err(e) => return Err(failed(&path, e.to_string())),
        };
        Ok(Hypotheses {
            dir: dir.to_owned(),
            note,
        })
    }

    /// The folder for what `made_with` translates; it is made if need be. What something else has translated into it
    /// counts as absent.
    ///
    /// # Errors
    /// If it cannot be made, or its note cannot be read; if it has a file of a direction that nobody noted, or that was changed since.
    pub fn keep(dir: &Path, made_with: MadeWith) -> Result<Self, HypothesesError> {
        create_dir(dir)?;
        let mut kept = Self::open(dir)?;
        kept.check_files()?;
        kept.note.format = FORMAT;
        if kept.note.made_with != made_with {
            let Note {
                directions,
                mut earlier,
                writing,
                ..
            } = std::mem::take(&mut kept.note);
            earlier.extend(directions.into_iter().map(|(d, e)| (d, e.translations)));
            kept.note = Note {
                format: FORMAT,
                made_with,
                directions: BTreeMap::new(),
                earlier,
                writing,
            };
        }
        Ok(kept)
    }

    /// Whether [`keep`](Self::keep) would take a folder, as far as its files go; nothing is made or written.
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    pub fn check(dir: &Path) -> Result<(), HypothesesError> {
        match dir.exists() {
            true => Self::open(dir)?.check_files(),
            false => Ok(()),
        }
    }

    /// Whether every file of a direction is as it was noted, so that nobody's work is lost where it is replaced.
    fn check_files(&self) -> Result<(), HypothesesError> {
        if self.dir.join(NOTE).exists() && self.note.format < FORMAT {
            return Ok(());
        }
        let failed = |e: io::Error| HypothesesError::Read {
            path: self.dir.clone(),
            reason: e.to_string(),
        };
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let direction = stem.and_then(|stem| stem.parse::<Direction>().ok());
            let text = path.extension().is_some_and(|e| e == "txt");
            let Some(direction) = direction.filter(|_| text) else {
                continue;
            };
            let name = direction.to_string();
            let noted = self.note.directions.get(&name).map(|e| &e.translations);
            let noted = [noted, self.note.earlier.get(&name)];
            let ours = self.note.writing.contains(&name)
                || read(&path).is_ok_and(|lines| noted.contains(&Some(&hash_of_lines(&lines))));
            if !ours {
                return Err(HypothesesError::NotOurs { path });
            }
        }
        Ok(())
    }

    /// The hash of the base that made these translations alone, without adapters; none if something else made them, or nobody
    /// knows.
    #[must_use]
    pub fn base(&self) -> Option<&str> {
        let made_with = &self.note.made_with;
        let alone = made_with
            .get("adapters_hash")
            .is_some_and(serde_json::Value::is_null);
        // A system of several parts has no one hash of adapters either; a system that names itself is the base only by that name.
        let base = made_with.get("system").is_none_or(|name| name == "base");
        let hash = made_with.get("model_hash")?.as_str();
        hash.filter(|_| alone && base)
    }

    /// What made these translations; empty where nobody noted it.
    #[must_use]
    pub fn made_with(&self) -> &MadeWith {
        &self.note.made_with
    }

    /// The file of a direction.
    #[must_use]
    pub fn path(&self, direction: &Direction) -> PathBuf {
        self.dir.join(format!("{direction}.txt"))
    }

    /// The translations of these very sources, if the same maker has left them here and nobody changed them since.
    #[must_use]
    pub fn kept(&self, direction: &Direction, sources: &[&str]) -> Option<Vec<String>> {
        let entry = self.note.directions.get(&direction.to_string())?;
        if entry.sources != hash_of_lines(sources) {
            return None;
        }
        let lines = read(&self.path(direction)).ok()?;
        (lines.len() == sources.len() && entry.translations == hash_of_lines(&lines))
            .then_some(lines)
    }

    /// A direction's translations to compare with; none if it has no file, or one of another maker than the note's.
    ///
    /// # Errors
    /// If the file cannot be read, has another number of lines, or translates other sentences as far as is known.
    pub fn read(
        &self,
        direction: &Direction,
        sources: &[&str],
    ) -> Result<Option<Vec<String>>, HypothesesError> {
        let (path, name) = (self.path(direction), direction.to_string());
        let known = self.note.directions.contains_key(&name);
        let of_others = self.note.earlier.contains_key(&name) || self.note.writing.contains(&name);
        if !path.exists() || (of_others && !known) {
            return Ok(None);
        }
        let lines = read(&path)?;
        if lines.len() != sources.len() {
            return Err(HypothesesError::Count {
                path,
                expected: sources.len(),
                found: lines.len(),
            });
        }
        match self.note.directions.get(&name) {
            Some(entry) if entry.sources != hash_of_lines(sources) => {
                Err(HypothesesError::OtherText { path })
            }
            _ => Ok(Some(lines)),
        }
    }

    /// Writes a direction's translations, and notes them once they are on the disk.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn put(
        &mut self,
        direction: &Direction,
        sources: &[&str],
        translations: &[String],
    ) -> Result<(), HypothesesError> {
        // A file that is being replaced is no translation until the note says so.
        let name = direction.to_string();
        self.note.directions.remove(&name);
        self.note.writing.insert(name.clone());
        self.write_note()?;
        write_atomic(&self.path(direction), |w| {
            translations
                .iter()
                .try_for_each(|line| writeln!(w, "{line}"))
        })?;
        let entry = Entry {
            sources: hash_of_lines(sources),
            translations: hash_of_lines(translations),
        };
        self.note.earlier.remove(&name);
        self.note.writing.remove(&name);
        self.note.directions.insert(name, entry);
        self.write_note()
    }

    /// Writes the note, with what another process of the same maker has noted since.
    fn write_note(&mut self) -> Result<(), HypothesesError> {
        if let Ok(now) = Self::open(&self.dir)
            && now.note.made_with == self.note.made_with
        {
            let ours = &mut self.note;
            for (name, entry) in now.note.directions {
                if !ours.writing.contains(&name) {
                    ours.earlier.remove(&name);
                    ours.directions.entry(name).or_insert(entry);
                }
            }
            let others = now.note.writing.into_iter();
            let others = others.filter(|name| !ours.directions.contains_key(name));
            ours.writing.extend(others.collect::<Vec<_>>());
        }
        Ok(write_json(&self.dir.join(NOTE), &self.note)?)
    }
}

fn read(path: &Path) -> Result<Vec<String>, CorpusError> {
    let mut lines = Lines::open(path)?;
    let mut all = Vec::new();
    loop {
        match lines.next_line() {
            Ok(Some(line)) => all.push(line.to_owned()),
            Ok(None) | Err(CorpusError::Empty { .. }) => return Ok(all),
            Err(error) => return Err(error),
        }
    }
}

/// SHA-256 of lines, each with a line feed, in hexadecimal digits.
pub(super) fn hash_of_lines(lines: &[impl AsRef<str>]) -> String {
    let mut digest = Sha256::new();
    for line in lines {
        digest.update(line.as_ref());
        digest.update("\n");
    }
    hex(digest)
}

#[cfg(test)]
mod tests;
