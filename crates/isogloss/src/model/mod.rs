//! The encoder-decoder of the M2M-100 family.

mod config;
mod tensor;

pub use config::{LAYER_NORM_EPS, ModelConfig};
pub use tensor::{DType, Storage, Tensor};
