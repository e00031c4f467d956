//! Language-specific low-rank updates (LSLo): where they sit, which language selects them, their parameters and their files.

mod bank;
mod file;
mod set;
mod spec;
#[cfg(test)]
mod tests;

pub use crate::graph::{Projection, Site, SiteError, Stack, all_sites};
pub use bank::{Adapters, Bank, LowRank};
pub use file::{AdapterFileError, load, save};
pub use set::{AdapterSet, Counts};
pub use spec::{AdapterConfig, AdapterError, Half, Preset, SitePlan, Sites, Slice, UpdatePlan};
