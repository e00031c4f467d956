//! Files cut or changed at random: an error or a model, never a panic.

use std::fs;

use isogloss::checkpoint;
use proptest::prelude::*;

use super::{fixture, folder_with};

const FILES: [(&str, &str); 4] = [
    ("model/model.safetensors", "model.safetensors"),
    ("pickle/pytorch_model.bin", "pytorch_model.bin"),
    ("pickle-legacy/pytorch_model.bin", "pytorch_model.bin"),
    ("fairseq-cfg/model.pt", "model.pt"),
];

/// A position: anywhere, or where a file describes itself (its first and last kilobytes).
fn position() -> impl Strategy<Value = f64> {
    prop_oneof![1 => 0.0..1.0, 3 => 0.0..0.15, 2 => 0.9..1.0]
}

fn at(share: f64, length: usize) -> usize {
    ((share * length as f64) as usize).min(length - 1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cut_short(file in 0..FILES.len(), share in 0.0..1.0) {
        let (from, name) = FILES[file];
        let bytes = fs::read(fixture(from)).unwrap();
        let dir = folder_with(name, &bytes[..at(share, bytes.len())]);
        prop_assert!(checkpoint::open(dir.path()).is_err());
    }

    #[test]
    fn changed(
        file in 0..FILES.len(),
        changes in prop::collection::vec((position(), any::<u8>()), 1..4),
    ) {
        let (from, name) = FILES[file];
        let mut bytes = fs::read(fixture(from)).unwrap();
        for (share, byte) in changes {
            let index = at(share, bytes.len());
            bytes[index] = byte;
        }
        // Most damage is noticed; within a weight it gives another weight.
        let dir = folder_with(name, &bytes);
        if let Ok(model) = checkpoint::open(dir.path()) {
            prop_assert_eq!(model.tensors.len(), model.config.tensor_shapes().len());
        }
    }

    #[test]
    fn changed_configuration(share in 0.0..1.0, byte in any::<u8>()) {
        let mut bytes = fs::read(fixture("model/config.json")).unwrap();
        let index = at(share, bytes.len());
        bytes[index] = byte;
        let dir = folder_with("config.json", &bytes);
        fs::copy(fixture("model/model.safetensors"), dir.path().join("model.safetensors")).unwrap();
        let _ = checkpoint::open(dir.path());
    }
}
