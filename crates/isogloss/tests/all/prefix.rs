//! Encoder states below the lowest adapted layer, kept from epoch to epoch: nothing changes but the work.

use std::path::Path;

use isogloss::adapter::{AdapterConfig, Adapters, Projection, Sites, Stack};
use isogloss::config::TrainConfig;
use isogloss::model::{Context, ModelConfig, PrefixCache};
use isogloss::params::{Gradients, ParamStore};
use isogloss_kernels::{Backend, Cpu, LabelSmoothing, Precision, Reference};
use tempfile::TempDir;

use crate::tiny;
use crate::training::{config, events, interrupted, left, train};

fn shape() -> ModelConfig {
    ModelConfig {
        encoder_layers: 3,
        dropout: 0.0,
        attention_dropout: 0.0,
        activation_dropout: 0.0,
        ..tiny::config()
    }
}

/// Updates everywhere but in the lowest encoder layers.
fn adapters_above<R: isogloss_kernels::Real>(layers: usize, store: &mut ParamStore<R>) -> Adapters {
    let config = AdapterConfig {
        rank: Some(2),
        ..AdapterConfig::default()
    };
    let mut adapters = tiny::adapters(&config, &shape(), 0.3, store);
    let above =
        |site: &isogloss::adapter::Site| site.stack == Stack::Decoder || site.layer >= layers;
    adapters.banks.retain(|site, _| above(site));
    adapters
}

/// Two passes over batches that share sentences, with so many layers and bytes kept: losses and gradients are the same to the bit.
/// Returns the cache.
fn same_bits<B: Backend>(backend: &B, layers: usize, limit: usize) -> PrefixCache<B::Real>
where
    B::Real: PartialEq + std::fmt::Debug,
{
    let shape = shape();
    let model = tiny::frozen::<B::Real>(&shape);
    let mut store = ParamStore::new();
    let adapters = adapters_above(layers, &mut store);
    let pairs = tiny::pairs(&shape, &tiny::MIXED);
    let again: Vec<_> = tiny::pairs(&shape, &tiny::MIXED)
        .into_iter()
        .chain(tiny::pairs(&shape, &tiny::MIXED[..3]))
        .collect();
    let mut cache = PrefixCache::new(layers, limit);
    for (pass, pairs) in [&pairs[..4], &again[..], &again[2..], &pairs[..]]
        .iter()
        .enumerate()
    {
        let batch = tiny::batch(&model, pairs);
        let cx = Context {
            backend,
            store: &store,
            adapters: &adapters,
            dropout: Some(pass as u64),
        };
        let smoothing = LabelSmoothing::default();
        let mut expected = Gradients::new(&store);
        let loss = model.loss_and_gradients(&cx, &batch, smoothing, &mut expected);
        let mut got = Gradients::new(&store);
        let reused =
            model.loss_and_gradients_reusing(&cx, &batch, smoothing, Some(&mut cache), &mut got);
        assert_eq!(reused, loss, "{layers} layers, {limit} bytes, pass {pass}");
        assert_eq!(
            got.values(),
            expected.values(),
            "{layers} layers, {limit} bytes, pass {pass}"
        );
        assert!(cache.bytes() <= limit);
    }
    cache
}

/// Tokens of the source sides of all pairs, which all differ.
fn source_tokens() -> u64 {
    let model = tiny::frozen::<f32>(&shape());
    let batch = tiny::batch(&model, &tiny::pairs(&shape(), &tiny::MIXED));
    batch.encoder.len() as u64
}

#[test]
fn kept_states_leave_the_same_bits() {
    for layers in 0..=3 {
        for precision in [Precision::F32, Precision::Bf16] {
            let cpu = Cpu::new(2).unwrap().with_precision(precision);
            let cache = same_bits(&cpu, layers, usize::MAX);
            assert_eq!(cache.len(), tiny::MIXED.len());
            // Each sentence goes through the lower layers once.
            assert_eq!(cache.computed(), source_tokens());
        }
    }
    let cache = same_bits(&Reference::<f64>::new(), 2, usize::MAX);
    assert_eq!(cache.computed(), source_tokens());
}

#[test]
fn what_does_not_fit_is_computed_anew() {
    let cpu = Cpu::new(1).unwrap();
    let whole = same_bits(&cpu, 2, usize::MAX);
    for limit in [0, 1, whole.bytes() / 2, whole.bytes() - 1] {
        let cache = same_bits(&cpu, 2, limit);
        assert_eq!(cache.is_empty(), limit <= 1);
        assert!(cache.len() < whole.len() && cache.computed() > whole.computed());
    }
    let exact = same_bits(&cpu, 2, whole.bytes());
    assert_eq!(
        (exact.len(), exact.computed()),
        (whole.len(), whole.computed())
    );
}

#[test]
#[should_panic(expected = "states of layers that are trained")]
fn layers_that_are_trained_are_not_kept() {
    let shape = shape();
    let model = tiny::frozen::<f32>(&shape);
    let mut store = ParamStore::new();
    let adapters = adapters_above(1, &mut store);
    let batch = tiny::batch(&model, &tiny::pairs(&shape, &tiny::MIXED));
    let cx = Context {
        backend: &Reference::<f32>::new(),
        store: &store,
        adapters: &adapters,
        dropout: None,
    };
    let mut grads = Gradients::new(&store);
    let mut cache = PrefixCache::new(2, usize::MAX);
    let smoothing = LabelSmoothing::default();
    let _ = model.loss_and_gradients_reusing(&cx, &batch, smoothing, Some(&mut cache), &mut grads);
}

/// A run with updates of cross-attention alone.
fn cross(run: &str, megabytes: usize) -> TrainConfig {
    use Projection::{CrossK, CrossQ, CrossV};
    let mut config = config(run, "lslo");
    config.training.epochs = 3;
    config.training.dropout = 0.0;
    config.training.attention_dropout = 0.0;
    config.adapter.sites = Sites::Projections([CrossQ, CrossK, CrossV].into());
    config.compute.reuse_prefix_mb = megabytes;
    config
}

/// With joined sentences and without; interrupted, and resumed with another limit.
#[test]
fn a_run_that_keeps_states_leaves_the_same_files() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    for concatenate in [0.0, 0.2] {
        let run = |name: &str, megabytes, stop_after: Option<u64>| {
            let name = format!("{name}-{concatenate}");
            let mut config = cross(&name, megabytes);
            config.training.concatenate = concatenate;
            if let Some(updates) = stop_after {
                interrupted(&config, folder, updates);
                config.compute.reuse_prefix_mb = 2;
            }
            let done = train(&config, folder).unwrap();
            (done, folder.join(name))
        };
        let all = |path: &Path, result: &Path| (events(path), left(path, result));
        let (plain, path) = run("plain", 0, None);
        assert!(plain.estimate.reuse.is_none());
        let expected = all(&path, &plain.result);
        for (name, stop_after) in [("kept", None), ("resumed", Some(5))] {
            let (done, path) = run(name, 50, stop_after);
            assert!(
                all(&path, &done.result) == expected,
                "{name}, {concatenate} joined"
            );
            let reuse = done.estimate.reuse.unwrap();
            assert_eq!((reuse.layers, reuse.encoder_layers), (1, 1));
            assert!(reuse.full > 0 && reuse.full < reuse.limit, "{reuse:?}");
            assert_eq!(reuse.kept == reuse.limit, concatenate > 0.0, "{reuse:?}");
        }
    }
}

#[test]
fn states_that_change_are_not_kept() {
    let folder = TempDir::new().unwrap();
    let refused = |config: &TrainConfig, part: &str| {
        let text = train(config, folder.path()).unwrap_err().to_string();
        assert!(text.contains("`compute.reuse_prefix_mb`: is 9"), "{text}");
        assert!(text.contains(part), "{text}");
        assert!(config.estimate(folder.path()).is_err(), "nor planned");
    };
    let mut dropout = cross("run", 9);
    dropout.training.dropout = 0.1;
    refused(&dropout, "`training.dropout` is 0.1");
    let mut dropout = cross("run", 9);
    dropout.training.attention_dropout = 0.2;
    refused(&dropout, "`training.attention_dropout` is 0.2");
    let mut full = cross("run", 9);
    full.method = isogloss::config::Method::Full;
    refused(&full, "all weights of the model are trained");
    assert!(!folder.path().join("run").exists());
}

/// Updates from the lowest layer on leave nothing to reuse; the run goes on without.
#[test]
fn nothing_to_reuse_is_no_error() {
    let folder = TempDir::new().unwrap();
    let mut config = cross("run", 9);
    config.adapter.sites = Sites::All;
    config.training.epochs = 1;
    let reuse = train(&config, folder.path())
        .unwrap()
        .estimate
        .reuse
        .unwrap();
    assert_eq!((reuse.layers, reuse.full, reuse.kept), (0, 0, 0));
}
