//! Writing a Hugging Face folder.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{CheckpointError, config_file};
use crate::files;
use crate::model::{DType, ModelConfig, Tensor};

/// Writes a model as a folder that transformers and its converters load: `config.json`, `generation_config.json` and
/// `model.safetensors`, in which every tensor keeps its type (`f32` or bfloat16) and the embedding stands once, as
/// `model.shared.weight`. Other files of the folder, such as those of a tokenizer, are left alone.
///
/// Each file is written as a whole or not at all, `config.json` last; one that was there is removed before the weights
/// change, so that a folder never has the configuration of one model and the weights of another.
///
/// # Errors
/// If the tensors are not exactly those of [`ModelConfig::tensor_shapes`] in any order, or a file cannot be written.
pub fn write(dir: &Path, config: &ModelConfig, tensors: &[Tensor]) -> Result<(), CheckpointError> {
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
    files::write_atomic(&weights, |w| safetensors(w, tensors))?;
    let narrow = tensors.iter().all(|t| t.storage.dtype() == DType::Bf16);
    let dtype = if narrow { DType::Bf16 } else { DType::F32 };
    write_json(
        &dir.join("generation_config.json"),
        &config_file::generation_json(config),
    )?;
    write_json(&config_path, &config_file::to_json(config, dtype))
}

fn write_json(path: &Path, value: &Value) -> Result<(), CheckpointError> {
    files::write_atomic(path, |w| writeln!(w, "{value:#}"))?;
    Ok(())
}

fn check(path: &Path, config: &ModelConfig, tensors: &[Tensor]) -> Result<(), CheckpointError> {
    let mut given: Map<String, Value> = Map::new();
    for tensor in tensors {
        let holds = tensor.shape.iter().product::<usize>();
        if tensor.storage.len() != holds {
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

/// A safetensors file: the length of its header, the header, the values. The crate of that name wants all values in
/// memory at once; these go from a map to the file.
fn safetensors(w: &mut dyn Write, tensors: &[Tensor]) -> io::Result<()> {
    // Wider types first, so that every tensor is aligned to its type.
    let mut sorted: Vec<&Tensor> = tensors.iter().collect();
    sorted.sort_by_key(|t| (t.storage.dtype() == DType::Bf16, t.name.as_str()));
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut end = 0;
    for tensor in &sorted {
        let start = end;
        end += tensor.storage.as_bytes().len();
        let dtype = match tensor.storage.dtype() {
            DType::F32 => "F32",
            DType::Bf16 => "BF16",
        };
        header.insert(
            format!("model.{}", tensor.name),
            json!({ "dtype": dtype, "shape": tensor.shape, "data_offsets": [start, end] }),
        );
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    w.write_all(&(header.len() as u64).to_le_bytes())?;
    w.write_all(&header)?;
    for tensor in sorted {
        w.write_all(tensor.storage.as_bytes())?;
    }
    Ok(())
}
