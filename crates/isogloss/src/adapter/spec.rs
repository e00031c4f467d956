use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::adapter::bank::{Adapters, Bank, LowRank};
use crate::graph::{ModelConfig, Projection, Site, Stack, all_sites};
use crate::language::{Language, LanguageSide, Resource};
use crate::params::{ParamId, ParamStore};

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
    fn contains(&self, projection: Projection) -> bool {
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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
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
    /// Square slice of every matrix. Default: none with `isogloss`, the first `D` with `paper`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
}

/// Why an adapter configuration doesn't fit a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// No language gets an update: training would do nothing.
    #[error("no language has an update: every rank is 0; give at least one a rank of 1 or more")]
    NothingToTrain,
    /// Ranks that nothing would read.
    #[error(
        "`ranks` and `language_ranks` don't apply to the one update that all languages share; use `rank`"
    )]
    RanksOfShared,
    /// No site is named.
    #[error(
        "`sites` names no projection that this model has; use \"all\", \"fc\" or a list of q, k, v, cross_q, cross_k, cross_v, fc1, fc2"
    )]
    NoSites,
    /// A rank that a matrix can't have.
    #[error(
        "rank {rank} of `{name}` exceeds the smaller side ({limit}) of the update at {site}; lower the rank"
    )]
    RankTooLarge {
        /// Language, or `shared`.
        name: String,
        /// The rank given.
        rank: usize,
        /// Largest rank that isn't wasted.
        limit: usize,
        /// Where.
        site: String,
    },
    /// A slice outside the matrix.
    #[error(
        "slice {start}..{end} lies outside {site}, which has {inputs} inputs and {outputs} outputs"
    )]
    Slice {
        /// First column.
        start: usize,
        /// End of the slice.
        end: usize,
        /// Where.
        site: String,
        /// Inputs of the site.
        inputs: usize,
        /// Outputs of the site.
        outputs: usize,
    },
    /// A rank is given for a language that takes no part.
    #[error("`language_ranks` names {language}, which is not among the languages of this run")]
    ForeignLanguage {
        /// The language.
        language: Language,
    },
    /// The layer that sides change at doesn't exist.
    #[error(
        "`encoder_target_from` is {layer}, but the encoder has {layers} layers; use 0 to {layers}"
    )]
    EncoderTargetFrom {
        /// What was given.
        layer: usize,
        /// Layers of the encoder.
        layers: usize,
    },
    /// `alpha` must be positive.
    #[error("`alpha` is {alpha}; it must be a positive number")]
    Alpha {
        /// What was given.
        alpha: f32,
    },
}

/// A site with its side and the parts of the matrix that updates act on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SitePlan {
    /// The site, by the name of its linear map.
    #[serde(with = "crate::graph::as_name")]
    pub site: Site,
    /// Which language selects.
    pub side: LanguageSide,
    /// Inputs that updates read.
    pub input: Range<usize>,
    /// Outputs that updates add to.
    pub output: Range<usize>,
}

/// One low-rank update through all sites: a language's, or the one that all share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdatePlan {
    /// Language code, or `shared`.
    pub name: String,
    /// Languages that select it, as indices into the run's list.
    pub languages: Vec<u16>,
    /// `R`, at least 1.
    pub rank: usize,
    /// The update is scaled by `alpha / rank`.
    pub alpha: f32,
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
            let by_source = site.stack == Stack::Encoder && site.layer < target_from;
            sites.push(SitePlan {
                site,
                side: match by_source {
                    true => LanguageSide::Source,
                    false => LanguageSide::Target,
                },
                input,
                output,
            });
        }
        if sites.is_empty() {
            return Err(AdapterError::NoSites);
        }
        Ok(sites)
    }

    /// Rank of a language of a class.
    #[must_use]
    pub fn rank_of(&self, language: &Language, resource: Resource) -> usize {
        let by_class = || match self.ranks.get(&resource) {
            Some(&rank) => rank,
            None if resource == Resource::Low => 8,
            None => 2,
        };
        let explicit = self.language_ranks.get(language).copied();
        explicit.or(self.rank).unwrap_or_else(by_class)
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
        })
    }
}

/// Name of the update that all languages share.
pub(crate) const SHARED: &str = "shared";

/// Values that a new parameter starts with: its update, site, half (`lora_A` or `lora_B`) and shape.
pub(crate) type StartingValues<'a, E> =
    dyn FnMut(&UpdatePlan, &SitePlan, Half, [usize; 2]) -> Result<Vec<f32>, E> + 'a;

/// Half of a low-rank update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// `(R, in)`.
    A,
    /// `(out, R)`.
    B,
}

impl Half {
    /// Name of the half in files, as PEFT writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Half::A => "lora_A",
            Half::B => "lora_B",
        }
    }
}

/// Lays updates out in a store, a group for each, and links them to their languages.
pub(crate) fn lay_out<E>(
    sites: &[SitePlan],
    updates: &[UpdatePlan],
    languages: usize,
    store: &mut ParamStore<f32>,
    values: &mut StartingValues<'_, E>,
) -> Result<Adapters, E> {
    let mut adapters = Adapters::default();
    for plan in sites {
        let bank = Bank {
            side: plan.side,
            updates: vec![None; languages],
        };
        adapters.banks.insert(plan.site, bank);
    }
    for update in updates {
        store.begin_group(&update.name);
        for plan in sites {
            let mut push = |half, shape: [usize; 2]| -> Result<ParamId, E> {
                let values = values(update, plan, half, shape)?;
                let name = format!("{}.{}.{}", plan.site, half.name(), update.name);
                Ok(store.push(name, &shape, &values))
            };
            let low_rank = LowRank {
                a: push(Half::A, [update.rank, plan.input.len()])?,
                b: push(Half::B, [plan.output.len(), update.rank])?,
                rank: update.rank,
                scale: update.alpha / update.rank as f32,
                input: plan.input.clone(),
                output: plan.output.clone(),
            };
            let bank = adapters.banks.get_mut(&plan.site);
            let Some(bank) = bank else { continue };
            for &language in &update.languages {
                bank.updates[usize::from(language)] = Some(low_rank.clone());
            }
        }
    }
    Ok(adapters)
}
