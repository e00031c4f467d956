//! Dropout and the other operations of one element at a time.

use crate::backend::Dropout;
use crate::check;
use crate::cpu::Cpu;
use crate::dropout::{draw, mix, threshold};
use crate::simd::multiversion;

/// Values of a task: 64 kB.
const CHUNK: usize = 16_384;

/// [`crate::Backend::dropout`] for [`Cpu`].
pub(crate) fn apply(cpu: &Cpu, dropout: Dropout, row_keys: &[u64], width: usize, y: &mut [f32]) {
    check::dropout(row_keys, width, y);
    let rows = (CHUNK / width.max(1)).max(1);
    let (limit, scale) = (threshold(dropout.rate), 1.0 / (1.0 - dropout.rate));
    cpu.chunks(y, rows * width, 8, |task, y| {
        for (y, &key) in y.chunks_exact_mut(width).zip(&row_keys[task * rows..]) {
            drop_row(cpu.supported(), mix(dropout.key, key), limit, scale, y);
        }
    });
}

multiversion! {
    fn drop_row(key: u64, limit: u32, scale: f32, y: &mut [f32]) {
        for (j, y) in y.iter_mut().enumerate() {
            *y = if draw(key, j as u32) < limit { 0.0 } else { *y * scale };
        }
    }
}

/// [`crate::Backend::add`] for [`Cpu`].
pub(crate) fn add(cpu: &Cpu, x: &[f32], y: &mut [f32]) {
    check::add(x, y);
    cpu.chunks(y, CHUNK, 2, |task, y| {
        add_chunk(cpu.supported(), &x[task * CHUNK..], y);
    });
}

multiversion! {
    fn add_chunk(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }
}

/// [`crate::Backend::relu`] for [`Cpu`].
pub(crate) fn relu(cpu: &Cpu, y: &mut [f32]) {
    cpu.chunks(y, CHUNK, 2, |_, y| relu_chunk(cpu.supported(), y));
}

multiversion! {
    pub(crate) fn relu_chunk(y: &mut [f32]) {
        for y in y {
            *y = if *y < 0.0 { 0.0 } else { *y };
        }
    }
}

/// [`crate::Backend::relu_backward`] for [`Cpu`].
pub(crate) fn relu_backward(cpu: &Cpu, y: &[f32], dy: &mut [f32]) {
    check::relu_backward(y, dy);
    cpu.chunks(dy, CHUNK, 2, |task, dy| {
        relu_backward_chunk(cpu.supported(), &y[task * CHUNK..], dy);
    });
}

multiversion! {
    fn relu_backward_chunk(y: &[f32], dy: &mut [f32]) {
        for (dy, &y) in dy.iter_mut().zip(y) {
            *dy = if y <= 0.0 { 0.0 } else { *dy };
        }
    }
}
