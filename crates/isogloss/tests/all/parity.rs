//! Parity with transformers: states, logits, loss, every gradient, five updates of Adam. In `f32` to 1e-5, in `f64` to 1e-9,
//! from bfloat16 weights to 1e-2, relative to the largest value of the tensor.

use isogloss::adapter::Adapters;
use isogloss::batch::Batch;
use isogloss::model::{Context, Model, ModelConfig, ModelError, Storage, Tensor};
use isogloss::optim::{Adam, AdamOptions};
use isogloss::params::{Gradients, ParamStore};
use isogloss_kernels::{
    Backend, Cpu, KernelPath, LabelSmoothing, Precision, Real, Reference, SmoothingKind,
};

use crate::golden::{self, Arrays, Pairs, adapters, difference, in_packed_order};

const UNIFORM: LabelSmoothing = LabelSmoothing {
    eps: 0.1,
    kind: SmoothingKind::Uniform,
};

fn context<'a, B: Backend>(
    backend: &'a B,
    store: &'a ParamStore<B::Real>,
    adapters: &'a Adapters,
) -> Context<'a, B> {
    Context {
        backend,
        store,
        adapters,
        dropout: None,
    }
}

fn check<R: Real>(what: &str, got: &[R], expected: &[f64], tolerance: f64) {
    let difference = difference(got, expected);
    println!("{what}: {difference:.1e}");
    assert!(
        difference < tolerance,
        "{what}: relative difference {difference:.2e}"
    );
}

fn forward<B: Backend>(backend: &B, folder: &str, arrays: &str, json: &str, tolerance: f64) {
    let (config, tensors) = golden::model(folder);
    let store = ParamStore::new();
    let model = Model::<B::Real>::new(&config, tensors, None).unwrap();
    let none = Adapters::default();
    let cx = context(backend, &store, &none);
    let (arrays, json, pairs) = (Arrays::read(arrays), golden::json(json), Pairs::read());
    let batch = pairs.batch(model.layout());
    if !arrays.names("encoder_states").is_empty() {
        let lengths: Vec<usize> = pairs.sources.iter().map(Vec::len).collect();
        let expected =
            in_packed_order(arrays.get("encoder_states"), &lengths, &batch.encoder_place);
        check(
            "encoder states",
            &model.encode(&cx, &batch.encoder),
            &expected,
            tolerance,
        );
    }
    let lengths: Vec<usize> = pairs.labels.iter().map(Vec::len).collect();
    let expected = in_packed_order(arrays.get("logits"), &lengths, &batch.decoder_place);
    let logits = model.logits(&cx, &model.decode(&cx, &batch));
    check("logits", &logits, &expected, tolerance);
    for (kind, name) in [
        (SmoothingKind::Uniform, "uniform"),
        (SmoothingKind::Fairseq, "fairseq"),
    ] {
        let loss = model.loss(&cx, &batch, LabelSmoothing { eps: 0.1, kind });
        let expected = json[format!("loss_sum_{name}")].as_f64().unwrap();
        check(name, &[loss.loss], &[expected], tolerance);
        check(
            "nll",
            &[loss.nll],
            &[json["nll_sum"].as_f64().unwrap()],
            tolerance,
        );
        assert_eq!(loss.tokens, batch.target_tokens());
    }
}

#[test]
fn forward_equals_transformers() {
    forward(
        &Reference::<f64>::new(),
        "model",
        "golden.safetensors",
        "golden.json",
        1e-7,
    );
    forward(
        &Reference::<f32>::new(),
        "model",
        "golden.safetensors",
        "golden.json",
        1e-5,
    );
}

#[test]
fn forward_from_bf16_weights_equals_transformers() {
    let (arrays, json) = ("golden-bf16.safetensors", "golden-bf16.json");
    forward(&Reference::<f32>::new(), "model-bf16", arrays, json, 1e-5);
}

/// Five updates; returns the losses per token before each and after the last.
fn five_updates<B: Backend>(
    backend: &B,
    model: &Model<B::Real>,
    store: &mut ParamStore<B::Real>,
    adapters: &Adapters,
    batch: &Batch,
) -> Vec<f64> {
    let mut grads = Gradients::new(store);
    let mut adam = Adam::new(AdamOptions::default(), store);
    let mut losses = Vec::new();
    for _ in 0..5 {
        grads.clear();
        let cx = context(backend, store, adapters);
        let loss = model.loss_and_gradients(&cx, batch, UNIFORM, &mut grads);
        losses.push(loss.loss / loss.tokens as f64);
        adam.step(backend, store, &grads, 3e-3, 1.0 / loss.tokens as f64);
    }
    let loss = model.loss(&context(backend, store, adapters), batch, UNIFORM);
    losses.push(loss.loss / loss.tokens as f64);
    losses
}

fn full<B: Backend>(backend: &B, tolerance: f64) {
    let (config, tensors) = golden::model("model");
    let mut store = ParamStore::new();
    let model = Model::<B::Real>::new(&config, tensors, Some(&mut store)).unwrap();
    let none = Adapters::default();
    let (arrays, json, pairs) = (
        Arrays::read("golden.safetensors"),
        golden::json("golden.json"),
        Pairs::read(),
    );
    let batch = pairs.batch(model.layout());
    let mut grads = Gradients::new(&store);
    let cx = context(backend, &store, &none);
    let _ = model.loss_and_gradients(&cx, &batch, UNIFORM, &mut grads);
    let names = arrays.names("grad.");
    assert_eq!(
        names.len(),
        store.params().len(),
        "a gradient for every tensor"
    );
    let scale = names
        .iter()
        .flat_map(|n| arrays.get(&format!("grad.{n}")))
        .fold(0f64, |m, x| m.max(x.abs()));
    for name in names {
        let id = store.find(&name).unwrap();
        let expected = arrays.get(&format!("grad.{name}"));
        // Gradients that are zero in exact arithmetic (a key's bias) are noise: measure those against the whole.
        let largest = expected.iter().fold(0f64, |m, x| m.max(x.abs()));
        let got = grads.of(&store, id);
        if largest > 1e-9 * scale {
            check(&name, got, expected, tolerance);
        } else {
            assert!(
                got.iter().all(|g| g.f64().abs() < tolerance * scale),
                "{name}"
            );
        }
    }
    let losses = five_updates(backend, &model, &mut store, &none, &batch);
    let expected: Vec<f64> = serde_json::from_value(json["full"]["adam_losses"].clone()).unwrap();
    check("losses of five updates", &losses, &expected, tolerance);
}

#[test]
fn full_fine_tuning_equals_transformers() {
    full(&Reference::<f64>::new(), 1e-6);
    full(&Reference::<f32>::new(), 1e-5);
}

fn lora<B: Backend>(backend: &B, tolerance: f64) {
    let (config, tensors) = golden::model("model");
    let model = Model::<B::Real>::new(&config, tensors, None).unwrap();
    let (arrays, json, pairs) = (
        Arrays::read("golden.safetensors"),
        golden::json("golden.json"),
        Pairs::read(),
    );
    let mut store = ParamStore::new();
    let banks = adapters(&arrays, "lora.", &mut store);
    let batch = pairs.batch(model.layout());
    let mut grads = Gradients::new(&store);
    let cx = context(backend, &store, &banks);
    let loss = model.loss_and_gradients(&cx, &batch, UNIFORM, &mut grads);
    check(
        "loss",
        &[loss.loss],
        &[json["lora"]["loss_sum_uniform"].as_f64().unwrap()],
        tolerance,
    );
    for name in arrays.names("lora_grad.") {
        let id = store.find(&name).unwrap();
        check(
            &name,
            grads.of(&store, id),
            arrays.get(&format!("lora_grad.{name}")),
            tolerance,
        );
    }
    let losses = five_updates(backend, &model, &mut store, &banks, &batch);
    let expected: Vec<f64> = serde_json::from_value(json["lora"]["adam_losses"].clone()).unwrap();
    check("losses of five updates", &losses, &expected, tolerance);
    for name in arrays.names("lora_after.") {
        let id = store.find(&name).unwrap();
        // Adam moves an entry whose gradient is rounding noise as far as any other, so f32 strays there; f64 shows the truth.
        let expected = arrays.get(&format!("lora_after.{name}"));
        let distance = golden::distance(store.get(id), expected);
        assert!(
            distance < 30.0 * tolerance,
            "{name} after five updates: {distance:.2e}"
        );
    }
}

#[test]
fn language_specific_lora_equals_transformers() {
    lora(&Reference::<f64>::new(), 1e-6);
    lora(&Reference::<f32>::new(), 1e-5);
}

/// Tolerance of products of bfloat16: their factors carry 8 bits.
const BF16: f64 = 1e-2;

/// A backend for each path that the machine has.
fn cpus(precision: Precision) -> impl Iterator<Item = Cpu> {
    let cpu = move |path| Cpu::with_path(2, path).unwrap().with_precision(precision);
    KernelPath::available().map(cpu)
}

#[test]
fn every_kernel_path_equals_transformers() {
    let (arrays, json) = ("golden-bf16.safetensors", "golden-bf16.json");
    for cpu in cpus(Precision::F32) {
        println!("{cpu:?}");
        forward(&cpu, "model", "golden.safetensors", "golden.json", 1e-5);
        forward(&cpu, "model-bf16", arrays, json, 1e-5);
        full(&cpu, 1e-5);
        lora(&cpu, 1e-5);
    }
}

#[test]
fn every_kernel_path_is_near_transformers_in_bf16() {
    let (arrays, json) = ("golden-bf16.safetensors", "golden-bf16.json");
    for cpu in cpus(Precision::Bf16) {
        println!("{cpu:?}");
        forward(&cpu, "model-bf16", arrays, json, BF16);
    }
}

/// Tensors and configurations that a caller made up are refused before anything of their size is made.
#[test]
fn what_makes_no_model_is_an_error() {
    let message = |change: &dyn Fn(&mut ModelConfig, &mut Vec<Tensor>)| {
        let (mut config, mut tensors) = golden::model("model");
        change(&mut config, &mut tensors);
        let error: ModelError = Model::<f32>::new(&config, tensors, None).unwrap_err();
        error.to_string()
    };
    let far = message(&|config, _| config.max_position_embeddings = usize::MAX);
    assert!(
        far.contains("`max_position_embeddings`") && far.contains("at most 16384"),
        "{far}"
    );
    let pad = message(&|config, _| config.pad_token_id = u32::MAX);
    assert!(pad.contains("`pad_token_id`"), "{pad}");
    let heads = message(&|config, _| config.encoder_attention_heads = 0);
    assert!(heads.contains("`encoder_attention_heads` is 0"), "{heads}");
    let few = message(&|_, tensors| tensors[1].storage = Storage::F32(vec![0.0; 3]));
    assert!(few.contains("holds 3 values"), "{few}");
    let missing = message(&|_, tensors| drop(tensors.pop()));
    assert!(missing.contains("is missing"), "{missing}");
}
