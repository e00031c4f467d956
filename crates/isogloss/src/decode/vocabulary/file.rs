use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::adapter::VOCABULARY;
use crate::decode::vocabulary::{Coverage, Vocabularies, Vocabulary};
use crate::files::{self, FileError};
use crate::hash::hex;
use crate::language::Language;
use crate::tokenize::Tokenizer;

const FORMAT: u32 = 1;
/// More pieces than a tokenizer has; NLLB-200 has 256,206.
const MOST_PIECES: usize = 1 << 22;

/// `vocabulary.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    /// Version of this layout.
    format: u32,
    /// SHA-256 of the tokenizer's pieces; ids mean nothing with another.
    tokenizer: String,
    languages: BTreeMap<Language, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Pieces of the text that it was measured on, and how many of them are outside.
    held_out: [usize; 2],
    /// Ascending ids, and runs of them: `2 4-90 97`.
    ids: String,
}

/// Why output vocabularies could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no vocabulary.
    #[error("{}: {reason}; remove the file to translate with all pieces", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Its ids are another tokenizer's.
    #[error(
        "{} was learnt with another tokenizer (pieces {expected}) than the model's ({got}); remove the file to translate with all \
         pieces, or take the model that the adapters were trained on",
        path.display()
    )]
    OtherTokenizer {
        /// The file.
        path: PathBuf,
        /// Hash of the pieces that it was learnt with.
        expected: String,
        /// Hash of the model's pieces.
        got: String,
    },
}

/// SHA-256 over the number of pieces and, for each id, the piece's length in bytes and the piece.
fn fingerprint(tokenizer: &Tokenizer) -> String {
    let size = tokenizer.vocab_size() as u32;
    let mut hash = Sha256::new();
    hash.update(size.to_le_bytes());
    for id in 0..size {
        let piece = tokenizer.piece(id).unwrap_or_default();
        hash.update((piece.len() as u64).to_le_bytes());
        hash.update(piece);
    }
    hex(hash)
}

impl Vocabularies {
    /// Writes `vocabulary.json` to the folder of the adapters that they belong to; the folder is made if it isn't there.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn save(&self, dir: &Path, tokenizer: &Tokenizer) -> Result<(), VocabularyError> {
        files::create_dir(dir)?;
        let entry = |(language, vocabulary): (&Language, &Vocabulary)| {
            let Coverage { pieces, outside } = vocabulary.held_out;
            let entry = Entry {
                held_out: [pieces, outside],
                ids: runs(&vocabulary.ids),
            };
            (language.clone(), entry)
        };
        let index = Index {
            format: FORMAT,
            tokenizer: fingerprint(tokenizer),
            languages: self.by_language.iter().map(entry).collect(),
        };
        let path = dir.join(VOCABULARY);
        let text = serde_json::to_string_pretty(&index).map_err(|e| VocabularyError::Index {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        files::write_atomic(&path, |w| writeln!(w, "{text}"))?;
        Ok(())
    }

    /// Reads what [`save`](Self::save) wrote; none at all where the folder has no such file.
    ///
    /// # Errors
    /// If the file can't be read, is damaged, or was learnt with another tokenizer.
    pub fn load(dir: &Path, tokenizer: &Tokenizer) -> Result<Self, VocabularyError> {
        let path = dir.join(VOCABULARY);
        let Some(index) = Index::read(&path)? else {
            return Ok(Self::default());
        };
        let got = fingerprint(tokenizer);
        if index.tokenizer != got {
            return Err(VocabularyError::OtherTokenizer {
                path,
                expected: index.tokenizer,
                got,
            });
        }
        let by_language = index.vocabularies(&path, tokenizer.vocab_size())?;
        for (language, vocabulary) in &by_language {
            if vocabulary.ids.binary_search(&tokenizer.eos()).is_err() {
                let reason = format!("the ids of {language}: </s> is missing");
                return Err(VocabularyError::Index { path, reason });
            }
        }
        Ok(Vocabularies { by_language })
    }

    /// Whether a folder's file, if it has one, is whole, as far as that can be told without the tokenizer.
    ///
    /// # Errors
    /// If the file can't be read or is damaged.
    pub fn check(dir: &Path) -> Result<(), VocabularyError> {
        let path = dir.join(VOCABULARY);
        if let Some(index) = Index::read(&path)? {
            index.vocabularies(&path, MOST_PIECES)?;
        }
        Ok(())
    }
}

impl Index {
    /// The file, if there is one.
    fn read(path: &Path) -> Result<Option<Self>, VocabularyError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(VocabularyError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let index = serde_json::from_slice(&text).map_err(|e| e.to_string());
        let known = index.and_then(|index: Index| match index.format {
            FORMAT => Ok(Some(index)),
            newer => Err(format!(
                "format {newer} is newer than this program reads ({FORMAT})"
            )),
        });
        known.map_err(|reason| VocabularyError::Index {
            path: path.to_owned(),
            reason,
        })
    }

    /// The vocabularies, of ids below `size`.
    fn vocabularies(
        self,
        path: &Path,
        size: usize,
    ) -> Result<BTreeMap<Language, Vocabulary>, VocabularyError> {
        let vocabulary = |(language, Entry { held_out, ids }): (Language, Entry)| {
            let ids = parse(&ids, size).map_err(|reason| VocabularyError::Index {
                path: path.to_owned(),
                reason: format!("the ids of {language}: {reason}"),
            })?;
            let [pieces, outside] = held_out;
            let held_out = Coverage { pieces, outside };
            Ok((language, Vocabulary { ids, held_out }))
        };
        self.languages.into_iter().map(vocabulary).collect()
    }
}

/// Ascending ids as text, runs joined.
fn runs(ids: &[u32]) -> String {
    let mut text = String::new();
    for run in ids.chunk_by(|a, b| a + 1 == *b) {
        let space = if text.is_empty() { "" } else { " " };
        let _ = match run {
            [one] => write!(text, "{space}{one}"),
            _ => write!(text, "{space}{}-{}", run[0], run[run.len() - 1]),
        };
    }
    text
}

/// Reads what [`runs`] writes, of ids below `size`.
fn parse(text: &str, size: usize) -> Result<Vec<u32>, String> {
    let mut ids: Vec<u32> = Vec::new();
    for run in text.split_ascii_whitespace() {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else {
            return Err(format!("`{run}` is no id and no run of ids"));
        };
        let ascend = first <= last && ids.last().is_none_or(|&before| before < first);
        if !ascend {
            return Err(format!("they don't ascend at `{run}`"));
        }
        if last as usize >= size {
            return Err(format!("`{run}` goes beyond the {size} pieces"));
        }
        ids.extend(first..=last);
    }
    Ok(ids)
}
