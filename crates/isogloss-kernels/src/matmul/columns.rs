//! Sums of columns.

use crate::check;
use crate::cpu::Cpu;
use crate::simd::multiversion;

/// Columns of a task: a few cache lines of each row.
const COLS: usize = 64;
/// Rows that are summed before the sums are added up.
const ROWS: usize = 64;

/// [`crate::Backend::add_column_sums`] for [`Cpu`].
pub(crate) fn add_column_sums(cpu: &Cpu, x: &[f32], sums: &mut [f32]) {
    let width = sums.len();
    check::add_column_sums(x, sums);
    if width == 0 {
        return;
    }
    let rows = x.len() / width;
    cpu.chunks(sums, COLS, rows, |task, sums| {
        add_columns(cpu.supported(), x, width, task * COLS, sums);
    });
}

multiversion! {
    fn add_columns(x: &[f32], width: usize, col: usize, sums: &mut [f32]) {
        for block in x.chunks(ROWS * width) {
            let mut partial = [0.0f32; COLS];
            let partial = &mut partial[..sums.len()];
            for row in block.chunks_exact(width) {
                for (sum, &x) in partial.iter_mut().zip(&row[col..]) {
                    *sum += x;
                }
            }
            for (sum, &x) in sums.iter_mut().zip(&*partial) {
                *sum += x;
            }
        }
    }
}
