//! Head and loss without an array of tokens by vocabulary.
//!
//! The gradient of the hidden states is `softmax(h E^T) E - on_target E_y - on_all sum(E)`: the output of an attention whose keys
//! and values are the embeddings `E`. So one online softmax over blocks of the vocabulary (Milakov & Gimelshein 2018; Dao et al.
//! 2022) gives loss and gradient together. Only the gradient of `E` itself needs the logits a second time.

use crate::backend::{Epilogue, LabelSmoothing};
use crate::check;
use crate::cpu::Cpu;
use crate::head_loss::smoothing_weights;
use crate::matmul::{LeftOperand, Mat, MatData, MatMut, fast};
use crate::scratch::Scratch;
use crate::simd::{exp, map_sum, max, multiversion, sum, widen_bf16};

/// Rows and classes whose logits are held at a time: 4 MB.
const ROWS: usize = 1024;
const CLASSES: usize = 1024;

/// Rows of a task of the elementwise parts.
const TASK_ROWS: usize = 8;

/// Values kept for each row.
const STATE: usize = 4;

/// What the online softmax knows of a row.
#[derive(Clone, Copy)]
#[repr(C)]
struct Row {
    /// Largest logit so far.
    max: f32,
    /// Sum of `exp(logit - max)` so far.
    total: f32,
    /// Sum of the logits so far.
    sum: f32,
    /// Logit of the target.
    target: f32,
}

impl Row {
    fn read(state: &[f32; STATE]) -> Self {
        let [max, total, sum, target] = *state;
        Row {
            max,
            total,
            sum,
            target,
        }
    }

    fn write(self, state: &mut [f32; STATE]) {
        *state = [self.max, self.total, self.sum, self.target];
    }

    fn lse(self) -> f32 {
        self.max + self.total.ln()
    }
}

/// A call of [`head_loss`].
#[derive(Clone, Copy)]
struct Head<'a> {
    cpu: &'a Cpu,
    table: Mat<'a, f32>,
    on_target: f32,
    on_all: f32,
}

/// [`crate::Backend::head_loss`] for [`Cpu`].
///
/// # Panics
/// If a target lies outside the table, or if lengths don't agree.
pub(crate) fn head_loss(
    cpu: &Cpu,
    h: &[f32],
    table: Mat<'_, f32>,
    targets: &[u32],
    smoothing: LabelSmoothing,
    loss: &mut [f32],
    nll: &mut [f32],
    mut dh: Option<&mut [f32]>,
    mut dtable: Option<&mut [f32]>,
) {
    let (classes, width, n) = (table.rows(), table.cols(), targets.len());
    check::head_loss(
        h,
        &table,
        targets,
        loss,
        nll,
        dh.as_deref(),
        dtable.as_deref(),
    );
    let (on_target, on_all) = smoothing_weights(smoothing, classes);
    let head = Head {
        cpu,
        table,
        on_target: on_target as f32,
        on_all: on_all as f32,
    };
    let column_sums = dh.as_ref().map(|_| head.column_sums());
    let mut states = Scratch::take(STATE * ROWS.min(n));
    for first in (0..n).step_by(ROWS) {
        let rows = ROWS.min(n - first);
        let range = first..first + rows;
        let h = Mat::new(&h[first * width..][..rows * width], rows, width);
        let targets = &targets[range.clone()];
        let states = &mut states.as_chunks_mut::<STATE>().0[..rows];
        let mut dh = dh
            .as_mut()
            .map(|dh| &mut dh[first * width..][..rows * width]);
        head.online_softmax(h, targets, states, dh.as_deref_mut());
        for (i, at) in range.enumerate() {
            let row = Row::read(&states[i]);
            let nll_i = row.lse() - row.target;
            nll[at] = nll_i;
            // The mean over classes first, so that the sum of a large vocabulary costs no digits.
            let mean = f64::from(row.lse()) - f64::from(row.sum) / classes as f64;
            loss[at] = (on_target * f64::from(nll_i) + on_all * classes as f64 * mean) as f32;
        }
        if let (Some(dh), Some(sums)) = (&mut dh, &column_sums) {
            head.finish_dh(targets, states, sums, dh);
        }
        if let Some(dtable) = &mut dtable {
            head.add_dtable(h, targets, states, dtable);
        }
    }
}

impl<'a> Head<'a> {
    /// Rows `first..first + rows` of the table.
    fn block(&self, first: usize, rows: usize) -> Mat<'a, f32> {
        self.table.some_rows(first, rows)
    }

    /// The blocks of the vocabulary: first class and number of classes.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let classes = self.table.rows();
        (0..classes)
            .step_by(CLASSES)
            .map(move |first| (first, CLASSES.min(classes - first)))
    }

    /// Sums of the table's columns, in the precision of the products.
    fn column_sums(&self) -> Scratch {
        let width = self.table.cols();
        let mut sums = Scratch::take(width);
        sums.fill(0.0);
        let ones = [1.0f32; CLASSES];
        for (first, classes) in self.blocks() {
            let ones = Mat::new(&ones[..classes], 1, classes);
            let c = MatMut::new(&mut sums, 1, width);
            fast(
                self.cpu,
                ones,
                self.block(first, classes),
                Epilogue::accumulate(),
                c,
            );
        }
        sums
    }

    /// Goes through the vocabulary once: leaves the rows' states and, in `dh`, `sum over v of exp(logit_v - max) E_v` without the
    /// target's term.
    fn online_softmax(
        &self,
        h: Mat<'_, f32>,
        targets: &[u32],
        states: &mut [[f32; STATE]],
        mut dh: Option<&mut [f32]>,
    ) {
        let (cpu, rows, width) = (self.cpu, h.rows(), h.cols());
        states.fill([f32::NEG_INFINITY, 0.0, 0.0, 0.0]);
        if let Some(dh) = &mut dh {
            dh.fill(0.0);
        }
        let left = LeftOperand::new(cpu, h, &self.table.t());
        let mut logits = Scratch::take(rows * CLASSES.min(self.table.rows()));
        let mut factors = Scratch::take(rows);
        for (first, classes) in self.blocks() {
            let logits = &mut logits[..rows * classes];
            let block = self.block(first, classes);
            left.times_on_all(cpu, block.t(), MatMut::new(logits, rows, classes));
            let states = crate::scratch::SharedMut::new(states);
            cpu.chunks2(
                (logits, TASK_ROWS * classes),
                (&mut factors, TASK_ROWS),
                16,
                |task, logits, factors| {
                    let at = task * TASK_ROWS;
                    // SAFETY: there is a state for each factor, and each task has its own rows.
                    let states = unsafe { states.slice(at, factors.len()) };
                    let rows = logits.chunks_exact_mut(classes).zip(states).zip(factors);
                    for (((logits, state), factor), &target) in rows.zip(&targets[at..]) {
                        let target = (target as usize).wrapping_sub(first);
                        *factor = absorb(cpu.supported(), logits, target, state);
                    }
                },
            );
            if let Some(dh) = &mut dh {
                cpu.chunks(dh, TASK_ROWS * width, 2, |task, dh| {
                    let factors = &factors[task * TASK_ROWS..];
                    for (dh, &factor) in dh.chunks_exact_mut(width).zip(factors) {
                        scale(cpu.supported(), factor, dh);
                    }
                });
                let c = MatMut::new(dh, rows, width);
                fast(
                    cpu,
                    Mat::new(logits, rows, classes),
                    block,
                    Epilogue::accumulate(),
                    c,
                );
            }
        }
    }

    /// Turns the sums that [`online_softmax`](Self::online_softmax) left into the gradient.
    ///
    /// The target's term is added here, in `f32`: its probability and `on_target` nearly cancel once a model is good, and would
    /// leave nothing but rounding in bf16.
    fn finish_dh(&self, targets: &[u32], states: &[[f32; STATE]], sums: &[f32], dh: &mut [f32]) {
        let width = self.table.cols();
        self.cpu.chunks(dh, TASK_ROWS * width, 4, |task, dh| {
            let at = task * TASK_ROWS;
            let rows = targets[at..].iter().zip(&states[at..]);
            for (dh, (&target, state)) in dh.chunks_exact_mut(width).zip(rows) {
                let row = Row::read(state);
                let p = (row.target - row.lse()).exp();
                let weights = [1.0 / row.total, p - self.on_target, self.on_all];
                let path = self.cpu.supported();
                match self.block(target as usize, 1).data() {
                    MatData::Real(e) => finish_row(path, weights, &e[..width], sums, dh),
                    MatData::Bf16(e) => {
                        let e: &[u16] = bytemuck::cast_slice(&e[..width]);
                        finish_row_bf16(path, weights, e, sums, dh);
                    }
                    MatData::Int8 { .. } | MatData::Packed => {
                        let mut e = Scratch::take(width);
                        self.table.copy_row(target as usize, &mut e);
                        finish_row(path, weights, &e, sums, dh);
                    }
                }
            }
        });
    }

    /// Computes the logits again and adds `(softmax - weights)^T h` to the gradient of the table.
    fn add_dtable(
        &self,
        h: Mat<'_, f32>,
        targets: &[u32],
        states: &[[f32; STATE]],
        dtable: &mut [f32],
    ) {
        let (cpu, rows, width) = (self.cpu, h.rows(), h.cols());
        let left = LeftOperand::new(cpu, h, &self.table.t());
        let mut logits = Scratch::take(rows * CLASSES.min(self.table.rows()));
        for (first, classes) in self.blocks() {
            let logits = &mut logits[..rows * classes];
            let block = self.block(first, classes);
            left.times_on_all(cpu, block.t(), MatMut::new(logits, rows, classes));
            cpu.chunks(logits, TASK_ROWS * classes, 16, |task, logits| {
                let at = task * TASK_ROWS;
                let rows = targets[at..].iter().zip(&states[at..]);
                for (logits, (&target, state)) in logits.chunks_exact_mut(classes).zip(rows) {
                    let lse = Row::read(state).lse();
                    gradient(cpu.supported(), lse, self.on_all, logits);
                    if let Some(x) = logits.get_mut((target as usize).wrapping_sub(first)) {
                        *x -= self.on_target;
                    }
                }
            });
            let logits = Mat::new(logits, rows, classes).t();
            let c = &mut dtable[first * width..][..classes * width];
            let c = MatMut::new(c, classes, width);
            fast(cpu, logits, h, Epilogue::accumulate(), c);
        }
    }
}

multiversion! {
    /// Takes a block of logits into a row's state, and leaves `exp(logit - max)`, zero for the target. Returns the factor of what
    /// was summed with the former largest logit. `target` lies outside where the block doesn't hold it.
    fn absorb(logits: &mut [f32], target: usize, state: &mut [f32; STATE]) -> f32 {
        let mut row = Row::read(state);
        let block_max = max(logits);
        let new_max = if block_max > row.max { block_max } else { row.max };
        let factor = (row.max - new_max).exp();
        if let Some(&logit) = logits.get(target) {
            row.target = logit;
        }
        row.sum += sum(logits, |x| x);
        row.total = row.total * factor + map_sum(logits, |x| exp(x - new_max));
        row.max = new_max;
        if let Some(x) = logits.get_mut(target) {
            *x = 0.0;
        }
        row.write(state);
        factor
    }
}

multiversion! {
    fn scale(factor: f32, x: &mut [f32]) {
        if factor != 1.0 {
            for x in x {
                *x *= factor;
            }
        }
    }
}

multiversion! {
    fn finish_row(weights: [f32; 3], e: &[f32], sums: &[f32], dh: &mut [f32]) {
        let [inverse, target, all] = weights;
        for ((d, &e), &sum) in dh.iter_mut().zip(e).zip(sums) {
            *d = *d * inverse + target * e - all * sum;
        }
    }
}

multiversion! {
    fn finish_row_bf16(weights: [f32; 3], e: &[u16], sums: &[f32], dh: &mut [f32]) {
        let [inverse, target, all] = weights;
        for ((d, &e), &sum) in dh.iter_mut().zip(e).zip(sums) {
            *d = *d * inverse + target * widen_bf16(e) - all * sum;
        }
    }
}

multiversion! {
    fn gradient(lse: f32, on_all: f32, logits: &mut [f32]) {
        for x in logits {
            *x = exp(*x - lse) - on_all;
        }
    }
}
