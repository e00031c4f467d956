use std::fmt::Debug;

use num_traits::{Float, FromPrimitive};

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
}

impl Real for f32 {
    fn of(x: f32) -> Self {
        x
    }
    fn f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn of(x: f32) -> Self {
        f64::from(x)
    }
    fn f64(self) -> f64 {
        self
    }
}
