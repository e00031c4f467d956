use std::ops::Range;
use std::sync::Arc;

use half::bf16;
use isogloss_kernels::Mat;
use isogloss_kernels::matmul::quantize_rows;
use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;
use rayon::prelude::*;

use crate::params::ParamStore;

/// Values that one thread quantises in one go.
const QUANTIZED: usize = 1 << 18;

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
    /// Owned rows of equal length in bytes, and a factor for each row.
    Int8(Vec<i8>, Vec<f32>),
    /// The same with the bytes in a mapped file; the range lies within the file.
    MappedInt8(Arc<Mmap>, Range<usize>, Vec<f32>),
}

/// Type of the values of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE single precision.
    F32,
    /// bfloat16: the upper half of an `f32`.
    Bf16,
    /// Whole numbers from -127 to 127 and an `f32` factor for each row of a matrix.
    Int8,
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
    /// Bytes of one value; factors of rows come on top.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::Bf16 => 2,
            DType::Int8 => 1,
        }
    }
}

/// The parameters of a store that holds a whole model, see [`Model::new`](crate::model::Model::new), as tensors to be written;
/// as bfloat16 they are rounded to nearest even, in bytes matrices are quantised and vectors stay `f32`.
#[must_use]
pub fn tensors_of(store: &ParamStore<f32>, dtype: DType) -> Vec<Tensor> {
    let storage = |values: &[f32], shape: &[usize]| match dtype {
        DType::Bf16 => Storage::Bf16(values.iter().map(|&x| bf16::from_f32(x)).collect()),
        DType::Int8 if shape.len() == 2 => Storage::F32(values.to_vec()).quantized(shape[0]),
        DType::F32 | DType::Int8 => Storage::F32(values.to_vec()),
    };
    let tensor = |param: &crate::params::Param| Tensor {
        name: param.name.clone(),
        shape: param.shape.clone(),
        storage: storage(&store.values()[param.range.clone()], &param.shape),
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
            Storage::Int8(..) | Storage::MappedInt8(..) => DType::Int8,
        }
    }

    /// Tells the system that a mapped file's pages of these values aren't needed now, so that they don't count as this process's memory;
    /// they are read again when they are asked for. Of owned values, nothing.
    pub fn release(&self) {
        self.release_part(0..self.len());
    }

    /// The same for some of the values.
    pub(crate) fn release_part(&self, part: Range<usize>) {
        if let Storage::MappedF32(map, at)
        | Storage::MappedBf16(map, at)
        | Storage::MappedInt8(map, at, _) = self
        {
            let size = self.dtype().size();
            release_pages(
                map,
                at.start + part.start * size..at.start + part.end * size,
            );
        }
    }

    /// The bytes of the values, without factors of rows, in the order of the machine (files are little-endian, and so must be the
    /// machine).
    ///
    /// # Panics
    /// If the range of a mapped storage isn't as its variant says.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Storage::F32(v) => bytemuck::cast_slice(v),
            Storage::Bf16(v) => bytemuck::cast_slice(v),
            Storage::Int8(v, _) => bytemuck::cast_slice(v),
            Storage::MappedF32(map, at)
            | Storage::MappedBf16(map, at)
            | Storage::MappedInt8(map, at, _) => &map[at.clone()],
        }
    }

    /// Bytes that the values take, and the factors of rows if there are any.
    #[must_use]
    pub fn size(&self) -> usize {
        let scales = match self {
            Storage::Int8(_, scales) | Storage::MappedInt8(_, _, scales) => 4 * scales.len(),
            _ => 0,
        };
        self.len() * self.dtype().size() + scales
    }

    /// One value, widened; none beyond the end.
    ///
    /// # Panics
    /// If the range of a mapped storage isn't as its variant says.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<f32> {
        match (self.as_f32(), self.as_bf16(), self.as_int8()) {
            (Some(v), ..) => v.get(index).copied(),
            (_, Some(v), _) => v.get(index).map(|x| x.to_f32()),
            (.., Some((v, scales))) => {
                let width = (v.len() / scales.len().max(1)).max(1);
                let value = |x: &i8| f32::from(*x) * scales[index / width];
                v.get(index).map(value)
            }
            (None, None, None) => None,
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

    /// The bytes and the factors of the rows, if the values are stored so.
    ///
    /// # Panics
    /// If the range of a mapped storage isn't as its variant says.
    #[must_use]
    pub fn as_int8(&self) -> Option<(&[i8], &[f32])> {
        match self {
            Storage::Int8(v, scales) => Some((v, scales)),
            Storage::MappedInt8(map, at, scales) => {
                Some((bytemuck::cast_slice(&map[at.clone()]), scales))
            }
            _ => None,
        }
    }

    /// The values as `f32`, copied and widened if need be.
    ///
    /// # Panics
    /// If the range of a mapped storage isn't as its variant says.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        self.widened(0..self.len())
    }

    /// Some of the values as `f32`.
    pub(crate) fn widened(&self, part: Range<usize>) -> Vec<f32> {
        if let Some(v) = self.as_f32() {
            return v[part].to_vec();
        }
        if let Some(v) = self.as_bf16() {
            return v[part].iter().map(|x| x.to_f32()).collect();
        }
        let (values, scales) = self.as_int8().unwrap_or_default();
        let width = (values.len() / scales.len().max(1)).max(1);
        let value = |i: usize| f32::from(values[i]) * scales[i / width];
        part.map(value).collect()
    }

    /// The values in bytes, each of `rows` rows with a factor of its own, as a backend in
    /// [`Int8`](isogloss_kernels::Precision::Int8) quantises a weight when it packs it; a row with a value that isn't finite gets
    /// the factor NaN. Pages of a mapped file are given back as they were read.
    ///
    /// # Panics
    /// If the values aren't so many rows.
    #[must_use]
    pub fn quantized(&self, rows: usize) -> Storage {
        if let Some((values, scales)) = self.as_int8() {
            return Storage::Int8(values.to_vec(), scales.to_vec());
        }
        let cols = self.len() / rows.max(1);
        assert_eq!(rows * cols, self.len(), "{rows} rows");
        let (mut values, mut scales) = (vec![0; self.len()], vec![0.0; rows]);
        let part = (QUANTIZED / cols.max(1)).max(1);
        let parts = values
            .par_chunks_mut((part * cols).max(1))
            .zip(scales.par_chunks_mut(part));
        parts.enumerate().for_each(|(i, (values, scales))| {
            let at = i * part * cols..i * part * cols + values.len();
            let block = match (self.as_f32(), self.as_bf16()) {
                (Some(v), _) => Mat::new(&v[at.clone()], scales.len(), cols),
                (_, v) => Mat::bf16(&v.unwrap_or_default()[at.clone()], scales.len(), cols),
            };
            quantize_rows(block, values, scales);
            self.release_part(at);
        });
        Storage::Int8(values, scales)
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Storage::F32(v) => v.len(),
            Storage::Bf16(v) => v.len(),
            Storage::MappedF32(_, at) => at.len() / 4,
            Storage::MappedBf16(_, at) => at.len() / 2,
            Storage::Int8(v, _) => v.len(),
            Storage::MappedInt8(_, at, _) => at.len(),
        }
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
