//! Half of an update in a safetensors file: dense, or its non-zero values and a bit for each place that says where they lie.
//!
//! Bits stand in lines along the longer side of the matrix, a line for each component of the rank, filled up to whole bytes, the lowest bit of
//! a byte first: of `A (rank, in)` a line is a row, of `B (out, rank)` a column. The values stand in the order of their bits.

use std::borrow::Cow;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::adapter::file::AdapterFileError;

/// Name of a sparse tensor's values is the tensor's with this behind it.
const VALUES: &str = ".values";
/// And of their places.
const BITMAP: &str = ".bitmap";

/// What a tensor takes in the file's header beside its name, about.
const ENTRY: usize = 75;

/// How tensors are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// As they are.
    Dense,
    /// Sparse where that takes fewer bytes.
    Smallest,
}

/// A tensor of a file.
pub(super) struct Entry<'a> {
    pub name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

#[cfg(test)]
impl Entry<'static> {
    pub fn new(name: String, dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>) -> Self {
        let bytes = Cow::Owned(bytes);
        Entry {
            name,
            dtype,
            shape,
            bytes,
        }
    }
}

/// The lines of a matrix, and where the place `at` of a line lies in the row-major values.
#[derive(Clone, Copy)]
struct Lines {
    count: usize,
    length: usize,
    /// Lines are columns.
    columns: bool,
}

impl Lines {
    fn of([rows, cols]: [usize; 2]) -> Self {
        let columns = rows > cols;
        Lines {
            count: rows.min(cols),
            length: rows.max(cols),
            columns,
        }
    }

    /// Shape of the bits, in bytes.
    fn bytes(self) -> [usize; 2] {
        [self.count, self.length.div_ceil(8)]
    }

    /// Every place: its byte, the bit of that, and where its value lies.
    fn places(self) -> impl Iterator<Item = (usize, u8, usize)> {
        let width = self.length.div_ceil(8);
        let line = move |line: usize| {
            (0..self.length).map(move |at| {
                let place = match self.columns {
                    true => at * self.count + line,
                    false => line * self.length + at,
                };
                (line * width + at / 8, 1 << (at % 8), place)
            })
        };
        (0..self.count).flat_map(line)
    }
}

/// What a tensor takes in a file, its name included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredSize {
    pub bytes: usize,
    pub sparse: bool,
}

/// What the smaller of both forms takes.
pub(crate) fn smallest(name: &str, shape: [usize; 2], values: &[f32]) -> StoredSize {
    let nonzero = values.iter().filter(|&&x| x != 0.0).count();
    let entry = |suffix: &str| name.len() + suffix.len() + ENTRY;
    let dense = 4 * values.len() + entry("");
    let [lines, width] = Lines::of(shape).bytes();
    let sparse = 4 * nonzero + lines * width + entry(VALUES) + entry(BITMAP);
    StoredSize {
        bytes: dense.min(sparse),
        sparse: sparse < dense,
    }
}

/// The entries of a tensor, one or two.
pub(super) fn entries<'a>(
    name: String,
    shape: [usize; 2],
    values: &'a [f32],
    storage: Storage,
) -> Vec<Entry<'a>> {
    if storage == Storage::Dense || !smallest(&name, shape, values).sparse {
        return vec![Entry {
            name,
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            bytes: Cow::Borrowed(bytemuck::cast_slice(values)),
        }];
    }
    let lines = Lines::of(shape);
    let mut bitmap = vec![0u8; lines.bytes().iter().product()];
    let mut kept: Vec<u8> = Vec::new();
    for (byte, bit, place) in lines.places() {
        if values[place] != 0.0 {
            bitmap[byte] |= bit;
            kept.extend(values[place].to_le_bytes());
        }
    }
    vec![
        Entry {
            name: format!("{name}{VALUES}"),
            dtype: Dtype::F32,
            shape: vec![kept.len() / 4],
            bytes: Cow::Owned(kept),
        },
        Entry {
            name: format!("{name}{BITMAP}"),
            dtype: Dtype::U8,
            shape: lines.bytes().to_vec(),
            bytes: Cow::Owned(bitmap),
        },
    ]
}

/// Whether any of the entries is part of a sparse tensor.
pub(super) fn any_sparse(entries: &[Entry<'_>]) -> bool {
    entries.iter().any(|entry| entry.name.ends_with(BITMAP))
}

/// The file's bytes.
pub(super) fn serialize(entries: &[Entry<'_>]) -> Result<Vec<u8>, String> {
    let views = entries.iter().map(|entry| {
        let view = TensorView::new(entry.dtype, entry.shape.clone(), &entry.bytes);
        view.map(|view| (entry.name.as_str(), view))
            .map_err(|e| e.to_string())
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    // One entry only: more would be written in an order that changes from run to run.
    let metadata = [("format".to_owned(), "pt".to_owned())];
    safetensors::serialize(views, Some(metadata.into())).map_err(|e| e.to_string())
}

/// An update's file that is read.
pub(super) struct Source<'a> {
    pub path: &'a Path,
    pub file: SafeTensors<'a>,
}

impl Source<'_> {
    fn wrong(&self, tensor: &str, expected: String, got: String) -> AdapterFileError {
        AdapterFileError::Tensor {
            path: self.path.to_owned(),
            tensor: tensor.to_owned(),
            expected,
            got,
        }
    }

    /// Bytes of a tensor of this type and shape.
    fn bytes(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&[u8], AdapterFileError> {
        let wrong = |got| self.wrong(name, format!("{dtype:?} {shape:?}"), got);
        match self.file.tensor(name) {
            Ok(view) if view.dtype() == dtype && view.shape() == shape => Ok(view.data()),
            Ok(view) => Err(wrong(format!("{:?} {:?}", view.dtype(), view.shape()))),
            Err(_) => Err(wrong("nothing".to_owned())),
        }
    }

    /// Values of a tensor of this shape, which are finite.
    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, AdapterFileError> {
        let words = self.bytes(name, Dtype::F32, shape)?.as_chunks::<4>().0;
        let values: Vec<f32> = words.iter().map(|b| f32::from_le_bytes(*b)).collect();
        match values.iter().position(|x| !x.is_finite()) {
            Some(at) => {
                let got = format!("{} at index {at}", values[at]);
                Err(self.wrong(name, "finite values".to_owned(), got))
            }
            None => Ok(values),
        }
    }

    /// A tensor in whatever form it is there. It takes no memory that the file doesn't answer for: at most 32 bytes a byte.
    pub fn read(&self, name: &str, shape: [usize; 2]) -> Result<Vec<f32>, AdapterFileError> {
        let [values, bitmap] = [VALUES, BITMAP].map(|suffix| format!("{name}{suffix}"));
        let is_there = |name: &str| self.file.tensor(name).is_ok();
        if !is_there(&values) && !is_there(&bitmap) {
            return self.values(name, &shape);
        }
        let lines = Lines::of(shape);
        let bits = self.bytes(&bitmap, Dtype::U8, &lines.bytes())?;
        let count: usize = bits.iter().map(|b| b.count_ones() as usize).sum();
        let mut kept = self.values(&values, &[count])?.into_iter();
        // The bits answer for the product.
        let mut dense = vec![0.0; shape[0] * shape[1]];
        let places = lines.places();
        let places = places.filter(|&(byte, bit, _)| bits[byte] & bit != 0);
        for ((_, _, place), x) in places.zip(&mut kept) {
            dense[place] = x;
        }
        match kept.len() {
            0 => Ok(dense),
            more => {
                let expected = format!("bits of {} places a line", lines.length);
                Err(self.wrong(&bitmap, expected, format!("{more} behind them")))
            }
        }
    }
}
