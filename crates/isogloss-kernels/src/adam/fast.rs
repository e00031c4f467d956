//! Adam over chunks, on threads.

use crate::adam::reference::SUM_BLOCK;
use crate::backend::AdamStep;
use crate::check;
use crate::cpu::Cpu;
use crate::scratch::SharedMut;
use crate::simd::multiversion;

/// Values of a task.
const CHUNK: usize = 16_384;

/// What a step costs a value, in multiply-adds: a root and a division among them.
const COST: usize = 16;

/// The factors of a step, worked out in `f64`.
#[derive(Clone, Copy)]
struct Factors {
    beta1: f32,
    beta2: f32,
    eps: f32,
    grad_scale: f32,
    lr: f32,
    root: f32,
    decay: f32,
}

/// [`crate::Backend::adam`] for [`Cpu`].
pub(crate) fn step(
    cpu: &Cpu,
    step: AdamStep,
    values: &mut [f32],
    grads: &[f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    check::adam(values, grads, first, second);
    let exponent = i32::try_from(step.step).unwrap_or(i32::MAX);
    let correction = |beta: f32| 1.0 - f64::from(beta).powi(exponent);
    let factors = Factors {
        beta1: step.beta1,
        beta2: step.beta2,
        eps: step.eps,
        grad_scale: step.grad_scale,
        lr: (f64::from(step.lr) / correction(step.beta1)) as f32,
        root: correction(step.beta2).sqrt() as f32,
        decay: 1.0 - step.lr * step.weight_decay,
    };
    let moments = (SharedMut::new(first), SharedMut::new(second));
    cpu.chunks(values, CHUNK, COST, |task, values| {
        let at = task * CHUNK;
        // SAFETY: `first` and `second` are as long as `values`, and each task takes its own chunk of them.
        let (first, second) = unsafe {
            (
                moments.0.slice(at, values.len()),
                moments.1.slice(at, values.len()),
            )
        };
        update(
            cpu.supported(),
            factors,
            values,
            &grads[at..],
            first,
            second,
        );
    });
}

multiversion! {
    fn update(
        factors: Factors,
        values: &mut [f32],
        grads: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let f = factors;
        let moments = first.iter_mut().zip(second);
        for ((value, &grad), (first, second)) in values.iter_mut().zip(grads).zip(moments) {
            let grad = grad * f.grad_scale;
            *first = f.beta1 * *first + (1.0 - f.beta1) * grad;
            *second = f.beta2 * *second + (1.0 - f.beta2) * grad * grad;
            *value = *value * f.decay - f.lr * *first / (second.sqrt() / f.root + f.eps);
        }
    }
}

/// [`crate::Backend::sum_squares`] for [`Cpu`].
pub(crate) fn sum_squares(cpu: &Cpu, x: &[f32]) -> f64 {
    // Blocks of blocks, so that nothing is allocated: the order of the sums doesn't depend on threads.
    const GROUP: usize = 64;
    let mut total = 0.0;
    for group in x.chunks(GROUP * SUM_BLOCK) {
        let mut sums = [0.0f64; GROUP];
        let sums = &mut sums[..group.len().div_ceil(SUM_BLOCK)];
        cpu.chunks(sums, 1, SUM_BLOCK, |task, sum| {
            let block = &group[task * SUM_BLOCK..];
            sum[0] = block_squares(cpu.supported(), &block[..block.len().min(SUM_BLOCK)]);
        });
        total += sums.iter().sum::<f64>();
    }
    total
}

multiversion! {
    fn block_squares(x: &[f32]) -> f64 {
        const LANES: usize = 8;
        let mut lanes = [0.0f64; LANES];
        let (blocks, tail) = x.as_chunks::<LANES>();
        for block in blocks {
            for (lane, &x) in lanes.iter_mut().zip(block) {
                *lane += f64::from(x) * f64::from(x);
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(tail) {
            *lane += f64::from(x) * f64::from(x);
        }
        lanes.iter().sum()
    }
}
