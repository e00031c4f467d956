//! Reading `model.safetensors`.
//!
//! A matrix may be in bytes (`I8`), with a factor for each row in an `f32` tensor of the same name and `_scale` behind it. Of a file with
//! such matrices, `isogloss.base` in the metadata is the hash of the model that they were made from.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::raw::{Element, MappedFile, RawTensor, contiguous};
use super::{BaseHash, BaseHashError, CheckpointError};

const KIND: &str = "safetensors file";

/// What stands behind the name of a matrix in bytes in the name of its rows' factors.
pub(super) const SCALE: &str = "_scale";

/// The metadata's key for the hash of the model that was quantised.
pub(super) const BASE: &str = "isogloss.base";

/// What a file holds.
pub(super) struct SafetensorsFile {
    /// Every tensor, in the order in which they lie there.
    pub tensors: Vec<RawTensor>,
    /// Hash of the model of which this one is a quantised copy.
    pub base: Option<BaseHash>,
}

/// Reads what a file describes.
pub(super) fn read(path: &Path) -> Result<SafetensorsFile, CheckpointError> {
    let file = MappedFile::open(path, KIND)?;
    let malformed = |problem: String| CheckpointError::malformed(path, KIND, problem);
    let length = file.map.len();
    let Some((prefix, rest)) = file.map.split_first_chunk::<8>() else {
        return Err(malformed(format!(
            "it should start with 8 bytes, the length of its header, and has {length}"
        )));
    };
    let header = u64::from_le_bytes(*prefix);
    if header > rest.len() as u64 {
        return Err(malformed(format!(
            "its header should have {header} bytes, and the file ends after {}: it is cut short or not of this kind",
            rest.len()
        )));
    }
    let (header, metadata) = SafeTensors::read_metadata(&file.map).map_err(|e| {
        use safetensors::SafeTensorError::MetadataIncompleteBuffer;
        match e {
            MetadataIncompleteBuffer => malformed(format!(
                "its {length} bytes are not what its header describes: it is cut short or something was added"
            )),
            other => malformed(other.to_string()),
        }
    })?;
    let data = 8 + header;
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else {
            continue;
        };
        let (start, end) = info.data_offsets;
        tensors.push(RawTensor {
            file: file.clone(),
            element: match info.dtype {
                Dtype::F16 => Element::F16,
                Dtype::BF16 => Element::Bf16,
                Dtype::F32 => Element::F32,
                Dtype::F64 => Element::F64,
                Dtype::I8 => Element::I8,
                other => Element::Other(format!("{other:?}")),
            },
            strides: contiguous(&info.shape),
            shape: info.shape.clone(),
            bytes: data + start..data + end,
            offset: 0,
            name,
        });
    }
    let base = metadata
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get(BASE))
        .filter(|_| tensors.iter().any(|t: &RawTensor| t.element == Element::I8))
        .map(|hash| hash.parse())
        .transpose()
        .map_err(|e: BaseHashError| malformed(format!("its `{BASE}`: {e}")))?;
    Ok(SafetensorsFile { tensors, base })
}
