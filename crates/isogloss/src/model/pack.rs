use isogloss_kernels::{Backend, Real};

use crate::model::Model;
use crate::model::attention::AttentionBlock;
use crate::model::feed_forward::FeedForward;
use crate::model::linear::Linear;
use crate::model::weight::Weight;

/// What weights are packed ahead for. Packing costs a pass over the weights; results have the same bits as without, unless the backend
/// quantises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackFor {
    /// Forward passes: encoding, decoding, scoring. Linear maps and head.
    Forward,
    /// Training beside a frozen base: the linear maps, for the forward and the backward pass.
    Training,
}

/// Decides weight by weight what is packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packing<'a, B> {
    backend: &'a B,
    replace: bool,
    /// Whether there are copies for the backward pass, where one for the forward pass would do.
    copies: bool,
    /// Bytes that may be taken beside the weights themselves.
    left: usize,
}

/// How a weight is packed, and the bytes that it takes so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    /// With a copy for the backward pass.
    backward: bool,
    /// In place of the values.
    pub replace: bool,
    /// Bytes of what was packed.
    pub bytes: usize,
}

impl<'a, B: Backend> Packing<'a, B> {
    /// `budget` are the bytes for what is packed beside the values, where they must stay; or for copies for the backward pass of all the
    /// weights of these `shapes`, where they needn't.
    pub fn new(
        backend: &'a B,
        pack: PackFor,
        budget: usize,
        shapes: impl Iterator<Item = (usize, usize)>,
    ) -> Self {
        let backward = pack == PackFor::Training;
        let replace = backend.packing_replaces(backward);
        let bytes = |(rows, cols)| {
            backend.packed_bytes(rows, cols, true) - backend.packed_bytes(rows, cols, false)
        };
        Packing {
            backend,
            replace,
            copies: backward && (!replace || shapes.map(bytes).sum::<usize>() <= budget),
            left: budget,
        }
    }

    /// How to pack a weight, with its values kept if `keep`. `None`: not at all.
    pub fn choose(&mut self, rows: usize, cols: usize, keep: bool) -> Option<Choice> {
        let bytes = self.backend.packed_bytes(rows, cols, self.copies);
        let replace = self.replace && !keep;
        // What is quantised must be so throughout.
        let free = replace || self.backend.packing_quantizes();
        if bytes == 0 || (!free && bytes > self.left) {
            return None;
        }
        if !free {
            self.left -= bytes;
        }
        Some(Choice {
            backward: self.copies,
            replace,
            bytes,
        })
    }
}

impl<R: Real> Model<R> {
    /// Packs frozen weights ahead for products on `backend`, one after the other; those that are trained stay as they are. Where what is
    /// packed does without the values, it takes their place; `budget` limits the bytes beyond that. If the backend rounds to bfloat16, a frozen
    /// embedding is kept in it. If it quantises, embeddings are looked up in the quantised table. Returns the bytes of what was packed. A model that was packed for one backend works on any other,
    /// slowly, with the values that the first one saw.
    pub fn pack<B: Backend<Real = R>>(
        &mut self,
        backend: &B,
        pack: PackFor,
        budget: usize,
    ) -> usize {
        let shapes: Vec<(usize, usize)> = self
            .linears()
            .map(|linear| (linear.weight.rows(), linear.weight.cols()))
            .collect();
        let mut packing = Packing::new(backend, pack, budget, shapes.into_iter());
        let mut taken = 0;
        let mut pack_one = |weight: &mut Weight<R>, keep: bool| {
            if weight.param().is_some() {
                return;
            }
            match packing.choose(weight.rows(), weight.cols(), keep) {
                Some(choice) => {
                    weight.pack(backend, choice.backward, choice.replace);
                    taken += choice.bytes;
                }
                None => weight.widen(),
            }
        };
        for linear in self.linears() {
            pack_one(&mut linear.weight, false);
        }
        match pack {
            // Its rows are looked up as well: in the file's precision, but in bytes where products take them so.
            PackFor::Forward => pack_one(&mut self.embedding, !backend.packing_quantizes()),
            // Training reads the embedding in the head's own blocks.
            PackFor::Training if backend.rounds_to_bf16() => self.embedding.narrow(),
            PackFor::Training => self.embedding.widen(),
        }
        taken
    }

    /// Bytes of the matrices that one step of cached decoding reads, as they are packed or stored: the decoder's linear maps, but not
    /// keys and values of cross-attention, which are computed once a sentence; and the whole head.
    #[must_use]
    pub fn decoder_step_bytes(&self) -> usize {
        let maps = self.decoder.layers.iter().flat_map(|layer| {
            let (own, cross, block) = (&layer.attention, &layer.cross, &layer.feed_forward);
            let attention = [&own.q, &own.k, &own.v, &own.out, &cross.q, &cross.out];
            attention.into_iter().chain([&block.fc1, &block.fc2])
        });
        let maps: usize = maps.map(|linear| linear.weight.product_bytes()).sum();
        maps + self.embedding.product_bytes()
    }

    fn linears(&mut self) -> impl Iterator<Item = &mut Linear<R>> {
        let encoder = self.encoder.layers.iter_mut().flat_map(|layer| {
            attention(&mut layer.attention).chain(feed_forward(&mut layer.feed_forward))
        });
        let decoder = self.decoder.layers.iter_mut().flat_map(|layer| {
            attention(&mut layer.attention)
                .chain(attention(&mut layer.cross))
                .chain(feed_forward(&mut layer.feed_forward))
        });
        encoder.chain(decoder)
    }
}

fn attention<R>(block: &mut AttentionBlock<R>) -> impl Iterator<Item = &mut Linear<R>> {
    [&mut block.q, &mut block.k, &mut block.v, &mut block.out].into_iter()
}

fn feed_forward<R>(block: &mut FeedForward<R>) -> impl Iterator<Item = &mut Linear<R>> {
    [&mut block.fc1, &mut block.fc2].into_iter()
}
