use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{disk, json_of};
use crate::language::{Direction, Language, LanguageSide, ordered_pairs};
use crate::report::ReportError;
use crate::report::data::{Run, RunLanguage};

/// What a report reads of `adapters.json`.
#[derive(Debug, Deserialize)]
struct Index {
    base: String,
    preset: Option<String>,
    languages: Vec<Language>,
    #[serde(default)]
    sites: Vec<SiteSide>,
    updates: Vec<Update>,
    trained: Option<Vec<Direction>>,
}

#[derive(Debug, Deserialize)]
struct SiteSide {
    site: String,
    side: LanguageSide,
}

#[derive(Debug, Deserialize)]
struct Update {
    name: String,
    languages: Vec<usize>,
}

/// Parameters of an update: at sites that the source selects, and at those that the target selects.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    source: u64,
    target: u64,
}

/// A run's adapters: their description, and what their files hold.
#[derive(Debug)]
pub(super) struct Adapters {
    index: Index,
    counts: Vec<Counts>,
}

/// Reads a folder of adapters; none if there is none. Files of weights are counted by their headers.
pub(super) fn read(dir: &Path) -> Result<Option<Adapters>, ReportError> {
    let Some(index) = json_of::<Index>(&dir.join("adapters.json"))? else {
        return Ok(None);
    };
    let sides: BTreeMap<&str, LanguageSide> = index
        .sites
        .iter()
        .map(|plan| (plan.site.as_str(), plan.side))
        .collect();
    let count = |update: &Update| {
        let mut counts = Counts::default();
        let header = disk::header(&dir.join(format!("{}.safetensors", update.name)));
        let tensors = header.as_ref().and_then(Value::as_object);
        for (name, tensor) in tensors.into_iter().flatten() {
            // Of sparse halves the values count, and not where they stand.
            if name.ends_with(".bitmap") {
                continue;
            }
            let shape = tensor.get("shape").and_then(Value::as_array);
            let Some(shape) = shape else { continue };
            let numbers: u64 = shape.iter().filter_map(Value::as_u64).product();
            let site = name.split(".lora_").next().unwrap_or_default();
            match sides.get(site) {
                Some(LanguageSide::Source) => counts.source += numbers,
                _ => counts.target += numbers,
            }
        }
        counts
    };
    let counts = index.updates.iter().map(count).collect();
    Ok(Some(Adapters { index, counts }))
}

impl Adapters {
    /// Adds to a run what its adapters say.
    pub(super) fn describe(self, run: &mut Run) {
        let Adapters { index, counts } = self;
        // Which update a language selects.
        let update_of = |language: &Language| {
            let id = index.languages.iter().position(|l| l == language)?;
            index.updates.iter().position(|u| u.languages.contains(&id))
        };
        let own = |at: usize| index.updates[at].languages.len() == 1;
        for language in &index.languages {
            if run.languages.iter().all(|l| l.language != *language) {
                run.languages.push(RunLanguage {
                    language: language.clone(),
                    class: None,
                    parameters: None,
                });
            }
        }
        for language in &mut run.languages {
            let at = update_of(&language.language).filter(|&at| own(at));
            language.parameters = at.map(|at| counts[at].source + counts[at].target);
        }
        run.trained = match &index.trained {
            Some(trained) => trained.clone(),
            None => ordered_pairs(&index.languages).collect(),
        };
        let active = |direction: &Direction| {
            let of = |language| update_of(language).map_or(Counts::default(), |at| counts[at]);
            of(&direction.source).source + of(&direction.target).target
        };
        let all: u64 = counts.iter().map(|c| c.source + c.target).sum();
        if all > 0 {
            run.parameters.trainable = Some(all);
            run.parameters.active = run.trained.iter().map(active).max();
        }
        run.preset = index.preset.or(run.preset.take());
        run.base = Some(index.base);
    }
}
