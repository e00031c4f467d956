//! What became of gains: with fewer directions, and of one language alone.

use super::percent;
use crate::compare::results::TestResults;
use crate::compare::words::{count, with_interval};
use crate::compare::{FewerTrained, Missing, PartOfGain, Results};

/// What the table says.
pub(super) const FEWER: &str = "Each is set beside the method of its kind that was trained in more directions. \"Combined\": the updates of \
    source and target act in directions that nobody trained them in together; \"base\": these are left to the base.\n";

/// What the table says.
pub(super) const ALONE: &str = "A language's directions trained alone, and trained together with all others: the same method, learning rate, \
    epochs, pairs of these directions and first seed, scored on these directions. Together minus alone below 0 is interference, above 0 \
    the others helped. Intervals are over sentences; how much another seed would change is not in them.\n";

impl Results {
    /// A row for each language and method.
    pub(super) fn interference_table(&self) -> Vec<Vec<String>> {
        let Some(first) = self.interference.first() else {
            return Vec::new();
        };
        let label = self.label.as_str();
        let mut head = vec![
            "language".to_owned(),
            "method".to_owned(),
            "directions".to_owned(),
            format!("base, {} ({label})", self.metric),
            format!("change alone ({label})"),
            format!("change together ({label})"),
            format!("together minus alone ({label})"),
        ];
        let sets = first.foreign.keys();
        head.extend(sets.map(|set| format!("{set}: change alone ({label})")));
        let mut rows = vec![head];
        for one in &self.interference {
            let mut row = vec![
                one.language.to_string(),
                one.method.clone(),
                one.directions.len().to_string(),
                format!("{:.2}", one.base),
            ];
            let changes = [&one.alone, &one.together, &one.difference];
            let changes = changes.into_iter().chain(one.foreign.values());
            row.extend(changes.map(with_interval));
            rows.push(row);
        }
        rows
    }
}

impl TestResults {
    /// A row for each method that was trained in fewer directions and for either part of the directions.
    pub(super) fn fewer_table(&self) -> Vec<Vec<String>> {
        if self.fewer_trained.is_empty() {
            return Vec::new();
        }
        let label = self.label.as_str();
        let head = [
            "method".to_owned(),
            "directions".to_owned(),
            format!("change ({label})"),
            "beside".to_owned(),
            format!("its change ({label})"),
            format!("share of that gain ({label})"),
        ];
        let row = |method: &FewerTrained, which: &str, part: &PartOfGain| {
            vec![
                method.method.clone(),
                format!("{}, {which}", count(part.change.directions, "direction")),
                with_interval(&part.change),
                method.whole.clone(),
                with_interval(&part.whole),
                part.share.as_ref().map_or_else(String::new, percent),
            ]
        };
        let mut rows = vec![head.to_vec()];
        for method in &self.fewer_trained {
            let untrained = match method.missing {
                Missing::Combine => "not trained: combined",
                Missing::Base => "not trained: base",
            };
            let parts = [("trained", &method.trained), (untrained, &method.untrained)];
            let parts = parts.into_iter();
            rows.extend(parts.filter_map(|(which, part)| Some(row(method, which, part.as_ref()?))));
        }
        rows
    }
}
