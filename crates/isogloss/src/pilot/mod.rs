//! A pilot: whether adapting helps, whether it harms, how small it may be, and what the whole will cost; within a limit of time.
//!
//! ```text
//! TrainConfig --open--> Pilot --measure, plan--> PilotPlan --run--> base, own size, other sizes --> PilotResults
//! ```
//!
//! Systems are *cells* as in a comparison of methods ([`compare`](crate::compare)), and lie in folders of their own. Two texts take part: one
//! decides (which epoch, which size), the other reports.

mod directions;
mod error;
mod open;
mod planning;
mod results;
mod run;
mod share;
mod size;
mod text;
mod timed;
mod whole;

pub use directions::{Candidate, Chosen, choose};
pub use error::PilotError;
pub use open::{Pilot, PilotOptions};
pub use results::{PilotResults, SizeRow};
pub use run::{Clock, Ending};
pub use share::{Costs, PilotPlan, Share};
pub use size::{Judged, Size, Stop, next};
pub use whole::Whole;
