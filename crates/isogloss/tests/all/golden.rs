//! The reference outputs of transformers, see `scripts/fixtures/transformers_parity.py`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use isogloss::adapter::{Adapters, Bank, LowRank, Site};
use isogloss::batch::{Batch, LanguageId, Layout, Sentence};
use isogloss::language::LanguageSide;
use isogloss::model::{ModelConfig, Tensor};
use isogloss::params::ParamStore;
use isogloss_kernels::Real;
use safetensors::{Dtype, SafeTensors};

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/m2m100")
}

pub fn json(name: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Arrays in `f64`, by name.
pub struct Arrays(HashMap<String, (Vec<usize>, Vec<f64>)>);

impl Arrays {
    pub fn read(name: &str) -> Self {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let array = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
            assert_eq!(view.dtype(), Dtype::F64, "{name}");
            let values = view
                .data()
                .as_chunks::<8>()
                .0
                .iter()
                .map(|b| f64::from_le_bytes(*b))
                .collect();
            (name.to_owned(), (view.shape().to_vec(), values))
        };
        Arrays(file.iter().map(array).collect())
    }

    pub fn get(&self, name: &str) -> &[f64] {
        &self
            .0
            .get(name)
            .unwrap_or_else(|| panic!("no array {name}"))
            .1
    }

    pub fn names(&self, prefix: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .0
            .keys()
            .filter_map(|k| k.strip_prefix(prefix))
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }
}

pub fn model(folder_name: &str) -> (ModelConfig, Vec<Tensor>) {
    let checkpoint = isogloss::checkpoint::open(&folder().join(folder_name)).unwrap();
    (checkpoint.config, checkpoint.tensors)
}

/// The batch of the fixtures.
pub struct Pairs {
    pub sources: Vec<Vec<u32>>,
    pub labels: Vec<Vec<u32>>,
    pub source_language: Vec<LanguageId>,
    pub target_language: Vec<LanguageId>,
}

impl Pairs {
    pub fn read() -> Self {
        let golden = json("golden.json");
        let ids = |key: &str| serde_json::from_value::<Vec<Vec<u32>>>(golden[key].clone()).unwrap();
        let languages = |key: &str| {
            let ids: Vec<u16> = serde_json::from_value(golden[key].clone()).unwrap();
            ids.into_iter().map(LanguageId).collect()
        };
        Pairs {
            sources: ids("sources"),
            labels: ids("labels"),
            source_language: languages("source_language"),
            target_language: languages("target_language"),
        }
    }

    pub fn sentence(&self, i: usize) -> Sentence<'_> {
        Sentence {
            source: &self.sources[i],
            target: &self.labels[i],
            source_language: self.source_language[i],
            target_language: self.target_language[i],
            key: 1000 + i as u64,
        }
    }

    pub fn batch(&self, layout: Layout) -> Batch {
        let sentences: Vec<Sentence<'_>> =
            (0..self.sources.len()).map(|i| self.sentence(i)).collect();
        Batch::new(&sentences, layout)
    }
}

/// Brings rows that lie in sentence order into a batch's packed order.
pub fn in_packed_order(rows: &[f64], lengths: &[usize], place: &[usize]) -> Vec<f64> {
    let width = rows.len() / lengths.iter().sum::<usize>();
    let mut by_place: Vec<(usize, &[f64])> = Vec::new();
    let mut at = 0;
    for (i, &len) in lengths.iter().enumerate() {
        by_place.push((place[i], &rows[at * width..(at + len) * width]));
        at += len;
    }
    by_place.sort_by_key(|&(place, _)| place);
    by_place
        .into_iter()
        .flat_map(|(_, rows)| rows.iter().copied())
        .collect()
}

/// The updates of the fixtures: two languages; encoder layer 0 by source, everything else by target.
pub fn adapters<R: Real>(arrays: &Arrays, prefix: &str, store: &mut ParamStore<R>) -> Adapters {
    let mut adapters = Adapters::default();
    let names = arrays.names(prefix);
    let sites: Vec<(Site, String)> = isogloss::adapter::all_sites(2, 2)
        .into_iter()
        .map(|site| (site, site.to_string()))
        .filter(|(_, name)| names.contains(&format!("{name}.lora_A.0")))
        .collect();
    assert_eq!(
        sites.len(),
        26,
        "q k v fc1 fc2 of 2 + 2 layers and the cross-attention of 2"
    );
    for (site, _) in &sites {
        let by_source = site.to_string().starts_with("encoder.layers.0");
        let side = if by_source {
            LanguageSide::Source
        } else {
            LanguageSide::Target
        };
        adapters.banks.insert(
            *site,
            Bank {
                side,
                updates: Vec::new(),
            },
        );
    }
    for language in 0..2 {
        store.begin_group(format!("language {language}"));
        for (site, name) in &sites {
            let mut push = |half: &str| {
                let full = format!("{name}.lora_{half}.{language}");
                let (shape, values) = &arrays.0[&format!("{prefix}{full}")];
                let values: Vec<R> = values.iter().map(|&x| R::from_f64(x).unwrap()).collect();
                (store.push(full, shape, &values), shape.clone())
            };
            let ((a, a_shape), (b, b_shape)) = (push("A"), push("B"));
            let update = LowRank {
                a,
                b,
                rank: a_shape[0],
                scale: 1.0,
                input: 0..a_shape[1],
                output: 0..b_shape[0],
            };
            adapters
                .banks
                .get_mut(site)
                .unwrap()
                .updates
                .push(Some(update));
        }
    }
    adapters
}

/// A tensor's largest difference from its reference, relative to the reference's largest value.
pub fn difference<R: Real>(got: &[R], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len(), "lengths");
    let scale = expected.iter().fold(1e-30f64, |m, x| m.max(x.abs()));
    let largest = got.iter().zip(expected).map(|(g, e)| (g.f64() - e).abs());
    largest.fold(0.0, f64::max) / scale
}

/// The Euclidean distance of a tensor from its reference, relative to the reference's norm.
pub fn distance<R: Real>(got: &[R], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len(), "lengths");
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut got.iter().zip(expected).map(|(g, e)| g.f64() - e));
    difference / norm(&mut expected.iter().copied()).max(1e-30)
}
