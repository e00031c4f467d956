//! What is averaged alike.

use crate::compare::{CellPlan, Experiment, Kind, Protocol, Scored, TestSet};
use crate::language::Direction;

/// Which cells and directions a table is about.
pub(super) struct Scope<'a> {
    pub set: &'a TestSet,
    pub directions: Vec<Direction>,
    /// Cells by method, in the order of reports.
    pub cells: Vec<(String, Vec<&'a CellPlan>)>,
    pub all_seeds: bool,
}

/// What can be averaged alike: all seeds on the directions that every cell was scored on; and, where that isn't all, the first
/// seeds on all directions.
pub(super) fn scopes<'a>(
    experiment: &Experiment,
    protocol: &'a Protocol,
    set: &'a TestSet,
) -> Vec<Scope<'a>> {
    let extent = &protocol.extent;
    let all = set.scored(Scored::All, extent);
    let fewer = set.scored(Scored::Fewer, extent);
    let mixed = all.len() > fewer.len() && protocol.cells.iter().any(|c| c.scored == Scored::Fewer);
    let names = [Kind::Base, Kind::Copy].map(|kind| kind.as_str().to_owned());
    let names = names
        .into_iter()
        .chain(experiment.methods.iter().map(|m| m.name.clone()));
    let names: Vec<String> = names.collect();
    let scope = |directions: &[Direction], all_seeds: bool, wanted: &dyn Fn(&CellPlan) -> bool| {
        let cells = names.iter().map(|name| {
            let own = protocol
                .cells
                .iter()
                .filter(|c| c.method == *name && wanted(c));
            let own = own.take(if all_seeds { usize::MAX } else { 1 });
            (name.clone(), own.collect::<Vec<_>>())
        });
        Scope {
            set,
            directions: directions.to_vec(),
            cells: cells.filter(|(_, cells)| !cells.is_empty()).collect(),
            all_seeds,
        }
    };
    match mixed {
        true => vec![
            scope(fewer, true, &|_| true),
            scope(all, false, &|cell| cell.scored == Scored::All),
        ],
        false => vec![scope(all, true, &|_| true)],
    }
}
