//! Matrix product: views of matrices, the plain reference, the fast kernels.

pub mod reference;
mod view;

pub use view::{Mat, MatData, MatMut};
