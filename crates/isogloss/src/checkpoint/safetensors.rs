//! Reading `model.safetensors`.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::CheckpointError;
use super::raw::{Element, MappedFile, RawTensor, contiguous};

const KIND: &str = "safetensors file";

/// Every tensor of a file, in the order in which they lie there.
pub(super) fn read(path: &Path) -> Result<Vec<RawTensor>, CheckpointError> {
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
                other => Element::Other(format!("{other:?}")),
            },
            strides: contiguous(&info.shape),
            shape: info.shape.clone(),
            bytes: data + start..data + end,
            offset: 0,
            name,
        });
    }
    Ok(tensors)
}
