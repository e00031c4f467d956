//! Reading what `torch.save` writes: a zip archive with one pickle and the bytes of every storage, uncompressed.

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;
use std::path::Path;

use serde_json::{Map, Value};
use zip::{CompressionMethod, ZipArchive};

use super::CheckpointError;
use super::pickle::{self, Id, Node, Pickle, TensorRef};
use super::raw::{MappedFile, RawTensor};

const KIND: &str = "PyTorch file";

/// Bytes of a pickle beyond which a file does not describe tensors only: a model of 48 layers has 0.3 MB.
const MAX_PICKLE: usize = 32 << 20;

/// What files before PyTorch 1.6 start with: a pickled number, or a tar archive (recognised by its `ustar`).
const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// A file's tensors and, of a fairseq checkpoint, its settings.
pub(super) struct TorchFile {
    pub tensors: Vec<RawTensor>,
    /// Numbers, texts and truth values of `args` or `cfg.model`.
    pub settings: Option<Map<String, Value>>,
}

/// Reads a state dict, or a fairseq checkpoint with one under `model`.
pub(super) fn read(path: &Path) -> Result<TorchFile, CheckpointError> {
    let file = MappedFile::open(path, KIND)?;
    let entries = entries(&file)?;
    let malformed = |problem: String| CheckpointError::malformed(path, KIND, problem);
    let described = entries
        .get("data.pkl")
        .ok_or_else(|| malformed("it has no `data.pkl`".to_owned()))?;
    if described.len() > MAX_PICKLE {
        return Err(malformed(format!(
            "its `data.pkl` has {} bytes, more than any model needs",
            described.len()
        )));
    }
    if let Some(order) = entries.get("byteorder")
        && file.map[order.clone()].trim_ascii() != b"little"
    {
        return Err(CheckpointError::Unsupported {
            path: path.to_owned(),
            what: "a file of a big-endian machine".to_owned(),
            remedy: "convert it to safetensors",
        });
    }
    let pickle =
        pickle::parse(&file.map[described.clone()]).map_err(|e| malformed(e.to_string()))?;
    let (state, settings) = layout(&pickle, path)?;
    let tensors = state_dict(&pickle, state, path)?
        .into_iter()
        .map(|(name, tensor)| place(name, tensor, &file, &entries))
        .collect::<Result<_, _>>()?;
    let settings = settings.map(|id| scalars(&pickle, id));
    Ok(TorchFile { tensors, settings })
}

/// Where each entry of the archive lies in the file, by its name without the archive's folder.
fn entries(file: &MappedFile) -> Result<HashMap<String, Range<usize>>, CheckpointError> {
    let path = &file.path;
    let malformed =
        |problem: &dyn ToString| CheckpointError::malformed(path, KIND, problem.to_string());
    let bytes: &[u8] = &file.map;
    if bytes.starts_with(LEGACY) || bytes.get(257..262) == Some(b"ustar") {
        return Err(CheckpointError::Unsupported {
            path: path.to_path_buf(),
            what: "the format before PyTorch 1.6".to_owned(),
            remedy: "load and save it once with a newer PyTorch",
        });
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| malformed(&e))?;
    let mut all = HashMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|e| malformed(&e))?;
        let name = entry.name().map_err(|e| malformed(&e))?.into_owned();
        let name = name.split_once('/').map_or(name.as_str(), |(_, rest)| rest);
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            return Err(malformed(&format!(
                "its entry `{name}` is compressed or encrypted"
            )));
        }
        let start = entry.data_start().and_then(|n| usize::try_from(n).ok());
        let length = usize::try_from(entry.size()).ok();
        let range = start.zip(length).and_then(|(start, length)| {
            let end = start.checked_add(length)?;
            (end <= bytes.len()).then_some(start..end)
        });
        let range = range
            .ok_or_else(|| malformed(&format!("its entry `{name}` reaches beyond its end")))?;
        all.insert(name.to_owned(), range);
    }
    Ok(all)
}

/// The state dict and, of a fairseq checkpoint, its settings. Refuses every name that is not known, except in what a
/// fairseq checkpoint holds beside the state dict: that is parsed and never made.
fn layout(pickle: &Pickle, path: &Path) -> Result<(Id, Option<Id>), CheckpointError> {
    let refuse = |global: &str| CheckpointError::UnsafePickle {
        path: path.to_owned(),
        global: global.to_owned(),
    };
    let root = pickle.root;
    let set = |key| {
        let id = pickle.get(root, key)?;
        (pickle.nodes[id] != Node::None).then_some(id)
    };
    let settings = set("args").or_else(|| {
        let cfg = set("cfg")?;
        member(pickle, cfg, "model")
    });
    let (Some(state), Some(settings)) = (set("model"), settings) else {
        return match pickle.foreign(|_| true) {
            Some(global) => Err(refuse(global)),
            None => Ok((root, None)),
        };
    };
    let (mut within, mut beside) = (
        vec![false; pickle.nodes.len()],
        vec![false; pickle.nodes.len()],
    );
    pickle.reach(state, &mut within);
    if let Node::Dict(entries) = &pickle.nodes[root] {
        for &(_, value) in entries
            .iter()
            .filter(|(key, _)| pickle.text(*key) != Some("model"))
        {
            pickle.reach(value, &mut beside);
        }
    }
    match pickle.foreign(|id| within[id] || !beside[id]) {
        Some(global) => Err(refuse(global)),
        None => Ok((state, Some(settings))),
    }
}

fn state_dict(
    pickle: &Pickle,
    id: Id,
    path: &Path,
) -> Result<Vec<(String, TensorRef)>, CheckpointError> {
    let Node::Dict(entries) = &pickle.nodes[id] else {
        return Err(CheckpointError::malformed(
            path,
            KIND,
            "it should hold a dictionary of tensors",
        ));
    };
    let mut tensors = Vec::with_capacity(entries.len());
    for &(key, value) in entries {
        match (pickle.text(key), &pickle.nodes[value]) {
            (Some(name), Node::Tensor(tensor)) => tensors.push((name.to_owned(), tensor.clone())),
            (name, _) => {
                return Err(CheckpointError::malformed(
                    path,
                    KIND,
                    format!(
                        "its entry `{}` should be a tensor; a state dict is needed",
                        name.unwrap_or("(no text)")
                    ),
                ));
            }
        }
    }
    Ok(tensors)
}

fn place(
    name: String,
    tensor: TensorRef,
    file: &MappedFile,
    entries: &HashMap<String, Range<usize>>,
) -> Result<RawTensor, CheckpointError> {
    let key = format!("data/{}", tensor.storage.key);
    let Some(bytes) = entries.get(&key) else {
        return Err(CheckpointError::malformed(
            &file.path,
            KIND,
            format!("tensor `{name}` lies in `{key}`, which is missing"),
        ));
    };
    Ok(RawTensor {
        name,
        file: file.clone(),
        element: tensor.storage.element,
        shape: tensor.shape,
        bytes: bytes.clone(),
        offset: tensor.offset,
        strides: tensor.strides,
    })
}

/// The dictionary in which an object has its values: its attributes or, for the containers of `OmegaConf`, `_content`.
fn contents(pickle: &Pickle, id: Id) -> Option<Id> {
    match &pickle.nodes[id] {
        Node::Dict(_) => Some(id),
        Node::Object {
            state: Some(state), ..
        } => match pickle.get(*state, "_content") {
            Some(content) if matches!(pickle.nodes[content], Node::Dict(_)) => Some(content),
            _ => matches!(pickle.nodes[*state], Node::Dict(_)).then_some(*state),
        },
        _ => None,
    }
}

/// A value of a dictionary or an object, out of the wrapper that `OmegaConf` puts around each.
fn member(pickle: &Pickle, id: Id, key: &str) -> Option<Id> {
    let value = pickle.get(contents(pickle, id)?, key)?;
    Some(unwrapped(pickle, value))
}

fn unwrapped(pickle: &Pickle, value: Id) -> Id {
    match &pickle.nodes[value] {
        Node::Object {
            state: Some(state), ..
        } => pickle.get(*state, "_val").unwrap_or(value),
        _ => value,
    }
}

fn scalars(pickle: &Pickle, id: Id) -> Map<String, Value> {
    let mut all = Map::new();
    let Some(Node::Dict(entries)) = contents(pickle, id).map(|id| &pickle.nodes[id]) else {
        return all;
    };
    for &(key, value) in entries {
        let value = match &pickle.nodes[unwrapped(pickle, value)] {
            Node::Bool(value) => Value::from(*value),
            Node::Int(value) => Value::from(*value),
            Node::Float(value) => Value::from(*value),
            Node::Str(value) => Value::from(value.as_str()),
            _ => continue,
        };
        if let Some(key) = pickle.text(key) {
            all.insert(key.to_owned(), value);
        }
    }
    all
}
