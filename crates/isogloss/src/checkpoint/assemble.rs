//! From whatever tensors the files hold to exactly those of the model, checked.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;

use super::CheckpointError;
use super::raw::{Element, RawTensor};
use super::safetensors::SCALE;
use crate::model::{DType, ModelConfig, Storage, Tensor};

/// The names under which the one embedding may be stored, in order of preference.
const TIED: [&str; 5] = [
    "shared.weight",
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "lm_head.weight",
    "decoder.output_projection.weight",
];

/// The tensors of the files by their names without `model.`, the embedding apart, what is computed or unused left out.
pub(super) struct Found {
    embedding: Vec<(&'static str, RawTensor)>,
    others: HashMap<String, RawTensor>,
    /// Factors of the rows of tensors in bytes, by the tensors' names.
    scales: HashMap<String, RawTensor>,
}

/// A tensor with the factors of its rows, if it has any.
type WithScales = (RawTensor, Option<RawTensor>);

impl Found {
    pub fn sort(raw: Vec<RawTensor>) -> Result<Found, CheckpointError> {
        let mut found = Found {
            embedding: Vec::new(),
            others: HashMap::new(),
            scales: HashMap::new(),
        };
        for tensor in raw {
            let name = tensor.name.strip_prefix("model.").unwrap_or(&tensor.name);
            if is_ignored(name) {
                continue;
            }
            let path = tensor.file.path.clone();
            let name = name.to_owned();
            let scaled = name.strip_suffix(SCALE).map(str::to_owned);
            let twice = match TIED.iter().find(|tied| **tied == name) {
                Some(tied) => {
                    let twice = found.embedding.iter().any(|(known, _)| known == tied);
                    found.embedding.push((tied, tensor));
                    twice
                }
                None => match scaled {
                    Some(scaled) => found.scales.insert(scaled, tensor).is_some(),
                    None => found.others.insert(name.clone(), tensor).is_some(),
                },
            };
            if twice {
                return Err(CheckpointError::DuplicateTensor {
                    path: path.to_path_buf(),
                    tensor: name,
                });
            }
        }
        let rank = |name: &str| TIED.iter().position(|tied| *tied == name);
        found.embedding.sort_by_key(|(name, _)| rank(name));
        Ok(found)
    }

    /// Rows of the embedding, the size of the vocabulary, if it is there and has rows.
    pub fn rows(&self) -> Option<usize> {
        match self.embedding.first()?.1.shape[..] {
            [rows, _] if rows > 0 => Some(rows),
            _ => None,
        }
    }

    /// Exactly the tensors of [`ModelConfig::tensor_shapes`], in that order; `path` is the model, for errors.
    pub fn tensors(
        mut self,
        path: &Path,
        config: &ModelConfig,
    ) -> Result<Vec<Tensor>, CheckpointError> {
        let mut embeddings = Vec::new();
        for (name, tensor) in std::mem::take(&mut self.embedding) {
            let scales = self.scales.remove(name);
            embeddings.push((name, (tensor, scales)));
        }
        if let Some((_, (tensor, scales))) = embeddings.first().cloned() {
            self.others.insert(TIED[0].to_owned(), tensor);
            self.scales
                .extend(scales.map(|scales| (TIED[0].to_owned(), scales)));
        }
        let mut wanted = Vec::new();
        for (name, shape) in config.tensor_shapes() {
            let raw = match self.others.remove(&name) {
                Some(raw) if raw.shape == shape => raw,
                Some(raw) => return Err(shape_error(&raw, shape)),
                None => {
                    return Err(CheckpointError::MissingTensor {
                        path: path.to_owned(),
                        tensor: name,
                        expected: shape,
                    });
                }
            };
            let scales = match raw.element {
                Element::I8 => self.scales.remove(&name),
                _ => None,
            };
            wanted.push((name, (raw, scales)));
        }
        let count = self.others.len() + self.scales.len();
        let left = self.others.values().chain(self.scales.values());
        if let Some(raw) = left.min_by_key(|raw| &raw.name) {
            return Err(CheckpointError::UnexpectedTensor {
                path: raw.file.path.to_path_buf(),
                tensor: raw.name.clone(),
                count,
            });
        }
        check_tied(path, &embeddings)?;
        let read: Vec<_> = wanted.into_par_iter().map(load).collect();
        // The first error in the order of the tensors, whichever thread met one first.
        read.into_iter().collect()
    }
}

/// What files may hold that is no weight: computed positions, counters, a bias that is zero.
fn is_ignored(name: &str) -> bool {
    name == "final_logits_bias"
        || name.ends_with(".embed_positions.weights")
        || name.ends_with(".version")
        || name.ends_with("_float_tensor")
}

fn shape_error(raw: &RawTensor, expected: Vec<usize>) -> CheckpointError {
    CheckpointError::Shape {
        path: raw.file.path.to_path_buf(),
        tensor: raw.name.clone(),
        expected,
        got: raw.shape.clone(),
    }
}

/// The values of a tensor; in bytes if they are stored so.
fn storage((raw, scales): &WithScales) -> Result<Storage, CheckpointError> {
    let [rows, _] = raw.shape[..] else {
        return raw.to_storage();
    };
    if raw.element != Element::I8 {
        return raw.to_storage();
    }
    let Some(scales) = scales else {
        return Err(CheckpointError::MissingTensor {
            path: raw.file.path.to_path_buf(),
            tensor: format!("{}{SCALE}", raw.name),
            expected: vec![rows],
        });
    };
    if scales.shape != [rows] {
        return Err(shape_error(scales, vec![rows]));
    }
    let factors = scales.to_storage()?.to_f32();
    if let Some(index) = factors.iter().position(|x| !x.is_finite()) {
        return Err(CheckpointError::NotFinite {
            path: scales.file.path.to_path_buf(),
            tensor: scales.name.clone(),
            index,
            value: factors[index],
        });
    }
    raw.to_int8(factors)
}

fn load((name, stored): (String, WithScales)) -> Result<Tensor, CheckpointError> {
    let storage = storage(&stored)?;
    let raw = stored.0;
    if let Some(index) = first_not_finite(&storage) {
        return Err(CheckpointError::NotFinite {
            path: raw.file.path.to_path_buf(),
            tensor: raw.name,
            index,
            value: storage.get(index).unwrap_or(f32::NAN),
        });
    }
    Ok(Tensor {
        name,
        shape: raw.shape,
        storage,
    })
}

/// Values that one thread looks at in one go.
const BLOCK: usize = 1 << 18;

fn first_not_finite(storage: &Storage) -> Option<usize> {
    match (storage.as_f32(), storage.as_bf16()) {
        (Some(values), _) => first(storage, values, f32::is_finite),
        (_, Some(values)) => first(storage, values, half::bf16::is_finite),
        // In bytes there is nothing that isn't.
        (None, None) => None,
    }
}

fn first<T: Copy + Sync>(
    storage: &Storage,
    values: &[T],
    fine: impl Fn(T) -> bool + Sync,
) -> Option<usize> {
    let blocks = values.par_chunks(BLOCK).enumerate();
    let block = blocks.position_first(|(i, block)| {
        // Without an early exit the loop becomes a few wide instructions.
        let finite = block.iter().fold(true, |all, &v| all & fine(v));
        // What was looked at needn't stay in memory.
        storage.release_part(i * BLOCK..i * BLOCK + block.len());
        !finite
    })?;
    let start = block * BLOCK;
    let within = values[start..].iter().position(|&v| !fine(v))?;
    Some(start + within)
}

/// Refuses copies of the embedding that differ from the one that is used.
fn check_tied(path: &Path, copies: &[(&str, WithScales)]) -> Result<(), CheckpointError> {
    let Some(((first, used), others)) = copies.split_first() else {
        return Ok(());
    };
    for (second, other) in others {
        if other.0.shape != used.0.shape {
            return Err(shape_error(&other.0, used.0.shape.clone()));
        }
        if other.0.same_place(&used.0) && used.0.element != Element::I8 {
            continue;
        }
        if let Some(index) = difference(used, other)? {
            return Err(CheckpointError::Untied {
                path: path.to_owned(),
                first: (*first).to_owned(),
                second: (*second).to_owned(),
                index,
            });
        }
        tracing::debug!("`{second}` equals `{first}`, which is used");
    }
    Ok(())
}

fn difference(a: &WithScales, b: &WithScales) -> Result<Option<usize>, CheckpointError> {
    let (x, y) = (storage(a)?, storage(b)?);
    // Values that are equal but stored in different types make one model as well.
    if x.dtype() != y.dtype() || x.dtype() == DType::Int8 {
        return Ok((0..x.len()).find(|&i| x.get(i) != y.get(i)));
    }
    let unequal = match (x.as_f32(), y.as_f32(), x.as_bf16(), y.as_bf16()) {
        (Some(x), Some(y), _, _) => x.par_iter().zip(y).position_first(|(x, y)| x != y),
        (_, _, Some(x), Some(y)) => x.par_iter().zip(y).position_first(|(x, y)| x != y),
        _ => None,
    };
    Ok(unequal)
}
