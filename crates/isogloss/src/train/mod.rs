//! Training: the loop over updates, its state on disk, validation and events.

mod data;
mod error;
mod event;
mod run_dir;
mod state;
mod trainer;

pub use data::{Examples, LanguageIds};
pub use error::TrainError;
pub use event::{Event, Observer, Silent};
pub use run_dir::RunDir;
pub use state::TrainState;
pub use trainer::{Outcome, Trained, Trainer};
