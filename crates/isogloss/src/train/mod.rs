//! Training: the loop over updates, its state on disk, validation and events; `adapt` and `pretrain` put runs together.

mod adapt;
mod cost;
mod data;
mod error;
mod estimate;
mod event;

mod explore;
mod material;
mod memory;
mod mislabelled;
mod moving;
mod opened;
mod part;
mod prefix;
mod pretrain;
mod probe;
mod run_dir;
mod setup;
mod state;
mod tensorboard;
mod trainer;
mod validate;

pub use adapt::{Adaptation, adapt};
pub use cost::note_cost;
pub use data::{Epoch, Example, Examples, LanguageIds, pack};
pub use error::TrainError;
pub use event::{Event, Observer, Silent};
pub use explore::{DemandCheck, Exploration, ExploreOptions, Placed, estimate_exploring, explore};
pub use prefix::PrefixReuse;
pub use pretrain::{Pretraining, export, pretrain};
pub use probe::ValidationWork;
pub use run_dir::RunDir;
pub(crate) use run_dir::{bind, check_config, keep_config, lock};
pub(crate) use setup::warn_of_overlap;
pub use setup::{DirectionShare, Estimate, pack_for_training};
pub use state::TrainState;
pub use tensorboard::TensorBoard;
pub use trainer::{Outcome, Trained, Trainer};
pub use validate::{HeldOut, Validate, Validation};
