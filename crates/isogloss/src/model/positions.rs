use isogloss_kernels::Real;

use crate::graph::ModelConfig;

/// Sinusoidal positions, `(max_position_embeddings + pad + 1, D)`: row `p` holds `sin(p f_i)` for all `i`, then `cos(p f_i)`, with
/// `f_i = exp(-i ln(10000) / (D / 2 - 1))`, and zero in the last column of an odd width. A sentence's first token has row
/// `pad_token_id + 1`; the row of the pad is never used (as `M2M100SinusoidalPositionalEmbedding` in transformers).
/// [`MAX_POSITIONS`](crate::graph::MAX_POSITIONS) bounds it.
pub(super) fn table<R: Real>(config: &ModelConfig) -> Vec<R> {
    let (d, half) = (config.d_model, config.d_model / 2);
    let rows = config.max_position_embeddings + config.pad_token_id as usize + 1;
    let step = 10_000f64.ln() / (half as f64 - 1.0);
    let mut table = vec![R::zero(); rows * d];
    for (p, row) in table.chunks_exact_mut(d).enumerate() {
        for i in 0..half {
            let angle = p as f64 * (-(i as f64) * step).exp();
            row[i] = R::from_f64(angle.sin()).unwrap_or_default();
            row[half + i] = R::from_f64(angle.cos()).unwrap_or_default();
        }
    }
    table
}
