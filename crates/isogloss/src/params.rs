//! Trainable parameters: one flat array of values, one layout for the optimiser, clipping, pruning and checkpoints.

use std::ops::Range;

use isogloss_kernels::{Factors, KeptFactors, Real};
use rand::distr::Distribution;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// Names a parameter of a [`ParamStore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamId(u32);

/// Names a group of a [`ParamStore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(u32);

/// One trainable matrix or vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name, unique in the store, such as `encoder.layers.0.fc1.lora_A.deu_Latn`.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// Where its values lie in the flat array.
    pub range: Range<usize>,
    /// The group that it belongs to.
    pub group: GroupId,
}

/// Parameters that are used together or not at all: a language's update, or the whole base. An idle group is left alone by
/// the optimiser, its moments and its own count of steps included.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name, such as a language code.
    pub name: String,
    /// Where its values lie in the flat array.
    pub range: Range<usize>,
    /// Factor of the learning rate, 1 unless it was set; a group with 0 is left alone by the optimiser.
    pub rate: f32,
}

/// The trainable parameters of a run, group after group.
#[derive(Debug, Clone, Default)]
pub struct ParamStore<R> {
    values: Vec<R>,
    params: Vec<Param>,
    groups: Vec<Group>,
    kept: Option<KeptFactors>,
}

impl<R: Real> ParamStore<R> {
    /// An empty store: everything is frozen.
    #[must_use]
    pub fn new() -> Self {
        ParamStore {
            values: Vec::new(),
            params: Vec::new(),
            groups: Vec::new(),
            kept: None,
        }
    }

    /// Starts a group; the parameters pushed next belong to it.
    pub fn begin_group(&mut self, name: impl Into<String>) -> GroupId {
        let at = self.values.len();
        self.groups.push(Group {
            name: name.into(),
            range: at..at,
            rate: 1.0,
        });
        GroupId(self.groups.len() as u32 - 1)
    }

    /// Lets the parameters of a group move so many times as fast as others.
    pub fn set_rate(&mut self, group: GroupId, rate: f32) {
        self.groups[group.0 as usize].rate = rate;
    }

    /// Adds a parameter to the group begun last.
    ///
    /// # Panics
    /// If no group was begun or if `values` don't fill `shape`.
    pub fn push(&mut self, name: impl Into<String>, shape: &[usize], values: &[R]) -> ParamId {
        assert_eq!(
            shape.iter().product::<usize>(),
            values.len(),
            "values of a parameter"
        );
        self.kept = None;
        let start = self.values.len();
        self.values.extend_from_slice(values);
        let group = GroupId(self.groups.len() as u32 - 1);
        self.groups[group.0 as usize].range.end = self.values.len();
        self.params.push(Param {
            name: name.into(),
            shape: shape.to_vec(),
            range: start..self.values.len(),
            group,
        });
        ParamId(self.params.len() as u32 - 1)
    }

    /// The parameter's description.
    #[must_use]
    pub fn param(&self, id: ParamId) -> &Param {
        &self.params[id.0 as usize]
    }

    /// All parameters, in the order of their values.
    #[must_use]
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// All groups, in the order of their values.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The group of a parameter.
    #[must_use]
    pub fn group_of(&self, id: ParamId) -> &Group {
        &self.groups[self.param(id).group.0 as usize]
    }

    /// Values of one parameter.
    #[must_use]
    pub fn get(&self, id: ParamId) -> &[R] {
        &self.values[self.param(id).range.clone()]
    }

    /// Values of one parameter, to be changed.
    #[must_use]
    pub fn get_mut(&mut self, id: ParamId) -> &mut [R] {
        let range = self.param(id).range.clone();
        &mut self.values_mut()[range]
    }

    /// The parameter of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ParamId> {
        let at = self.params.iter().position(|p| p.name == name)?;
        Some(ParamId(at as u32))
    }

    /// All values.
    #[must_use]
    pub fn values(&self) -> &[R] {
        &self.values
    }

    /// All values, to be changed.
    #[must_use]
    pub fn values_mut(&mut self) -> &mut [R] {
        self.kept = None;
        &mut self.values
    }

    /// Keeps what a backend prepared of the values, until one of them changes.
    ///
    /// # Panics
    /// If it is of another number of values.
    pub(crate) fn keep(&mut self, kept: Option<KeptFactors>) {
        let len = kept.as_ref().map(KeptFactors::len);
        assert!(
            len.is_none_or(|len| len == self.values.len()),
            "kept values"
        );
        self.kept = kept;
    }

    /// Adds names and shapes of all parameters, in their order.
    pub(crate) fn hash_layout(&self, hash: &mut Sha256) {
        for param in &self.params {
            hash.update(format!("{} {:?}\n", param.name, param.shape));
        }
    }

    /// Keeps all groups as they are from now on; those begun later are trained.
    pub fn freeze(&mut self) {
        self.groups.iter_mut().for_each(|group| group.rate = 0.0);
    }

    /// Values that are trained.
    #[must_use]
    pub fn trainable(&self) -> usize {
        let moving = self.groups.iter().filter(|group| group.rate != 0.0);
        moving.map(|group| group.range.len()).sum()
    }

    /// All values as factors of updates.
    #[must_use]
    pub fn factors(&self) -> Factors<'_, R> {
        Factors {
            parameters: &self.values,
            kept: self.kept.as_ref(),
        }
    }
}

/// Gradients of a store's values, and which groups took part.
#[derive(Debug, Clone)]
pub struct Gradients<R> {
    values: Vec<R>,
    used: Vec<bool>,
}

impl<R: Real> Gradients<R> {
    /// Zero gradients of `store`.
    #[must_use]
    pub fn new(store: &ParamStore<R>) -> Self {
        Gradients {
            values: vec![R::zero(); store.values.len()],
            used: vec![false; store.groups.len()],
        }
    }

    /// Back to zero, no group used.
    pub fn clear(&mut self) {
        self.values.fill(R::zero());
        self.used.fill(false);
    }

    /// The gradient of one parameter, to be added to; its group counts as used.
    #[must_use]
    pub fn of(&mut self, store: &ParamStore<R>, id: ParamId) -> &mut [R] {
        let param = store.param(id);
        self.used[param.group.0 as usize] = true;
        &mut self.values[param.range.clone()]
    }

    /// The gradients of two different parameters, as [`of`](Self::of).
    ///
    /// # Panics
    /// If both are the same.
    #[must_use]
    pub fn of_two(
        &mut self,
        store: &ParamStore<R>,
        first: ParamId,
        second: ParamId,
    ) -> (&mut [R], &mut [R]) {
        assert_ne!(first, second, "two gradients of one parameter");
        for id in [first, second] {
            self.used[store.param(id).group.0 as usize] = true;
        }
        let (a, b) = (
            store.param(first).range.clone(),
            store.param(second).range.clone(),
        );
        if a.start < b.start {
            let (head, tail) = self.values.split_at_mut(b.start);
            (&mut head[a], &mut tail[..b.len()])
        } else {
            let (head, tail) = self.values.split_at_mut(a.start);
            (&mut tail[..a.len()], &mut head[b])
        }
    }

    /// All gradients, of which those of some parameters are to be added to; their groups count as used.
    #[must_use]
    pub fn of_some(
        &mut self,
        store: &ParamStore<R>,
        ids: impl IntoIterator<Item = ParamId>,
    ) -> &mut [R] {
        for id in ids {
            self.used[store.param(id).group.0 as usize] = true;
        }
        &mut self.values
    }

    /// All gradients.
    #[must_use]
    pub fn values(&self) -> &[R] {
        &self.values
    }

    /// All gradients, to be changed.
    #[must_use]
    pub fn values_mut(&mut self) -> &mut [R] {
        &mut self.values
    }

    /// Whether each group took part since the last [`clear`](Self::clear).
    #[must_use]
    pub fn used(&self) -> &[bool] {
        &self.used
    }
}

/// Uniform values in `[-bound, bound)`.
pub(crate) fn uniform(len: usize, bound: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let unit = rand::distr::StandardUniform;
    let draw = |_| {
        let u: f32 = unit.sample(rng);
        bound * (2.0 * u - 1.0)
    };
    (0..len).map(draw).collect()
}
