use isogloss_kernels::{Backend, Real};

use crate::model::Model;
use crate::model::attention::AttentionBlock;
use crate::model::feed_forward::FeedForward;
use crate::model::linear::Linear;
use crate::model::weight::Weight;

/// What weights are packed ahead for. Packing costs a pass over the weights and as much memory as they take in the precision of
/// products; results have the same bits as without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackFor {
    /// Forward passes: encoding, decoding, scoring. Linear maps and head, one copy.
    Forward,
    /// Training beside a frozen base: the linear maps, one copy for the forward and one for the backward pass.
    Training,
}

impl<R: Real> Model<R> {
    /// Packs frozen weights ahead for products on `backend`, one after the other as long as they fit in `budget` bytes; those that are
    /// trained stay as they are. Returns the bytes that it took. A model that was packed for one backend works on any other, as if it
    /// weren't.
    pub fn pack<B: Backend<Real = R>>(
        &mut self,
        backend: &B,
        pack: PackFor,
        budget: usize,
    ) -> usize {
        let backward = pack == PackFor::Training;
        let mut taken = 0;
        let mut pack_one = |weight: &mut Weight<R>| {
            let bytes = backend.packed_bytes(weight.rows(), weight.cols(), backward);
            if weight.param().is_none() && taken + bytes <= budget {
                weight.pack(backend, backward);
                taken += bytes;
            }
        };
        for linear in self.linears() {
            pack_one(&mut linear.weight);
        }
        // Training reads the embedding in the head's own blocks.
        if pack == PackFor::Forward {
            pack_one(&mut self.embedding);
        }
        taken
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
