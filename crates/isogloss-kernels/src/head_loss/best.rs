//! The largest logits of each row and the log-sum-exp of all, without an array of rows by vocabulary: logits stay in the second-level
//! cache until they have been looked at.

use crate::check;
use crate::cpu::{Cpu, Supported};
#[cfg(target_arch = "x86_64")]
use crate::head_loss::best512;
use crate::matmul::{LeftOperand, Mat, MatMut};
use crate::scratch::{Scratch, SharedMut};
use crate::simd::{exp, max, multiversion, sum};

/// Rows and classes whose logits are held at a time: half a megabyte. Sums run over blocks of so many classes in their order.
const ROWS: usize = 128;
const CLASSES: usize = 1024;

/// Classes that are passed over at once where none of their logits is good enough.
const STRIDE: usize = 32;

/// Largest logit of a block, and the sum of `exp(logit - largest)`.
pub(super) type Block = (f32, f32);

/// [`crate::Backend::head_best`] for [`Cpu`].
pub(crate) fn head_best(
    cpu: &Cpu,
    h: &[f32],
    table: Mat<'_, f32>,
    count: usize,
    best: &mut [(f32, u32)],
    lse: &mut [f32],
) {
    check::head_best(h, &table, count, best, lse);
    let width = table.cols();
    let rows = lse.chunks_mut(ROWS).zip(best.chunks_mut(ROWS * count));
    for (i, (lse, best)) in rows.enumerate() {
        let h = &h[i * ROWS * width..][..lse.len() * width];
        let h = Mat::new(h, lse.len(), width);
        some_rows(cpu, h, table, count, best, lse);
    }
}

fn some_rows(
    cpu: &Cpu,
    h: Mat<'_, f32>,
    table: Mat<'_, f32>,
    count: usize,
    best: &mut [(f32, u32)],
    lse: &mut [f32],
) {
    let (classes, rows) = (table.rows(), h.rows());
    let blocks = classes.div_ceil(CLASSES);
    let work = rows * classes * h.cols();
    let tasks = match cpu.threads_for(work) {
        1 => 1,
        threads => (3 * threads).min(blocks),
    };
    let left = LeftOperand::new(cpu, h, &table.t());
    // Of each block and row, and of each task and row.
    let mut sums: Vec<Block> = vec![(0.0, 0.0); blocks * rows];
    let mut found = vec![Found::none(count); tasks * rows];
    let (all_sums, all_found) = (SharedMut::new(&mut sums), SharedMut::new(&mut found));
    cpu.run(tasks, work, |task| {
        let own = blocks * task / tasks..blocks * (task + 1) / tasks;
        let mut logits = Scratch::take(rows * CLASSES.min(classes));
        // SAFETY: a task has its own places in `found`, and its own blocks' in `sums`; both are borrowed for all tasks.
        let found = unsafe { all_found.slice(task * rows, rows) };
        for block in own {
            let first = block * CLASSES;
            let columns = CLASSES.min(classes - first);
            let logits = &mut logits[..rows * columns];
            let c = MatMut::new(logits, rows, columns);
            left.times(cpu, table.some_rows(first, columns).t(), c);
            // SAFETY: as above.
            let sums = unsafe { all_sums.slice(block * rows, rows) };
            let of_rows = logits.chunks_exact(columns).zip(sums).zip(&mut *found);
            for ((row, sum), found) in of_rows {
                *sum = sum_of(cpu.supported(), row);
                if sum.0 > found.threshold {
                    look_through(cpu.supported(), row, first as u32, found);
                }
            }
        }
    });
    for (i, (best, lse)) in best.chunks_exact_mut(count).zip(lse).enumerate() {
        *lse = total(sums.iter().skip(i).step_by(rows));
        let mut all = Found::none(count);
        let of_tasks = found.iter().skip(i).step_by(rows);
        of_tasks.for_each(|found| found.best.iter().for_each(|&(x, class)| all.push(x, class)));
        // Fewer only in a row that isn't finite.
        all.best.resize(count, (f32::NAN, 0));
        best.copy_from_slice(&all.best);
    }
}

/// The log-sum-exp of blocks, in their order.
fn total<'a>(blocks: impl Iterator<Item = &'a Block> + Clone) -> f32 {
    let largest = blocks
        .clone()
        .fold(f32::NEG_INFINITY, |max, b| max.max(b.0));
    let total: f32 = blocks.map(|(max, sum)| sum * (max - largest).exp()).sum();
    largest + total.ln()
}

/// The best classes so far, best first and the lower class first among equals.
#[derive(Debug, Clone)]
struct Found {
    best: Vec<(f32, u32)>,
    count: usize,
    /// What a logit must be above to be among them.
    threshold: f32,
}

impl Found {
    fn none(count: usize) -> Self {
        Found {
            best: Vec::with_capacity(count + 1),
            count,
            threshold: f32::NEG_INFINITY,
        }
    }

    /// Takes a class into account that comes after all others so far.
    fn push(&mut self, x: f32, class: u32) {
        if x > self.threshold {
            let at = self.best.partition_point(|&(better, _)| better >= x);
            self.best
                .truncate(self.count - usize::from(self.best.len() == self.count));
            self.best.insert(at, (x, class));
            if self.best.len() == self.count {
                self.threshold = self.best[self.count - 1].0;
            }
        }
    }
}

/// The largest logit and the sum of exponentials; NaN if a logit isn't finite.
fn sum_of(path: Supported, logits: &[f32]) -> Block {
    #[cfg(target_arch = "x86_64")]
    if let Some(sum) = best512::block_sum(path, logits) {
        return sum;
    }
    block_sum(path, logits)
}

multiversion! {
    fn block_sum(logits: &[f32]) -> Block {
        let max = max(logits);
        // What isn't finite makes NaN of `0 x`.
        (max, sum(logits, |x| exp(x - max) + 0.0 * x))
    }
}

multiversion! {
    fn look_through(logits: &[f32], first: u32, found: &mut Found) {
        for (i, part) in logits.chunks(STRIDE).enumerate() {
            let threshold = found.threshold;
            if part.iter().fold(false, |any, &x| any | (x > threshold)) {
                for (j, &x) in part.iter().enumerate() {
                    found.push(x, first + (i * STRIDE + j) as u32);
                }
            }
        }
    }
}
