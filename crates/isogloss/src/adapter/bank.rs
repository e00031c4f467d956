use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use isogloss_kernels::{Backend, LowRankTerm, Real};

use crate::adapter::mixture::Mixture;
use crate::batch::{LanguageId, Packed, Segment};
use crate::graph::{Site, Stack};
use crate::language::LanguageSide;
use crate::params::{ParamId, ParamStore};

/// One low-rank update: `y[output] += scale * B A x[input]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LowRank {
    /// `lora_a`, `(rank, input.len())`.
    pub a: ParamId,
    /// `lora_b`, `(output.len(), rank)`.
    pub b: ParamId,
    /// `R`, at least 1.
    pub rank: usize,
    /// `alpha / rank`.
    pub scale: f32,
    /// The inputs that it reads: all, or a slice.
    pub input: Range<usize>,
    /// The outputs that it adds to: all, or a slice.
    pub output: Range<usize>,
}

impl LowRank {
    /// The update of some rows, times `weight`, as a backend takes it.
    pub(crate) fn term<R: Real>(
        &self,
        store: &ParamStore<R>,
        rows: Range<usize>,
        weight: f32,
    ) -> LowRankTerm {
        LowRankTerm {
            rows,
            a: store.param(self.a).range.start,
            b: store.param(self.b).range.start,
            rank: self.rank,
            scale: weight * self.scale,
            input: self.input.clone(),
            output: self.output.clone(),
        }
    }
}

/// All languages' updates at one site.
#[derive(Debug, Clone, PartialEq)]
pub struct Bank {
    /// Which language of the direction selects.
    pub side: LanguageSide,
    /// The update of each language, by [`LanguageId`]; languages that share an update hold the same parameters. A language
    /// beyond the end has none.
    pub updates: Vec<Option<LowRank>>,
}

impl Bank {
    /// The update of a language.
    #[must_use]
    pub fn update(&self, language: LanguageId) -> Option<&LowRank> {
        self.updates.get(usize::from(language.0))?.as_ref()
    }

    /// The updates that act on a packed batch, each with its rows.
    pub fn terms<'a>(
        &'a self,
        packed: &'a Packed,
    ) -> impl Iterator<Item = (&'a LowRank, Range<usize>)> {
        let segments: &[Segment] = match self.side {
            LanguageSide::Source => &packed.by_source,
            LanguageSide::Target => &packed.by_target,
        };
        segments
            .iter()
            .filter_map(|s| Some((self.update(s.language)?, s.rows.clone())))
    }
}

/// The banks of a model, by site. A site without a bank is the frozen base alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Adapters {
    /// The banks.
    pub banks: BTreeMap<Site, Bank>,
    /// Sites at which banks are mixed; they have none of their own. Only while placement is learnt.
    pub mixtures: BTreeMap<Site, Mixture>,
}

impl Adapters {
    /// The bank at a site.
    #[must_use]
    pub fn bank(&self, site: Site) -> Option<&Bank> {
        self.banks.get(&site)
    }

    /// Prepares the updates for translation, where the backend has a use for it; `store` holds them, and keeps what is prepared until a
    /// value changes. It takes two bytes a value more, and changes the last digits of what updates add.
    pub fn keep<B: Backend>(&self, backend: &B, store: &mut ParamStore<B::Real>) {
        // Languages may share an update.
        let mut seen = BTreeSet::new();
        let updates = self.banks.values().flat_map(|bank| bank.updates.iter());
        let terms: Vec<LowRankTerm> = updates
            .flatten()
            .filter(|update| seen.insert((update.a, update.b)))
            .map(|update| update.term(store, 0..0, 1.0))
            .collect();
        let kept = match terms.is_empty() {
            true => None,
            false => backend.keep_factors(&terms, store.values()),
        };
        store.keep(kept);
    }

    /// Whether any language has an update at a site.
    #[must_use]
    pub fn acts_at(&self, site: Site) -> bool {
        let any = |bank: &Bank| bank.updates.iter().any(Option::is_some);
        let mixture = self.mixtures.get(&site);
        self.banks.get(&site).is_some_and(any) || mixture.is_some_and(|m| m.arms.iter().any(any))
    }

    /// How many of an encoder's `layers` lie below the lowest one that has an update of any language.
    #[must_use]
    pub fn encoder_layers_below(&self, layers: usize) -> usize {
        self.lowest_encoder_layer(self.banks.keys(), layers)
    }

    /// How many of an encoder's `layers` lie below the lowest one that has an update which depends on the target: up to there a source is
    /// the same for all its targets.
    #[must_use]
    pub fn encoder_layers_by_source(&self, layers: usize) -> usize {
        let banks = self.banks.iter();
        let by_target = banks.filter(|(_, bank)| bank.side == LanguageSide::Target);
        self.lowest_encoder_layer(by_target.map(|(site, _)| site), layers)
    }

    /// The lowest encoder layer among sites of banks and those of mixtures at which something acts; `layers` if there's none.
    fn lowest_encoder_layer<'a>(
        &'a self,
        banks: impl Iterator<Item = &'a Site>,
        layers: usize,
    ) -> usize {
        banks
            .chain(self.mixtures.keys())
            .filter(|site| site.stack == Stack::Encoder && self.acts_at(**site))
            .map(|site| site.layer)
            .min()
            .unwrap_or(layers)
    }
}
