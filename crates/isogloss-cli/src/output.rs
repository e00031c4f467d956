//! Results, to stdout.

use crate::failure::{Failure, Outcome};
use std::io::Write;

/// Writes text and flushes it, so that a failed write is noticed.
pub(crate) fn print(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::output)
}
