use isogloss_kernels::{AttentionShape, Backend, Buffer, Real, Span};

use crate::batch::Packed;
use crate::model::context::{Context, DropoutPlace, Grads};
use crate::model::linear::Linear;
use crate::model::norm::LayerNorm;

/// A pre-norm attention block with its residual: `x + dropout(out(attention(q(norm x), k(m), v(m))))`, where `m` is `norm x`
/// itself (self-attention) or the encoder's output (cross-attention).
#[derive(Debug, Clone)]
pub(crate) struct AttentionBlock<R> {
    pub norm: LayerNorm<R>,
    pub q: Linear<R>,
    pub k: Linear<R>,
    pub v: Linear<R>,
    pub out: Linear<R>,
    pub shape: AttentionShape,
    pub dropout: f32,
    pub attention_dropout: f32,
    pub place: DropoutPlace,
}

/// What the backward pass needs.
#[derive(Debug)]
pub(crate) struct AttentionSaved<R: Real> {
    x: Buffer<R>,
    stats: Buffer<R>,
    h: Buffer<R>,
    q: Buffer<R>,
    k: Buffer<R>,
    v: Buffer<R>,
    attended: Buffer<R>,
    lse: Buffer<R>,
}

/// The keys' side of a cross-attention: the encoder's output and whose rows they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory<'a, R> {
    pub states: &'a [R],
    pub rows: &'a Packed,
}

impl<R: Real> AttentionBlock<R> {
    /// Whether the block has parameters to train.
    pub fn trains<B: Backend<Real = R>>(&self, cx: &Context<'_, B>) -> bool {
        [&self.q, &self.k, &self.v, &self.out]
            .iter()
            .any(|linear| linear.trains(cx))
    }

    /// Adds the block to `x`; returns what the backward pass needs.
    pub fn forward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        spans: &[Span],
        memory: Option<Memory<'_, R>>,
        x: &mut [R],
    ) -> AttentionSaved<R> {
        let (h, stats) = self.norm.forward(cx, x);
        let q = self.q.forward(cx, rows, &h, false);
        let (keys, key_rows) = match memory {
            Some(memory) => (memory.states, memory.rows),
            None => (&h[..], rows),
        };
        let k = self.k.forward(cx, key_rows, keys, false);
        let v = self.v.forward(cx, key_rows, keys, false);
        let mut attended = Buffer::unset(q.len());
        let mut lse = Buffer::unset(rows.len() * self.shape.heads);
        let dropout = cx.dropout_at(self.attention_dropout, self.place);
        cx.backend.attention(
            self.shape,
            &q,
            &k,
            &v,
            spans,
            dropout,
            &mut attended,
            &mut lse,
        );
        let mut y = self.out.forward(cx, rows, &attended, false);
        if let Some(dropout) = cx.dropout_at(self.dropout, self.place.next()) {
            cx.backend
                .dropout(dropout, &rows.row_keys, self.out.weight.rows(), &mut y);
        }
        let saved = AttentionSaved {
            x: Buffer::copy_of(x),
            stats,
            h,
            q,
            k,
            v,
            attended,
            lse,
        };
        cx.backend.add(&y, x);
        saved
    }

    /// `dx` holds the gradient of the block's output and receives that of its input; `dmemory`, in cross-attention, is added to
    /// unless it isn't needed.
    pub fn backward<B: Backend<Real = R>>(
        &self,
        cx: &Context<'_, B>,
        rows: &Packed,
        spans: &[Span],
        memory: Option<Memory<'_, R>>,
        saved: &AttentionSaved<R>,
        dx: &mut [R],
        dmemory: Option<&mut [R]>,
        grads: Grads<'_, B>,
    ) {
        let mut dy = Buffer::copy_of(dx);
        if let Some(dropout) = cx.dropout_at(self.dropout, self.place.next()) {
            cx.backend
                .dropout(dropout, &rows.row_keys, self.out.weight.rows(), &mut dy);
        }
        let mut dattended = Buffer::zeroed(saved.attended.len());
        self.out
            .backward(cx, rows, &saved.attended, &dy, Some(&mut dattended), grads);
        let mut dq = Buffer::zeroed(saved.q.len());
        let mut dk = Buffer::zeroed(saved.k.len());
        let mut dv = Buffer::zeroed(saved.v.len());
        cx.backend.attention_backward(
            self.shape,
            &saved.q,
            &saved.k,
            &saved.v,
            &saved.attended,
            &saved.lse,
            &dattended,
            spans,
            cx.dropout_at(self.attention_dropout, self.place),
            &mut dq,
            &mut dk,
            &mut dv,
        );
        let mut dh = Buffer::zeroed(saved.h.len());
        self.q
            .backward(cx, rows, &saved.h, &dq, Some(&mut dh), grads);
        match memory {
            None => {
                self.k
                    .backward(cx, rows, &saved.h, &dk, Some(&mut dh), grads);
                self.v
                    .backward(cx, rows, &saved.h, &dv, Some(&mut dh), grads);
            }
            Some(Memory { states, rows }) => {
                let mut dmemory = dmemory;
                self.k
                    .backward(cx, rows, states, &dk, dmemory.as_deref_mut(), grads);
                self.v.backward(cx, rows, states, &dv, dmemory, grads);
            }
        }
        self.norm
            .backward(cx, &saved.x, &saved.stats, &dh, dx, grads);
    }
}
