//! Language-specific low-rank updates: where they sit, which language selects them, and their parameters.

mod bank;
mod site;

pub use bank::{Adapters, Bank, LowRank};
pub use site::{Projection, Site, Stack, all_sites};
