//! Methods of adaptation beside each other: the same base, text, budget and test, over seeds, in one resumable run.
//!
//! ```text
//! CompareConfig --open--> Experiment --measure--> Speeds --choose--> Protocol --run--> cells --read--> Results
//! ```
//!
//! A *cell* is a method with a seed: an ordinary run of `isogloss train` in a folder of its own, with translations of the test and
//! their scores beside it. A *protocol* says how much of the experiment is done and how long each cell will take; it is written
//! down before anything starts.

mod cell;
mod config;
mod decoding;
mod error;
mod experiment;
mod explore;
mod extent;
mod interference;
mod kind;
mod method;
mod page;
mod predict;
mod protocol;
mod results;
mod scoring;
mod table;
mod text;
mod words;

pub use cell::{CellResult, Part};
pub(crate) use cell::{cell_name, read_json};
pub use config::{
    CompareConfig, DirectionsFile, ForeignConfig, LeastConfig, ListedDirections, MethodConfig,
    PlanConfig, Scored, Shared, SignificanceConfig, TestConfig,
};
pub use decoding::{DecodingConfig, DecodingPrecision};
pub use error::CompareError;
pub use experiment::{Ending, Experiment, Watcher};
pub use extent::Extent;
pub use interference::InterferenceConfig;
pub use kind::{Kind, Missing};
pub use method::Prepared;
pub(crate) use page::{with_comparison, write_report};
pub use protocol::{Budget, CellPlan, Label, Protocol, Speeds};
pub use results::{
    ClassRow, DirectionRow, FewerTrained, Interference, PartOfGain, Results, Row, Summary,
    TestResults,
};
pub(crate) use table::markdown;
pub use text::TestSet;
pub(crate) use words::{count, listed, with_interval};
pub use words::{duration, grouped, signed};
