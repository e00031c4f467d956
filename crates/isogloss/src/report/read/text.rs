use std::path::PathBuf;

use crate::corpus::{self, Corpus, DirectionFilter, Rows};
use crate::language::Direction;

use super::scores::Scored;

/// The sentences that were scored, with their references, where the scores say where they lie and they lie there still.
pub(super) fn of(scored: &Scored, directions: &[Direction]) -> Option<Corpus> {
    let option = |key: &str| scored.file.options.get(key)?.as_str();
    let folder = PathBuf::from(option("data")?);
    let rows: Option<Rows> = match option("rows") {
        Some(rows) => Some(rows.parse().ok()?),
        None => None,
    };
    let languages = directions.iter().flat_map(|d| [&d.source, &d.target]);
    let data = corpus::folder(&folder, option("split"), rows, languages).ok()?;
    let wanted = DirectionFilter::Only(directions.iter().cloned().collect());
    let text = Corpus::load_held(&[data], &folder, &wanted).ok()?;
    Some(text.without_blank())
}
