//! Translating and scoring what a cell was trained to.

use std::path::{Path, PathBuf};

use crate::adapter;
use crate::compare::cell::CellResult;
use crate::compare::{
    CellPlan, CompareError, Experiment, Kind, Missing, Protocol, TestSet, Watcher,
};
use crate::decode::Loaded;
use crate::evaluate::{Hypotheses, MadeWith, ScoresFile};
use crate::language::Direction;
use crate::train::TrainError;

/// What translates, and with what.
struct System<'a> {
    kind: Kind,
    folder: PathBuf,
    missing: Missing,
    trained: Option<&'a CellResult>,
    made_with: MadeWith,
}

impl Experiment {
    /// Translates and scores all sets that a cell hasn't done; false if it was stopped.
    pub(super) fn score(
        &self,
        kind: Kind,
        cell: &CellPlan,
        trained: Option<&CellResult>,
        protocol: &Protocol,
        watcher: &mut dyn Watcher,
    ) -> Result<bool, CompareError> {
        self.score_on(&self.sets, (kind, cell, trained), protocol, watcher)
    }

    /// Translates and scores those of the given sets that a cell hasn't done; false if it was stopped.
    pub(crate) fn score_on(
        &self,
        sets: &[TestSet],
        (kind, cell, trained): (Kind, &CellPlan, Option<&CellResult>),
        protocol: &Protocol,
        watcher: &mut dyn Watcher,
    ) -> Result<bool, CompareError> {
        let folder = self.run.join(&cell.name);
        let done = |set: &TestSet| set.files(&folder).scores.exists();
        if sets.iter().all(done) {
            return Ok(true);
        }
        let method = self.method_of(cell);
        let missing = method.map_or(Missing::Base, |(method, _)| method.missing);
        let system = System {
            kind,
            missing,
            trained,
            made_with: self.made_with((kind, missing), cell, &folder, trained)?,
            folder: folder.clone(),
        };
        for set in sets.iter().filter(|set| !done(set)) {
            watcher.stage(&format!("{} on {}", cell.name, set.label()));
            let directions = &*self.scored(set, cell, &protocol.extent);
            if !self.translate(&system, set, directions, watcher)? {
                return Ok(false);
            }
            let describe = |file: &mut ScoresFile| {
                let text = |key: &str| system.made_with.get(key)?.as_str().map(str::to_owned);
                file.model_hash = text("model_hash");
                file.adapters_hash = text("adapters_hash");
                if file.adapters_hash.is_some() {
                    file.adapters = system.parts().next().map(|(path, _)| path);
                }
                file.options.clone_from(&system.made_with);
                let label = protocol.label.as_str();
                file.options.insert("protocol".to_owned(), label.into());
            };
            let backend = self.plain.compute.backend()?;
            let (metrics, classes) = (&self.metrics, &self.classes);
            set.score(&folder, directions, metrics, classes, describe, &backend)?;
        }
        Ok(true)
    }

    /// By what translations are known again.
    fn made_with(
        &self,
        (kind, missing): (Kind, Missing),
        cell: &CellPlan,
        folder: &Path,
        trained: Option<&CellResult>,
    ) -> Result<MadeWith, CompareError> {
        let base = match kind {
            // Neither the base nor known by its hash.
            Kind::Copy | Kind::Full => None,
            _ => Some(self.base_hash()?),
        };
        let parts = trained.map_or(&[][..], |trained| &trained.parts);
        let adapters = match (kind, parts) {
            (Kind::Full, _) => None,
            (_, [part]) => {
                let hash = adapter::hash_of_folder(&folder.join(&part.result));
                Some(hash.map_err(TrainError::from)?)
            }
            _ => None,
        };
        let of_cell = [
            ("system", cell.method.as_str().into()),
            ("seed", cell.seed.into()),
            ("missing", missing.as_str().into()),
            ("model_hash", base.map(|hash| hash.to_string()).into()),
            ("adapters_hash", adapters.into()),
        ];
        let mut made_with = self.config.decoding.made_with();
        made_with.extend(of_cell.map(|(k, v)| (k.to_owned(), v)));
        Ok(made_with)
    }

    /// Translates what isn't translated yet; false if it was stopped.
    fn translate(
        &self,
        system: &System<'_>,
        set: &TestSet,
        directions: &[Direction],
        watcher: &mut dyn Watcher,
    ) -> Result<bool, CompareError> {
        let files = set.files(&system.folder);
        let mut kept = Hypotheses::keep(&files.hypotheses, system.made_with.clone())?;
        let missing = set.missing(&kept, directions);
        if system.kind == Kind::Copy {
            set.copy(&mut kept, &missing)?;
            return Ok(true);
        }
        let backend = self.decoding_backend()?;
        let options = self.decode_options();
        for (adapted, directions) in system.served(missing) {
            if directions.is_empty() {
                continue;
            }
            let loaded = match (system.kind, &adapted) {
                (Kind::Full, Some(model)) => Loaded::open(model, None),
                (_, adapters) => Loaded::open(&self.base, adapters.as_deref()),
            };
            let loaded = loaded?.packed(&backend);
            let translator = loaded.translator(&backend, self.config.decoding.batch_tokens)?;
            let how = (system.missing.into(), &options);
            if !set.translate(&translator, how, &mut kept, &directions, watcher)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl System<'_> {
    /// What training left: folders of adapters or of a model, each with the direction that it serves, if it serves one alone.
    fn parts(&self) -> impl Iterator<Item = (PathBuf, Option<&Direction>)> {
        let parts = self.trained.iter().flat_map(|trained| &trained.parts);
        parts.map(|part| (self.folder.join(&part.result), part.direction.as_ref()))
    }

    /// Which model or adapters translate which directions; none is the base alone.
    fn served(&self, mut directions: Vec<Direction>) -> Vec<(Option<PathBuf>, Vec<Direction>)> {
        let mut served = Vec::new();
        for (result, only) in self.parts() {
            let its = |d: &Direction| only.is_none_or(|own| own == d);
            let (own, others) = directions.into_iter().partition(its);
            served.push((Some(result), own));
            directions = others;
        }
        served.push((None, directions));
        served
    }
}
