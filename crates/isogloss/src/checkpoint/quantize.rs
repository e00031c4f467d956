//! Models with their matrices in bytes, made ahead of decoding.

use std::path::{Path, PathBuf};

use isogloss_kernels::PackedWeight;
use serde::Serialize;

use super::write::write_copy;
use super::{BaseHash, Checkpoint, CheckpointError, open};
use crate::files::{self, FileError};
use crate::model::Tensor;
use crate::tokenize::{self, TokenizeError};

/// Why a model was not quantised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// The model cannot be read, or its copy not be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The files of its tokenizer cannot be read or written.
    #[error(transparent)]
    Tokenizer(#[from] TokenizeError),
    /// The folder cannot be made.
    #[error(transparent)]
    Write(#[from] FileError),
    /// There is nothing to quantise.
    #[error("the model in {} is quantised already: its matrices are in int8", path.display())]
    Already {
        /// The model.
        path: PathBuf,
    },
    /// Something is where the copy should go.
    #[error("{} exists already", path.display())]
    Exists {
        /// Where the copy should go.
        path: PathBuf,
    },
    /// What is where the copy should go is no model.
    #[error("{} holds no model (it has no config.json) and isn't replaced; name another folder", path.display())]
    NotAModel {
        /// Where the copy should go.
        path: PathBuf,
    },
    /// The copy would take the place of what it is made from, or of a folder around it.
    #[error("{} can't take the place of {}, which it is made from; name another folder", to.display(), from.display())]
    SamePlace {
        /// The model.
        from: PathBuf,
        /// Where the copy should go.
        to: PathBuf,
    },
}

/// How to quantise.
#[derive(Debug, Clone, Copy, Default)]
pub struct QuantizeOptions {
    /// Replace a model that is in the place of the copy.
    pub force: bool,
    /// Write nothing, only say what would come of it.
    pub dry_run: bool,
}

/// A model and its quantised copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Quantized {
    /// Hash of the model, which the copy goes by as well.
    pub base: BaseHash,
    /// Parameters.
    pub parameters: usize,
    /// How many of them are in bytes.
    pub quantized_parameters: usize,
    /// Bytes of the model's weights in its files.
    pub bytes_before: usize,
    /// Bytes of the copy's.
    pub bytes_after: usize,
}

/// Files beside the weights and the tokenizer that belong to a model.
const PAPERS: [&str; 5] = [
    "README.md",
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "vocabulary.json",
];

/// Makes a copy of a model folder in which every matrix that decoding in int8 quantises is stored as it quantises it: bytes (`I8`), and
/// an `f32` factor for each output channel under the name of the matrix with `_scale` behind it. So decoding in int8 gives the same
/// bits, from a quarter of the bytes; in any other precision the values are those that the bytes stand for. Biases and norms stay as they
/// are, the tokenizer's files, the model's card and licence are copied. The copy goes by the hash of the original: what was trained
/// on either fits both.
///
/// `observe` is told after each matrix how many parameters were quantised, of how many. The copy is written beside its place and renamed.
///
/// # Errors
/// [`QuantizeError`]; what was there before still is.
pub fn quantize(
    from: &Path,
    to: &Path,
    options: QuantizeOptions,
    observe: &mut dyn FnMut(usize, &Quantized),
) -> Result<Quantized, QuantizeError> {
    check_place(from, to, options.force)?;
    let checkpoint = open(from)?;
    if checkpoint.is_quantized() {
        return Err(QuantizeError::Already {
            path: from.to_owned(),
        });
    }
    let result = plan(&checkpoint);
    if options.dry_run {
        return Ok(result);
    }
    let Checkpoint {
        config, tensors, ..
    } = checkpoint;
    let mut done = 0;
    let tensors: Vec<Tensor> = tensors
        .into_iter()
        .map(|mut tensor| {
            if is_quantizable(&tensor) {
                tensor.storage = tensor.storage.quantized(tensor.shape[0]);
                done += tensor.storage.len();
                observe(done, &result);
            }
            tensor
        })
        .collect();
    files::write_dir_atomic(to, |dir| {
        tokenize::copy_files(from, dir)?;
        for name in PAPERS {
            copy(&from.join(name), &dir.join(name))?;
        }
        write_copy(dir, &config, &tensors, Some(result.base))?;
        Ok::<(), QuantizeError>(())
    })?;
    Ok(result)
}

/// Whether decoding in int8 quantises a tensor.
fn is_quantizable(tensor: &Tensor) -> bool {
    matches!(tensor.shape[..], [rows, cols] if PackedWeight::quantizes(rows, cols))
}

fn plan(checkpoint: &Checkpoint) -> Quantized {
    let mut plan = Quantized {
        base: checkpoint.hash(),
        parameters: 0,
        quantized_parameters: 0,
        bytes_before: 0,
        bytes_after: 0,
    };
    for tensor in &checkpoint.tensors {
        let (values, bytes) = (tensor.storage.len(), tensor.storage.size());
        plan.parameters += values;
        plan.bytes_before += bytes;
        plan.bytes_after += match is_quantizable(tensor) {
            true => {
                plan.quantized_parameters += values;
                values + 4 * tensor.shape[0]
            }
            false => bytes,
        };
    }
    plan
}

/// Before anything is read: whether a copy may go there.
fn check_place(from: &Path, to: &Path, force: bool) -> Result<(), QuantizeError> {
    if let (Ok(source), Ok(place)) = (from.canonicalize(), to.canonicalize())
        && source.starts_with(&place)
    {
        return Err(QuantizeError::SamePlace {
            from: from.to_owned(),
            to: to.to_owned(),
        });
    }
    let path = to.to_owned();
    if to.file_name().is_none() {
        return Err(FileError::NoFileName { path }.into());
    }
    let is_empty = || {
        to.read_dir()
            .is_ok_and(|mut entries| entries.next().is_none())
    };
    match to.symlink_metadata().is_ok() {
        true if is_empty() => Ok(()),
        true if !force => Err(QuantizeError::Exists { path }),
        true if !to.join("config.json").is_file() => Err(QuantizeError::NotAModel { path }),
        _ => Ok(()),
    }
}

/// Copies a file that may not be there.
fn copy(from: &Path, to: &Path) -> Result<(), QuantizeError> {
    if !from.is_file() {
        return Ok(());
    }
    let bytes = std::fs::read(from).map_err(CheckpointError::read(from))?;
    files::write_atomic(to, |w| w.write_all(&bytes))?;
    Ok(())
}
