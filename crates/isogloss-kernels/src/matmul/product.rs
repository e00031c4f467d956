//! A product that is about to be computed, and how an area of it is: operands are packed, micro-kernels run over the panels.

use std::ops::Range;

use crate::backend::Epilogue;
use crate::check;
use crate::matmul::int8::QuantizedRows;
use crate::matmul::kernel::{Ahead, Dequantize, MicroKernel, Tile};
use crate::matmul::pack::Operand;
use crate::matmul::packed::{Columns, Int8Columns};
use crate::matmul::panels::{Blocks, Panels, pack_panels};
use crate::matmul::{Mat, MatData, MatMut};
use crate::scratch::{Scratch, SharedMut};

/// A rectangle of the product, with at least one element; only [`Product::area`] makes one, and sees that it lies within.
#[derive(Debug, Clone)]
pub(super) struct Area {
    /// Panels of rows.
    down: Range<usize>,
    /// Panels of columns.
    across: Range<usize>,
    row: usize,
    rows: usize,
    col: usize,
    cols: usize,
}

/// Up to this many columns, the product is computed as its transpose: a tile's rows may be few, its columns are whole vectors.
/// Down-projections to a rank and their gradients are such products.
pub(super) const NARROW: usize = 8;

/// A product that is about to be computed: shapes are checked, and `c` is borrowed as long as it lives.
pub(super) struct Product<'a> {
    /// Its instructions are this machine's, see [`select`](crate::matmul::kernel::select).
    pub kernel: &'static MicroKernel,
    pub a: Operand<'a>,
    pub b: Operand<'a>,
    /// All of `a`, or of `b`, if it is packed ahead; else each task packs its part.
    a_words: Option<Columns<'a>>,
    pub b_words: Option<Columns<'a>>,
    pub blocks: Blocks,
    pub row_panels: Panels,
    pub col_panels: Panels,
    epilogue: Epilogue<'a, f32>,
    c: SharedMut<f32>,
    c_stride: usize,
    /// Size of the product: that of `c`, or of its transpose.
    pub rows: usize,
    pub cols: usize,
    /// Whether the transpose is computed.
    transposed: bool,
    /// Of a product in integers.
    factors: Option<Factors<'a>>,
}

/// What makes numbers of sums of integers: a factor for each row, a factor and an offset for each column.
#[derive(Clone, Copy)]
struct Factors<'a> {
    rows: &'a [f32],
    cols: &'a [f32],
    offsets: &'a [i32],
}

impl Factors<'_> {
    /// Those of a tile.
    fn of(&self, row: usize, rows: usize, col: usize, cols: usize) -> Dequantize {
        Dequantize {
            rows: self.rows[row..row + rows].as_ptr(),
            cols: self.cols[col..col + cols].as_ptr(),
            offsets: self.offsets[col..col + cols].as_ptr(),
        }
    }
}
impl<'a> Product<'a> {
    /// Whether a right operand of which there are only panels will do as it is.
    pub fn reads_packed(kernel: &MicroKernel, b: &Mat<'_, f32>, c: &MatMut<'_, f32>) -> bool {
        c.cols() > NARROW
            && b.ahead().is_some_and(|weight| {
                weight.columns_of(kernel, b).is_some() || weight.forward_panels(kernel, b).is_some()
            })
    }

    pub fn new(
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
        let packed = b.ahead().filter(|_| !transposed);
        let b_words = packed.and_then(|weight| weight.columns_of(kernel, &b));
        let values = matches!(b.data(), MatData::Real(_) | MatData::Bf16(_));
        if !values && b_words.is_none() {
            outer_b.panels = packed.and_then(|weight| weight.forward_panels(kernel, &b));
        }
        Product {
            kernel,
            a: outer_a,
            b: outer_b,
            a_words: None,
            b_words,
            blocks: Blocks::new(kernel, a.cols()),
            row_panels: Panels::rows(kernel, rows),
            col_panels: Panels::cols(kernel, cols),
            epilogue,
            c_stride: c.row_stride(),
            c: SharedMut::new(c.data()),
            rows,
            cols,
            transposed,
            factors: None,
        }
    }

    /// The same with operands packed ahead that weren't yet.
    pub fn with_words<'s>(&'s self, a: Option<&'s [u32]>, b: Option<&'s [u32]>) -> Product<'s> {
        Product {
            a_words: self
                .a_words
                .or(a.map(|words| Columns::all(words, self.row_panels))),
            b_words: self
                .b_words
                .or(b.map(|words| Columns::all(words, self.col_panels))),
            ..*self
        }
    }

    /// A product of quantised rows with a weight in integers.
    pub fn int8(
        rows: &'a QuantizedRows,
        Int8Columns { weight, columns }: Int8Columns<'a>,
        epilogue: Epilogue<'a, f32>,
        mut c: MatMut<'a, f32>,
    ) -> Self {
        let (kernel, words) = (weight.kernel_for(c.rows()), rows.mat());
        let own = columns.first..columns.first + c.cols();
        Product {
            kernel,
            a: Operand::rows_of(words),
            // What is packed ahead is all that there is.
            b: Operand::cols_of(words),
            a_words: None,
            b_words: Some(columns),
            blocks: Blocks::new(kernel, words.cols()),
            row_panels: Panels::rows(kernel, c.rows()),
            col_panels: Panels::cols(kernel, c.cols()),
            epilogue,
            c_stride: c.row_stride(),
            rows: c.rows(),
            cols: c.cols(),
            c: SharedMut::new(c.data()),
            transposed: false,
            factors: Some(Factors {
                rows: rows.scales(),
                cols: &weight.scales[own.clone()],
                offsets: &weight.offsets[own],
            }),
        }
    }

    /// The rectangle of some panels.
    ///
    /// # Panics
    /// If there are none.
    pub fn area(&self, down: Range<usize>, across: Range<usize>) -> Area {
        assert!(
            !down.is_empty()
                && !across.is_empty()
                && down.end <= self.row_panels.len()
                && across.end <= self.col_panels.len(),
            "area of a product"
        );
        let (row, col) = (
            self.row_panels.start(down.start),
            self.col_panels.start(across.start),
        );
        Area {
            row,
            rows: self.row_panels.start(down.end) - row,
            col,
            cols: self.col_panels.start(across.end) - col,
            down,
            across,
        }
    }

    /// Computes an area into `c`.
    ///
    /// # Safety
    /// Nothing else reads or writes the area's elements of `c` meanwhile, and the borrow that the product was made of is alive.
    pub unsafe fn compute(&self, area: &Area) {
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
    fn element(&self, area: &Area, i: usize, j: usize) -> *mut f32 {
        assert!(i < area.rows && j < area.cols, "element of an area");
        // SAFETY: the area lies within the product, which is the transpose of `c`.
        unsafe { self.c.at((area.col + j) * self.c_stride + area.row + i) }
    }

    /// Adds what the epilogue adds to the product, at the moment when a micro-kernel would: after the first block.
    ///
    /// # Safety
    /// As [`compute`](Self::compute).
    unsafe fn add_to_transposed(&self, area: &Area, product: &mut [f32]) {
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
    unsafe fn store_transposed(&self, area: &Area, product: &[f32]) {
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
        area: &Area,
        epilogue: &Epilogue<'_, f32>,
        c: *mut f32,
        c_stride: usize,
        after_first: impl Fn(),
    ) {
        let (blocks, most) = (self.blocks, self.blocks.most_words());
        let space = |ahead: bool, width: usize| Scratch::take(if ahead { 0 } else { most * width });
        let mut a_space = space(
            self.a_words.is_some(),
            self.row_panels.padded_of(&area.down),
        );
        let mut b_space = space(
            self.b_words.is_some(),
            self.col_panels.padded_of(&area.across),
        );
        // SAFETY: the machine has the kernel's instructions. No other product runs on this thread before this one's blocks are
        // done: nothing here waits for other tasks.
        let _ready = unsafe { self.kernel.begin() };
        for block in 0..blocks.len() {
            let a = self.side(
                (&self.a, self.a_words),
                (self.row_panels, &area.down),
                block,
                bytemuck::cast_slice_mut(&mut a_space),
            );
            let b = self.side(
                (&self.b, self.b_words),
                (self.col_panels, &area.across),
                block,
                bytemuck::cast_slice_mut(&mut b_space),
            );
            let tile = Tile {
                words: blocks.words(block),
                c,
                c_stride,
                ..Tile::epilogue(epilogue, block, blocks.len())
            };
            // SAFETY: the caller's promise.
            unsafe { self.multiply(area, tile, a, b) }
            if block == 0 {
                after_first();
            }
        }
    }

    /// A block of an area's panels of one operand, from its first panel on: cut out of what was packed ahead, or packed here.
    fn side<'s>(
        &self,
        (operand, ahead): (&Operand<'_>, Option<Columns<'s>>),
        (panels, range): (Panels, &Range<usize>),
        block: usize,
        space: &'s mut [u32],
    ) -> &'s [u32] {
        let blocks = self.blocks;
        let words = blocks.words(block);
        match ahead {
            Some(all) => {
                let first = blocks.words_before(block) * all.padded
                    + words * (all.first + panels.start(range.start));
                &all.words[first..][..words * panels.padded_of(range)]
            }
            None => {
                let to = (panels, range.clone());
                pack_panels(self.kernel, operand, (blocks, block), to, space);
                space
            }
        }
    }

    /// Multiplies the packed blocks of an area, whose first element is `tile.c`.
    ///
    /// # Safety
    /// The area's rows, `tile.c_stride` apart from `tile.c` on, may be read and written, and nothing else does so meanwhile.
    /// `tile.bias` is null or the product's.
    unsafe fn multiply(&self, area: &Area, tile: Tile, a_words: &[u32], b_words: &[u32]) {
        for q in area.across.clone() {
            let col = self.col_panels.start(q) - area.col;
            let (cols, width) = (self.col_panels.count(q), self.col_panels.width(q));
            let b = b_words[tile.words * col..][..tile.words * width].as_ptr();
            let ahead = Ahead::after(b, tile.words, width, area.down.len());
            for p in area.down.clone() {
                let (row, rows) = (
                    self.row_panels.start(p) - area.row,
                    self.row_panels.count(p),
                );
                let padded = self.row_panels.width(p);
                let a = a_words[tile.words * row..][..tile.words * padded].as_ptr();
                let bias = if tile.bias.is_null() {
                    tile.bias
                } else {
                    tile.bias.wrapping_add(area.col + col)
                };
                let factors = self.factors.as_ref();
                let dequantize = factors.map_or(Dequantize::NONE, |factors| {
                    factors.of(area.row + row, rows, area.col + col, cols)
                });
                // SAFETY: the machine has the kernel's instructions; the panels and factors were just sliced to their size; the tile
                // lies within the area, for which the caller answers; the bias was checked to be as long as a row.
                unsafe {
                    (self.kernel.run)(&Tile {
                        rows,
                        width,
                        cols,
                        a,
                        b,
                        c: tile.c.add(row * tile.c_stride + col),
                        bias,
                        dequantize,
                        ahead: ahead.part(p - area.down.start, tile.words),
                        ..tile
                    });
                }
            }
        }
    }
}
