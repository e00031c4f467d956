use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::adapter::config::Preset;
use crate::adapter::file::AdapterFileError;
use crate::adapter::spec::{SitePlan, UpdatePlan};
use crate::graph::{ModelConfig, Site};
use crate::hash::crc32_hex;
use crate::language::{Direction, Language};

/// Name of the description beside the weights.
pub(super) const INDEX: &str = "adapters.json";

/// The layout with dense tensors alone, which every program reads.
pub(super) const DENSE: u32 = 1;
/// The layout in which tensors may be sparse.
pub(super) const SPARSE: u32 = 2;

/// No matrix of a model has more rows or columns; what goes beyond is damaged, and products of sizes must not overflow.
const MOST: usize = 1 << 24;

/// `adapters.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    /// Version of this layout.
    pub format: u32,
    /// Hash of the base's weights; the updates mean nothing on another.
    pub base: String,
    pub preset: Preset,
    pub languages: Vec<Language>,
    pub sites: Vec<SitePlan>,
    pub updates: Vec<UpdatePlan>,
    /// The directions of the training text. Files from before they were recorded have none: then every ordered pair of the
    /// languages counts.
    #[serde(default)]
    pub trained: Option<BTreeSet<Direction>>,
    /// Of each update the CRC-32 of its file, in hexadecimal. Files from before they were recorded have none, and aren't checked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub crc32: BTreeMap<String, String>,
    /// Of what this is a compacted copy that differs by no more than the order of sums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact_copy: Option<ExactCopy>,
}

/// A compacted copy that gave nothing up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExactCopy {
    /// Hashes of the folders that it may stand for.
    pub of: Vec<String>,
    /// SHA-256 of the rest of the description and of `vocabulary.json`: a copy that was changed since stands for nothing else.
    pub rest: String,
}

/// The checksum of an update's file as it stands in the description.
pub(super) fn checksum(bytes: &[u8]) -> String {
    let mut crc32 = crc32fast::Hasher::new();
    crc32.update(bytes);
    crc32_hex(crc32)
}

impl Index {
    /// Reads a description, which may have been edited by hand, and sees whether its parts agree.
    pub fn read(dir: &Path) -> Result<Self, AdapterFileError> {
        let path = dir.join(INDEX);
        let within = dir.join("adapters");
        if !path.exists() && within.join(INDEX).exists() {
            let path = dir.to_owned();
            return Err(AdapterFileError::Within { path, within });
        }
        let text = std::fs::read(&path).map_err(AdapterFileError::read(&path))?;
        let index = serde_json::from_slice(&text).map_err(|e| e.to_string());
        let checked = index.and_then(|index: Index| {
            if !(DENSE..=SPARSE).contains(&index.format) {
                return Err(format!(
                    "format {} is newer than this program reads ({SPARSE}); update isogloss",
                    index.format
                ));
            }
            index.check_sites()?;
            index.check_trained()?;
            index.check_updates()?;
            Ok(index)
        });
        checked.map_err(|reason| AdapterFileError::Index { path, reason })
    }

    /// Whether the file of an update is the one that was saved.
    pub fn check_weights(
        &self,
        update: &UpdatePlan,
        path: &Path,
        bytes: &[u8],
    ) -> Result<(), AdapterFileError> {
        let (expected, got) = (self.crc32.get(&update.name), checksum(bytes));
        match expected.filter(|&expected| *expected != got) {
            Some(expected) => Err(AdapterFileError::Damaged {
                path: path.to_owned(),
                expected: expected.clone(),
                got,
            }),
            None => Ok(()),
        }
    }

    /// Whether the sites are the model's.
    pub fn check_model(&self, dir: &Path, model: &ModelConfig) -> Result<(), AdapterFileError> {
        for plan in &self.sites {
            let layers = model.layers(plan.site.stack);
            let (outputs, inputs) = model.site_shape(plan.site);
            if plan.site.layer >= layers || plan.input.end > inputs || plan.output.end > outputs {
                return Err(AdapterFileError::Index {
                    path: dir.join(INDEX),
                    reason: format!("site {} does not fit the model", plan.site),
                });
            }
        }
        Ok(())
    }

    fn check_sites(&self) -> Result<(), String> {
        let mut sites = BTreeSet::new();
        let empty = |range: &Range<usize>| range.start >= range.end || range.end > MOST;
        for plan in &self.sites {
            if !sites.insert(plan.site) {
                return Err(format!("site {} stands twice", plan.site));
            }
            if empty(&plan.input) || empty(&plan.output) {
                return Err(format!(
                    "site {} has the inputs {:?} and the outputs {:?}, which no matrix has",
                    plan.site, plan.input, plan.output
                ));
            }
        }
        Ok(())
    }

    fn check_trained(&self) -> Result<(), String> {
        let listed = |l: &Language| self.languages.contains(l);
        let mut trained = self.trained.iter().flatten();
        match trained.find(|d| !listed(&d.source) || !listed(&d.target)) {
            Some(direction) => Err(format!(
                "`trained` names {direction}, but not both of its languages are listed"
            )),
            None => Ok(()),
        }
    }

    fn check_updates(&self) -> Result<(), String> {
        let (mut names, mut selected) = (BTreeSet::new(), BTreeSet::new());
        for update in &self.updates {
            if !names.insert(&update.name) {
                return Err(format!("update `{}` stands twice", update.name));
            }
            if update.languages.iter().any(|l| !selected.insert(l)) {
                return Err(format!(
                    "update `{}` names a language that has an update already",
                    update.name
                ));
            }
            self.check_update(update)?;
        }
        Ok(())
    }

    /// Whether an update by itself makes sense.
    fn check_update(&self, update: &UpdatePlan) -> Result<(), String> {
        let name = &update.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(format!("`{name}` is no name of an update"));
        }
        if update.languages.is_empty() {
            return Err(format!("update `{name}` names no language"));
        }
        let languages = self.languages.len();
        if update
            .languages
            .iter()
            .any(|&l| usize::from(l) >= languages)
        {
            return Err(format!(
                "update `{name}` names a language that is not listed"
            ));
        }
        if update.rank == 0 || !update.alpha.is_finite() {
            return Err(format!(
                "update `{name}` has rank {} and alpha {}",
                update.rank, update.alpha
            ));
        }
        let limit = |site: Site| {
            let plan = self.sites.iter().find(|plan| plan.site == site)?;
            Some(plan.input.len().min(plan.output.len()))
        };
        let unfit = |&(&site, &rank): &(&Site, &usize)| limit(site).is_none_or(|most| rank > most);
        match update.ranks.iter().find(unfit) {
            Some((site, rank)) => Err(format!(
                "update `{name}` has rank {rank} at {site}, which is no site of these adapters or is smaller"
            )),
            None => Ok(()),
        }
    }
}
