//! What a training step allocates. Alone in its binary: every thread's allocations are counted.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code)]
#[path = "all/tiny.rs"]
mod tiny;

use isogloss::adapter::{AdapterConfig, Sites};
use isogloss::model::{Context, ModelConfig};
use isogloss::optim::{Adam, AdamOptions};
use isogloss::params::{Gradients, ParamStore};
use isogloss_kernels::allocations::{Counting, during};
use isogloss_kernels::{Cpu, LabelSmoothing, Precision};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Activations, gradients and packed operands are taken from what earlier steps gave back, and what is to be done at a site is listed on the
/// stack. From the second step on there are only a list of layers for each side and the losses of tokens, which the caller keeps: so many
/// in all, however many sites.
const LISTS: usize = 5;

#[test]
fn a_training_step_reuses_the_memory_of_the_one_before() {
    let shape = ModelConfig {
        d_model: 64,
        encoder_ffn_dim: 96,
        decoder_ffn_dim: 80,
        ..tiny::config()
    };
    let adapter = AdapterConfig {
        rank: Some(3),
        sites: Sites::All,
        ..AdapterConfig::default()
    };
    let mut store = ParamStore::new();
    let adapters = tiny::adapters(&adapter, &shape, 0.3, &mut store);
    let model = tiny::frozen::<f32>(&shape);
    let directions = tiny::MIXED.repeat(12);
    let batch = tiny::batch(&model, &tiny::pairs(&shape, &directions));
    for precision in [Precision::F32, Precision::Bf16] {
        // With one thread everything runs where it is counted; with two, which scratch a task finds is up to chance.
        let cpu = Cpu::new(1).unwrap().with_precision(precision);
        let mut grads = Gradients::new(&store);
        let mut adam = Adam::new(AdamOptions::default(), &store);
        let mut step = |key: u64| {
            grads.clear();
            let cx = Context {
                backend: &cpu,
                store: &store,
                adapters: &adapters,
                dropout: Some(key),
            };
            let smoothing = LabelSmoothing::default();
            let loss = model.loss_and_gradients(&cx, &batch, smoothing, &mut grads);
            let norm = adam.step(&cpu, &mut store, &grads, 1e-6, 1.0 / loss.tokens as f64);
            assert!(norm.is_finite());
        };
        let activation = 4 * shape.d_model * batch.decoder.len();
        let first = during(|| step(1));
        if precision == Precision::F32 {
            // Nothing is there yet.
            assert!(first.largest >= activation, "{first:?}");
        }
        step(2);
        let third = during(|| step(3));
        let sites = adapters.banks.len();
        assert!(third.count <= LISTS, "{third:?} at {sites} sites");
        assert!(
            third.largest < activation / 2,
            "{third:?}, an activation takes {activation}"
        );
    }
}
