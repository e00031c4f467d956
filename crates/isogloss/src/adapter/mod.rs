//! Language-specific low-rank updates (LSLo): where they sit, which language selects them, their parameters and their files.

mod bank;
mod compact;
mod config;
mod demand;
mod error;
mod file;
mod inspect;
mod mixture;
mod placement;
mod set;
mod spec;
#[cfg(test)]
mod tests;

pub use crate::graph::{Layer, Place, Projection, Site, SiteError, Stack, all_sites};
pub use bank::{Adapters, Bank, LowRank};
pub use compact::{
    CompactError, CompactReport, Compacted, CompactedSite, CompactedUpdate, compact, compact_folder,
};
pub use config::{AdapterConfig, Preset, Side, Sites, Slice};
pub use demand::{Demand, DemandConfig, DemandFactors, DemandPool, DemandScore};
pub use error::AdapterError;
pub(crate) use file::VOCABULARY;
pub use file::{AdapterFileError, hash_of_folder, known_as, load, read, save};
pub use inspect::{InspectedSite, InspectedUpdate, Inspection, UpdateSize, inspect};
pub(crate) use mixture::Acting;
pub use mixture::{Mixture, MixtureWeights};
pub use placement::{PlaceWeights, PlacementBy, PlacementConfig, PlacementSearch};
pub use set::{AdapterSet, Counts, SiteSize};
pub use spec::{Half, SitePlan, UpdatePlan};
