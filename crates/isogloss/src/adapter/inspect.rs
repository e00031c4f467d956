use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use crate::adapter::config::Preset;
use crate::adapter::file::{self, AdapterFileError, weights_path};
use crate::adapter::set::{AdapterSet, SiteSize};
use crate::adapter::spec::{SitePlan, UpdatePlan};
use crate::graph::Site;
use crate::language::{Direction, Language, LanguageSide};
use crate::params::ParamStore;

/// How large an update is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UpdateSize {
    /// Parameters by its ranks, zero or not.
    pub parameters: usize,
    /// Those that aren't zero.
    pub nonzero: usize,
    /// Bytes of its file.
    pub bytes: u64,
}

impl std::iter::Sum for UpdateSize {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(UpdateSize::default(), |all, size| UpdateSize {
            parameters: all.parameters + size.parameters,
            nonzero: all.nonzero + size.nonzero,
            bytes: all.bytes + size.bytes,
        })
    }
}

/// What a folder of adapters holds. Its serialised form is what `isogloss adapters inspect --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// Hash of the base.
    pub base: String,
    /// The preset that they were made with.
    pub preset: Preset,
    /// The languages of the run, also those without an update.
    pub languages: Vec<Language>,
    /// The directions that they were trained in.
    pub trained: BTreeSet<Direction>,
    /// The adapted sites, each with the side that selects.
    pub sites: Vec<InspectedSite>,
    /// The updates.
    pub updates: Vec<InspectedUpdate>,
    /// All updates.
    pub total: UpdateSize,
    /// Parameters that act for the direction that needs most, zero or not.
    pub active: usize,
    /// Those that aren't zero, for the direction that has most of them.
    pub active_nonzero: usize,
}

/// A site, and who selects there.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InspectedSite {
    /// Where.
    pub site: Site,
    /// The language that selects.
    pub side: LanguageSide,
}

/// An update.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InspectedUpdate {
    /// Language code, or `shared`.
    pub name: String,
    /// The languages that select it.
    pub languages: Vec<Language>,
    /// Its size.
    #[serde(flatten)]
    pub size: UpdateSize,
    /// `R` at each site, in their order; 0: it doesn't act there.
    pub ranks: Vec<usize>,
}

/// What a folder of adapters holds; its base isn't needed.
///
/// # Errors
/// As [`read`](crate::adapter::read).
pub fn inspect(dir: &Path) -> Result<Inspection, AdapterFileError> {
    let mut store = ParamStore::new();
    let (set, base) = file::read(dir, &mut store)?;
    let sizes = update_sizes(dir, &set, &store)?;
    let site = |plan: &SitePlan| InspectedSite {
        site: plan.site,
        side: plan.side,
    };
    let update = |(update, &size): (&UpdatePlan, &UpdateSize)| InspectedUpdate {
        name: update.name.clone(),
        languages: set.languages_of(update),
        size,
        ranks: set.sites.iter().map(|p| update.rank_at(p.site)).collect(),
    };
    Ok(Inspection {
        base,
        preset: set.preset,
        sites: set.sites.iter().map(site).collect(),
        updates: set.updates.iter().zip(&sizes).map(update).collect(),
        total: sizes.iter().copied().sum(),
        active: set.counts().active,
        active_nonzero: set.most_active_nonzero(&store),
        languages: set.languages,
        trained: set.trained,
    })
}

/// The size of each update, and of its file in a folder.
pub(super) fn update_sizes(
    dir: &Path,
    set: &AdapterSet,
    store: &ParamStore<f32>,
) -> Result<Vec<UpdateSize>, AdapterFileError> {
    let size = |(update, sites): (&UpdatePlan, Vec<SiteSize>)| {
        let path = weights_path(dir, &update.name);
        let file = std::fs::metadata(&path).map_err(AdapterFileError::read(&path))?;
        Ok(UpdateSize {
            parameters: sites.iter().map(|s| s.parameters).sum(),
            nonzero: sites.iter().map(|s| s.nonzero).sum(),
            bytes: file.len(),
        })
    };
    let each = set.updates.iter().zip(set.site_sizes(store));
    each.map(size).collect()
}
