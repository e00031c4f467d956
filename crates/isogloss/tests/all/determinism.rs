//! What must not change a result: the rest of the batch, the number of threads, languages that rest.

use isogloss::adapter::{AdapterConfig, Adapters};
use isogloss::batch::Batch;
use isogloss::model::{BatchLoss, Context, Model, ModelConfig, PackFor};
use isogloss::optim::{Adam, AdamOptions};
use isogloss::params::{Gradients, ParamStore};
use isogloss_kernels::{
    Backend, Cpu, KernelPath, LabelSmoothing, Precision, Real, Reference, SmoothingKind,
};

use crate::tiny::{self, Pair};

const SMOOTHING: LabelSmoothing = LabelSmoothing {
    eps: 0.1,
    kind: SmoothingKind::Uniform,
};

/// Large enough for products and vocabulary to be cut into several tiles.
fn config() -> ModelConfig {
    ModelConfig {
        d_model: 48,
        encoder_ffn_dim: 160,
        decoder_ffn_dim: 144,
        vocab_size: 1300,
        ..tiny::config()
    }
}

fn whole() -> AdapterConfig {
    AdapterConfig {
        alpha: Some(3.0),
        encoder_target_from: Some(1),
        ..AdapterConfig::default()
    }
}

fn run<B: Backend>(
    backend: &B,
    model: &Model<B::Real>,
    store: &ParamStore<B::Real>,
    adapters: &Adapters,
    batch: &Batch,
    dropout: Option<u64>,
) -> (BatchLoss, Gradients<B::Real>) {
    let cx = Context {
        backend,
        store,
        adapters,
        dropout,
    };
    let mut grads = Gradients::new(store);
    let loss = model.loss_and_gradients(&cx, batch, SMOOTHING, &mut grads);
    (loss, grads)
}

/// The labels' likelihoods of each sentence, in the order in which the sentences were given.
fn by_sentence(batch: &Batch, loss: &BatchLoss) -> Vec<Vec<u32>> {
    let of = |&place: &usize| {
        let span = batch.decoder.spans[place];
        let rows = &loss.token_nll[span.q_start..span.q_start + span.q_len];
        rows.iter().map(|x| x.to_bits()).collect()
    };
    batch.decoder_place.iter().map(of).collect()
}

/// A mixed batch is its sentences alone: each label's likelihood to the bit, the gradients in their sum.
fn mixed_equals_alone<B: Backend + std::fmt::Debug>(
    backend: &B,
    dropout: Option<u64>,
    tolerance: f64,
) {
    let config = config();
    let model = tiny::frozen::<B::Real>(&config);
    let mut store = ParamStore::new();
    let adapters = tiny::adapters(&whole(), &config, 0.2, &mut store);
    let pairs = tiny::pairs(&config, &tiny::MIXED);
    let alone: Vec<_> = pairs
        .chunks(1)
        .map(|pair| {
            let batch = tiny::batch(&model, pair);
            let (loss, grads) = run(backend, &model, &store, &adapters, &batch, dropout);
            (by_sentence(&batch, &loss).remove(0), loss.loss, grads)
        })
        .collect();
    let batch = tiny::batch(&model, &pairs);
    let (loss, grads) = run(backend, &model, &store, &adapters, &batch, dropout);
    for (i, (mixed, alone)) in by_sentence(&batch, &loss).iter().zip(&alone).enumerate() {
        assert_eq!(mixed, &alone.0, "sentence {i}, {backend:?}");
    }
    let sum: f64 = alone.iter().map(|a| a.1).sum();
    assert!((loss.loss - sum).abs() < tolerance * sum);
    let mut summed = vec![0.0; store.values().len()];
    for (_, _, grads) in &alone {
        let values = grads.values().iter();
        summed
            .iter_mut()
            .zip(values)
            .for_each(|(s, g)| *s += g.f64());
    }
    for param in store.params() {
        let (got, expected) = (
            &grads.values()[param.range.clone()],
            &summed[param.range.clone()],
        );
        // An idle language's gradients are zero in either.
        let difference = crate::golden::difference(got, expected);
        let zero = expected.iter().all(|&x| x == 0.0) && got.iter().all(|x| x.f64() == 0.0);
        assert!(
            zero || difference < tolerance,
            "{}: {difference:.1e}",
            param.name
        );
    }
}

#[test]
fn a_mixed_batch_is_its_sentences_alone() {
    for dropout in [None, Some(21)] {
        mixed_equals_alone(&Reference::<f64>::new(), dropout, 1e-12);
        for path in KernelPath::available() {
            for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::Bf16, 3e-2)] {
                let cpu = Cpu::with_path(2, path).unwrap().with_precision(precision);
                mixed_equals_alone(&cpu, dropout, tolerance);
            }
        }
    }
}

/// Sentences in another order, or twice in a batch, are the same sentences.
#[test]
fn the_order_of_a_batch_changes_no_sentence() {
    let config = config();
    let model = tiny::frozen::<f32>(&config);
    let mut store = ParamStore::new();
    let adapters = tiny::adapters(&whole(), &config, 0.2, &mut store);
    let cpu = Cpu::new(2).unwrap();
    let pairs = tiny::pairs(&config, &tiny::MIXED);
    let sentences = |order: &[usize]| {
        let sentences: Vec<_> = order.iter().map(|&i| pairs[i].sentence()).collect();
        let batch = Batch::new(&sentences, model.layout());
        let loss = run(&cpu, &model, &store, &adapters, &batch, Some(3)).0;
        by_sentence(&batch, &loss)
    };
    let straight = sentences(&[0, 1, 2, 3, 4, 5, 6]);
    let order = [6, 3, 3, 0, 5, 4, 1, 2];
    for (bits, i) in sentences(&order).iter().zip(order) {
        assert_eq!(bits, &straight[i]);
    }
}

#[test]
fn an_update_of_zeros_is_the_base() {
    let config = config();
    let model = tiny::frozen::<f32>(&config);
    let mut store = ParamStore::new();
    let adapters = tiny::adapters(&whole(), &config, 0.0, &mut store);
    let batch = tiny::batch(&model, &tiny::pairs(&config, &tiny::MIXED));
    for path in KernelPath::available() {
        for precision in [Precision::F32, Precision::Bf16] {
            let cpu = Cpu::with_path(2, path).unwrap().with_precision(precision);
            for dropout in [None, Some(4)] {
                let adapted = run(&cpu, &model, &store, &adapters, &batch, dropout).0;
                let none = Adapters::default();
                let base = run(&cpu, &model, &store, &none, &batch, dropout).0;
                assert_eq!(
                    by_sentence(&batch, &adapted),
                    by_sentence(&batch, &base),
                    "{cpu:?}"
                );
                assert_eq!(adapted.loss.to_bits(), base.loss.to_bits(), "{cpu:?}");
            }
        }
    }
}

fn bits<'a>(x: impl IntoIterator<Item = &'a f32>) -> Vec<u32> {
    x.into_iter().map(|x| x.to_bits()).collect()
}

/// Loss, gradients and norm of five updates, and the values after them.
fn five_updates(cpu: &Cpu, full: bool, packed: bool) -> Vec<Vec<u32>> {
    let config = config();
    let mut store = ParamStore::new();
    let (mut model, adapters) = match full {
        true => {
            let tensors = tiny::tensors(&config);
            let model = Model::new(&config, tensors, Some(&mut store)).unwrap();
            (model, Adapters::default())
        }
        false => {
            let adapters = tiny::adapters(&whole(), &config, 0.2, &mut store);
            (tiny::frozen(&config), adapters)
        }
    };
    if packed {
        let taken = model.pack(cpu, PackFor::Training, usize::MAX);
        assert_eq!(taken > 0, !full);
    }
    let directions: Vec<[u16; 2]> = tiny::MIXED.into_iter().cycle().take(20).collect();
    let batch = tiny::batch(&model, &tiny::pairs(&config, &directions));
    let options = AdamOptions {
        clip_norm: 0.5,
        ..AdamOptions::default()
    };
    let mut adam = Adam::new(options, &store);
    let mut seen = Vec::new();
    for update in 0..5 {
        let (loss, grads) = run(cpu, &model, &store, &adapters, &batch, Some(update));
        let norm = adam.step(cpu, &mut store, &grads, 1e-3, 1.0 / loss.tokens as f64);
        seen.push(bits(&loss.token_nll));
        seen.push(bits(grads.values()));
        seen.push(bits(&[loss.loss as f32, norm as f32]));
    }
    seen.push(bits(store.values()));
    seen
}

/// With three threads, weights are packed ahead as well: that changes nothing either, except that a bf16 backend then reads the
/// embedding in bf16.
#[test]
fn the_number_of_threads_changes_no_bit_of_five_updates() {
    for full in [false, true] {
        for path in KernelPath::available() {
            for precision in [Precision::F32, Precision::Bf16] {
                let cpu = |threads| {
                    Cpu::with_path(threads, path)
                        .unwrap()
                        .with_precision(precision)
                };
                let plain = five_updates(&cpu(1), full, false);
                let packed = match precision {
                    Precision::Bf16 => five_updates(&cpu(1), full, true),
                    _ => plain.clone(),
                };
                for (threads, one) in [(2, &plain), (3, &packed)] {
                    let more = five_updates(&cpu(threads), full, threads == 3);
                    for (i, (more, one)) in more.iter().zip(one).enumerate() {
                        assert!(
                            more == one,
                            "record {i}: {path:?}, {precision:?}, {threads} threads"
                        );
                    }
                }
            }
        }
    }
}

/// A language that takes no part keeps its values, its moments and its count of steps: each language moves as if Adam had
/// seen its own updates only.
#[test]
fn an_idle_language_rests() {
    let config = tiny::config();
    let model = tiny::frozen::<f32>(&config);
    let mut store = ParamStore::new();
    let adapters = tiny::adapters(&whole(), &config, 0.2, &mut store);
    let cpu = Cpu::new(1).unwrap();
    let pairs = |directions: &[[u16; 2]]| -> Vec<Pair> { tiny::pairs(&config, directions) };
    // Languages 0 and 1, then 0 and 2, then 1 and 2, …; the fourth never.
    let plan = [[0, 1], [0, 2], [1, 2], [0, 1], [2, 0], [1, 0], [1, 2]];
    let mut adam = Adam::new(AdamOptions::default(), &store);
    let mut own: Vec<(ParamStore<f32>, Adam<f32>)> = (0..4)
        .map(|group| {
            let range = store.groups()[group].range.clone();
            let mut alone = ParamStore::new();
            alone.begin_group("alone");
            alone.push("values", &[range.len()], &store.values()[range]);
            let adam = Adam::new(AdamOptions::default(), &alone);
            (alone, adam)
        })
        .collect();
    for (update, direction) in plan.into_iter().enumerate() {
        let batch = tiny::batch(&model, &pairs(&[direction, direction]));
        let (loss, grads) = run(&cpu, &model, &store, &adapters, &batch, None);
        let (rate, scale) = (0.01 / (update + 1) as f32, 1.0 / loss.tokens as f64);
        let _ = adam.step(&cpu, &mut store, &grads, rate, scale);
        for (group, (alone, adam)) in own.iter_mut().enumerate() {
            let takes_part = direction.contains(&(group as u16));
            assert_eq!(grads.used()[group], takes_part);
            if takes_part {
                let mut replayed = Gradients::new(alone);
                let id = alone.find("values").unwrap();
                let range = store.groups()[group].range.clone();
                replayed
                    .of(alone, id)
                    .copy_from_slice(&grads.values()[range]);
                let _ = adam.step(&cpu, alone, &replayed, rate, scale);
            }
        }
        let (first, second, steps) = adam.state();
        for (group, (alone, own)) in own.iter().enumerate() {
            let range = store.groups()[group].range.clone();
            let (own_first, own_second, own_steps) = own.state();
            assert_eq!(bits(&store.values()[range.clone()]), bits(alone.values()));
            assert_eq!(bits(&first[range.clone()]), bits(own_first));
            assert_eq!(bits(&second[range]), bits(own_second));
            assert_eq!(steps[group], own_steps[0], "update {update}, group {group}");
        }
    }
    assert_eq!(adam.state().2, [5, 5, 4, 0]);
}
