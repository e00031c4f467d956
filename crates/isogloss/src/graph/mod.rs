//! What a model consists of, apart from any values: its hyper-parameters, the names and shapes of its tensors, and the places
//! that updates can be added to. Both [`adapter`](crate::adapter) and [`model`](crate::model) are built on it.

mod config;
mod site;

pub use config::{LAYER_NORM_EPS, MAX_POSITIONS, ModelConfig};
pub use site::{Layer, Place, Projection, Site, SiteError, Stack, all_sites};
