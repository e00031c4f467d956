//! Matrix product: views of matrices, the plain reference, the fast kernels.

mod view;

pub use view::{Mat, MatData, MatMut};
