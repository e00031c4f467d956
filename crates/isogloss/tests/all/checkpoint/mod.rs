//! Reading and writing models. The fixtures are made by `scripts/fixtures/transformers_parity.py`.

mod malformed;
mod pickles;
mod quantized;
mod random_damage;
mod same_model;

use std::fs;
use std::path::{Path, PathBuf};

use isogloss::checkpoint::{self, CheckpointError};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/m2m100")
        .join(name)
}

/// A model folder that can be spoilt before it is written.
struct Folder {
    config: Value,
    /// Name, type, shape, bytes.
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
}

impl Folder {
    fn new() -> Folder {
        let config = fs::read(fixture("model/config.json")).unwrap();
        let bytes = fs::read(fixture("model/model.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes)
            .unwrap()
            .iter()
            .map(|(name, t)| {
                let (shape, data) = (t.shape().to_vec(), t.data().to_vec());
                (name.to_owned(), t.dtype(), shape, data)
            })
            .collect();
        Folder {
            config: serde_json::from_slice(&config).unwrap(),
            tensors,
        }
    }

    fn tensor(&mut self, name: &str) -> &mut (String, Dtype, Vec<usize>, Vec<u8>) {
        self.tensors.iter_mut().find(|t| t.0 == name).unwrap()
    }

    fn copy(&mut self, from: &str, to: &str) {
        let mut tensor = self.tensor(from).clone();
        tensor.0 = to.to_owned();
        self.tensors.push(tensor);
    }

    fn weights(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, dtype, shape, data)| {
            let view = TensorView::new(*dtype, shape.clone(), data).unwrap();
            (name.as_str(), view)
        });
        safetensors::serialize(views, None).unwrap()
    }

    fn write(&self) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), self.config.to_string()).unwrap();
        fs::write(dir.path().join("model.safetensors"), self.weights()).unwrap();
        dir
    }

    fn open(&self) -> Result<checkpoint::Checkpoint, CheckpointError> {
        checkpoint::open(self.write().path())
    }
}

/// A folder with this configuration and one file.
fn folder_with(name: &str, bytes: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixture("model/config.json"), dir.path().join("config.json")).unwrap();
    fs::write(dir.path().join(name), bytes).unwrap();
    dir
}

fn message(result: Result<checkpoint::Checkpoint, CheckpointError>) -> String {
    result.unwrap_err().to_string()
}

fn bits(checkpoint: &checkpoint::Checkpoint) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let tensors = checkpoint.tensors.iter();
    tensors
        .map(|t| (t.name.clone(), t.shape.clone(), t.storage.to_f32()))
        .collect()
}

#[test]
fn a_null_setting_counts_as_missing() {
    let mut folder = Folder::new();
    folder.config["encoder_layers"] = json!(null);
    assert!(message(folder.open()).contains("`encoder_layers` should be"));
    let mut folder = Folder::new();
    folder.config["scale_embedding"] = json!(null);
    assert!(folder.open().unwrap().config.scale_embedding);
}
