//! The optimiser: Adam over the groups in use, clipping by the global norm, learning-rate schedules.

mod adam;
mod schedule;

pub use adam::{Adam, AdamOptions};
pub use schedule::Schedule;
