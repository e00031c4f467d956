use std::fmt::Debug;

use std::cell::RefCell;

use num_traits::{Float, FromPrimitive};

use crate::buffer::{FreeBuffers, FreeList};

/// A scalar that the operations are generic over: `f32` in production, `f64` for finite differences.
pub trait Real:
    Float
    + FromPrimitive
    + std::iter::Sum
    + std::ops::AddAssign
    + Debug
    + Default
    + Send
    + Sync
    + 'static
{
    /// The nearest value to an `f32`.
    fn of(x: f32) -> Self;
    /// The value as an `f64`.
    fn f64(self) -> f64;
    /// The same values, where the type is `f32` itself; otherwise they must be converted.
    fn reuse(x: &[f32]) -> Option<&[Self]>;
    /// Where buffers of this thread go when they are dropped.
    #[doc(hidden)]
    fn free_buffers() -> &'static FreeList<Self>;
}

thread_local! {
    static FREE_F32: RefCell<FreeBuffers<f32>> = RefCell::default();
    static FREE_F64: RefCell<FreeBuffers<f64>> = RefCell::default();
}

impl Real for f32 {
    #[inline]
    fn of(x: f32) -> Self {
        x
    }
    #[inline]
    fn f64(self) -> f64 {
        f64::from(self)
    }
    #[inline]
    fn reuse(x: &[f32]) -> Option<&[Self]> {
        Some(x)
    }
    fn free_buffers() -> &'static FreeList<Self> {
        &FREE_F32
    }
}

impl Real for f64 {
    #[inline]
    fn of(x: f32) -> Self {
        f64::from(x)
    }
    #[inline]
    fn f64(self) -> f64 {
        self
    }
    fn reuse(_: &[f32]) -> Option<&[Self]> {
        None
    }
    fn free_buffers() -> &'static FreeList<Self> {
        &FREE_F64
    }
}
