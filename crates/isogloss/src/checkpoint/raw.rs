//! Tensors as they lie in a file, before anything was checked against a configuration.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use half::{bf16, f16};
use memmap2::Mmap;

use super::CheckpointError;
use crate::model::Storage;

/// Type of the elements of a tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    F16,
    Bf16,
    F32,
    F64,
    /// Rows in bytes, each with a factor that another tensor holds.
    I8,
    /// Anything that weights do not consist of, by its name.
    Other(String),
}

impl Element {
    /// Bytes of one element; none of a type that is not read.
    fn size(&self) -> Option<usize> {
        match self {
            Element::F16 | Element::Bf16 => Some(2),
            Element::F32 => Some(4),
            Element::F64 => Some(8),
            Element::I8 => Some(1),
            Element::Other(_) => None,
        }
    }
}

/// A file, mapped for reading.
#[derive(Debug, Clone)]
pub(super) struct MappedFile {
    pub path: Arc<Path>,
    pub map: Arc<Mmap>,
}

impl MappedFile {
    pub fn open(path: &Path, kind: &'static str) -> Result<MappedFile, CheckpointError> {
        let file = File::open(path).map_err(CheckpointError::read(path))?;
        let metadata = file.metadata().map_err(CheckpointError::read(path))?;
        // Mapping an empty file is an error of its own, and a poor message.
        if metadata.is_file() && metadata.len() == 0 {
            return Err(CheckpointError::malformed(path, kind, "it is empty"));
        }
        // SAFETY: the map is read only, and its pages are read as plain numbers, of which every bit pattern is valid. A
        // file that is written to while it is mapped gives other numbers, one that is cut short ends the process: as for
        // every program that maps weights, models are replaced by renaming, never by writing into them.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(CheckpointError::read(path))?;
        Ok(MappedFile {
            path: path.into(),
            map: Arc::new(map),
        })
    }
}

/// A tensor in a mapped file.
#[derive(Debug, Clone)]
pub(super) struct RawTensor {
    pub name: String,
    pub file: MappedFile,
    pub element: Element,
    pub shape: Vec<usize>,
    /// The bytes that the elements are taken from; they lie within the file.
    pub bytes: Range<usize>,
    /// Index of the first element in `bytes`.
    pub offset: usize,
    /// Elements from one index to the next, one for each dimension.
    pub strides: Vec<usize>,
}

impl RawTensor {
    /// Whether both are the same view of the same bytes.
    pub fn same_place(&self, other: &RawTensor) -> bool {
        Arc::ptr_eq(&self.file.map, &other.file.map)
            && self.bytes == other.bytes
            && self.offset == other.offset
            && self.strides == other.strides
            && self.shape == other.shape
            && self.element == other.element
    }

    /// The values: in place if they lie there as `f32` or bfloat16, contiguous and aligned, else copied; half and double
    /// precision become `f32`.
    ///
    /// # Errors
    /// If the elements are of another type or the view reaches beyond its bytes.
    pub fn to_storage(&self) -> Result<Storage, CheckpointError> {
        if self.element == Element::I8 {
            return Err(self.wrong_type());
        }
        let size = self.element.size().ok_or_else(|| self.wrong_type())?;
        let count = self.count(size)?;
        if self.strides != contiguous(&self.shape) {
            return Ok(self.decode(&self.gather(count, size)));
        }
        let start = self.bytes.start + self.offset * size;
        let range = start..start + count * size;
        let aligned = start.is_multiple_of(size);
        Ok(match self.element {
            Element::F32 if aligned => Storage::MappedF32(self.file.map.clone(), range),
            Element::Bf16 if aligned => Storage::MappedBf16(self.file.map.clone(), range),
            _ => self.decode(&self.file.map[range]),
        })
    }

    /// A matrix in bytes with a factor for each row: in place if it lies there contiguous, else copied.
    ///
    /// # Errors
    /// If the elements are of another type or the view reaches beyond its bytes.
    pub fn to_int8(&self, scales: Vec<f32>) -> Result<Storage, CheckpointError> {
        if self.element != Element::I8 {
            return Err(self.wrong_type());
        }
        let count = self.count(1)?;
        if self.strides != contiguous(&self.shape) {
            let values = bytemuck::cast_slice(&self.gather(count, 1)).to_vec();
            return Ok(Storage::Int8(values, scales));
        }
        let start = self.bytes.start + self.offset;
        let map = self.file.map.clone();
        Ok(Storage::MappedInt8(map, start..start + count, scales))
    }

    fn wrong_type(&self) -> CheckpointError {
        CheckpointError::DType {
            path: self.file.path.to_path_buf(),
            tensor: self.name.clone(),
            got: match &self.element {
                Element::Other(name) => name.clone(),
                known => format!("{known:?}"),
            },
        }
    }

    /// Number of elements of `size` bytes.
    fn count(&self, size: usize) -> Result<usize, CheckpointError> {
        self.checked_len(size).ok_or_else(|| {
            let (stored, file) = (self.bytes.len() / size, &self.file.path);
            CheckpointError::malformed(
                file,
                "checkpoint",
                format!(
                    "tensor `{}` of shape {:?}, strides {:?} and offset {} reaches beyond its {stored} stored values",
                    self.name, self.shape, self.strides, self.offset
                ),
            )
        })
    }

    /// Number of elements, if every one of them lies within `bytes`.
    fn checked_len(&self, size: usize) -> Option<usize> {
        let count = self
            .shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d))?;
        if count == 0 || self.shape.len() != self.strides.len() {
            return None;
        }
        let mut last = self.offset;
        for (&d, &stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add((d - 1).checked_mul(stride)?)?;
        }
        (last < self.bytes.len() / size).then_some(count)
    }

    /// The bytes of a strided view in row-major order.
    fn gather(&self, count: usize, size: usize) -> Vec<u8> {
        let data = &self.file.map[self.bytes.clone()];
        let mut out = Vec::with_capacity(count * size);
        let mut index = vec![0; self.shape.len()];
        let mut at = self.offset;
        for _ in 0..count {
            out.extend_from_slice(&data[at * size..][..size]);
            for d in (0..index.len()).rev() {
                index[d] += 1;
                at += self.strides[d];
                if index[d] < self.shape[d] {
                    break;
                }
                at -= index[d] * self.strides[d];
                index[d] = 0;
            }
        }
        out
    }

    fn decode(&self, bytes: &[u8]) -> Storage {
        match self.element {
            Element::Bf16 => Storage::Bf16(words(bytes, bf16::from_le_bytes)),
            Element::F16 => Storage::F32(words(bytes, |b| f16::from_le_bytes(b).to_f32())),
            // A double beyond the range of a float becomes infinite, which the check of all weights reports.
            Element::F64 => Storage::F32(words(bytes, |b| f64::from_le_bytes(b) as f32)),
            Element::F32 | Element::I8 | Element::Other(_) => {
                Storage::F32(words(bytes, f32::from_le_bytes))
            }
        }
    }
}

fn words<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&b| from(b)).collect()
}

/// Row-major strides of a shape, in elements.
pub(super) fn contiguous(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d].saturating_mul(shape[d]);
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A view of the numbers 0, 1, … 11 that start at the third byte of a file.
    fn view(shape: &[usize], strides: &[usize], offset: usize) -> RawTensor {
        let mut bytes = vec![0xff; 3];
        bytes.extend((0..12).flat_map(|n| (n as f32).to_le_bytes()));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        RawTensor {
            name: "view".to_owned(),
            file: MappedFile::open(file.path(), "test").unwrap(),
            element: Element::F32,
            shape: shape.to_vec(),
            bytes: 3..51,
            offset,
            strides: strides.to_vec(),
        }
    }

    #[test]
    fn views_are_read_in_row_major_order() {
        type Case<'a> = (&'a [usize], &'a [usize], usize, &'a [f32]);
        let cases: [Case<'_>; 6] = [
            (&[2, 3], &[3, 1], 6, &[6., 7., 8., 9., 10., 11.]),
            (&[3, 2], &[1, 3], 0, &[0., 3., 1., 4., 2., 5.]),
            (&[2, 2], &[0, 1], 4, &[4., 5., 4., 5.]),
            (&[2, 1, 2], &[6, 1, 3], 1, &[1., 4., 7., 10.]),
            (&[3], &[4], 3, &[3., 7., 11.]),
            (&[], &[], 5, &[5.]),
        ];
        for (shape, strides, offset, expected) in cases {
            let values = view(shape, strides, offset).to_storage().unwrap().to_f32();
            assert_eq!(values, expected, "{shape:?} {strides:?}");
        }
    }

    #[test]
    fn views_beyond_their_bytes_are_refused() {
        let cases: [(&[usize], &[usize], usize); 6] = [
            (&[13], &[1], 0),
            (&[2, 3], &[3, 1], 7),
            (&[4], &[4], 0),
            (&[2], &[usize::MAX], 1),
            (&[usize::MAX, 2], &[1, 1], 0),
            (&[2], &[], 0),
        ];
        for (shape, strides, offset) in cases {
            let error = view(shape, strides, offset).to_storage().unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("reaches beyond its 12 stored values"),
                "{error}"
            );
        }
    }

    #[test]
    fn unaligned_values_are_copied_and_aligned_ones_are_not() {
        let mut tensor = view(&[12], &[1], 0);
        assert!(matches!(tensor.to_storage().unwrap(), Storage::F32(_)));
        (tensor.bytes, tensor.shape) = (4..48, vec![11]);
        assert!(matches!(
            tensor.to_storage().unwrap(),
            Storage::MappedF32(..)
        ));
    }
}
