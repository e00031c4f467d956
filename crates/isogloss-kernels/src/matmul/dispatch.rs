//! The product by blocks: operands are packed, micro-kernels run over the panels.
//!
//! Every element of `c` is a sum over the inner dimension in one fixed order: blocks of [`MicroKernel::depth`], one after the other
//! within. Which tile an element falls into, how many rows there are and how many threads run changes nothing.

use crate::backend::Epilogue;
use crate::check;
use crate::cpu::{Cpu, Precision, Supported};
use crate::matmul::kernel::{MicroKernel, Tile, select};
use crate::matmul::pack::{Operand, Part};
use crate::matmul::{Mat, MatMut};
use crate::scratch::{Scratch, SharedMut};

/// Most rows and columns of a task: packed blocks of a quarter and of three quarters of a megabyte, for the second-level cache.
const TASK_ROWS: usize = 336;
const TASK_COLS: usize = 768;

/// Tasks are not cut below this many multiply-adds.
const MIN_TASK: usize = 1 << 17;

/// A rectangle of the product, with at least one element; only [`Product::area`] makes one, and sees that it lies within.
#[derive(Debug, Clone, Copy)]
struct Area {
    row: usize,
    rows: usize,
    col: usize,
    cols: usize,
}

/// Up to this many columns, the product is computed as its transpose: a tile's rows may be few, its columns are whole vectors.
/// Down-projections to a rank and their gradients are such products.
const NARROW: usize = 8;

/// A product that is about to be computed: shapes are checked, and `c` is borrowed as long as it lives.
struct Product<'a> {
    /// Its instructions are this machine's, see [`select`].
    kernel: &'static MicroKernel,
    a: Operand<'a>,
    b: Operand<'a>,
    depth: usize,
    epilogue: Epilogue<'a, f32>,
    c: SharedMut<f32>,
    c_stride: usize,
    /// Size of the product: that of `c`, or of its transpose.
    rows: usize,
    cols: usize,
    /// Whether the transpose is computed.
    transposed: bool,
}

/// [`crate::Backend::matmul`] for [`Cpu`].
pub(crate) fn fast(
    cpu: &Cpu,
    a: Mat<'_, f32>,
    b: Mat<'_, f32>,
    epilogue: Epilogue<'_, f32>,
    c: MatMut<'_, f32>,
) {
    let product = Product::new(select(cpu.supported(), cpu.precision()), a, b, epilogue, c);
    let (m, n) = (product.rows, product.cols);
    if m == 0 || n == 0 {
        return;
    }
    let work = m * n * product.depth.max(1);
    let (rows, cols) = task_size(product.kernel, m, n, work, cpu.threads_for(work));
    let (down, across) = (m.div_ceil(rows), n.div_ceil(cols));
    cpu.run(down * across, work, |task| {
        let area = product.area(task % down * rows, task / down * cols, rows, cols);
        // SAFETY: the tasks' areas are the cells of a grid, of which no two overlap, and `c` is borrowed for all of them.
        unsafe { product.compute(area) }
    });
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
    let product = Product::new(select(path, precision), a, b, epilogue, c);
    for col in (0..product.cols).step_by(TASK_COLS) {
        for row in (0..product.rows).step_by(TASK_ROWS) {
            let area = product.area(row, col, TASK_ROWS, TASK_COLS);
            // SAFETY: this thread alone knows the product, and `c` is borrowed for it.
            unsafe { product.compute(area) }
        }
    }
}

/// Rows and columns of a task: as even as can be, whole tiles, several for each thread where there is enough to do.
fn task_size(
    kernel: &MicroKernel,
    m: usize,
    n: usize,
    work: usize,
    threads: usize,
) -> (usize, usize) {
    let (mut down, mut across) = (m.div_ceil(TASK_ROWS), n.div_ceil(TASK_COLS));
    let want = if threads == 1 { 1 } else { 3 * threads };
    while down * across < want && work / (down * across) >= 2 * MIN_TASK {
        // Columns first: the rows are packed again for each, and there are rarely more of them.
        if n / across >= (m / down).min(4 * kernel.lanes) && n / across > 2 * kernel.lanes {
            across += 1;
        } else if m / down > kernel.rows {
            down += 1;
        } else {
            break;
        }
    }
    (
        m.div_ceil(down).next_multiple_of(kernel.rows),
        n.div_ceil(across).next_multiple_of(2 * kernel.lanes),
    )
}

/// `count` cut into panels of at most `most`, as even as can be: the first of each, and its size.
fn even_panels(count: usize, most: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    let panels = count.div_ceil(most).max(1);
    let (size, larger) = (count / panels, count % panels);
    (0..panels).map(move |p| (p * size + p.min(larger), size + usize::from(p < larger)))
}

impl<'a> Product<'a> {
    fn new(
        kernel: &'static MicroKernel,
        a: Mat<'a, f32>,
        b: Mat<'a, f32>,
        epilogue: Epilogue<'a, f32>,
        mut c: MatMut<'a, f32>,
    ) -> Self {
        check::matmul(&a, &b, &epilogue, &c);
        // The rule knows nothing of the rows: a row must not depend on how many there are.
        let transposed = c.cols() <= NARROW;
        let (mut rows, mut cols) = (c.rows(), c.cols());
        let (mut outer_a, mut outer_b) = (Operand::rows_of(a), Operand::cols_of(b));
        if transposed {
            (rows, cols) = (cols, rows);
            (outer_a, outer_b) = (outer_b, outer_a);
        }
        Product {
            kernel,
            a: outer_a,
            b: outer_b,
            depth: a.cols(),
            epilogue,
            c_stride: c.row_stride(),
            c: SharedMut::new(c.data()),
            rows,
            cols,
            transposed,
        }
    }

    /// The columns of a task cut into panels: the first of each, how many exist, and how many the panel has.
    fn col_panels(&self, count: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let lanes = self.kernel.lanes;
        (0..count).step_by(2 * lanes).map(move |col| {
            let cols = (count - col).min(2 * lanes);
            (col, cols, if cols <= lanes { lanes } else { 2 * lanes })
        })
    }

    /// `rows x cols` of the product from `(row, col)` on, as far as they exist.
    ///
    /// # Panics
    /// If there are none.
    fn area(&self, row: usize, col: usize, rows: usize, cols: usize) -> Area {
        assert!(
            row < self.rows && col < self.cols && rows > 0 && cols > 0,
            "area of a product"
        );
        Area {
            row,
            rows: rows.min(self.rows - row),
            col,
            cols: cols.min(self.cols - col),
        }
    }

    /// Computes an area into `c`.
    ///
    /// # Safety
    /// Nothing else reads or writes the area's elements of `c` meanwhile, and the borrow that the product was made of is alive.
    unsafe fn compute(&self, area: Area) {
        if !self.transposed {
            let at = area.row * self.c_stride + area.col;
            // SAFETY: the area isn't empty and lies within the product, which is `c`.
            let c = unsafe { self.c.at(at) };
            // SAFETY: the area's rows lie `c_stride` apart in `c`, from `c` on; the caller promised that they are ours.
            unsafe { self.blocks(area, &self.epilogue, c, self.c_stride, || ()) }
            return;
        }
        let mut product = Scratch::take(area.rows * area.cols);
        let to = SharedMut::new(&mut product);
        let plain = Epilogue {
            alpha: self.epilogue.alpha,
            ..Epilogue::default()
        };
        // SAFETY: the start of the buffer.
        let first = unsafe { to.at(0) };
        let after_first = || {
            // SAFETY: the whole buffer, which only this thread knows; no kernel runs meanwhile.
            let product = unsafe { to.slice(0, area.rows * area.cols) };
            // SAFETY: the caller's promise.
            unsafe { self.add_to_transposed(area, product) }
        };
        // SAFETY: the buffer holds the area row by row, and only this thread knows it.
        unsafe { self.blocks(area, &plain, first, area.cols, after_first) }
        // SAFETY: the caller's promise.
        unsafe { self.store_transposed(area, &product) }
    }

    /// Where in `c` an element of the transposed product belongs.
    fn element(&self, area: Area, i: usize, j: usize) -> *mut f32 {
        assert!(i < area.rows && j < area.cols, "element of an area");
        // SAFETY: the area lies within the product, which is the transpose of `c`.
        unsafe { self.c.at((area.col + j) * self.c_stride + area.row + i) }
    }

    /// Adds what the epilogue adds to the product, at the moment when a micro-kernel would: after the first block.
    ///
    /// # Safety
    /// As [`compute`](Self::compute).
    unsafe fn add_to_transposed(&self, area: Area, product: &mut [f32]) {
        for (i, row) in product.chunks_exact_mut(area.cols).enumerate() {
            if let Some(bias) = self.epilogue.bias {
                row.iter_mut().for_each(|x| *x += bias[area.row + i]);
            }
            if self.epilogue.accumulate {
                for (j, x) in row.iter_mut().enumerate() {
                    // SAFETY: the element exists, and the caller promised that nothing else touches it.
                    *x += unsafe { self.element(area, i, j).read() };
                }
            }
        }
    }

    /// Rectifies the product and writes its transpose to `c`.
    ///
    /// # Safety
    /// As [`compute`](Self::compute).
    unsafe fn store_transposed(&self, area: Area, product: &[f32]) {
        let relu = self.epilogue.relu;
        for j in 0..area.cols {
            for i in 0..area.rows {
                let x = product[i * area.cols + j];
                // SAFETY: the element exists, and the caller promised that nothing else touches it.
                unsafe {
                    self.element(area, i, j)
                        .write(if relu && x < 0.0 { 0.0 } else { x });
                }
            }
        }
    }

    /// Computes an area into `c`, the area's first element, block by block of the inner dimension.
    ///
    /// # Safety
    /// The area's rows, `c_stride` apart from `c` on, may be read and written, and nothing but `after_first` does so meanwhile.
    unsafe fn blocks(
        &self,
        area: Area,
        epilogue: &Epilogue<'_, f32>,
        c: *mut f32,
        c_stride: usize,
        after_first: impl Fn(),
    ) {
        let word = self.kernel.word;
        let block_words = self.depth.min(self.kernel.depth).div_ceil(word.depth());
        let width = area.cols.next_multiple_of(2 * self.kernel.lanes);
        let mut a_words = Scratch::take(block_words * area.rows);
        let mut b_words = Scratch::take(block_words * width);
        let a_words: &mut [u32] = bytemuck::cast_slice_mut(&mut a_words);
        let b_words: &mut [u32] = bytemuck::cast_slice_mut(&mut b_words);
        let blocks = self.depth.div_ceil(self.kernel.depth).max(1);
        for block in 0..blocks {
            let inner = block * self.kernel.depth;
            let depth = (self.depth - inner).min(self.kernel.depth);
            self.pack(area, inner, depth, a_words, b_words);
            let tile = Tile {
                words: depth.div_ceil(word.depth()),
                c,
                c_stride,
                ..Tile::epilogue(epilogue, block, blocks)
            };
            // SAFETY: the caller's promise.
            unsafe { self.multiply(area, tile, a_words, b_words) }
            if block == 0 {
                after_first();
            }
        }
    }

    /// Packs a block of both operands.
    fn pack(
        &self,
        area: Area,
        inner: usize,
        depth: usize,
        a_words: &mut [u32],
        b_words: &mut [u32],
    ) {
        let word = self.kernel.word;
        let words = depth.div_ceil(word.depth());
        let pack = |operand: &Operand<'_>, outer, count, width, out: &mut [u32]| {
            let part = Part {
                outer,
                count,
                inner,
                depth,
            };
            let panel = operand.panel(part, word, width);
            assert!(out.len() >= words * width, "space for a panel");
            // SAFETY: the machine has the kernel's instructions; `panel` checked that the part lies within the
            // operand, whose view checked that its elements lie within its slice; the panel has space.
            unsafe { (self.kernel.pack)(&panel, out.as_mut_ptr()) }
        };
        for (row, rows) in even_panels(area.rows, self.kernel.rows) {
            pack(
                &self.a,
                area.row + row,
                rows,
                rows,
                &mut a_words[words * row..],
            );
        }
        for (col, cols, width) in self.col_panels(area.cols) {
            pack(
                &self.b,
                area.col + col,
                cols,
                width,
                &mut b_words[words * col..],
            );
        }
    }

    /// Multiplies the packed blocks of an area, whose first element is `tile.c`.
    ///
    /// # Safety
    /// The area's rows, `tile.c_stride` apart from `tile.c` on, may be read and written, and nothing else does so meanwhile.
    /// `tile.bias` is null or the product's.
    unsafe fn multiply(&self, area: Area, tile: Tile, a_words: &[u32], b_words: &[u32]) {
        let rows_of = even_panels(area.rows, self.kernel.rows);
        for (col, cols, width) in self.col_panels(area.cols) {
            let b = b_words[tile.words * col..][..tile.words * width].as_ptr();
            for (row, rows) in rows_of.clone() {
                let a = a_words[tile.words * row..][..tile.words * rows].as_ptr();
                let bias = if tile.bias.is_null() {
                    tile.bias
                } else {
                    tile.bias.wrapping_add(area.col + col)
                };
                // SAFETY: the machine has the kernel's instructions; the panels were just sliced to their size; the tile lies
                // within the area, for which the caller answers; the bias was checked to be as long as a row.
                unsafe {
                    (self.kernel.run)(&Tile {
                        rows,
                        width,
                        cols,
                        a,
                        b,
                        c: tile.c.add(row * tile.c_stride + col),
                        bias,
                        ..tile
                    });
                }
            }
        }
    }
}
