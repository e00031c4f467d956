//! Whether two scores files share sentences.

use crate::corpus::Rows;
use crate::evaluate::ScoresFile;
use std::path::PathBuf;

/// How it is known that two evaluations share sentences; none if nothing says so.
///
/// They do if their texts have the same hash, or if they read the same folder and split, and rows of one are rows of the
/// other. The same sentences from another folder, in other directions, go unnoticed.
#[must_use]
pub fn shared_data(a: &ScoresFile, b: &ScoresFile) -> Option<String> {
    if a.text_hash.is_some() && a.text_hash == b.text_hash {
        return Some("their sentences are the same".into());
    }
    let option = |of: &ScoresFile, key: &str| -> Option<String> {
        of.options.get(key)?.as_str().map(str::to_owned)
    };
    let folder = |of: &ScoresFile| {
        let path = PathBuf::from(option(of, "data")?);
        Some(path.canonicalize().unwrap_or(path))
    };
    let (of_a, of_b) = (folder(a)?, folder(b)?);
    if of_a != of_b || option(a, "split") != option(b, "split") {
        return None;
    }
    let rows = |of: &ScoresFile| match option(of, "rows") {
        None => Some(None),
        Some(text) => text.parse::<Rows>().ok().map(Some),
    };
    let shared = match (rows(a)?, rows(b)?) {
        (Some(a), Some(b)) => a.meets(&b),
        _ => true,
    };
    let split = option(a, "split").map_or(String::new(), |split| format!(", split {split}"));
    shared.then(|| format!("both read {}{split}, and share rows", of_a.display()))
}
