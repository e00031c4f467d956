//! Matrix product: views of matrices, the plain reference, the fast kernels.

#[cfg(any(test, target_arch = "x86_64"))]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod columns;
mod dispatch;
mod int8;
mod kernel;
mod pack;
#[cfg(target_arch = "x86_64")]
mod pack512;
mod packed;
mod panels;
mod portable;
mod product;
pub mod reference;
mod transposed;
mod view;

#[cfg(target_arch = "x86_64")]
pub(crate) use amx::{multiplies as amx_multiplies, multiplies_bytes as amx_multiplies_bytes};
pub(crate) use columns::add_column_sums;
pub(crate) use dispatch::{LeftOperand, fast, serial};
pub use int8::quantize_rows;
pub use packed::PackedWeight;
pub use view::{Mat, MatData, MatMut};
