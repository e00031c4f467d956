//! The product by blocks, and how it is cut into tasks.
//!
//! Every element of `c` is a sum over the inner dimension in one fixed order: blocks of [`MicroKernel::depth`], one after the other
//! within. Which tile an element falls into, how many rows there are and how many threads run changes nothing.

use crate::backend::Epilogue;
use crate::check;
use crate::cpu::{Cpu, Precision, Supported};
use crate::matmul::int8::QuantizedRows;
use crate::matmul::kernel::{MicroKernel, select};
use crate::matmul::pack::Operand;
use crate::matmul::packed::Int8Columns;
use crate::matmul::panels::{Panels, pack_whole};
use crate::matmul::product::{NARROW, Product};
use crate::matmul::{Mat, MatMut};
use crate::scratch::Scratch;

/// Most rows and columns of a task: packed blocks of a quarter and of three quarters of a megabyte, for the second-level cache.
const TASK_ROWS: usize = 336;
const TASK_COLS: usize = 768;

/// Most words of an operand that is packed ahead for all tasks: 16 MiB.
const MAX_AHEAD: usize = 1 << 22;

/// Tasks are not cut below this many multiply-adds.
const MIN_TASK: usize = 1 << 17;

/// [`crate::Backend::matmul`] for [`Cpu`].
pub(crate) fn fast(
    cpu: &Cpu,
    a: Mat<'_, f32>,
    b: Mat<'_, f32>,
    epilogue: Epilogue<'_, f32>,
    c: MatMut<'_, f32>,
) {
    if let Some(weight) = int8_weight(cpu, &b, &c) {
        check::matmul(&a, &b, &epilogue, &c);
        let rows = QuantizedRows::new(cpu, a);
        return run(cpu, &Product::int8(&rows, weight, epilogue, c));
    }
    let kernel = select(cpu.supported(), cpu.precision());
    fast_with(kernel, cpu, (a, b), epilogue, c);
}

/// The same with a kernel for numbers whose instructions the machine has.
pub(super) fn fast_with(
    kernel: &'static MicroKernel,
    cpu: &Cpu,
    (a, b): (Mat<'_, f32>, Mat<'_, f32>),
    epilogue: Epilogue<'_, f32>,
    c: MatMut<'_, f32>,
) {
    of_numbers(kernel, (a, b), epilogue, c, |product| run(cpu, product));
}

/// Makes the product of two operands, widened first where they aren't numbers that the kernel packs.
fn of_numbers(
    kernel: &'static MicroKernel,
    (a, b): (Mat<'_, f32>, Mat<'_, f32>),
    epilogue: Epilogue<'_, f32>,
    c: MatMut<'_, f32>,
    compute: impl FnOnce(&Product<'_>),
) {
    let (mut a_space, mut b_space) = (Vec::new(), Vec::new());
    let a = a.widened(&mut a_space).unwrap_or(a);
    let b = match Product::reads_packed(kernel, &b, &c) {
        true => b,
        false => b.widened(&mut b_space).unwrap_or(b),
    };
    compute(&Product::new(kernel, a, b, epilogue, c));
}

/// The right operand in integers, if it was packed so and is used so. As ever, the rows have no say.
fn int8_weight<'a>(cpu: &Cpu, b: &Mat<'a, f32>, c: &MatMut<'_, f32>) -> Option<Int8Columns<'a>> {
    let wanted = cpu.precision() == Precision::Int8 && c.cols() > NARROW;
    b.ahead().filter(|_| wanted)?.int8_of(b)
}

fn run(cpu: &Cpu, product: &Product<'_>) {
    let kernel = product.kernel;
    let (m, n) = (product.rows, product.cols);
    if m == 0 || n == 0 {
        return;
    }
    let work = m * n * product.blocks.depth().max(1);
    let (down, across) = tasks(product, work, cpu.threads_for(work));
    // What several tasks need is packed once, for all of them.
    let ahead = |operand: &Operand<'_>, panels: Panels, wanted: bool| {
        let words = product.blocks.all_words() * panels.padded();
        (wanted && words <= MAX_AHEAD).then(|| {
            let mut space = Scratch::take(words);
            let to = bytemuck::cast_slice_mut(&mut space);
            pack_whole(kernel, operand, product.blocks, panels, cpu, to);
            space
        })
    };
    let a_space = ahead(&product.a, product.row_panels, across > 1);
    let b_space = ahead(
        &product.b,
        product.col_panels,
        down > 1 && product.b_words.is_none(),
    );
    let product = product.with_words(
        a_space.as_deref().map(bytemuck::cast_slice),
        b_space.as_deref().map(bytemuck::cast_slice),
    );
    let (rows, cols) = (product.row_panels.len(), product.col_panels.len());
    cpu.run(down * across, work, |task| {
        let (i, j) = (task % down, task / down);
        let area = product.area(
            rows * i / down..rows * (i + 1) / down,
            cols * j / across..cols * (j + 1) / across,
        );
        // SAFETY: the tasks' areas are the cells of a grid, of which no two overlap, and `c` is borrowed for all of them.
        unsafe { product.compute(&area) }
    });
}

/// The left operand of several products with weights, or with parts of one: what is needed of it for each is made once.
pub(crate) struct LeftOperand<'a> {
    a: Mat<'a, f32>,
    quantized: Option<QuantizedRows>,
}

impl<'a> LeftOperand<'a> {
    /// `b` is one of the right operands, or the whole of them.
    pub(crate) fn new(cpu: &Cpu, a: Mat<'a, f32>, b: &Mat<'_, f32>) -> Self {
        let quantizes = cpu.precision() == Precision::Int8
            && b.ahead().is_some_and(|weight| weight.int8_of(b).is_some());
        LeftOperand {
            a,
            quantized: quantizes.then(|| QuantizedRows::new(cpu, a)),
        }
    }

    /// `c = a b` on the calling thread; of the whole the same bits as of [`fast`].
    pub(crate) fn times(&self, cpu: &Cpu, b: Mat<'_, f32>, c: MatMut<'_, f32>) {
        self.compute(cpu, b, c, run_serially);
    }

    /// The same on all threads.
    pub(crate) fn times_on_all(&self, cpu: &Cpu, b: Mat<'_, f32>, c: MatMut<'_, f32>) {
        self.compute(cpu, b, c, |product| run(cpu, product));
    }

    fn compute(
        &self,
        cpu: &Cpu,
        b: Mat<'_, f32>,
        c: MatMut<'_, f32>,
        compute: impl FnOnce(&Product<'_>),
    ) {
        let epilogue = Epilogue::default();
        // Of a part however narrow: what decides is the whole.
        match (&self.quantized, b.ahead().and_then(|w| w.int8_of(&b))) {
            (Some(rows), Some(weight)) => {
                check::matmul(&self.a, &b, &epilogue, &c);
                compute(&Product::int8(rows, weight, epilogue, c));
            }
            _ => {
                let kernel = select(cpu.supported(), cpu.precision());
                of_numbers(kernel, (self.a, b), epilogue, c, compute);
            }
        }
    }
}

/// The same on the calling thread, for products inside a task.
pub(crate) fn serial(
    path: Supported,
    precision: Precision,
    a: Mat<'_, f32>,
    b: Mat<'_, f32>,
    epilogue: Epilogue<'_, f32>,
    c: MatMut<'_, f32>,
) {
    serial_with(select(path, precision), (a, b), epilogue, c);
}

/// The same with a kernel whose instructions the machine has.
pub(super) fn serial_with(
    kernel: &'static MicroKernel,
    (a, b): (Mat<'_, f32>, Mat<'_, f32>),
    epilogue: Epilogue<'_, f32>,
    c: MatMut<'_, f32>,
) {
    of_numbers(kernel, (a, b), epilogue, c, run_serially);
}

fn run_serially(product: &Product<'_>) {
    if product.rows == 0 || product.cols == 0 {
        return;
    }
    let kernel = product.kernel;
    let (rows, cols) = (product.row_panels.len(), product.col_panels.len());
    let (down, across) = (TASK_ROWS / kernel.rows, TASK_COLS / (2 * kernel.lanes));
    for j in (0..cols).step_by(across) {
        for i in (0..rows).step_by(down) {
            let area = product.area(i..rows.min(i + down), j..cols.min(j + across));
            // SAFETY: this thread alone knows the product, and `c` is borrowed for it.
            unsafe { product.compute(&area) }
        }
    }
}

/// Into how many tasks a product is cut, down and across: several for each thread where there is enough to do.
fn tasks(product: &Product<'_>, work: usize, threads: usize) -> (usize, usize) {
    let (m, n, kernel) = (product.rows, product.cols, product.kernel);
    let (rows, cols) = (product.row_panels.len(), product.col_panels.len());
    let (mut down, mut across) = (m.div_ceil(TASK_ROWS), n.div_ceil(TASK_COLS));
    let want = if threads == 1 { 1 } else { 3 * threads };
    while down * across < want && work / (down * across) >= 2 * MIN_TASK {
        if n / across >= (m / down).min(4 * kernel.lanes) && across < cols {
            across += 1;
        } else if down < rows {
            down += 1;
        } else {
            break;
        }
    }
    (down.min(rows), across.min(cols))
}
