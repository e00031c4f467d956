//! Files of models: reading a pre-trained base, writing one.
//!
//! [`open`] reads the folders that transformers and the Hub use (`model.safetensors` or `pytorch_model.bin`, whole or
//! in shards) and the checkpoints of fairseq (`model.pt`). Weights stay in their mapped files wherever they lie there
//! as `f32`, bfloat16 or bytes; nothing that a file contains is ever run. [`write()`] makes a folder that transformers loads,
//! [`quantize()`] one with matrices in bytes.

mod assemble;
mod config_file;
mod error;
mod fields;
mod hash;
mod pickle;
mod quantize;
mod raw;
mod safetensors;
mod torch;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;

pub use error::CheckpointError;
pub use hash::{BaseHash, BaseHashError};
pub use quantize::{QuantizeError, QuantizeOptions, Quantized, quantize};
pub use write::write;

use crate::model::{DType, ModelConfig, Tensor};
use assemble::Found;
use raw::RawTensor;

// Values are used where they lie in files, and files are little-endian.
#[cfg(target_endian = "big")]
compile_error!("isogloss maps little-endian files and needs a little-endian machine");

/// A base model, checked: every tensor has the shape that the configuration says and finite values.
#[derive(Debug)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Its hyper-parameters; `vocab_size` is the number of rows of the embedding, whatever the file said.
    pub config: ModelConfig,
    /// Exactly the tensors of [`ModelConfig::tensor_shapes`], in that order.
    pub tensors: Vec<Tensor>,
    hash: OnceLock<BaseHash>,
}

impl Checkpoint {
    /// The hash of the tensors, by which adapters know their base. Computed when it is first asked for (a second or two
    /// for 500 million parameters), then kept. Of a model that was quantised it is the hash of the original, which its file says.
    pub fn hash(&self) -> BaseHash {
        *self.hash.get_or_init(|| BaseHash::of(&self.tensors))
    }

    /// Whether matrices are stored in bytes.
    #[must_use]
    pub fn is_quantized(&self) -> bool {
        let mut types = self.tensors.iter().map(|t| t.storage.dtype());
        types.any(|dtype| dtype == DType::Int8)
    }

    /// What a run is held to: the hash, and that the weights are a quantised copy if they are.
    pub(crate) fn fingerprint(&self) -> String {
        let hash = self.hash();
        match self.is_quantized() {
            true => format!("{hash} in int8"),
            false => hash.to_string(),
        }
    }
}

/// Opens a folder of Hugging Face or fairseq, or one fairseq checkpoint (a file).
///
/// Of a folder with several kinds of files, the first of these is read: `model.safetensors`,
/// `model.safetensors.index.json`, `pytorch_model.bin`, `pytorch_model.bin.index.json`, `model.pt`. Half and double
/// precision become `f32`, bfloat16 and matrices in bytes ([`quantize()`]) stay. Layerdrop counts as 0. Any one name of the tied embedding will do; if there
/// are several, they must hold the same values. What is no weight (`final_logits_bias`, `*.embed_positions.weights`,
/// `*.version`, `*_float_tensor`) is ignored.
///
/// Reads every weight once, to see that it is finite; not those in bytes, which are.
///
/// # Errors
/// Anything that keeps the files from being a whole model of the family; see [`CheckpointError`].
pub fn open(path: &Path) -> Result<Checkpoint, CheckpointError> {
    if !path.exists() {
        return Err(CheckpointError::Nowhere {
            path: path.to_owned(),
        });
    }
    if path.is_file() {
        return open_fairseq(path);
    }
    let at = |name: &str| Some(path.join(name)).filter(|p| p.is_file());
    let config = at("config.json");
    let mut base = None;
    let raw = if config.is_none() {
        None
    } else if let Some(file) = at("model.safetensors") {
        let file = safetensors::read(&file)?;
        base = file.base;
        Some(file.tensors)
    } else if let Some(index) = at("model.safetensors.index.json") {
        Some(read_shards(&index, |file| {
            Ok(safetensors::read(file)?.tensors)
        })?)
    } else if let Some(file) = at("pytorch_model.bin") {
        Some(torch::read(&file)?.tensors)
    } else if let Some(index) = at("pytorch_model.bin.index.json") {
        Some(read_shards(&index, |file| Ok(torch::read(file)?.tensors))?)
    } else {
        None
    };
    match (config, raw, at("model.pt")) {
        (Some(config), Some(raw), _) => {
            let checkpoint = open_folder(path, &config, raw)?;
            if let Some(base) = base {
                // Nobody has asked for it yet.
                let _ = checkpoint.hash.set(base);
            }
            Ok(checkpoint)
        }
        (_, _, Some(file)) => open_fairseq(&file),
        (Some(_), ..) => Err(CheckpointError::NoModel {
            path: path.to_owned(),
            expected: "model.safetensors or pytorch_model.bin (or the index of either) beside its config.json",
        }),
        (None, ..) => Err(CheckpointError::NoModel {
            path: path.to_owned(),
            expected: "config.json or model.pt",
        }),
    }
}

fn open_folder(
    path: &Path,
    config_path: &Path,
    raw: Vec<RawTensor>,
) -> Result<Checkpoint, CheckpointError> {
    let mut config = config_file::read(config_path)?;
    let found = Found::sort(raw)?;
    if let Some(rows) = found.rows()
        && rows != config.vocab_size
    {
        let said = config.vocab_size;
        tracing::info!(path = %config_path.display(), "`vocab_size` is {said}, the embedding has {rows} rows; they count");
        config.vocab_size = rows;
    }
    config_file::check_tokens(config_path, &config)?;
    let tensors = found.tensors(path, &config)?;
    Ok(checkpoint(config, tensors))
}

fn open_fairseq(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let file = torch::read(path)?;
    let Some(settings) = file.settings else {
        return Err(CheckpointError::NoModel {
            path: path.to_owned(),
            expected: "`model` and `args` or `cfg`, as in a fairseq checkpoint",
        });
    };
    let found = Found::sort(file.tensors)?;
    let rows = found.rows().ok_or_else(|| CheckpointError::MissingTensor {
        path: path.to_owned(),
        tensor: "encoder.embed_tokens.weight".to_owned(),
        expected: vec![],
    })?;
    let config = config_file::from_fairseq(path, &settings, rows)?;
    config_file::check_tokens(path, &config)?;
    let tensors = found.tensors(path, &config)?;
    Ok(checkpoint(config, tensors))
}

fn checkpoint(config: ModelConfig, tensors: Vec<Tensor>) -> Checkpoint {
    Checkpoint {
        config,
        tensors,
        hash: OnceLock::new(),
    }
}

/// The index of a model in shards.
#[derive(Deserialize)]
struct Index {
    /// Tensor to file.
    weight_map: BTreeMap<String, String>,
}

/// Reads every shard that an index names, and of each the tensors that the index says are there.
fn read_shards(
    index_path: &Path,
    read: impl Fn(&Path) -> Result<Vec<RawTensor>, CheckpointError>,
) -> Result<Vec<RawTensor>, CheckpointError> {
    const KIND: &str = "index of shards";
    let text = fs::read_to_string(index_path).map_err(CheckpointError::read(index_path))?;
    let index: Index = serde_json::from_str(&text)
        .map_err(|e| CheckpointError::malformed(index_path, KIND, e.to_string()))?;
    let mut wanted = index.weight_map;
    let shards: BTreeSet<String> = wanted.values().cloned().collect();
    let mut tensors = Vec::new();
    for shard in shards {
        // A name, not a path: an index from elsewhere has no business outside its folder.
        if Path::new(&shard)
            .file_name()
            .is_none_or(|name| name != shard.as_str())
        {
            let problem = format!("`{shard}` is not the name of a file beside it");
            return Err(CheckpointError::malformed(index_path, KIND, problem));
        }
        let file: PathBuf = index_path.with_file_name(&shard);
        for tensor in read(&file)? {
            if wanted.get(&tensor.name) == Some(&shard) {
                wanted.remove(&tensor.name);
                tensors.push(tensor);
            }
        }
    }
    match wanted.first_key_value() {
        None => Ok(tensors),
        Some((tensor, shard)) => Err(CheckpointError::MissingTensor {
            path: index_path.with_file_name(shard),
            tensor: tensor.clone(),
            expected: vec![],
        }),
    }
}
