use half::bf16;

use crate::matmul::PackedWeight;
use crate::real::Real;

/// The values behind a [`Mat`]: the scalar of the computation, or a frozen weight stored in half the space.
#[derive(Debug, Clone, Copy)]
pub enum MatData<'a, R> {
    /// Values of the computation's own type.
    Real(&'a [R]),
    /// bfloat16 storage, widened when it is read.
    Bf16(&'a [bf16]),
    /// Bytes with a factor for each row, see [`quantize_rows`](crate::matmul::quantize_rows).
    Int8 {
        /// The bytes.
        values: &'a [i8],
        /// A factor for each row of the matrix as it is stored.
        scales: &'a [f32],
    },
    /// None but those that were packed ahead, see [`Mat::packed`].
    Packed,
}

/// A read-only view of a matrix: element `(i, j)` lies at `i * row_stride + j * col_stride`.
#[derive(Debug, Clone, Copy)]
pub struct Mat<'a, R> {
    data: MatData<'a, R>,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
    packed: Option<&'a PackedWeight>,
    /// Row of the packed weight that the matrix starts with.
    first: usize,
}

/// Whether the last element lies inside `len` values. The kernels' unsafe code relies on it, so it must not wrap.
fn fits(rows: usize, cols: usize, row_stride: usize, len: usize) -> bool {
    let end = |rows: usize| (rows - 1).checked_mul(row_stride)?.checked_add(cols);
    rows == 0 || cols == 0 || end(rows).is_some_and(|end| end <= len)
}

impl<'a, R: Real> Mat<'a, R> {
    /// A packed row-major matrix.
    ///
    /// # Panics
    /// If `data` doesn't hold exactly `rows * cols` values.
    #[must_use]
    pub fn new(data: &'a [R], rows: usize, cols: usize) -> Self {
        assert_eq!(
            Some(data.len()),
            rows.checked_mul(cols),
            "matrix of {rows} x {cols}"
        );
        Self::strided(MatData::Real(data), rows, cols, cols)
    }

    /// A packed row-major matrix in bfloat16.
    ///
    /// # Panics
    /// If `data` doesn't hold exactly `rows * cols` values.
    #[must_use]
    pub fn bf16(data: &'a [bf16], rows: usize, cols: usize) -> Self {
        assert_eq!(
            Some(data.len()),
            rows.checked_mul(cols),
            "matrix of {rows} x {cols}"
        );
        Self::strided(MatData::Bf16(data), rows, cols, cols)
    }

    /// A packed row-major matrix in bytes with a factor for each row.
    ///
    /// # Panics
    /// If `values` doesn't hold exactly `rows * cols` values, and `scales` as many as rows.
    #[must_use]
    pub fn int8(values: &'a [i8], scales: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(
            Some(values.len()),
            rows.checked_mul(cols),
            "matrix of {rows} x {cols}"
        );
        assert_eq!(scales.len(), rows, "factors of {rows} rows");
        Self::strided(MatData::Int8 { values, scales }, rows, cols, cols)
    }

    /// A weight of which there is nothing but what was packed ahead: its values as products see them.
    #[must_use]
    pub fn packed(packed: &'a PackedWeight) -> Self {
        let (rows, cols) = packed.shape();
        Self::strided(MatData::Packed, rows, cols, cols).with_packed(Some(packed))
    }

    /// A row-major matrix whose rows lie `row_stride` values apart.
    ///
    /// # Panics
    /// If the last element lies outside `data`, if a row lacks its factor, or if rows of [`MatData::Packed`] lie apart.
    #[must_use]
    pub fn strided(data: MatData<'a, R>, rows: usize, cols: usize, row_stride: usize) -> Self {
        let len = match data {
            MatData::Real(d) => d.len(),
            MatData::Bf16(d) => d.len(),
            MatData::Int8 { values, scales } => {
                assert!(scales.len() >= rows, "factors of {rows} rows");
                values.len()
            }
            MatData::Packed => {
                assert!(row_stride == cols, "rows of packed values lie side by side");
                rows.saturating_mul(cols)
            }
        };
        assert!(row_stride >= cols, "rows overlap");
        assert!(
            fits(rows, cols, row_stride, len),
            "matrix of {rows} x {cols} at stride {row_stride} in {len} values"
        );
        Mat {
            data,
            rows,
            cols,
            row_stride,
            col_stride: 1,
            packed: None,
            first: 0,
        }
    }

    /// The same matrix, with its values packed ahead for products whose right operand it, or its transpose, is.
    ///
    /// # Panics
    /// If the shapes differ.
    #[must_use]
    pub fn with_packed(self, packed: Option<&'a PackedWeight>) -> Self {
        if let Some(packed) = packed {
            let shape = (self.rows, self.cols);
            assert_eq!(packed.shape(), shape, "a weight packed ahead");
        }
        Mat { packed, ..self }
    }

    /// What was packed ahead.
    pub(super) fn ahead(&self) -> Option<&'a PackedWeight> {
        self.packed
    }

    /// Row of what was packed ahead that the matrix, as it is stored, starts with.
    pub(super) fn first_row(&self) -> usize {
        self.first
    }

    /// The transpose, without a copy.
    #[must_use]
    pub fn t(self) -> Self {
        Mat {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
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

    /// Distance of two rows in the data.
    #[must_use]
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// Distance of two columns in the data; 1 unless transposed.
    #[must_use]
    pub fn col_stride(&self) -> usize {
        self.col_stride
    }

    /// The values.
    #[must_use]
    pub fn data(&self) -> MatData<'a, R> {
        self.data
    }

    /// Element `(i, j)`.
    ///
    /// # Panics
    /// If it lies outside the matrix.
    #[must_use]
    pub fn at(&self, i: usize, j: usize) -> R {
        assert!(i < self.rows && j < self.cols, "element ({i}, {j})");
        let at = i * self.row_stride + j * self.col_stride;
        match self.data {
            MatData::Real(d) => d[at],
            MatData::Bf16(d) => R::of(d[at].to_f32()),
            MatData::Int8 { values, scales } => {
                // The larger stride is that of the stored rows.
                let row = at / self.row_stride.max(self.col_stride).max(1);
                R::of(f32::from(values[at]) * scales[row])
            }
            MatData::Packed => {
                let stride = self.row_stride.max(self.col_stride).max(1);
                let packed = self.packed.expect("a matrix of packed values has them");
                R::of(packed.at(self.first + at / stride, at % stride))
            }
        }
    }
}

impl<'a> Mat<'a, f32> {
    /// Some rows of a matrix whose rows are contiguous, and what was packed ahead of them.
    ///
    /// # Panics
    /// If it is transposed, or has fewer rows.
    pub(crate) fn some_rows(&self, first: usize, count: usize) -> Mat<'a, f32> {
        assert!(
            self.col_stride == 1 && first + count <= self.rows,
            "rows {first}..{first}+{count}"
        );
        let start = first * self.row_stride;
        let data = match self.data {
            MatData::Real(d) => MatData::Real(&d[start..]),
            MatData::Bf16(d) => MatData::Bf16(&d[start..]),
            MatData::Int8 { values, scales } => MatData::Int8 {
                values: &values[start..],
                // As many as rows, so that no more are widened.
                scales: &scales[first..first + count],
            },
            MatData::Packed => MatData::Packed,
        };
        Mat {
            packed: self.packed,
            first: self.first + first,
            ..Mat::strided(data, count, self.cols, self.row_stride)
        }
    }

    /// The same matrix in `space`, laid out as it is, if its values aren't numbers that a kernel packs.
    pub(super) fn widened<'s>(&self, space: &'s mut Vec<f32>) -> Option<Mat<'s, f32>> {
        let stride = self.row_stride.max(self.col_stride).max(1);
        match self.data {
            MatData::Int8 { values, scales } => {
                for (row, &scale) in values.chunks(stride).zip(scales) {
                    space.extend(row.iter().map(|&x| f32::from(x) * scale));
                }
            }
            MatData::Packed => {
                let (packed, first) = (self.packed?, self.first);
                let cols = packed.shape().1;
                let rows = self.rows * self.cols / cols.max(1);
                let row = |i: usize| (0..cols).map(move |j| packed.at(first + i, j));
                space.extend((0..rows).flat_map(row));
            }
            MatData::Real(_) | MatData::Bf16(_) => return None,
        }
        Some(Mat {
            data: MatData::Real(space),
            rows: self.rows,
            cols: self.cols,
            row_stride: self.row_stride,
            col_stride: self.col_stride,
            packed: None,
            first: 0,
        })
    }

    /// Copies row `i`, widened.
    ///
    /// # Panics
    /// If there is no such row, or `to` isn't as long as one.
    pub(crate) fn copy_row(&self, i: usize, to: &mut [f32]) {
        assert!(i < self.rows && to.len() == self.cols, "row {i}");
        let start = i * self.row_stride;
        match self.data {
            MatData::Real(d) if self.col_stride == 1 => {
                to.copy_from_slice(&d[start..][..self.cols]);
            }
            MatData::Bf16(d) if self.col_stride == 1 => {
                for (to, x) in to.iter_mut().zip(&d[start..][..self.cols]) {
                    *to = x.to_f32();
                }
            }
            MatData::Int8 { values, scales } if self.col_stride == 1 => {
                for (to, &x) in to.iter_mut().zip(&values[start..][..self.cols]) {
                    *to = f32::from(x) * scales[i];
                }
            }
            MatData::Packed if self.col_stride == 1 => {
                let packed = self.packed.expect("a matrix of packed values has them");
                packed.copy_row(self.first + i, to);
            }
            _ => (0..self.cols).for_each(|j| to[j] = self.at(i, j)),
        }
    }
}

/// A view of a row-major matrix that is written to; rows lie `row_stride` values apart.
#[derive(Debug)]
pub struct MatMut<'a, R> {
    data: &'a mut [R],
    rows: usize,
    cols: usize,
    row_stride: usize,
}

impl<'a, R: Real> MatMut<'a, R> {
    /// A packed row-major matrix.
    ///
    /// # Panics
    /// If `data` doesn't hold exactly `rows * cols` values.
    #[must_use]
    pub fn new(data: &'a mut [R], rows: usize, cols: usize) -> Self {
        assert_eq!(
            Some(data.len()),
            rows.checked_mul(cols),
            "matrix of {rows} x {cols}"
        );
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major matrix whose rows lie `row_stride` values apart.
    ///
    /// # Panics
    /// If the last element lies outside `data`, or if rows overlap.
    #[must_use]
    pub fn strided(data: &'a mut [R], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(row_stride >= cols, "rows overlap");
        assert!(
            fits(rows, cols, row_stride, data.len()),
            "matrix of {rows} x {cols} at stride {row_stride} in {} values",
            data.len()
        );
        MatMut {
            data,
            rows,
            cols,
            row_stride,
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

    /// Distance of two rows in the data.
    #[must_use]
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// The values.
    #[must_use]
    pub fn data(&mut self) -> &mut [R] {
        self.data
    }

    /// Row `i`.
    ///
    /// # Panics
    /// If it lies outside the matrix.
    #[must_use]
    pub fn row(&mut self, i: usize) -> &mut [R] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        &mut self.data[i * self.row_stride..i * self.row_stride + self.cols]
    }
}
