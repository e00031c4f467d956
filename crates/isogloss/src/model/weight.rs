use std::ops::Range;
use std::sync::Arc;

use half::bf16;
use isogloss_kernels::{Backend, Mat, MatData, PackedWeight, Real};

use crate::model::{DType, Storage};
use crate::params::{ParamId, ParamStore};

/// A matrix of the base, `(rows, cols)` row-major: frozen in its storage, or a trainable parameter.
#[derive(Debug, Clone)]
pub struct Weight<R> {
    rows: usize,
    cols: usize,
    place: Place<R>,
    /// Of a frozen matrix: its values packed ahead for products.
    packed: Option<Arc<PackedWeight>>,
}

/// Values that are narrowed at a time, before their memory is given back.
const NARROWED: usize = 1 << 22;

#[derive(Debug, Clone)]
enum Place<R> {
    Frozen(Storage),
    /// Frozen, converted because the computation's type isn't the storage's.
    Converted(Vec<R>),
    /// Frozen, and given up for what was packed.
    Packed,
    Trainable(ParamId),
}

impl<R: Real> Weight<R> {
    /// A frozen matrix.
    #[must_use]
    pub fn frozen(rows: usize, cols: usize, storage: Storage) -> Self {
        let place = match storage.as_f32() {
            Some(values) if R::reuse(values).is_none() => {
                Place::Converted(values.iter().map(|&x| R::of(x)).collect())
            }
            _ => Place::Frozen(storage),
        };
        Weight {
            rows,
            cols,
            place,
            packed: None,
        }
    }

    /// A trainable matrix.
    #[must_use]
    pub fn trainable(rows: usize, cols: usize, id: ParamId) -> Self {
        Weight {
            rows,
            cols,
            place: Place::Trainable(id),
            packed: None,
        }
    }

    /// The parameter, if the matrix is trained.
    #[must_use]
    pub fn param(&self) -> Option<ParamId> {
        match self.place {
            Place::Trainable(id) => Some(id),
            _ => None,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes that a product with all of the matrix reads: what was packed for it, else its values. Of what was packed for the backward
    /// pass as well, both copies count.
    pub(crate) fn product_bytes(&self) -> usize {
        match (&self.packed, &self.place) {
            (Some(packed), _) => packed.bytes(),
            (None, Place::Frozen(storage)) => storage.as_bytes().len(),
            (None, _) => self.rows * self.cols * size_of::<R>(),
        }
    }

    /// The matrix.
    #[must_use]
    pub fn mat<'a>(&'a self, store: &'a ParamStore<R>) -> Mat<'a, R> {
        let data = match &self.place {
            Place::Trainable(id) => MatData::Real(store.get(*id)),
            _ => return self.frozen_mat(),
        };
        Mat::strided(data, self.rows, self.cols, self.cols)
    }

    /// Packs a frozen matrix ahead for products on a backend, with a copy for `dy W` if `backward`. With `replace`, what was packed takes
    /// the place of the values, whose mapped memory is given back.
    pub(crate) fn pack<B: Backend<Real = R>>(
        &mut self,
        backend: &B,
        backward: bool,
        replace: bool,
    ) {
        if self.param().is_some() || matches!(self.place, Place::Packed) {
            return;
        }
        self.packed = None;
        let mut read = |rows: Range<usize>| {
            if let Place::Frozen(storage) = &self.place {
                storage.release_part(rows.start * self.cols..rows.end * self.cols);
            }
        };
        let packed = backend.pack_weight_by_rows(self.frozen_mat(), backward, &mut read);
        self.packed = packed.map(Arc::new);
        if let Place::Frozen(storage) = &self.place {
            storage.release();
        }
        if self.packed.is_some() && replace {
            self.place = Place::Packed;
        }
    }

    /// Keeps a frozen matrix in bfloat16, rounded to nearest even.
    pub(crate) fn narrow(&mut self) {
        if let Place::Frozen(storage) = &self.place
            && storage.dtype() != DType::Bf16
        {
            let mut narrow = Vec::with_capacity(storage.len());
            for start in (0..storage.len()).step_by(NARROWED) {
                let part = start..storage.len().min(start + NARROWED);
                let values = storage.widened(part.clone());
                narrow.extend(values.into_iter().map(bf16::from_f32));
                storage.release_part(part);
            }
            self.place = Place::Frozen(Storage::Bf16(narrow));
        }
    }

    /// Multiplies a frozen matrix out that is stored in bytes, so that products needn't do it again and again.
    pub(crate) fn widen(&mut self) {
        if let Place::Frozen(storage) = &self.place
            && storage.dtype() == DType::Int8
        {
            let values = storage.to_f32().into_iter().map(R::of).collect();
            storage.release();
            self.place = Place::Converted(values);
        }
    }

    /// The values as products see them, of a matrix of which nothing but what was packed is left; none of another.
    pub(crate) fn unpacked(&self) -> Option<Self> {
        let rows = u32::try_from(self.rows).ok()?;
        let packed = matches!(self.place, Place::Packed);
        packed.then(|| Weight {
            rows: self.rows,
            cols: self.cols,
            place: self.gather_packed(&(0..rows).collect::<Vec<_>>()),
            packed: None,
        })
    }

    /// Some rows, in the order given, as a frozen matrix of their own.
    ///
    /// # Panics
    /// If there is no such row, or if the store is another model's.
    pub(crate) fn gather(&self, store: &ParamStore<R>, rows: &[u32]) -> Self {
        let place = match &self.place {
            Place::Trainable(id) => Place::Converted(gather(store.get(*id), self.cols, rows)),
            Place::Converted(values) => Place::Converted(gather(values, self.cols, rows)),
            Place::Packed => self.gather_packed(rows),
            Place::Frozen(storage) => Place::Frozen(if let Some(values) = storage.as_f32() {
                Storage::F32(gather(values, self.cols, rows))
            } else if let Some((values, scales)) = storage.as_int8() {
                Storage::Int8(gather(values, self.cols, rows), gather(scales, 1, rows))
            } else {
                let values = storage.as_bf16().unwrap_or_default();
                Storage::Bf16(gather(values, self.cols, rows))
            }),
        };
        Weight {
            rows: rows.len(),
            cols: self.cols,
            place,
            packed: None,
        }
    }

    /// Some rows of what was packed: bytes stay the bytes that they are.
    fn gather_packed(&self, rows: &[u32]) -> Place<R> {
        let (mut values, mut scales) = (vec![0; rows.len() * self.cols], Vec::new());
        for (values, &row) in values.chunks_mut(self.cols.max(1)).zip(rows) {
            let packed = self.packed.as_deref();
            scales.extend(packed.and_then(|packed| packed.int8_row(row as usize, values)));
        }
        if scales.len() == rows.len() {
            return Place::Frozen(Storage::Int8(values, scales));
        }
        let all = self.frozen_mat();
        let row = |&row: &u32| (0..self.cols).map(move |j| all.at(row as usize, j));
        Place::Converted(rows.iter().flat_map(row).collect())
    }

    /// The matrix, if it isn't trained; otherwise an empty one.
    fn frozen_mat(&self) -> Mat<'_, R> {
        let data = match (&self.place, self.packed.as_deref()) {
            (Place::Trainable(_), _) | (Place::Packed, None) => return Mat::new(&[], 0, 0),
            (Place::Packed, Some(packed)) => return Mat::packed(packed),
            (Place::Converted(values), _) => MatData::Real(values),
            (Place::Frozen(storage), _) => {
                if let Some(values) = storage.as_f32().and_then(R::reuse) {
                    MatData::Real(values)
                } else if let Some(values) = storage.as_bf16() {
                    MatData::Bf16(values)
                } else if let Some((values, scales)) = storage.as_int8() {
                    MatData::Int8 { values, scales }
                } else {
                    unreachable!("an f32 storage that can't be reused is converted")
                }
            }
        };
        let mat = Mat::strided(data, self.rows, self.cols, self.cols);
        mat.with_packed(self.packed.as_deref())
    }
}

fn gather<T: Copy>(values: &[T], width: usize, rows: &[u32]) -> Vec<T> {
    let mut gathered = Vec::with_capacity(rows.len() * width);
    for &row in rows {
        gathered.extend_from_slice(&values[row as usize * width..][..width]);
    }
    gathered
}

/// A vector of the base (a bias, or half of a layer norm): frozen, or a trainable parameter.
#[derive(Debug, Clone)]
pub enum Vector<R> {
    /// Frozen values.
    Frozen(Vec<R>),
    /// A trainable parameter.
    Trainable(ParamId),
}

impl<R: Real> Vector<R> {
    /// The values.
    #[must_use]
    pub fn get<'a>(&'a self, store: &'a ParamStore<R>) -> &'a [R] {
        match self {
            Vector::Frozen(values) => values,
            Vector::Trainable(id) => store.get(*id),
        }
    }

    /// The parameter, if the vector is trained.
    #[must_use]
    pub fn param(&self) -> Option<ParamId> {
        match self {
            Vector::Frozen(_) => None,
            Vector::Trainable(id) => Some(*id),
        }
    }
}
