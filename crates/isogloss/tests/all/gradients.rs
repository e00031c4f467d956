//! The gradients of the whole model, by finite differences in `f64` through the code that trains.

use std::collections::BTreeMap;

use isogloss::adapter::{AdapterConfig, Adapters, Mixture, Preset, Site, Slice, Stack};
use isogloss::batch::Batch;
use isogloss::language::Resource;
use isogloss::model::{Context, Model};
use isogloss::params::{Gradients, ParamStore};
use isogloss_kernels::{LabelSmoothing, Reference, SmoothingKind};

use crate::tiny;

/// Largest error of a gradient, relative to the largest that was looked at in its tensor.
const TOLERANCE: f64 = 1e-6;

struct Case<'a> {
    model: &'a Model<f64>,
    adapters: &'a Adapters,
    batch: &'a Batch,
    dropout: Option<u64>,
    smoothing: LabelSmoothing,
}

impl Case<'_> {
    fn context<'b>(
        &'b self,
        backend: &'b Reference<f64>,
        store: &'b ParamStore<f64>,
    ) -> Context<'b, Reference<f64>> {
        Context {
            backend,
            store,
            adapters: self.adapters,
            dropout: self.dropout,
        }
    }

    fn loss(&self, store: &ParamStore<f64>) -> f64 {
        let backend = Reference::new();
        let cx = self.context(&backend, store);
        self.model.loss(&cx, self.batch, self.smoothing).loss
    }

    fn gradients(&self, store: &ParamStore<f64>) -> Gradients<f64> {
        let backend = Reference::new();
        let mut grads = Gradients::new(store);
        let cx = self.context(&backend, store);
        let loss = self
            .model
            .loss_and_gradients(&cx, self.batch, self.smoothing, &mut grads);
        assert_eq!(
            loss.loss,
            self.loss(store),
            "loss with and without gradients"
        );
        grads
    }

    /// The loss's derivative by one value, by differences.
    fn difference(&self, store: &mut ParamStore<f64>, at: usize, step: f64) -> f64 {
        let before = store.values()[at];
        let mut loss_at = |x: f64| {
            store.values_mut()[at] = x;
            self.loss(store)
        };
        let (above, below) = (loss_at(before + step), loss_at(before - step));
        store.values_mut()[at] = before;
        (above - below) / (2.0 * step)
    }

    /// Compares `each` entries of every tensor.
    fn check(&self, store: &mut ParamStore<f64>, each: usize) {
        const STEP: f64 = 1e-5;
        let grads = self.gradients(store);
        for (seed, param) in (0u64..).zip(store.params().to_vec()) {
            let len = param.range.len();
            let draws = tiny::noise(seed, each.min(len));
            let entries = draws.map(|x| ((x + 1.0) / 2.0 * len as f32) as usize % len);
            let mut pairs = Vec::new();
            for at in entries.map(|i| param.range.start + i) {
                pairs.push((grads.values()[at], self.difference(store, at, STEP)));
            }
            // A key's bias has no gradient at all: what differences find there is their rounding.
            let scale = pairs.iter().fold(2e-2f64, |m, p| m.max(p.1.abs()));
            for (got, expected) in pairs {
                assert!(
                    (got - expected).abs() <= TOLERANCE * scale,
                    "{}: {got}, by differences {expected}",
                    param.name
                );
            }
        }
    }
}

fn smoothing(kind: SmoothingKind) -> LabelSmoothing {
    LabelSmoothing { eps: 0.1, kind }
}

#[test]
fn full_fine_tuning() {
    let config = tiny::config();
    let mut store = ParamStore::new();
    let model = Model::<f64>::new(&config, tiny::tensors(&config), Some(&mut store)).unwrap();
    let batch = tiny::batch(&model, &tiny::pairs(&config, &tiny::MIXED));
    for (dropout, kind) in [
        (None, SmoothingKind::Uniform),
        (Some(7), SmoothingKind::Fairseq),
    ] {
        let case = Case {
            model: &model,
            adapters: &Adapters::default(),
            batch: &batch,
            dropout,
            smoothing: smoothing(kind),
        };
        case.check(&mut store, 3);
    }
}

fn language_specific(config: &AdapterConfig) {
    let shape = tiny::config();
    let model = tiny::frozen::<f64>(&shape);
    let batch = tiny::batch(&model, &tiny::pairs(&shape, &tiny::MIXED));
    for dropout in [None, Some(11)] {
        let mut store = ParamStore::new();
        let adapters = tiny::adapters(config, &shape, 0.5, &mut store);
        let case = Case {
            model: &model,
            adapters: &adapters,
            batch: &batch,
            dropout,
            smoothing: smoothing(SmoothingKind::Uniform),
        };
        case.check(&mut store, 2);
        let grads = case.gradients(&store);
        for (group, &used) in store.groups().iter().zip(grads.used()) {
            assert_eq!(used, group.name != "fra_Latn", "{}", group.name);
            let any = grads.values()[group.range.clone()]
                .iter()
                .any(|&g| g != 0.0);
            assert_eq!(any, used, "{}", group.name);
        }
    }
}

/// Whole matrices at all sites, the encoder's lower layer by source and its upper by target, ranks by class, a scale.
#[test]
fn updates_of_whole_matrices() {
    language_specific(&AdapterConfig {
        ranks: BTreeMap::from([
            (Resource::High, 1),
            (Resource::Medium, 2),
            (Resource::Low, 3),
        ]),
        alpha: Some(4.0),
        encoder_target_from: Some(1),
        ..AdapterConfig::default()
    });
}

#[test]
fn updates_of_the_papers_slices() {
    language_specific(&AdapterConfig {
        preset: Preset::Paper,
        rank: Some(2),
        ..AdapterConfig::default()
    });
}

#[test]
fn updates_of_a_slice_in_the_middle() {
    language_specific(&AdapterConfig {
        rank: Some(2),
        alpha: Some(1.0),
        slice: Some(Slice { start: 2, dim: 5 }),
        encoder_target_from: Some(2),
        ..AdapterConfig::default()
    });
}

/// Where only the upper layers of the decoder are adapted the backward pass stops early; what it computes is the same.
#[test]
fn updates_of_the_decoder_alone() {
    let shape = tiny::config();
    let model = tiny::frozen::<f64>(&shape);
    let batch = tiny::batch(&model, &tiny::pairs(&shape, &tiny::MIXED));
    let config = AdapterConfig {
        rank: Some(2),
        ..AdapterConfig::default()
    };
    for kept in [
        "decoder.layers.1",
        "decoder.layers.1.encoder_attn.k",
        "encoder.layers.1",
    ] {
        let mut store = ParamStore::new();
        let mut adapters = tiny::adapters(&config, &shape, 0.5, &mut store);
        adapters
            .banks
            .retain(|site, _| site.to_string().starts_with(kept));
        assert!(!adapters.banks.is_empty());
        let case = Case {
            model: &model,
            adapters: &adapters,
            batch: &batch,
            dropout: Some(5),
            smoothing: smoothing(SmoothingKind::Uniform),
        };
        case.check(&mut store, 1);
    }
}

/// Both sides at every site, one mixture a layer, with and without the choice of no update: the logits' gradients are worked out of those of
/// `lora_b`. Weights reach the kernels in single precision, so differences need longer steps and agree less closely.
#[test]
fn weights_of_mixtures() {
    let shape = tiny::config();
    let model = tiny::frozen::<f64>(&shape);
    let batch = tiny::batch(&model, &tiny::pairs(&shape, &tiny::MIXED));
    for choices in [2, 3] {
        let mut store = ParamStore::new();
        let config = |from| AdapterConfig {
            rank: Some(2),
            encoder_target_from: Some(from),
            ..AdapterConfig::default()
        };
        let by_source = tiny::adapters(&config(2), &shape, 0.5, &mut store);
        let by_target = tiny::adapters(&config(0), &shape, 0.5, &mut store);
        let mut adapters = Adapters::default();
        store.begin_group("placement");
        for layer in 0..2 {
            let start: Vec<f64> = tiny::noise(layer, choices).map(f64::from).collect();
            let logits = store.push(format!("placement.{layer}"), &[choices], &start);
            let of_layer =
                |site: &Site| site.stack == Stack::Encoder && site.layer == layer as usize;
            for (&site, bank) in by_source.banks.iter().filter(|(site, _)| of_layer(site)) {
                let arms = vec![bank.clone(), by_target.banks[&site].clone()];
                adapters.mixtures.insert(site, Mixture { logits, arms });
            }
        }
        let decoder = by_target
            .banks
            .iter()
            .filter(|(site, _)| site.stack == Stack::Decoder);
        adapters
            .banks
            .extend(decoder.map(|(&site, bank)| (site, bank.clone())));
        let case = Case {
            model: &model,
            adapters: &adapters,
            batch: &batch,
            dropout: Some(3),
            smoothing: smoothing(SmoothingKind::Uniform),
        };
        let mut grads = case.gradients(&store);
        adapters.add_mixture_gradients(&store, &mut grads);
        let logits = store
            .groups()
            .iter()
            .find(|g| g.name == "placement")
            .unwrap();
        for at in logits.range.clone() {
            const STEP: f64 = 1e-3;
            let (got, expected) = (grads.values()[at], case.difference(&mut store, at, STEP));
            assert!(expected.abs() > 1e-3, "nothing to see: {expected}");
            assert!(
                (got - expected).abs() < 3e-3 * expected.abs().max(0.05),
                "{got}, by differences {expected}"
            );
        }
        // What the mixtures weigh has its gradients as ever.
        let mixed = |name: &str| name.starts_with("encoder") && name.contains("lora");
        for param in store
            .params()
            .to_vec()
            .iter()
            .filter(|p| mixed(&p.name))
            .step_by(7)
        {
            const STEP: f64 = 1e-5;
            let at = param.range.start;
            let (got, expected) = (grads.values()[at], case.difference(&mut store, at, STEP));
            assert!(
                (got - expected).abs() < 1e-6 * expected.abs().max(0.1),
                "{}: {got}, {expected}",
                param.name
            );
        }
    }
}
