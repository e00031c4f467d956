//! What is ranked together, and what of it goes first.

use std::ops::Range;

use crate::adapter::LowRank;
use crate::params::ParamStore;
use crate::prune::PruningUnit;

/// Parameters that are ranked together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pool {
    units: Units,
    /// Parameters that could be pruned.
    pub entries: usize,
    /// Share of them that will be.
    pub target_ratio: f64,
}

/// What is pruned as a whole.
#[derive(Debug, Clone, PartialEq)]
enum Units {
    /// Each value of these ranges of the store.
    Entries(Vec<Range<usize>>),
    Components(Vec<Component>),
}

/// A component of rank one of an update at a site.
#[derive(Debug, Clone, PartialEq)]
struct Component {
    /// The row of `lora_a`.
    row: Range<usize>,
    /// From the first to the last value of the column of `lora_b`; between two of them lie `step - 1` others.
    column: Range<usize>,
    step: usize,
}

impl Pool {
    pub fn new(
        unit: PruningUnit,
        updates: &[&LowRank],
        target_ratio: f64,
        store: &ParamStore<f32>,
    ) -> Self {
        let units = match unit {
            PruningUnit::Entry => {
                let b = updates.iter().map(|update| store.param(update.b));
                Units::Entries(b.map(|b| b.range.clone()).collect())
            }
            PruningUnit::Component => {
                let of = |update: &&LowRank| Component::all(update, store);
                Units::Components(updates.iter().flat_map(of).collect())
            }
        };
        let entries = match &units {
            Units::Entries(ranges) => ranges.iter().map(Range::len).sum(),
            Units::Components(components) => components.iter().map(Component::len).sum(),
        };
        Pool {
            units,
            entries,
            target_ratio,
        }
    }

    /// Parameters that are to be pruned at a share of the target; of components at most so many.
    pub fn due(&self, progress: f64) -> usize {
        (progress * self.target_ratio * self.entries as f64).round() as usize
    }

    /// Parameters that are pruned in the end. A component goes as a whole or not at all: of those of several sizes at most so many.
    pub fn target(&self) -> usize {
        let due = self.due(1.0);
        match &self.units {
            Units::Entries(_) => due,
            Units::Components(all) => {
                let (least, most) = (
                    all.iter().map(Component::len).min(),
                    all.iter().map(Component::len).max(),
                );
                match least == most {
                    true => due - due % least.unwrap_or(1).max(1),
                    false => due,
                }
            }
        }
    }

    /// What is pruned next, until `due` parameters are, those that are already included: what counts least first, and of equal ones the
    /// first in the store. `pruned` tells of each value of the store whether it is.
    pub fn smallest(&self, due: usize, values: &[f32], pruned: &[bool]) -> Vec<usize> {
        match &self.units {
            Units::Entries(ranges) => {
                let all = ranges.iter().cloned().flatten();
                let mut left: Vec<usize> = all.filter(|&at| !pruned[at]).collect();
                let new = due.saturating_sub(self.entries - left.len());
                if new < left.len() {
                    let by_magnitude = |&at: &usize| (values[at].abs().to_bits(), at);
                    left.select_nth_unstable_by_key(new, by_magnitude);
                    left.truncate(new);
                }
                left
            }
            Units::Components(components) => {
                let mut left: Vec<&Component> = components.iter().collect();
                left.retain(|component| !pruned[component.row.start]);
                left.sort_by(|x, y| x.worth(values).total_cmp(&y.worth(values)));
                let mut gone = self.entries - left.iter().map(|x| x.len()).sum::<usize>();
                let fits = |component: &&&Component| {
                    gone += component.len();
                    gone <= due
                };
                let new = left.iter().take_while(fits);
                new.flat_map(|component| component.entries()).collect()
            }
        }
    }
}

impl Component {
    /// Those of an update.
    fn all(update: &LowRank, store: &ParamStore<f32>) -> Vec<Self> {
        let (a, b) = (&store.param(update.a).range, &store.param(update.b).range);
        let inputs = a.len() / update.rank;
        let component = |r| Component {
            row: a.start + r * inputs..a.start + (r + 1) * inputs,
            column: b.start + r..b.end,
            step: update.rank,
        };
        (0..update.rank).map(component).collect()
    }

    fn column(&self) -> impl Iterator<Item = usize> {
        self.column.clone().step_by(self.step)
    }

    fn entries(&self) -> impl Iterator<Item = usize> {
        self.row.clone().chain(self.column())
    }

    fn len(&self) -> usize {
        self.row.len() + self.column.len().div_ceil(self.step)
    }

    /// Square of the Frobenius norm of what it adds to the map, for each of its parameters.
    fn worth(&self, values: &[f32]) -> f64 {
        let square = |at: usize| f64::from(values[at]).powi(2);
        let row: f64 = self.row.clone().map(square).sum();
        let column: f64 = self.column().map(square).sum();
        row * column / self.len() as f64
    }
}
