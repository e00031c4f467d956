use rand::SeedableRng;
use rand::distr::Distribution;
use rand_chacha::ChaCha8Rng;

use crate::graph::ModelConfig;
use crate::model::tensor::{Storage, Tensor};
use crate::params::uniform;

/// Fresh weights for training from scratch, as fairseq starts a transformer: the embedding normal with deviation `D^-0.5` (so
/// that a scaled embedding and a logit of the tied head both start near unit variance) with a zero row for the pad, linear
/// maps Xavier-uniform (query, key and value maps of attention divided by `sqrt 2`), biases zero, layer norms one and zero.
///
/// The same seed gives the same weights on every machine, up to the last bit of the library's `ln` and `cos`.
///
/// # Panics
/// If the vocabulary has no row for the pad.
#[must_use]
pub fn initial_tensors(config: &ModelConfig, seed: u64) -> Vec<Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shapes = config.tensor_shapes();
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let values = initial_values(config, &name, &shape, &mut rng);
        Tensor {
            name,
            shape,
            storage: Storage::F32(values),
        }
    };
    shapes.into_iter().map(tensor).collect()
}

fn initial_values(
    config: &ModelConfig,
    name: &str,
    shape: &[usize],
    rng: &mut ChaCha8Rng,
) -> Vec<f32> {
    let len = shape.iter().product();
    match *shape {
        _ if name == "shared.weight" => {
            let deviation = (config.d_model as f64).powf(-0.5);
            let mut values = normal(len, deviation, rng);
            let pad = config.pad_token_id as usize * config.d_model;
            values[pad..pad + config.d_model].fill(0.0);
            values
        }
        [outputs, inputs] => {
            let gain =
                match name.contains("q_proj") || name.contains("k_proj") || name.contains("v_proj")
                {
                    true => 0.5f64.sqrt(),
                    false => 1.0,
                };
            let bound = (gain * (6.0 / (outputs + inputs) as f64).sqrt()) as f32;
            uniform(len, bound, rng)
        }
        _ if name.contains("layer_norm.weight") => vec![1.0; len],
        _ => vec![0.0; len],
    }
}

/// Normal values by the Box-Muller transform (exact, and the same on every machine up to the library's `ln` and `cos`).
fn normal(len: usize, deviation: f64, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let unit = rand::distr::StandardUniform;
    let draw = |_| {
        let (u, v): (f64, f64) = (unit.sample(rng), unit.sample(rng));
        let radius = (-2.0 * (1.0 - u).ln()).sqrt();
        (deviation * radius * (std::f64::consts::TAU * v).cos()) as f32
    };
    (0..len).map(draw).collect()
}
