//! Reading `model.safetensors`.
//!
//! A matrix may be in bytes (`I8`), with a factor for each row in an `f32` tensor of the same name and `_scale` behind it. Of a file with
//! such matrices, `isogloss.base` in the metadata is the hash of the model that they were made from, and `isogloss.crc32` a checksum.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::raw::{Element, MappedFile, RawTensor, contiguous};
use super::{BaseHash, BaseHashError, CheckpointError};
use crate::hash::crc32_hex;

const KIND: &str = "safetensors file";

/// What stands behind the name of a matrix in bytes in the name of its rows' factors.
pub(super) const SCALE: &str = "_scale";

/// The metadata's key for the hash of the model that was quantised.
pub(super) const BASE: &str = "isogloss.base";

/// The metadata's key for the CRC-32 of all values of a quantised copy, in hexadecimal. Copies of earlier versions have none.
pub(super) const CRC32: &str = "isogloss.crc32";

/// What a file holds.
pub(super) struct SafetensorsFile {
    /// Every tensor, in the order in which they lie there.
    pub tensors: Vec<RawTensor>,
    /// Hash of the model of which this one is a quantised copy.
    pub base: Option<BaseHash>,
}

/// CRC-32 of what lies behind the header. Read rather than mapped: what was looked at in a map counts as the program's memory.
fn checksum(path: &Path, data: u64) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(data))?;
    let (mut crc32, mut buffer) = (crc32fast::Hasher::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(crc32_hex(crc32)),
            read => crc32.update(&buffer[..read]),
        }
    }
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
    let noted = |key: &str| metadata.metadata().as_ref()?.get(key);
    if let Some(expected) = noted(CRC32) {
        let got = checksum(path, data as u64).map_err(CheckpointError::read(path))?;
        if got != *expected {
            return Err(malformed(format!(
                "the CRC-32 of its values is {got}, and it says {expected}: it is damaged; quantise the model anew, or copy the file again"
            )));
        }
    }
    let base = noted(BASE)
        .filter(|_| tensors.iter().any(|t: &RawTensor| t.element == Element::I8))
        .map(|hash| hash.parse())
        .transpose()
        .map_err(|e: BaseHashError| malformed(format!("its `{BASE}`: {e}")))?;
    Ok(SafetensorsFile { tensors, base })
}
