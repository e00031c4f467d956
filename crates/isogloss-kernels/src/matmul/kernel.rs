//! What a micro-kernel is: the part of the product that is written for one kind of instruction. A new kind is a [`MicroKernel`] and
//! a line in [`select`].

use crate::backend::Epilogue;
#[cfg(target_arch = "x86_64")]
use crate::cpu::KernelPath;
use crate::cpu::{Precision, Supported};
use crate::matmul::pack::PackFn;
use crate::matmul::portable;

#[cfg(target_arch = "x86_64")]
use crate::matmul::{amx, avx2, avx512};

/// What a packed operand is made of. All are 32 bits wide, so that packing is one transpose for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// An `f32`.
    F32,
    /// An `f32` that was rounded to bf16 and widened again.
    Rounded,
    /// Two bf16 of consecutive `k`, the first in the low half; an odd depth is filled up with zero.
    // Only x86-64 has a kernel for it so far.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Pair,
}

impl Word {
    /// Steps of the inner dimension in a word.
    pub(super) fn depth(self) -> usize {
        match self {
            Word::F32 | Word::Rounded => 1,
            Word::Pair => 2,
        }
    }
}

/// A kernel for tiles of up to `rows` x `2 lanes`, and how its operands are packed.
#[derive(Debug, Clone, Copy)]
pub(super) struct MicroKernel {
    /// Most rows of a tile.
    pub rows: usize,
    /// Columns of a tile are one or two of these.
    pub lanes: usize,
    /// Inner dimension of a block. Blocks are added up in `c`, so this decides the order of summation: it's fixed for a kernel.
    pub depth: usize,
    /// What the operands are packed as.
    pub word: Word,
    /// Words of the inner dimension come in whole groups of this many, zeros beyond the operand. More than one: panels are loaded as
    /// tiles, so a panel of rows is one or two `lanes` wide too, and as [`pack_rows`](Self::pack_rows) lays it out.
    pub group: usize,
    /// Writes a tile.
    ///
    /// # Safety
    /// The machine has the kernel's instructions, the thread is [`Ready`], and the pointers of [`Tile`] are good.
    pub run: unsafe fn(&Tile),
    /// Packs panels of columns.
    pub pack: PackFn,
    /// Packs panels of rows.
    pub pack_rows: PackFn,
    /// What a thread does around the tiles of an area, if anything.
    pub session: Option<Session>,
}

/// State of a thread that a kernel needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    /// Prepares the thread. Needs the kernel's instructions.
    pub begin: unsafe fn(),
    /// Leaves the thread as it was. Needs the kernel's instructions.
    pub end: unsafe fn(),
}

/// A thread that is ready for a kernel's tiles, until this is dropped.
pub(super) struct Ready(Option<Session>);

impl MicroKernel {
    /// Prepares the calling thread for [`run`](Self::run). Not for two kernels, or twice, at a time.
    ///
    /// # Safety
    /// The machine has the kernel's instructions.
    pub(super) unsafe fn begin(&self) -> Ready {
        if let Some(session) = self.session {
            // SAFETY: the caller's promise.
            unsafe { (session.begin)() }
        }
        Ready(self.session)
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let Some(session) = self.0 {
            // SAFETY: `begin` was promised the instructions.
            unsafe { (session.end)() }
        }
    }
}

impl MicroKernel {
    /// Whether panels for `x W^T` are quickly turned into those for `dy W`: of pairs they are, other words are packed from the values.
    pub(super) fn turns_panels(&self) -> bool {
        self.word == Word::Pair
    }
}

/// One call of a micro-kernel: `c = act(alpha a b + bias + c)` of `rows x cols`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    /// Rows of the tile, `1..=MicroKernel::rows`.
    pub rows: usize,
    /// Columns of the packed panel: `lanes` or `2 lanes`.
    pub width: usize,
    /// Columns that exist in `c`, `1..=width`.
    pub cols: usize,
    /// Words of the inner dimension, whole groups.
    pub words: usize,
    /// A packed panel of `words x rows` (with groups: of one or two `lanes` of rows).
    pub a: *const u32,
    /// `words x width` packed words.
    pub b: *const u32,
    /// First element of the tile.
    pub c: *mut f32,
    /// Distance of two rows of `c`.
    pub c_stride: usize,
    /// Factor of the product.
    pub alpha: f32,
    /// `cols` values to add to every row, or null.
    pub bias: *const f32,
    /// Whether `c` is added to.
    pub accumulate: bool,
    /// Whether to rectify.
    pub relu: bool,
    /// How sums of integers become values; null in kernels that have none.
    pub dequantize: Dequantize,
    /// What will be read after this tile.
    pub ahead: Ahead,
}

/// Where a kernel may fetch ahead of need: at so many bytes a word from a place on. It need not exist.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    pub start: *const u32,
    pub step: usize,
}

impl Ahead {
    /// The panel after one of `words x width`, in so many parts: a part is fetched with each panel of rows.
    pub(super) fn after(b: *const u32, words: usize, width: usize, parts: usize) -> Self {
        Ahead {
            start: b.wrapping_add(words * width),
            step: size_of::<u32>() * width / parts,
        }
    }

    /// One of the parts.
    pub(super) fn part(self, part: usize, words: usize) -> Self {
        Ahead {
            start: self.start.wrapping_byte_add(part * words * self.step),
            ..self
        }
    }
}

/// Factors of a tile in integers: value `(i, j)` is `(sum - offsets[j]) * (rows[i] * cols[j])`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dequantize {
    /// As many as rows.
    pub rows: *const f32,
    /// As many as columns.
    pub cols: *const f32,
    /// As many as columns.
    pub offsets: *const i32,
}

impl Dequantize {
    pub(super) const NONE: Dequantize = Dequantize {
        rows: std::ptr::null(),
        cols: std::ptr::null(),
        offsets: std::ptr::null(),
    };
}

impl Tile {
    /// What is left to do for block `block` of `blocks` along the inner dimension: the bias goes into the first, later ones
    /// add to it, the last rectifies.
    pub(super) fn epilogue(epilogue: &Epilogue<'_, f32>, block: usize, blocks: usize) -> Tile {
        Tile {
            rows: 0,
            width: 0,
            cols: 0,
            words: 0,
            a: std::ptr::null(),
            b: std::ptr::null(),
            c: std::ptr::null_mut(),
            c_stride: 0,
            alpha: epilogue.alpha,
            bias: match epilogue.bias {
                Some(bias) if block == 0 => bias.as_ptr(),
                _ => std::ptr::null(),
            },
            accumulate: epilogue.accumulate || block > 0,
            relu: epilogue.relu && block + 1 == blocks,
            dequantize: Dequantize::NONE,
            ahead: Ahead {
                start: std::ptr::null(),
                step: 0,
            },
        }
    }
}

/// The kernel of a path and a precision, for operands that aren't quantised. The machine has its instructions.
pub(super) fn select(path: Supported, precision: Precision) -> &'static MicroKernel {
    let precision = match precision {
        Precision::Int8 => Precision::F32,
        other => other,
    };
    match (path.path(), precision) {
        #[cfg(target_arch = "x86_64")]
        (KernelPath::AmxBf16, Precision::Bf16) => &amx::BF16,
        #[cfg(target_arch = "x86_64")]
        (KernelPath::Avx512Bf16, Precision::Bf16) => &avx512::PAIR,
        #[cfg(target_arch = "x86_64")]
        (KernelPath::AmxBf16 | KernelPath::Avx512Bf16 | KernelPath::Avx512, Precision::F32) => {
            &avx512::F32
        }
        #[cfg(target_arch = "x86_64")]
        (KernelPath::Avx512, Precision::Bf16) => &avx512::ROUNDED,
        #[cfg(target_arch = "x86_64")]
        (KernelPath::Avx2, Precision::F32) => &avx2::F32,
        #[cfg(target_arch = "x86_64")]
        (KernelPath::Avx2, Precision::Bf16) => &avx2::ROUNDED,
        (_, Precision::F32 | Precision::Int8) => &portable::F32,
        (_, Precision::Bf16) => &portable::ROUNDED,
    }
}
