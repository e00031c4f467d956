use std::ops::Range;
use std::sync::Arc;

use half::bf16;
use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;

use crate::params::ParamStore;

/// A named tensor of a base model.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Name without the prefix `model.`, such as `encoder.layers.0.fc1.weight`.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub storage: Storage,
}

/// Where the values of a frozen tensor lie.
#[derive(Debug, Clone)]
pub enum Storage {
    /// Owned `f32` values.
    F32(Vec<f32>),
    /// Owned bfloat16 values.
    Bf16(Vec<bf16>),
    /// `f32` values in a mapped file; the range is in bytes, lies within the file, starts at a multiple of 4 and is one long.
    MappedF32(Arc<Mmap>, Range<usize>),
    /// bfloat16 values in a mapped file; the range is in bytes, lies within the file, starts at a multiple of 2 and is one long.
    MappedBf16(Arc<Mmap>, Range<usize>),
}

/// Type of the values of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE single precision.
    F32,
    /// bfloat16: the upper half of an `f32`.
    Bf16,
}

/// Gives back the pages of a mapped file.
fn release_pages(map: &Mmap, bytes: Range<usize>) {
    #[cfg(unix)]
    {
        let bytes = bytes.start.min(map.len())..bytes.end.min(map.len());
        // SAFETY: the mapping is of a file and read-only: a page that is given back is read from the file again, with the same bytes.
        #[allow(unsafe_code)]
        let released = unsafe {
            map.unchecked_advise_range(UncheckedAdvice::DontNeed, bytes.start, bytes.len())
        };
        // It's no more than advice.
        if let Err(error) = released {
            tracing::debug!("pages of a mapped file can't be given back: {error}");
        }
    }
    #[cfg(not(unix))]
    let _ = (map, bytes);
}

impl DType {
    /// Bytes of one value.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::Bf16 => 2,
        }
    }
}

/// The parameters of a store that holds a whole model, see [`Model::new`](crate::model::Model::new), as tensors to be written;
/// as bfloat16 they are rounded to nearest even.
#[must_use]
pub fn tensors_of(store: &ParamStore<f32>, dtype: DType) -> Vec<Tensor> {
    let storage = |values: &[f32]| match dtype {
        DType::F32 => Storage::F32(values.to_vec()),
        DType::Bf16 => Storage::Bf16(values.iter().map(|&x| bf16::from_f32(x)).collect()),
    };
    let tensor = |param: &crate::params::Param| Tensor {
        name: param.name.clone(),
        shape: param.shape.clone(),
        storage: storage(&store.values()[param.range.clone()]),
    };
    store.params().iter().map(tensor).collect()
}

impl Storage {
    /// The type of the values.
    #[must_use]
    pub fn dtype(&self) -> DType {
        match self {
            Storage::F32(_) | Storage::MappedF32(..) => DType::F32,
            Storage::Bf16(_) | Storage::MappedBf16(..) => DType::Bf16,
        }
    }

    /// Tells the system that a mapped file's pages of these values aren't needed now, so that they don't count as this process's memory;
    /// they are read again when they are asked for. Of owned values, nothing.
    pub fn release(&self) {
        self.release_part(0..self.len());
    }

    /// The same for some of the values.
    pub(crate) fn release_part(&self, part: Range<usize>) {
        if let Storage::MappedF32(map, at) | Storage::MappedBf16(map, at) = self {
            let size = self.dtype().size();
            release_pages(
                map,
                at.start + part.start * size..at.start + part.end * size,
            );
        }
    }

    /// The bytes of the values, in the order of the machine (files are little-endian, and so must be the machine).
    ///
    /// # Panics
    /// If the range of a mapped storage isn't as its variant says.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Storage::F32(v) => bytemuck::cast_slice(v),
            Storage::Bf16(v) => bytemuck::cast_slice(v),
            Storage::MappedF32(map, at) | Storage::MappedBf16(map, at) => &map[at.clone()],
        }
    }

    /// One value, widened; none beyond the end.
    ///
    /// # Panics
    /// If the range of a mapped storage isn't as its variant says.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<f32> {
        match (self.as_f32(), self.as_bf16()) {
            (Some(v), _) => v.get(index).copied(),
            (_, Some(v)) => v.get(index).map(|x| x.to_f32()),
            (None, None) => None,
        }
    }

    /// The values, if they are stored as `f32`.
    ///
    /// # Panics
    /// If the range of a mapped storage isn't as its variant says.
    #[must_use]
    pub fn as_f32(&self) -> Option<&[f32]> {
        match self {
            Storage::F32(v) => Some(v),
            Storage::MappedF32(map, at) => Some(bytemuck::cast_slice(&map[at.clone()])),
            _ => None,
        }
    }

    /// The values, if they are stored as bfloat16.
    ///
    /// # Panics
    /// If the range of a mapped storage isn't as its variant says.
    #[must_use]
    pub fn as_bf16(&self) -> Option<&[bf16]> {
        match self {
            Storage::Bf16(v) => Some(v),
            Storage::MappedBf16(map, at) => Some(bytemuck::cast_slice(&map[at.clone()])),
            _ => None,
        }
    }

    /// The values as `f32`, copied and widened if need be.
    ///
    /// # Panics
    /// If the range of a mapped storage isn't as its variant says.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        match (self.as_f32(), self.as_bf16()) {
            (Some(v), _) => v.to_vec(),
            (_, Some(v)) => v.iter().map(|x| x.to_f32()).collect(),
            (None, None) => unreachable!("a storage is f32 or bf16"),
        }
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Storage::F32(v) => v.len(),
            Storage::Bf16(v) => v.len(),
            Storage::MappedF32(_, at) => at.len() / 4,
            Storage::MappedBf16(_, at) => at.len() / 2,
        }
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
