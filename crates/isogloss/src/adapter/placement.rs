use serde::{Deserialize, Serialize};

use crate::adapter::bank::{Adapters, Bank};
use crate::adapter::config::{AdapterConfig, Side};
use crate::adapter::error::AdapterError;
use crate::adapter::mixture::Mixture;
use crate::adapter::set::AdapterSet;
use crate::adapter::spec::{SitePlan, UpdatePlan};
use crate::graph::{Layer, ModelConfig, Place, Site, Stack};
use crate::language::{Language, LanguageSide};
use crate::params::{ParamId, ParamStore};

/// What is looked for when placement is learnt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlacementConfig {
    /// A mixture for each `"layer"` (default) or for each `"site"`.
    pub by: PlacementBy,
    /// Whether a place may be left without updates. Default false.
    pub none: bool,
    /// Whether the decoder's places are looked at, too; else the target selects there. Default false.
    pub decoder: bool,
    /// How many times as fast as the updates the weights are learnt. Above 0; default 10: a short run would leave them near the middle.
    #[serde(serialize_with = "crate::decimal::serialize")]
    pub rate: f32,
}

impl Default for PlacementConfig {
    fn default() -> Self {
        PlacementConfig {
            by: PlacementBy::Layer,
            none: false,
            decoder: false,
            rate: 10.0,
        }
    }
}

/// What has a mixture of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlacementBy {
    /// All sites of a layer together.
    #[default]
    Layer,
    /// Every site.
    Site,
}

impl PlacementConfig {
    /// Whether the places of a stack are looked at.
    #[must_use]
    pub fn searches(&self, stack: Stack) -> bool {
        self.decoder || stack == Stack::Encoder
    }
}

/// Updates on both sides, mixed with learnt weights.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacementSearch {
    /// The mixtures, and banks where there is nothing to choose.
    pub adapters: Adapters,
    /// The places that have a mixture, in the order of the graph.
    places: Vec<(Place, ParamId)>,
}

/// The learnt weights of a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlaceWeights {
    /// The place.
    pub place: Place,
    /// Its layer, from 0.
    pub layer: usize,
    /// Weight of the update that the source's language selects.
    pub source: f64,
    /// Weight of the one that the target's selects.
    pub target: f64,
    /// Weight of no update; 0 where that was no choice.
    pub none: f64,
}

impl PlaceWeights {
    /// The side with the largest weight.
    #[must_use]
    pub fn heaviest(&self) -> Side {
        match (self.source >= self.target, self.none) {
            (_, none) if none > self.source.max(self.target) => Side::None,
            (true, _) => Side::Source,
            (false, _) => Side::Target,
        }
    }

    /// How far the weights of the two sides lie apart.
    #[must_use]
    pub fn margin(&self) -> f64 {
        (self.source - self.target).abs()
    }
}

impl PlacementSearch {
    /// Fresh updates for every language on both sides, in a store, all mixed evenly. The updates of a language form a group a side, so
    /// that one side rests where only the other is in use. Sides that `config` gives count where there is nothing to look for.
    ///
    /// # Errors
    /// [`AdapterError`]: sites, ranks.
    pub fn new(
        search: PlacementConfig,
        config: &AdapterConfig,
        model: &ModelConfig,
        (languages, updates): (&[Language], &[UpdatePlan]),
        seed: u64,
        store: &mut ParamStore<f32>,
    ) -> Result<Self, AdapterError> {
        let mut config = config.clone();
        config.encoder_target_from = None;
        config
            .sides
            .retain(|place, _| !search.searches(place.layer().stack));
        let sites = config.sites(model)?;
        let mut side = |side: LanguageSide, suffix: &str, seed: u64| {
            let of_side = |plan: &SitePlan| {
                let own = search.searches(plan.site.stack) || side == plan.side;
                own.then(|| SitePlan {
                    side,
                    ..plan.clone()
                })
            };
            let renamed = |update: &UpdatePlan| UpdatePlan {
                name: format!("{}.{suffix}", update.name),
                ..update.clone()
            };
            let sites = sites.iter().filter_map(of_side).collect();
            let updates = updates.iter().map(renamed).collect();
            let (languages, preset) = (languages.to_vec(), config.preset);
            AdapterSet::new(languages, preset, sites, updates, seed, store)
        };
        let mut by_source = side(LanguageSide::Source, "source", seed)?.adapters;
        let mut by_target = side(LanguageSide::Target, "target", seed ^ 1)?.adapters;
        let mut found = PlacementSearch {
            adapters: Adapters::default(),
            places: Vec::new(),
        };
        let group = store.begin_group("placement");
        store.set_rate(group, search.rate);
        for site in sites.iter().map(|plan| plan.site) {
            let both = [by_source.banks.remove(&site), by_target.banks.remove(&site)];
            let mut arms: Vec<Bank> = both.into_iter().flatten().collect();
            if arms.len() == 1 {
                found
                    .adapters
                    .banks
                    .extend(arms.pop().map(|bank| (site, bank)));
                continue;
            }
            let logits = found.logits(search, site, store);
            let mixture = Mixture { logits, arms };
            found.adapters.mixtures.insert(site, mixture);
        }
        Ok(found)
    }

    /// The logits of a site's place, made if it is the first of it.
    fn logits(
        &mut self,
        search: PlacementConfig,
        site: Site,
        store: &mut ParamStore<f32>,
    ) -> ParamId {
        let place = match search.by {
            PlacementBy::Layer => Place::Layer(site.into()),
            PlacementBy::Site => Place::Site(site),
        };
        if let Some(&(_, logits)) = self.places.iter().find(|(known, _)| *known == place) {
            return logits;
        }
        let choices = 2 + usize::from(search.none);
        let logits = store.push(
            format!("{place}.placement"),
            &[choices],
            &vec![0.0; choices],
        );
        self.places.push((place, logits));
        logits
    }

    /// The weights as they are.
    #[must_use]
    pub fn weights(&self, store: &ParamStore<f32>) -> Vec<PlaceWeights> {
        let of = |&(place, logits): &(Place, ParamId)| {
            let mixture = Mixture {
                logits,
                arms: Vec::new(),
            };
            let weights = mixture.weights(store);
            let weight = |i: usize| weights.get(i).copied().map_or(0.0, f64::from);
            PlaceWeights {
                place,
                layer: place.layer().layer,
                source: weight(0),
                target: weight(1),
                none: weight(2),
            }
        };
        self.places.iter().map(of).collect()
    }

    /// The updates without those of a side at a place.
    #[must_use]
    pub fn without(&self, place: Place, side: LanguageSide) -> Adapters {
        let mut adapters = self.adapters.clone();
        for (&site, mixture) in &mut adapters.mixtures {
            let inside = match place {
                Place::Layer(layer) => layer == Layer::from(site),
                Place::Site(other) => other == site,
            };
            for bank in mixture.arms.iter_mut().filter(|bank| bank.side == side) {
                if inside {
                    bank.updates.fill(None);
                }
            }
        }
        adapters
    }
}
