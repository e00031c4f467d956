//! Writing a Hugging Face folder.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::safetensors::{BASE, CRC32, SCALE};
use super::{BaseHash, CheckpointError, config_file};
use crate::files;
use crate::hash::crc32_hex;
use crate::model::{DType, ModelConfig, Storage, Tensor};

/// Writes a model as a folder that transformers and its converters load: `config.json`, `generation_config.json` and
/// `model.safetensors`, in which every tensor keeps its type (`f32`, bfloat16, or bytes, which transformers refuses)
/// and the embedding stands once, as `model.shared.weight`. Other files of the folder, such as those of a tokenizer, are left alone.
///
/// Each file is written as a whole or not at all, `config.json` last; one that was there is removed before the weights
/// change, so that a folder never has the configuration of one model and the weights of another.
///
/// # Errors
/// If the tensors are not exactly those of [`ModelConfig::tensor_shapes`] in any order, or a file cannot be written.
pub fn write(dir: &Path, config: &ModelConfig, tensors: &[Tensor]) -> Result<(), CheckpointError> {
    write_copy(dir, config, tensors, None)
}

/// The same of a quantised copy of the model with the hash `base`.
pub(super) fn write_copy(
    dir: &Path,
    config: &ModelConfig,
    tensors: &[Tensor],
    base: Option<BaseHash>,
) -> Result<(), CheckpointError> {
    let weights = dir.join("model.safetensors");
    check(&weights, config, tensors)?;
    files::create_dir(dir)?;
    let config_path = dir.join("config.json");
    match fs::remove_file(&config_path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(files::FileError::Write {
                path: config_path,
                source,
            }
            .into());
        }
        _ => {}
    }
    files::write_atomic(&weights, |w| safetensors(w, tensors, base))?;
    let has = |dtype| tensors.iter().any(|t| t.storage.dtype() == dtype);
    let narrow = has(DType::Bf16) && !has(DType::F32);
    let dtype = if narrow { DType::Bf16 } else { DType::F32 };
    let mut settings = config_file::to_json(config, dtype);
    if has(DType::Int8) {
        // Other programs would take the bytes for the values; this they know to refuse.
        settings["quantization_config"] =
            json!({ "quant_method": "isogloss_int8", "base": base.map(|hash| hash.to_string()) });
    }
    files::write_json(
        &dir.join("generation_config.json"),
        &config_file::generation_json(config),
    )?;
    Ok(files::write_json(&config_path, &settings)?)
}

fn check(path: &Path, config: &ModelConfig, tensors: &[Tensor]) -> Result<(), CheckpointError> {
    let mut given: Map<String, Value> = Map::new();
    for tensor in tensors {
        let holds = tensor.shape.iter().product::<usize>();
        let scales = tensor.storage.as_int8().map(|(_, scales)| scales.len());
        let unscaled = scales.is_some() && scales != tensor.shape.first().copied();
        if tensor.storage.len() != holds || unscaled {
            return Err(CheckpointError::Shape {
                path: path.to_owned(),
                tensor: tensor.name.clone(),
                expected: tensor.shape.clone(),
                got: vec![tensor.storage.len()],
            });
        }
        if given
            .insert(tensor.name.clone(), json!(tensor.shape))
            .is_some()
        {
            return Err(CheckpointError::DuplicateTensor {
                path: path.to_owned(),
                tensor: tensor.name.clone(),
            });
        }
    }
    for (name, expected) in config.tensor_shapes() {
        let (path, tensor) = (path.to_owned(), name.clone());
        match given.remove(&name) {
            None => {
                return Err(CheckpointError::MissingTensor {
                    path,
                    tensor,
                    expected,
                });
            }
            Some(shape) if shape != json!(expected) => {
                let got = serde_json::from_value(shape).unwrap_or_default();
                return Err(CheckpointError::Shape {
                    path,
                    tensor,
                    expected,
                    got,
                });
            }
            Some(_) => {}
        }
    }
    match given.keys().next() {
        None => Ok(()),
        Some(name) => Err(CheckpointError::UnexpectedTensor {
            path: path.to_owned(),
            tensor: name.clone(),
            count: given.len(),
        }),
    }
}

/// A tensor of a file.
struct Entry<'a> {
    name: String,
    dtype: &'static str,
    /// Bytes of one value.
    size: usize,
    shape: &'a [usize],
    bytes: &'a [u8],
    /// Whose pages can be given back afterwards.
    storage: Option<&'a Storage>,
}

/// What a file holds, wider types first, so that every tensor is aligned to its type.
fn entries(tensors: &[Tensor]) -> Vec<Entry<'_>> {
    let mut all = Vec::new();
    for tensor in tensors {
        let (name, dtype) = (format!("model.{}", tensor.name), tensor.storage.dtype());
        if let Some((_, scales)) = tensor.storage.as_int8() {
            all.push(Entry {
                name: format!("{name}{SCALE}"),
                dtype: "F32",
                size: DType::F32.size(),
                shape: &tensor.shape[..1],
                bytes: bytemuck::cast_slice(scales),
                storage: None,
            });
        }
        all.push(Entry {
            name,
            dtype: match dtype {
                DType::F32 => "F32",
                DType::Bf16 => "BF16",
                DType::Int8 => "I8",
            },
            size: dtype.size(),
            shape: &tensor.shape,
            bytes: tensor.storage.as_bytes(),
            storage: Some(&tensor.storage),
        });
    }
    all.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
    all
}

/// A safetensors file: the length of its header, the header, the values. The crate of that name wants all values in
/// memory at once; these go from a map to the file.
fn safetensors(w: &mut dyn Write, tensors: &[Tensor], base: Option<BaseHash>) -> io::Result<()> {
    let entries = entries(tensors);
    let mut header = Map::new();
    let mut metadata = json!({ "format": "pt" });
    if let Some(base) = base {
        metadata[BASE] = json!(base.to_string());
        // That hash is of the original's values, so nothing else tells whether these are whole.
        let mut crc32 = crc32fast::Hasher::new();
        entries.iter().for_each(|entry| crc32.update(entry.bytes));
        metadata[CRC32] = json!(crc32_hex(crc32));
    }
    header.insert("__metadata__".to_owned(), metadata);
    let mut end = 0;
    for Entry {
        name,
        dtype,
        shape,
        bytes,
        ..
    } in &entries
    {
        let start = end;
        end += bytes.len();
        header.insert(
            name.clone(),
            json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }),
        );
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    w.write_all(&(header.len() as u64).to_le_bytes())?;
    w.write_all(&header)?;
    for entry in entries {
        w.write_all(entry.bytes)?;
        if let Some(storage) = entry.storage {
            storage.release();
        }
    }
    Ok(())
}
