use std::ops::Range;

use crate::cpu::{Cpu, Supported};
use crate::matmul::int8::quantize::{SHIFT, row_to_bytes};
use crate::matmul::int8::{MAX_DEPTH, QUAD, TILE_ROWS, select, words_of};
use crate::matmul::kernel::MicroKernel;
use crate::matmul::pack::Operand;
use crate::matmul::packed::row_parts;
use crate::matmul::panels::{Blocks, Panels, pack_part};
use crate::matmul::transposed::ForwardPanels;
use crate::matmul::{Mat, MatData};
use crate::scratch::{Lines, SharedMut};

/// Output channels that are quantised at a time.
const ROWS: usize = 64;

/// A weight `(out, in)` quantised per output channel and packed for `x W^T`.
pub(in crate::matmul) struct Int8Weight {
    /// What packed it, and multiplies few rows.
    pub(in crate::matmul) kernel: &'static MicroKernel,
    /// What multiplies more rows with the same panels, if anything else does.
    tiles: Option<&'static MicroKernel>,
    pub(in crate::matmul) words: Lines,
    /// Factor of each output channel.
    pub(in crate::matmul) scales: Vec<f32>,
    /// What the rows' shift adds to each output channel.
    pub(in crate::matmul) offsets: Vec<i32>,
}

impl Int8Weight {
    /// Whether a weight of this shape can be packed.
    pub(in crate::matmul) fn fits(depth: usize) -> bool {
        depth <= MAX_DEPTH
    }

    /// `read` is told the rows that were read for the last time.
    pub(in crate::matmul) fn new(
        cpu: &Cpu,
        weight: Mat<'_, f32>,
        read: &mut dyn FnMut(Range<usize>),
    ) -> Self {
        Self::with_kernels(select(cpu.supported()), cpu, weight, read)
    }

    /// The same for kernels whose instructions the machine has.
    pub(in crate::matmul) fn with_kernels(
        (kernel, tiles): (&'static MicroKernel, Option<&'static MicroKernel>),
        cpu: &Cpu,
        weight: Mat<'_, f32>,
        read: &mut dyn FnMut(Range<usize>),
    ) -> Self {
        assert!(
            tiles.is_none_or(|tiles| tiles.lanes == kernel.lanes),
            "kernels for the same panels"
        );
        let (rows, width) = (weight.rows(), words_of(weight.cols()));
        let blocks = Blocks::new(kernel, width);
        let padded = Panels::cols(kernel, rows).padded();
        let mut words = Lines::zeros(blocks.all_words() * padded);
        let (mut scales, mut offsets) = (vec![0.0f32; rows], vec![0i32; rows]);
        let mut plain = Vec::new();
        for part in row_parts(kernel, &weight) {
            plain.resize(part.len() * width, 0u32);
            let shared = SharedMut::new(&mut offsets[part.clone()]);
            cpu.chunks2(
                (&mut plain, (ROWS * width).max(1)),
                (&mut scales[part.clone()], ROWS),
                8,
                |task, words, scales| {
                    // SAFETY: a task's channels are its own, as many as its scales, and `offsets` is borrowed for all tasks.
                    let offsets = unsafe { shared.slice(task * ROWS, scales.len()) };
                    let first = part.start + task * ROWS;
                    let path = cpu.supported();
                    quantize_part(path, &weight, first, (words, width), scales, offsets);
                },
            );
            let words_as_f32 = Mat::new(bytemuck::cast_slice(&plain), part.len(), width);
            let operand = Operand::cols_of(words_as_f32.t());
            let at = (Panels::cols(kernel, part.len()), part.start, padded);
            pack_part(kernel, &operand, blocks, at, cpu, &mut words);
            read(part);
        }
        Int8Weight {
            kernel,
            tiles,
            words,
            scales,
            offsets,
        }
    }

    /// What multiplies this many rows. Sums of integers are exact, so here the rows may have a say.
    pub(in crate::matmul) fn kernel_for(&self, rows: usize) -> &'static MicroKernel {
        self.tiles
            .filter(|_| rows >= TILE_ROWS)
            .unwrap_or(self.kernel)
    }

    fn panels(&self, (rows, cols): (usize, usize)) -> ForwardPanels<'_> {
        ForwardPanels {
            kernel: self.kernel,
            words: &self.words,
            first: 0,
            rows,
            cols: words_of(cols),
        }
    }

    /// Element `(row, col)` of a weight of `rows x cols`.
    pub(in crate::matmul) fn at(&self, row: usize, col: usize, rows: usize, cols: usize) -> f32 {
        let word = self.panels((rows, cols)).bits(row, col / QUAD);
        f32::from(word.to_le_bytes()[col % QUAD] as i8) * self.scales[row]
    }

    /// The bytes of output channel `row` of a weight of this shape.
    fn channel(&self, row: usize, shape: (usize, usize)) -> impl Iterator<Item = i8> {
        let panels = self.panels(shape);
        let words = (0..panels.cols).map(move |word| panels.bits(row, word));
        let bytes = words.flat_map(u32::to_le_bytes);
        bytes.take(shape.1).map(|byte| byte as i8)
    }

    /// Output channel `row` of a weight of this shape, its values multiplied out.
    pub(in crate::matmul) fn copy_row(&self, row: usize, shape: (usize, usize), to: &mut [f32]) {
        let scale = self.scales[row];
        for (to, byte) in to.iter_mut().zip(self.channel(row, shape)) {
            *to = f32::from(byte) * scale;
        }
    }

    /// Copies the bytes of output channel `row` of a weight of this shape and returns their factor.
    pub(in crate::matmul) fn bytes_of_row(
        &self,
        row: usize,
        shape: (usize, usize),
        to: &mut [i8],
    ) -> f32 {
        assert_eq!(to.len(), shape.1, "bytes of an output channel");
        for (to, byte) in to.iter_mut().zip(self.channel(row, shape)) {
            *to = byte;
        }
        self.scales[row]
    }

    /// Bytes of a weight of this shape.
    pub(in crate::matmul) fn bytes_of(cpu: &Cpu, rows: usize, cols: usize) -> usize {
        let (kernel, _) = select(cpu.supported());
        let width = words_of(cols);
        let words = Blocks::new(kernel, width).all_words() * Panels::cols(kernel, rows).padded();
        4 * (words + 2 * rows)
    }

    pub(in crate::matmul) fn bytes(&self) -> usize {
        4 * (self.words.len() + self.scales.len() + self.offsets.len())
    }
}

/// Quantises channels from `first` on into words, `width` each; those that are stored so already are taken as they are.
fn quantize_part(
    path: Supported,
    weight: &Mat<'_, f32>,
    first: usize,
    (words, width): (&mut [u32], usize),
    scales: &mut [f32],
    offsets: &mut [i32],
) {
    let cols = weight.cols();
    let mut copy = vec![0.0; cols];
    for (i, (scale, offset)) in scales.iter_mut().zip(offsets).enumerate() {
        let channel = first + i;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words[i * width..(i + 1) * width]);
        let bytes = &mut bytes[..cols];
        match weight.data() {
            MatData::Int8 { values, scales } if weight.col_stride() == 1 => {
                let values = &values[channel * weight.row_stride()..][..cols];
                bytes.copy_from_slice(bytemuck::cast_slice(values));
                *scale = scales[channel];
            }
            _ => {
                weight.copy_row(channel, &mut copy);
                *scale = row_to_bytes(path, &copy, bytes);
            }
        }
        let sum: i32 = bytes.iter().map(|&x| i32::from(x as i8)).sum();
        *offset = SHIFT * sum;
    }
}
