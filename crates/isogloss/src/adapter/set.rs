use std::collections::BTreeSet;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::adapter::bank::{Adapters, LowRank};
use crate::adapter::config::Preset;
use crate::adapter::error::AdapterError;
use crate::adapter::spec::{Half, SHARED, SitePlan, UpdatePlan, lay_out};
use crate::batch::LanguageId;
use crate::graph::Site;
use crate::language::{Direction, Language, LanguageSide, ordered_pairs};
use crate::params::{ParamStore, uniform};

/// Updates with everything that describes them; their values lie in a [`ParamStore`], a group for each update.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterSet {
    /// Languages by [`LanguageId`]. One that no update names runs on the base alone.
    pub languages: Vec<Language>,
    /// The preset that they were made with.
    pub preset: Preset,
    /// The adapted sites.
    pub sites: Vec<SitePlan>,
    /// The updates.
    pub updates: Vec<UpdatePlan>,
    /// The updates at their sites.
    pub adapters: Adapters,
    /// The directions that the updates were trained in. In any other nobody has seen what they do together, even where both
    /// languages have one.
    pub trained: BTreeSet<Direction>,
}

/// How large an update is at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteSize {
    /// Where.
    pub site: Site,
    /// `R`; 0: the update doesn't act there.
    pub rank: usize,
    /// Parameters by the rank, zero or not.
    pub parameters: usize,
    /// Those that aren't zero.
    pub nonzero: usize,
}

/// Parameter counts of a set of updates, the four that method.md asks for less the one after compaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Trainable for each update, in the set's order.
    pub by_update: Vec<usize>,
    /// Trainable in all.
    pub trainable: usize,
    /// Active for the direction that needs most.
    pub active: usize,
}

impl AdapterSet {
    /// No updates at all: every language runs on the base.
    #[must_use]
    pub fn none(languages: Vec<Language>) -> Self {
        AdapterSet {
            languages,
            preset: Preset::Isogloss,
            sites: Vec::new(),
            updates: Vec::new(),
            adapters: Adapters::default(),
            trained: BTreeSet::new(),
        }
    }

    /// Fresh updates in a store: `lora_b` zero, so that the model starts as the base; `lora_a` uniform, within `1/sqrt(in)` as
    /// LoRA draws it (Hu et al. 2021; Kaiming with slope `sqrt 5`), or within `1/sqrt(R)` with the preset `paper`. They count as
    /// trained in every ordered pair of the languages, until [`trained`](Self::trained) says otherwise.
    ///
    /// # Errors
    /// If a rank exceeds the matrix.
    pub fn new(
        languages: Vec<Language>,
        preset: Preset,
        sites: Vec<SitePlan>,
        updates: Vec<UpdatePlan>,
        seed: u64,
        store: &mut ParamStore<f32>,
    ) -> Result<Self, AdapterError> {
        let mut values = starting_values(preset, seed);
        let adapters = lay_out(&sites, &updates, languages.len(), store, &mut values)?;
        Ok(AdapterSet {
            trained: ordered_pairs(&languages).collect(),
            languages,
            preset,
            sites,
            updates,
            adapters,
        })
    }

    /// Adds updates of languages that have none, fresh as in [`new`](Self::new), at the set's sites. What the set holds already stays as it
    /// is: its groups of the store don't move any more. The plans' languages are indices into `languages`.
    ///
    /// # Errors
    /// If a rank exceeds the matrix.
    ///
    /// # Panics
    /// If one of the languages has an update.
    pub fn extend(
        &mut self,
        languages: &[Language],
        updates: Vec<UpdatePlan>,
        seed: u64,
        store: &mut ParamStore<f32>,
    ) -> Result<(), AdapterError> {
        store.freeze();
        for language in languages {
            if !self.languages.contains(language) {
                self.languages.push(language.clone());
            }
        }
        let mut own = Vec::new();
        for mut update in updates {
            for id in &mut update.languages {
                let language = &languages[usize::from(*id)];
                assert!(!self.adapts(language), "{language} has an update");
                *id = self.language_id(language).map_or(*id, |known| known.0);
            }
            own.push(update);
        }
        let mut values = starting_values(self.preset, seed);
        let count = self.languages.len();
        let added = lay_out(&self.sites, &own, count, store, &mut values)?;
        for (site, bank) in added.banks {
            let Some(of) = self.adapters.banks.get_mut(&site) else {
                continue;
            };
            of.updates.resize(count, None);
            for (place, update) in of.updates.iter_mut().zip(bank.updates) {
                *place = place.take().or(update);
            }
        }
        self.updates.extend(own);
        Ok(())
    }

    /// The id of a language, if the set knows it.
    #[must_use]
    pub fn language_id(&self, language: &Language) -> Option<LanguageId> {
        let at = self.languages.iter().position(|l| l == language)?;
        Some(LanguageId(at as u16))
    }

    /// Lets an update that all languages share act for further ones, as it does for any language. Nothing happens where each
    /// language has its own. The directions that count as trained stay the same.
    pub fn share_with(&mut self, languages: &[Language]) {
        let Some(shared) = self.updates.iter_mut().find(|u| u.name == SHARED) else {
            return;
        };
        for language in languages {
            if self.languages.contains(language) {
                continue;
            }
            shared.languages.push(self.languages.len() as u16);
            self.languages.push(language.clone());
            for bank in self.adapters.banks.values_mut() {
                let update = bank.updates.iter().flatten().next().cloned();
                bank.updates.push(update);
            }
        }
    }

    /// Whether a language has an update.
    #[must_use]
    pub fn adapts(&self, language: &Language) -> bool {
        self.language_id(language).is_some_and(|id| {
            let mut updates = self.updates.iter();
            updates.any(|u| u.languages.contains(&id.0))
        })
    }

    /// The languages that select an update.
    #[must_use]
    pub fn languages_of(&self, update: &UpdatePlan) -> Vec<Language> {
        let ids = update.languages.iter();
        let languages = ids.filter_map(|&id| self.languages.get(usize::from(id)));
        languages.cloned().collect()
    }

    /// Parameters that act in a direction.
    #[must_use]
    pub fn active(&self, direction: &Direction) -> usize {
        self.active_of(direction, |update, site| {
            self.updates[update].parameters_at(&self.sites[site])
        })
    }

    /// The sum of something over the updates and sites that act in a direction, both by their places in the set.
    fn active_of(&self, direction: &Direction, of: impl Fn(usize, usize) -> usize) -> usize {
        let update = |language| {
            let id = self.language_id(language)?;
            let mut updates = self.updates.iter();
            updates.position(|u| u.languages.contains(&id.0))
        };
        let [source, target] = [&direction.source, &direction.target].map(update);
        let site = |(site, plan): (usize, &SitePlan)| {
            let update = match plan.side {
                LanguageSide::Source => source,
                LanguageSide::Target => target,
            };
            update.map_or(0, |update| of(update, site))
        };
        self.sites.iter().enumerate().map(site).sum()
    }

    /// An update at a site; none where it has no rank.
    #[must_use]
    pub fn low_rank(&self, update: &UpdatePlan, site: Site) -> Option<&LowRank> {
        let language = LanguageId(*update.languages.first()?);
        self.adapters.bank(site)?.update(language)
    }

    /// How large each update is at each site, in the set's order.
    #[must_use]
    pub fn site_sizes(&self, store: &ParamStore<f32>) -> Vec<Vec<SiteSize>> {
        let of = |update: &UpdatePlan, plan: &SitePlan| {
            let low_rank = self.low_rank(update, plan.site);
            let halves = low_rank.map_or(Vec::new(), |l| vec![store.get(l.a), store.get(l.b)]);
            SiteSize {
                site: plan.site,
                rank: update.rank_at(plan.site),
                parameters: update.parameters_at(plan),
                nonzero: halves.into_iter().flatten().filter(|&&x| x != 0.0).count(),
            }
        };
        let sites = |update| self.sites.iter().map(|plan| of(update, plan)).collect();
        self.updates.iter().map(sites).collect()
    }

    /// Parameters that aren't zero and act for the direction that needs most, of those that were trained.
    #[must_use]
    pub fn most_active_nonzero(&self, store: &ParamStore<f32>) -> usize {
        let sizes = self.site_sizes(store);
        let active = |d: &Direction| self.active_of(d, |update, site| sizes[update][site].nonzero);
        self.trained.iter().map(active).max().unwrap_or(0)
    }

    /// Parameters by update, in all, and for the direction that needs most, of those that were trained.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |update: &UpdatePlan| {
            let sites = self.sites.iter();
            sites.map(|plan| update.parameters_at(plan)).sum()
        };
        let by_update: Vec<usize> = self.updates.iter().map(of).collect();
        let active = self.trained.iter().map(|d| self.active(d)).max();
        Counts {
            trainable: by_update.iter().sum(),
            active: active.unwrap_or(0),
            by_update,
        }
    }
}

/// Values that fresh updates start with.
fn starting_values(
    preset: Preset,
    seed: u64,
) -> impl FnMut(&UpdatePlan, &SitePlan, Half, [usize; 2]) -> Result<Vec<f32>, AdapterError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    move |update, plan, half, shape| {
        let limit = plan.input.len().min(plan.output.len());
        let rank = update.rank_at(plan.site);
        if rank > limit {
            return Err(AdapterError::RankTooLarge {
                name: update.name.clone(),
                rank,
                limit,
                site: plan.site.to_string(),
            });
        }
        let len = shape[0] * shape[1];
        let fan_in = match preset {
            Preset::Isogloss => shape[1],
            Preset::Paper => rank,
        };
        Ok(match half {
            Half::A => uniform(len, (fan_in as f32).powf(-0.5), &mut rng),
            Half::B => vec![0.0; len],
        })
    }
}
