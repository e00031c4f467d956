//! Embedding by blocks of rows, its backward by blocks of columns.

use crate::check;
use crate::cpu::Cpu;
use crate::matmul::{Mat, MatData};
use crate::scratch::{Scratch, SharedMut};
use crate::simd::{multiversion, widen_bf16};

/// Rows of a task.
const ROWS: usize = 16;
/// Columns of a task of the backward pass, in which rows follow each other in order.
const COLS: usize = 64;

/// [`crate::Backend::embed`] for [`Cpu`].
pub(crate) fn forward(
    cpu: &Cpu,
    ids: &[u32],
    table: Mat<'_, f32>,
    scale: f32,
    position_ids: &[u32],
    positions: &[f32],
    y: &mut [f32],
) {
    let width = table.cols();
    check::embed(ids, &table, position_ids, positions, y);
    let stride = table.row_stride();
    cpu.chunks(y, ROWS * width, 2, |task, y| {
        let at = task * ROWS;
        let rows = ids[at..].iter().zip(&position_ids[at..]);
        for (y, (&id, &position)) in y.chunks_exact_mut(width).zip(rows) {
            let position = &positions[position as usize * width..][..width];
            let (id, path) = (id as usize, cpu.supported());
            match table.data() {
                MatData::Real(d) => embed_row(path, &d[id * stride..], scale, position, y),
                MatData::Bf16(d) => {
                    let row: &[u16] = bytemuck::cast_slice(&d[id * stride..][..width]);
                    embed_row_bf16(path, row, scale, position, y);
                }
                MatData::Int8 { .. } | MatData::Packed => {
                    let mut row = Scratch::take(width);
                    table.copy_row(id, &mut row);
                    embed_row(path, &row, scale, position, y);
                }
            }
        }
    });
}

multiversion! {
    fn embed_row(row: &[f32], scale: f32, position: &[f32], y: &mut [f32]) {
        for ((y, &x), &position) in y.iter_mut().zip(row).zip(position) {
            *y = scale * x + position;
        }
    }
}

multiversion! {
    fn embed_row_bf16(row: &[u16], scale: f32, position: &[f32], y: &mut [f32]) {
        for ((y, &x), &position) in y.iter_mut().zip(row).zip(position) {
            *y = scale * widen_bf16(x) + position;
        }
    }
}

/// [`crate::Backend::embed_backward`] for [`Cpu`].
pub(crate) fn backward(
    cpu: &Cpu,
    ids: &[u32],
    scale: f32,
    width: usize,
    dy: &[f32],
    dtable: &mut [f32],
) {
    check::embed_backward(ids, width, dy, dtable);
    if width == 0 {
        return;
    }
    let table = SharedMut::new(dtable);
    cpu.run(width.div_ceil(COLS), 2 * dy.len(), |task| {
        let col = task * COLS;
        let cols = COLS.min(width - col);
        for (&id, dy) in ids.iter().zip(dy.chunks_exact(width)) {
            // SAFETY: the row was checked to exist, the columns are within it and no other task's, and the last reference is gone.
            let row = unsafe { table.slice(id as usize * width + col, cols) };
            add_scaled(cpu.supported(), scale, &dy[col..], row);
        }
    });
}

multiversion! {
    fn add_scaled(scale: f32, x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += scale * x;
        }
    }
}
