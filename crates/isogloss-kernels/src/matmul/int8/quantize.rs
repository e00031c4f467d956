use crate::cpu::{Cpu, Supported};
use crate::matmul::int8::words_of;
use crate::matmul::{Mat, MatData};
use crate::scratch::Scratch;
use crate::simd::multiversion;

/// What a byte of a row is more than its value, so that it is unsigned.
pub(super) const SHIFT: i32 = 128;

/// Rows of a task.
const ROWS: usize = 8;

/// Adding `1.5 * 2^23` rounds to an integer, to nearest even, and leaves it in the low bits.
const ROUND: f32 = 12_582_912.0;

/// The rows of a left operand in shifted bytes, and what one step of each is worth.
pub(in crate::matmul) struct QuantizedRows {
    /// `rows x words`.
    words: Scratch,
    scales: Scratch,
    rows: usize,
}

impl QuantizedRows {
    /// Quantises the rows of `a`. `cpu` lends its threads.
    pub(in crate::matmul) fn new(cpu: &Cpu, a: Mat<'_, f32>) -> Self {
        let (rows, depth) = (a.rows(), a.cols());
        let width = words_of(depth);
        let (mut words, mut scales) = (Scratch::take(rows * width), Scratch::take(rows));
        let (to, per_row) = (
            (&mut words[..], (ROWS * width).max(1)),
            (&mut scales[..], ROWS),
        );
        let plain = match a.data() {
            MatData::Real(values) if a.col_stride() == 1 => Some(values),
            _ => None,
        };
        cpu.chunks2(to, per_row, 4, |task, words, scales| {
            let mut copy = Scratch::take(if plain.is_none() { depth } else { 0 });
            for (i, scale) in scales.iter_mut().enumerate() {
                let row = task * ROWS + i;
                let values = match plain {
                    Some(values) => &values[row * a.row_stride()..][..depth],
                    None => {
                        a.copy_row(row, &mut copy);
                        &copy[..]
                    }
                };
                let bytes = bytemuck::cast_slice_mut(&mut words[i * width..(i + 1) * width]);
                *scale = row_to_bytes(cpu.supported(), values, bytes);
                bytes[depth..].fill(0);
                bytes[..depth].iter_mut().for_each(|byte| *byte ^= 0x80);
            }
        });
        QuantizedRows {
            words,
            scales,
            rows,
        }
    }

    /// The rows as the packing of `f32` words sees them: their bits are copied, never computed with.
    pub(in crate::matmul) fn mat(&self) -> Mat<'_, f32> {
        Mat::new(&self.words, self.rows, self.words.len() / self.rows.max(1))
    }

    /// Factor of each row.
    pub(in crate::matmul) fn scales(&self) -> &[f32] {
        &self.scales
    }
}

multiversion! {
    /// Quantises a row into the first of `bytes` (two's complement) and returns its scale: NaN if a value isn't finite.
    pub(super) fn row_to_bytes(row: &[f32], bytes: &mut [u8]) -> f32 {
        // As integers, magnitudes are in order, with NaN above infinity.
        let mut largest = 0;
        for x in row {
            largest = largest.max(x.to_bits() & 0x7fff_ffff);
        }
        let largest = f32::from_bits(largest);
        let steps = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        for (byte, &x) in bytes.iter_mut().zip(row) {
            *byte = (x * steps + ROUND).to_bits() as u8;
        }
        if largest.is_finite() { largest / 127.0 } else { f32::NAN }
    }
}

/// Quantises the rows of a frozen weight to bytes, each row (output channel) for itself: value `(i, j)` is about `values[i * cols + j] *
/// scales[i]`. It is what a backend in [`Int8`](crate::Precision::Int8) does when it packs the weight.
///
/// # Panics
/// If a length doesn't agree with the others.
pub fn quantize_rows(weight: Mat<'_, f32>, values: &mut [i8], scales: &mut [f32]) {
    let (rows, cols) = (weight.rows(), weight.cols());
    assert!(
        values.len() == rows * cols && scales.len() == rows,
        "space for {rows} x {cols} values and {rows} scales"
    );
    let path = Supported::detected();
    let mut copy = vec![0.0; cols];
    for (i, scale) in scales.iter_mut().enumerate() {
        let bytes = bytemuck::cast_slice_mut(&mut values[i * cols..(i + 1) * cols]);
        weight.copy_row(i, &mut copy);
        *scale = row_to_bytes(path, &copy, bytes);
    }
}
