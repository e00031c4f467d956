use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::adapter::bank::{Adapters, Bank, LowRank};
use crate::graph::Site;
use crate::language::LanguageSide;
use crate::params::{ParamId, ParamStore};

/// A site with its side and the parts of the matrix that updates act on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SitePlan {
    /// The site, by the name of its linear map.
    pub site: Site,
    /// Which language selects.
    pub side: LanguageSide,
    /// Inputs that updates read.
    pub input: Range<usize>,
    /// Outputs that updates add to.
    pub output: Range<usize>,
}

impl SitePlan {
    /// Shape of half an update of a rank.
    pub(crate) fn shape(&self, half: Half, rank: usize) -> [usize; 2] {
        match half {
            Half::A => [rank, self.input.len()],
            Half::B => [self.output.len(), rank],
        }
    }
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
    /// The update is scaled by `alpha / rank`, at every site, whatever its rank there.
    pub alpha: f32,
    /// Its rank at sites where it is another; 0: the update doesn't act there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ranks: BTreeMap<Site, usize>,
}

impl UpdatePlan {
    /// `R` at a site.
    #[must_use]
    pub fn rank_at(&self, site: Site) -> usize {
        self.ranks.get(&site).copied().unwrap_or(self.rank)
    }

    /// What the update is scaled by.
    #[must_use]
    pub fn scale(&self) -> f32 {
        self.alpha / self.rank as f32
    }

    /// Its parameters at a site.
    #[must_use]
    pub fn parameters_at(&self, plan: &SitePlan) -> usize {
        self.rank_at(plan.site) * (plan.input.len() + plan.output.len())
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
            let rank = update.rank_at(plan.site);
            if rank == 0 {
                continue;
            }
            let mut push = |half| -> Result<ParamId, E> {
                let shape = plan.shape(half, rank);
                let values = values(update, plan, half, shape)?;
                let name = format!("{}.{}.{}", plan.site, half.name(), update.name);
                Ok(store.push(name, &shape, &values))
            };
            let low_rank = LowRank {
                a: push(Half::A)?,
                b: push(Half::B)?,
                rank,
                scale: update.scale(),
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
