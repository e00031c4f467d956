use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::files;
use crate::hash::hex;
use crate::optim::Adam;
use crate::params::ParamStore;
use crate::prune::Pruner;
use crate::train::{TrainError, Validation};

/// Where a run stands. With the values and the optimiser's moments it is all that resuming needs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrainState {
    /// Updates done.
    pub update: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// Samples of the epoch used.
    pub cursor: usize,
    /// Target tokens trained on.
    pub total_tokens: u64,
    /// The measurement before the first update: the untouched base, or what training goes on from. None where nothing is measured then,
    /// nor in states that earlier versions saved.
    pub before: Option<Validation>,
    /// Best validation so far, as a score of which more is better.
    pub best: Option<f64>,
    /// Negative log-likelihood of the best validation.
    pub best_nll: Option<f64>,
    /// Validations since the best.
    pub since_best: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Whether the run is over.
    pub finished: bool,
}

/// What a saved state must agree with: names and shapes of all parameters.
fn layout(store: &ParamStore<f32>) -> String {
    let mut hash = Sha256::new();
    store.hash_layout(&mut hash);
    hex(hash)
}

/// The values of an array.
#[derive(Clone, Copy)]
enum Values<'a> {
    F32(&'a [f32]),
    Bool(&'a [bool]),
}

impl Values<'_> {
    /// As safetensors names the type.
    fn dtype(&self) -> &'static str {
        match self {
            Values::F32(_) => "F32",
            Values::Bool(_) => "BOOL",
        }
    }

    fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::Bool(values) => values.len(),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Values::F32(values) => bytemuck::cast_slice(values),
            Values::Bool(values) => bytemuck::cast_slice(values),
        }
    }
}

/// Writes arrays as a safetensors file: the length of its header, the header, the values. They go to the file from where they lie;
/// with all weights trained, a copy in memory would be most of what a run takes.
fn write(
    path: &Path,
    arrays: &[(&str, Values<'_>)],
    state: &str,
    layout: &str,
) -> Result<(), TrainError> {
    let mut header = serde_json::Map::new();
    let mut sums = Sums::default();
    let mut end = 0;
    for (name, values) in arrays {
        let start = end;
        end += values.bytes().len();
        let entry = json!({ "dtype": values.dtype(), "shape": [values.len()], "data_offsets": [start, end] });
        header.insert((*name).to_owned(), entry);
        sums.array(name, values.dtype(), [start as u64, end as u64]);
        sums.values.update(values.bytes());
    }
    header.insert(
        "__metadata__".to_owned(),
        json!({ "state": state, "layout": layout, "crc32": sums.finish(state, layout) }),
    );
    let mut header = serde_json::to_vec(&header).map_err(|e| damaged(path, e.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    files::write_atomic(path, |w| {
        w.write_all(&(header.len() as u64).to_le_bytes())?;
        w.write_all(&header)?;
        let mut values = arrays.iter().map(|(_, values)| values.bytes());
        values.try_for_each(|bytes| w.write_all(bytes))
    })?;
    Ok(())
}

fn damaged(path: &Path, reason: String) -> TrainError {
    TrainError::Damaged {
        path: path.to_owned(),
        reason,
    }
}

/// The file is whole, but another run's.
fn foreign(path: &Path, reason: String) -> TrainError {
    TrainError::State {
        path: path.to_owned(),
        reason,
    }
}

/// Checksums of a file's values and of what its header says, so that a flipped bit isn't trained on from.
#[derive(Default)]
struct Sums {
    values: crc32fast::Hasher,
    arrays: Vec<String>,
}

impl Sums {
    fn array(&mut self, name: &str, dtype: &str, [start, end]: [u64; 2]) {
        self.arrays.push(format!("{name} {dtype} {start} {end}\n"));
    }

    /// Both sums in hexadecimal: of the values, of the header.
    fn finish(mut self, state: &str, layout: &str) -> String {
        self.arrays.sort_unstable();
        let header = format!("{state}\n{layout}\n{}", self.arrays.concat());
        let header = crc32fast::hash(header.as_bytes());
        format!("{:08x}{header:08x}", self.values.finalize())
    }
}

/// Saves everything that resuming needs.
pub(super) fn save(
    path: &Path,
    state: &TrainState,
    store: &ParamStore<f32>,
    adam: &Adam<f32>,
    pruner: Option<&Pruner>,
) -> Result<(), TrainError> {
    let (first, second, steps) = adam.state();
    let state = serde_json::to_string(&(state, steps)).map_err(|e| damaged(path, e.to_string()))?;
    let mut arrays = vec![
        ("values", Values::F32(store.values())),
        ("first", Values::F32(first)),
        ("second", Values::F32(second)),
    ];
    arrays.extend(pruner.map(|pruner| ("pruned", Values::Bool(pruner.pruned()))));
    write(path, &arrays, &state, &layout(store))
}

/// Saves values alone.
pub(super) fn save_values(path: &Path, store: &ParamStore<f32>) -> Result<(), TrainError> {
    let values = Values::F32(store.values());
    write(path, &[("values", values)], "", &layout(store))
}

/// An array's entry in the header.
#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    data_offsets: [u64; 2],
}

/// The header's `__metadata__`.
#[derive(Debug, Default, Deserialize)]
struct Metadata {
    state: String,
    layout: String,
    /// None in files of earlier versions, which aren't checked.
    crc32: Option<String>,
}

/// A file that [`write`] made, open for reading.
struct Saved<'a> {
    path: &'a Path,
    file: BufReader<File>,
    /// Where the values start.
    data: u64,
    arrays: HashMap<String, Entry>,
    metadata: Metadata,
}

impl<'a> Saved<'a> {
    fn open(path: &'a Path, store: &ParamStore<f32>) -> Result<Self, TrainError> {
        let unreadable = |e: std::io::Error| TrainError::Read {
            path: path.to_owned(),
            reason: e.to_string(),
        };
        let file = File::open(path).map_err(unreadable)?;
        let len = file.metadata().map_err(unreadable)?.len();
        let mut file = BufReader::new(file);
        let mut size = [0; 8];
        let whole = |e: std::io::Error| damaged(path, format!("it is cut off: {e}"));
        file.read_exact(&mut size).map_err(whole)?;
        let size = u64::from_le_bytes(size);
        let data = size.saturating_add(8);
        if data > len {
            return Err(damaged(path, "it is cut off".to_owned()));
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(whole)?;
        let no_header = |e: serde_json::Error| damaged(path, format!("its header is damaged: {e}"));
        let mut header: HashMap<String, serde_json::Value> =
            serde_json::from_slice(&header).map_err(no_header)?;
        let metadata = header.remove("__metadata__").unwrap_or_default();
        let metadata: Metadata = serde_json::from_value(metadata).map_err(no_header)?;
        let entry = |(name, value)| Ok((name, serde_json::from_value(value)?));
        let arrays = header.into_iter().map(entry).collect::<Result<_, _>>();
        let mut saved = Saved {
            path,
            file,
            data,
            arrays: arrays.map_err(no_header)?,
            metadata,
        };
        saved.check()?;
        if saved.metadata.layout != layout(store) {
            let reason = "its parameters are not those of this run";
            return Err(foreign(path, reason.to_owned()));
        }
        Ok(saved)
    }

    /// Compares the file with its checksums.
    fn check(&mut self) -> Result<(), TrainError> {
        let Some(expected) = &self.metadata.crc32 else {
            return Ok(());
        };
        let mut sums = Sums::default();
        for (name, entry) in &self.arrays {
            sums.array(name, &entry.dtype, entry.data_offsets);
        }
        let mut block = vec![0; 1 << 20];
        let mut read = || -> std::io::Result<()> {
            self.file.seek(SeekFrom::Start(self.data))?;
            loop {
                match self.file.read(&mut block)? {
                    0 => return Ok(()),
                    n => sums.values.update(&block[..n]),
                }
            }
        };
        read().map_err(|e| damaged(self.path, e.to_string()))?;
        match sums.finish(&self.metadata.state, &self.metadata.layout) == *expected {
            true => Ok(()),
            false => Err(damaged(
                self.path,
                "it isn't as it was written (checksum)".to_owned(),
            )),
        }
    }

    /// Reads the bytes of an array of a type to where they belong.
    fn read_bytes(&mut self, name: &str, dtype: &str, bytes: &mut [u8]) -> Result<(), TrainError> {
        let Some(entry) = self.arrays.get(name) else {
            return Err(damaged(self.path, format!("array `{name}` is missing")));
        };
        let [start, end] = entry.data_offsets;
        if entry.dtype != dtype || end.checked_sub(start) != Some(bytes.len() as u64) {
            return Err(damaged(
                self.path,
                format!("array `{name}` has another size"),
            ));
        }
        let place = SeekFrom::Start(self.data.saturating_add(start));
        let read = self.file.seek(place);
        let read = read.and_then(|_| self.file.read_exact(bytes));
        read.map_err(|e| damaged(self.path, format!("array `{name}` can't be read: {e}")))
    }

    /// Reads an array to where it belongs.
    fn read(&mut self, name: &str, values: &mut [f32]) -> Result<(), TrainError> {
        self.read_bytes(name, "F32", bytemuck::cast_slice_mut(values))
    }

    /// Reads an array of yes and no to where it belongs.
    fn read_bools(&mut self, name: &str, values: &mut [bool]) -> Result<(), TrainError> {
        let mut bytes = vec![0; values.len()];
        self.read_bytes(name, "BOOL", &mut bytes)?;
        for (value, byte) in values.iter_mut().zip(bytes) {
            *value = byte != 0;
        }
        Ok(())
    }
}

/// Restores what [`save`] wrote.
pub(super) fn load(
    path: &Path,
    store: &mut ParamStore<f32>,
    adam: &mut Adam<f32>,
    pruner: Option<&mut Pruner>,
) -> Result<TrainState, TrainError> {
    let mut saved = Saved::open(path, store)?;
    let (state, saved_steps): (TrainState, Vec<u64>) =
        serde_json::from_str(&saved.metadata.state).map_err(|e| damaged(path, e.to_string()))?;
    if saved_steps.len() != store.groups().len() {
        let groups = saved_steps.len();
        return Err(foreign(
            path,
            format!("it has {groups} groups of parameters"),
        ));
    }
    let (first, second, steps) = adam.state_mut();
    steps.copy_from_slice(&saved_steps);
    saved.read("first", first)?;
    saved.read("second", second)?;
    saved.read("values", store.values_mut())?;
    if let Some(pruner) = pruner {
        saved.read_bools("pruned", pruner.pruned_mut())?;
    }
    Ok(state)
}

/// Checks that [`load_values`] will find what [`save_values`] wrote.
pub(super) fn check_values(path: &Path, store: &ParamStore<f32>) -> Result<(), TrainError> {
    Saved::open(path, store).map(|_| ())
}

/// Restores what [`save_values`] wrote.
pub(super) fn load_values(path: &Path, store: &mut ParamStore<f32>) -> Result<(), TrainError> {
    Saved::open(path, store)?.read("values", store.values_mut())
}
