use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::adapter::error::AdapterError;
use crate::adapter::spec::{SHARED, SitePlan, UpdatePlan};
use crate::graph::{Layer, ModelConfig, Place, Projection, Site, Stack, all_sites};
use crate::language::{Language, LanguageSide, Resource};

/// Where a set of defaults comes from. Every row of results names its preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Ours: updates of whole matrices, started as LoRA starts them.
    #[default]
    Isogloss,
    /// As the code released with Cao et al. 2024: square updates of the first `D` inputs and outputs, `lora_a` drawn from
    /// `U(-1/sqrt(R), 1/sqrt(R))`.
    Paper,
}

/// Which linear maps get updates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sites {
    /// Query, key and value of every attention, and both maps of every feed-forward block.
    #[default]
    All,
    /// The feed-forward blocks alone, where updates matter most.
    Fc,
    /// These projections, wherever a stack has them.
    #[serde(untagged)]
    Projections(BTreeSet<Projection>),
}

impl Sites {
    pub(crate) fn contains(&self, projection: Projection) -> bool {
        match self {
            Sites::All => true,
            Sites::Fc => matches!(projection, Projection::Fc1 | Projection::Fc2),
            Sites::Projections(set) => set.contains(&projection),
        }
    }
}

/// The square part of a matrix that an update acts on: inputs and outputs `start .. start + dim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// First input and output. Default 0.
    #[serde(default)]
    pub start: usize,
    /// Number of inputs and outputs.
    pub dim: usize,
}

/// Which language of the direction selects the updates of a place, if any does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The language of the input.
    Source,
    /// The language of the output.
    Target,
    /// The place has no updates.
    None,
}

impl Side {
    /// `source`, `target` or `none`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Side::Source => "source",
            Side::Target => "target",
            Side::None => "none",
        }
    }

    /// The language that selects.
    #[must_use]
    pub fn language(self) -> Option<LanguageSide> {
        match self {
            Side::Source => Some(LanguageSide::Source),
            Side::Target => Some(LanguageSide::Target),
            Side::None => None,
        }
    }
}

/// The `[adapter]` section: what is trained beside the frozen base.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdapterConfig {
    /// Defaults of what is not given here. Default `isogloss`.
    pub preset: Preset,
    /// `"all"` (default), `"fc"`, or a list of `q k v cross_q cross_k cross_v fc1 fc2`.
    pub sites: Sites,
    /// One rank for all languages; takes the place of the class ranks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// Rank of each class. Default 2 for high and medium, 8 for low.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ranks: BTreeMap<Resource, usize>,
    /// Rank of single languages; 0 leaves a language without an update.
    #[serde(
        deserialize_with = "crate::unique::deserialize",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub language_ranks: BTreeMap<Language, usize>,
    /// The update is scaled by `alpha / rank`. Default: the rank, so that the scale is 1.
    #[serde(
        serialize_with = "crate::decimal::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub alpha: Option<f32>,
    /// The first encoder layer whose updates the target language selects; below it, the source language does. Default: three
    /// quarters of the way up (9 of 12). The decoder's are always selected by the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_target_from: Option<usize>,
    /// Which language selects, by layer (`"encoder.layers.0" = "source"`) or by site (`"encoder.layers.0.fc1" = "none"`), where it differs
    /// from the rule above; a site's own goes before its layer's. `"none"` leaves a place to the base.
    #[serde(
        deserialize_with = "crate::unique::deserialize",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub sides: BTreeMap<Place, Side>,
    /// Square slice of every matrix. Default: none with `isogloss`, the first `D` with `paper`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
}

impl AdapterConfig {
    /// Sites in the order of the graph, each with its side and slice.
    ///
    /// # Errors
    /// If no site is left or a slice doesn't fit.
    pub fn sites(&self, model: &ModelConfig) -> Result<Vec<SitePlan>, AdapterError> {
        let layers = model.encoder_layers;
        let target_from = self.encoder_target_from.unwrap_or((3 * layers).div_ceil(4));
        if target_from > layers {
            return Err(AdapterError::EncoderTargetFrom {
                layer: target_from,
                layers,
            });
        }
        self.check_sides(model)?;
        let default_slice = (self.preset == Preset::Paper).then_some(Slice {
            start: 0,
            dim: model.d_model,
        });
        let mut sites = Vec::new();
        for site in all_sites(layers, model.decoder_layers) {
            if !self.sites.contains(site.projection) {
                continue;
            }
            let (outputs, inputs) = model.site_shape(site);
            let (mut input, mut output) = (0..inputs, 0..outputs);
            if let Some(slice) = self.slice.or(default_slice) {
                let end = slice.start + slice.dim;
                if slice.dim == 0 || end > inputs || end > outputs {
                    return Err(AdapterError::Slice {
                        start: slice.start,
                        end,
                        site: site.to_string(),
                        inputs,
                        outputs,
                    });
                }
                (input, output) = (slice.start..end, slice.start..end);
            }
            let Some(side) = self.side(site, target_from).language() else {
                continue;
            };
            sites.push(SitePlan {
                site,
                side,
                input,
                output,
            });
        }
        if sites.is_empty() {
            return Err(AdapterError::NoSites);
        }
        Ok(sites)
    }

    /// Which language selects at a site, where the encoder's layers from `target_from` on go by the target unless `sides` says otherwise.
    fn side(&self, site: Site, target_from: usize) -> Side {
        let named = self.sides.get(&Place::Site(site));
        let named = named.or_else(|| self.sides.get(&Place::Layer(site.into())));
        let by_source = site.stack == Stack::Encoder && site.layer < target_from;
        named.copied().unwrap_or(match by_source {
            true => Side::Source,
            false => Side::Target,
        })
    }

    /// Whether the places that `sides` names exist, and no other key speaks of them.
    fn check_sides(&self, model: &ModelConfig) -> Result<(), AdapterError> {
        for &place in self.sides.keys() {
            let Layer { stack, layer } = place.layer();
            let layers = model.layers(stack);
            if layer >= layers {
                let stack = stack.name();
                return Err(AdapterError::ForeignPlace {
                    place,
                    stack,
                    layers,
                });
            }
            if stack == Stack::Encoder && self.encoder_target_from.is_some() {
                return Err(AdapterError::TwoSides { place });
            }
        }
        Ok(())
    }

    /// Rank of a class, where no rank is given for all or for a language alone.
    pub(crate) fn rank_of_class(&self, resource: Resource) -> usize {
        match self.ranks.get(&resource) {
            Some(&rank) => rank,
            None if resource == Resource::Low => 8,
            None => 2,
        }
    }

    /// Rank of a language of a class.
    #[must_use]
    pub fn rank_of(&self, language: &Language, resource: Resource) -> usize {
        let explicit = self.language_ranks.get(language).copied();
        let explicit = explicit.or(self.rank);
        explicit.unwrap_or_else(|| self.rank_of_class(resource))
    }

    /// An update for each language of the run (LSLo).
    ///
    /// # Errors
    /// If no language gets an update, or a rank is given for a language that takes no part.
    pub fn per_language(
        &self,
        languages: &[(Language, Resource)],
    ) -> Result<Vec<UpdatePlan>, AdapterError> {
        if let Some(language) = self
            .language_ranks
            .keys()
            .find(|l| languages.iter().all(|(known, _)| known != *l))
        {
            return Err(AdapterError::ForeignLanguage {
                language: language.clone(),
            });
        }
        let plan = |(id, (language, resource)): (u16, &(Language, Resource))| {
            let rank = self.rank_of(language, *resource);
            self.update(language.code().to_owned(), vec![id], rank)
        };
        let plans: Vec<_> = (0u16..)
            .zip(languages)
            .map(plan)
            .collect::<Result<_, _>>()?;
        let plans: Vec<_> = plans.into_iter().filter(|plan| plan.rank > 0).collect();
        match plans.is_empty() {
            true => Err(AdapterError::NothingToTrain),
            false => Ok(plans),
        }
    }

    /// One update that all languages share (LoRA), of rank `rank` (default 8).
    ///
    /// # Errors
    /// If the rank is 0, or if ranks of classes or languages are given.
    pub fn shared(&self, languages: usize) -> Result<Vec<UpdatePlan>, AdapterError> {
        if !self.ranks.is_empty() || !self.language_ranks.is_empty() {
            return Err(AdapterError::RanksOfShared);
        }
        let rank = self.rank.unwrap_or(8);
        if rank == 0 {
            return Err(AdapterError::NothingToTrain);
        }
        let all = (0..languages as u16).collect();
        Ok(vec![self.update(SHARED.to_owned(), all, rank)?])
    }

    fn update(
        &self,
        name: String,
        languages: Vec<u16>,
        rank: usize,
    ) -> Result<UpdatePlan, AdapterError> {
        let alpha = self.alpha.unwrap_or(rank as f32);
        if self.alpha.is_some() && !(alpha.is_finite() && alpha > 0.0) {
            return Err(AdapterError::Alpha { alpha });
        }
        Ok(UpdatePlan {
            name,
            languages,
            rank,
            alpha,
            ranks: BTreeMap::new(),
        })
    }
}
