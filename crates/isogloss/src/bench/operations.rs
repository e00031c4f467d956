use crate::model::ModelConfig;

/// Weights of the linear maps that read a source token and a target token: (encoder's, cross-attention's keys and values over the
/// encoder's states), (the rest of the decoder's and the head's).
fn weights(model: &ModelConfig) -> (usize, usize, usize) {
    let d = model.d_model;
    let encoder = model.encoder_layers * (4 * d * d + 2 * d * model.encoder_ffn_dim);
    let cross = model.decoder_layers * 2 * d * d;
    let decoder = model.decoder_layers * (6 * d * d + 2 * d * model.decoder_ffn_dim);
    (encoder + cross, decoder, d * model.vocab_size)
}

/// Floating-point operations of a training step: linear maps and head, twice their weights a token, once forward, once for the
/// gradient of what goes in, and once more for the gradient of the weights with `full`. Attention, updates, norms and the
/// optimiser aren't counted, so a share of the ceiling that is computed from this is a little too low.
#[must_use]
pub fn step_operations(model: &ModelConfig, source: usize, target: usize, full: bool) -> f64 {
    let (encoder, decoder, head) = weights(model);
    let once = encoder as f64 * source as f64 + (decoder + head) as f64 * target as f64;
    2.0 * once * if full { 3.0 } else { 2.0 }
}

/// Floating-point operations of decoding: linear maps of the encoder once for each source token, of decoder and head for each
/// token and hypothesis. Attention and updates aren't counted.
#[must_use]
pub fn decoding_operations(model: &ModelConfig, source: usize, target: usize, beam: usize) -> f64 {
    let (encoder, decoder, head) = weights(model);
    2.0 * (encoder as f64 * source as f64 + (decoder + head) as f64 * (target * beam) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(d: usize, layers: usize, vocab_size: usize) -> ModelConfig {
        ModelConfig {
            d_model: d,
            encoder_layers: layers,
            decoder_layers: layers,
            encoder_ffn_dim: 4 * d,
            decoder_ffn_dim: 4 * d,
            vocab_size,
            ..crate::config::ShapeConfig::default().model(vocab_size, 0.0, 0.0)
        }
    }

    /// The counts that the project's yardsticks were stated with: 124 and 495 thousand million a step.
    #[test]
    fn steps_of_the_yardsticks() {
        let small = step_operations(&shape(512, 6, 32_000), 512, 512, false);
        assert!((small / 1e9 - 124.0).abs() < 1.0, "{small}");
        let large = step_operations(&shape(1024, 12, 128_112), 256, 256, false);
        assert!((large / 1e9 - 495.0).abs() < 2.0, "{large}");
    }

    #[test]
    fn weights_that_are_trained_cost_half_as_much_again() {
        let model = shape(64, 2, 100);
        let of = |full| step_operations(&model, 30, 40, full);
        assert_eq!(of(true), 1.5 * of(false));
        let one = decoding_operations(&model, 30, 40, 1);
        assert_eq!(2.0 * one, of(false));
        assert!(decoding_operations(&model, 30, 40, 5) > 3.0 * one);
    }
}
