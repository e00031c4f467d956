//! Weights that are packed ahead.

use std::ops::Range;

use crate::cpu::{Cpu, Precision};
use crate::matmul::int8::Int8Weight;
use crate::matmul::kernel::{MicroKernel, select};
use crate::matmul::pack::Operand;
use crate::matmul::panels::{Blocks, Panels, pack_part, pack_whole};
use crate::matmul::product::NARROW;
use crate::matmul::transposed::ForwardPanels;
use crate::matmul::{Mat, MatData};
use crate::scratch::Lines;

/// Values of a weight that are packed before the next are read.
const PART: usize = 1 << 21;

/// A frozen weight `(out, in)` that was packed ahead, for products whose right operand it is. See
/// [`Backend::pack_weight`](crate::Backend::pack_weight).
pub struct PackedWeight {
    rows: usize,
    cols: usize,
    words: Words,
}

enum Words {
    /// In a kernel's floating-point words.
    Float(FloatWeight),
    /// In bytes.
    Int8(Int8Weight),
}

struct FloatWeight {
    /// The kernel it was packed for.
    kernel: &'static MicroKernel,
    /// For `x W^T`.
    forward: Lines,
    /// For `dy W`, if asked for.
    backward: Option<Lines>,
}

/// Columns of a right operand that was packed ahead.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    /// All panels.
    pub words: &'a [u32],
    /// Width of all panels, one beside the other.
    pub padded: usize,
    /// The first of the columns, which starts a panel.
    pub first: usize,
}

impl<'a> Columns<'a> {
    /// All that was packed.
    pub(super) fn all(words: &'a [u32], panels: Panels) -> Self {
        Columns {
            words,
            padded: panels.padded(),
            first: 0,
        }
    }
}

/// Columns of a weight in integers.
#[derive(Clone, Copy)]
pub(super) struct Int8Columns<'a> {
    pub weight: &'a Int8Weight,
    pub columns: Columns<'a>,
}

impl std::fmt::Debug for PackedWeight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (rows, cols, bytes) = (self.rows, self.cols, self.bytes());
        write!(f, "PackedWeight({rows} x {cols}, {bytes} bytes)")
    }
}

impl PackedWeight {
    /// Packs a weight; none of a single column, nor in [`Precision::Int8`] if it is too small or too large to be quantised, or wanted for the
    /// backward pass. `read` is told the rows that were read for the last time.
    pub(crate) fn new(
        cpu: &Cpu,
        weight: Mat<'_, f32>,
        backward: bool,
        read: &mut dyn FnMut(Range<usize>),
    ) -> Option<Self> {
        // Of a single column the transpose can't be told apart.
        if weight.cols() == 1 {
            return None;
        }
        let words = if cpu.precision() == Precision::Int8 {
            if backward || !Self::quantizes(weight.rows(), weight.cols()) {
                return None;
            }
            Words::Int8(Int8Weight::new(cpu, weight, read))
        } else {
            let kernel = select(cpu.supported(), cpu.precision());
            Words::Float(FloatWeight::new(kernel, cpu, weight, backward, read))
        };
        Some(PackedWeight {
            rows: weight.rows(),
            cols: weight.cols(),
            words,
        })
    }

    /// Packs a weight for a kernel for numbers whose instructions the machine has.
    #[cfg(test)]
    pub(super) fn for_kernel(
        kernel: &'static MicroKernel,
        cpu: &Cpu,
        weight: Mat<'_, f32>,
        backward: bool,
    ) -> Self {
        PackedWeight {
            rows: weight.rows(),
            cols: weight.cols(),
            words: Words::Float(FloatWeight::new(kernel, cpu, weight, backward, &mut |_| {})),
        }
    }

    /// Packs a weight in bytes for two kernels whose instructions the machine has.
    #[cfg(test)]
    pub(super) fn int8_for_kernels(
        kernels: (&'static MicroKernel, Option<&'static MicroKernel>),
        cpu: &Cpu,
        weight: Mat<'_, f32>,
    ) -> Self {
        PackedWeight {
            rows: weight.rows(),
            cols: weight.cols(),
            words: Words::Int8(Int8Weight::with_kernels(kernels, cpu, weight, &mut |_| {})),
        }
    }

    /// Whether a weight of this shape is quantised in [`Precision::Int8`]; others are multiplied as they are.
    #[must_use]
    pub fn quantizes(rows: usize, cols: usize) -> bool {
        rows > NARROW && cols > 1 && Int8Weight::fits(cols)
    }

    /// What [`bytes`](Self::bytes) would be.
    pub(crate) fn bytes_of(cpu: &Cpu, rows: usize, cols: usize, backward: bool) -> usize {
        if cols == 1 {
            return 0;
        }
        if cpu.precision() == Precision::Int8 {
            return match !backward && Self::quantizes(rows, cols) {
                true => Int8Weight::bytes_of(cpu, rows, cols),
                false => 0,
            };
        }
        let kernel = select(cpu.supported(), cpu.precision());
        let words = |depth: usize, columns: usize| {
            Blocks::new(kernel, depth).all_words() * Panels::cols(kernel, columns).padded()
        };
        4 * (words(cols, rows) + if backward { words(rows, cols) } else { 0 })
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.words {
            Words::Float(w) => {
                4 * (w.forward.len() + w.backward.as_ref().map_or(0, |words| words.len()))
            }
            Words::Int8(w) => w.bytes(),
        }
    }

    /// The panels of a right operand `b` that is this weight, some rows of it, or the transpose of either; `None` if it was packed
    /// for another kernel or another use, or isn't whole panels.
    pub(super) fn columns_of<'a>(
        &'a self,
        kernel: &MicroKernel,
        b: &Mat<'_, f32>,
    ) -> Option<Columns<'a>> {
        let Words::Float(words) = &self.words else {
            return None;
        };
        if !std::ptr::eq(words.kernel, kernel) {
            return None;
        }
        if self.is_forward(b) {
            return self.some_columns(kernel, &words.forward, b);
        }
        // A matrix of one row or column could be either; it isn't worth the question.
        if (b.rows(), b.cols()) == (self.rows, self.cols)
            && b.col_stride() == 1
            && b.row_stride() > 1
        {
            let words = words.backward.as_deref()?;
            return Some(Columns::all(words, Panels::cols(kernel, self.cols)));
        }
        None
    }

    /// The columns of `x W^T` that belong to the rows of `W` that `b` is the transpose of.
    fn some_columns<'a>(
        &self,
        kernel: &MicroKernel,
        words: &'a [u32],
        b: &Mat<'_, f32>,
    ) -> Option<Columns<'a>> {
        let (first, wide) = (b.first_row(), 2 * kernel.lanes);
        let end = first + b.cols();
        let whole = first.is_multiple_of(wide) && (end.is_multiple_of(wide) || end == self.rows);
        whole.then(|| Columns {
            first,
            ..Columns::all(words, Panels::cols(kernel, self.rows))
        })
    }

    /// The panels of a right operand `b` that is this weight, if there are none for that product: to be packed anew from those for the
    /// other.
    pub(super) fn forward_panels(
        &self,
        kernel: &MicroKernel,
        b: &Mat<'_, f32>,
    ) -> Option<ForwardPanels<'_>> {
        match &self.words {
            Words::Float(words) if std::ptr::eq(words.kernel, kernel) && !self.is_forward(b) => {
                Some(ForwardPanels {
                    first: b.first_row(),
                    ..self.panels(words)
                })
            }
            _ => None,
        }
    }

    fn panels<'a>(&self, words: &'a FloatWeight) -> ForwardPanels<'a> {
        ForwardPanels {
            kernel: words.kernel,
            words: &words.forward,
            first: 0,
            rows: self.rows,
            cols: self.cols,
        }
    }

    /// Whether products forward and backward find what they need here, without the weight's own values, as fast as they do with them.
    #[must_use]
    pub fn replaces_values(&self, backward: bool) -> bool {
        match &self.words {
            Words::Float(w) => !backward || w.backward.is_some() || w.kernel.turns_panels(),
            Words::Int8(_) => !backward,
        }
    }

    /// What [`replaces_values`](Self::replaces_values) would be of a weight without a copy for the backward pass.
    pub(crate) fn replaces(cpu: &Cpu, backward: bool) -> bool {
        let kernel = select(cpu.supported(), cpu.precision());
        !backward || (cpu.precision() != Precision::Int8 && kernel.turns_panels())
    }

    /// Element `(row, col)` of the weight: as products see it, rounded or quantised.
    pub(super) fn at(&self, row: usize, col: usize) -> f32 {
        match &self.words {
            Words::Float(words) => f32::from_bits(self.panels(words).bits(row, col)),
            Words::Int8(words) => words.at(row, col, self.rows, self.cols),
        }
    }

    /// Row `row` as products see it, rounded or quantised.
    pub(super) fn copy_row(&self, row: usize, to: &mut [f32]) {
        match &self.words {
            Words::Float(words) => {
                let panels = self.panels(words);
                for (col, to) in to.iter_mut().enumerate() {
                    *to = f32::from_bits(panels.bits(row, col));
                }
            }
            Words::Int8(words) => words.copy_row(row, self.shape(), to),
        }
    }

    /// Copies the bytes of an output channel and returns their factor; nothing of a weight that isn't quantised.
    ///
    /// # Panics
    /// If there is no such channel, or `values` doesn't hold as many as it has inputs.
    #[must_use]
    pub fn int8_row(&self, row: usize, values: &mut [i8]) -> Option<f32> {
        match &self.words {
            Words::Float(_) => None,
            Words::Int8(words) => Some(words.bytes_of_row(row, self.shape(), values)),
        }
    }

    /// The bytes of a right operand `b` that is the transpose of this weight, or of some of its rows.
    pub(super) fn int8_of(&self, b: &Mat<'_, f32>) -> Option<Int8Columns<'_>> {
        match &self.words {
            Words::Int8(weight) if self.is_forward(b) => {
                let columns = self.some_columns(weight.kernel, &weight.words, b)?;
                Some(Int8Columns { weight, columns })
            }
            _ => None,
        }
    }

    fn is_forward(&self, b: &Mat<'_, f32>) -> bool {
        b.rows() == self.cols
            && b.first_row() + b.cols() <= self.rows
            && b.row_stride() == 1
            && b.col_stride() > 1
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }
}

impl FloatWeight {
    fn new(
        kernel: &'static MicroKernel,
        cpu: &Cpu,
        weight: Mat<'_, f32>,
        backward: bool,
        read: &mut dyn FnMut(Range<usize>),
    ) -> Self {
        if !backward {
            return FloatWeight {
                kernel,
                forward: Self::forward(kernel, cpu, weight, read),
                backward: None,
            };
        }
        // Both take the whole weight.
        let mut space = Vec::new();
        let weight = weight.widened(&mut space).unwrap_or(weight);
        let (blocks, panels) = (
            Blocks::new(kernel, weight.rows()),
            Panels::cols(kernel, weight.cols()),
        );
        let mut words = Lines::zeros(blocks.all_words() * panels.padded());
        let operand = Operand::cols_of(weight);
        pack_whole(kernel, &operand, blocks, panels, cpu, &mut words);
        FloatWeight {
            kernel,
            forward: Self::forward(kernel, cpu, weight, &mut |_| {}),
            backward: Some(words),
        }
    }

    /// Packs for `x W^T`.
    fn forward(
        kernel: &'static MicroKernel,
        cpu: &Cpu,
        weight: Mat<'_, f32>,
        read: &mut dyn FnMut(Range<usize>),
    ) -> Lines {
        let blocks = Blocks::new(kernel, weight.cols());
        let padded = Panels::cols(kernel, weight.rows()).padded();
        let mut words = Lines::zeros(blocks.all_words() * padded);
        let mut space = Vec::new();
        for rows in row_parts(kernel, &weight) {
            let part = match rows.len() == weight.rows() {
                true => weight,
                false => weight.some_rows(rows.start, rows.len()),
            };
            space.clear();
            let part = part.widened(&mut space).unwrap_or(part);
            let at = (Panels::cols(kernel, rows.len()), rows.start, padded);
            pack_part(
                kernel,
                &Operand::cols_of(part.t()),
                blocks,
                at,
                cpu,
                &mut words,
            );
            read(rows);
        }
        words
    }
}

/// Parts of a weight that are packed one after the other: whole panels of about [`PART`] values. One, of a weight whose rows can't be
/// had apart.
pub(super) fn row_parts(
    kernel: &MicroKernel,
    weight: &Mat<'_, f32>,
) -> impl Iterator<Item = Range<usize>> + use<> {
    let rows = weight.rows();
    let panel = 2 * kernel.lanes;
    let whole = matches!(weight.data(), MatData::Packed) || weight.col_stride() != 1;
    let size = match whole {
        true => rows.max(1),
        false => (PART / weight.cols().max(1)).next_multiple_of(panel),
    };
    let size = size.max(panel);
    (0..rows)
        .step_by(size)
        .map(move |first| first..rows.min(first + size))
}
