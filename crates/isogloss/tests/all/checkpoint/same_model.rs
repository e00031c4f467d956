//! Every container holds the same model.

use std::fs;

use half::{bf16, f16};
use isogloss::checkpoint::{self, BaseHash};
use isogloss::model::{DType, Storage};
use serde_json::json;

use super::{Folder, bits, fixture, message};

#[test]
fn whatever_the_container() {
    let model = checkpoint::open(&fixture("model")).unwrap();
    let names: Vec<_> = model
        .tensors
        .iter()
        .map(|t| (t.name.clone(), t.shape.clone()))
        .collect();
    assert_eq!(names, model.config.tensor_shapes());
    for other in ["model-sharded", "pickle", "pickle-sharded", "fairseq"] {
        let other_model = checkpoint::open(&fixture(other)).unwrap();
        assert_eq!(bits(&model), bits(&other_model), "{other}");
        assert_eq!(model.hash(), other_model.hash(), "{other}");
    }
    let file = checkpoint::open(&fixture("fairseq/model.pt")).unwrap();
    assert_eq!(model.hash(), file.hash());
}

#[test]
fn in_half_precision() {
    let model = checkpoint::open(&fixture("model")).unwrap();
    for half in ["pickle-legacy", "fairseq-cfg"] {
        let half_model = checkpoint::open(&fixture(half)).unwrap();
        for (full, half) in model.tensors.iter().zip(&half_model.tensors) {
            assert_eq!(half.storage.dtype(), DType::F32);
            let rounded = full
                .storage
                .to_f32()
                .into_iter()
                .map(|v| f16::from_f32(v).to_f32());
            assert!(rounded.eq(half.storage.to_f32()), "{}", full.name);
        }
        assert_ne!(model.hash(), half_model.hash());
    }
    let brain = checkpoint::open(&fixture("model-bf16")).unwrap();
    for (full, brain) in model.tensors.iter().zip(&brain.tensors) {
        let rounded: Vec<bf16> = full
            .storage
            .to_f32()
            .into_iter()
            .map(bf16::from_f32)
            .collect();
        assert_eq!(brain.storage.as_bf16(), Some(&rounded[..]), "{}", full.name);
        assert!(matches!(brain.storage, Storage::MappedBf16(..)));
    }
}

#[test]
fn weights_stay_where_they_lie_if_they_are_aligned() {
    for container in ["model", "model-sharded", "pickle", "fairseq"] {
        for tensor in checkpoint::open(&fixture(container)).unwrap().tensors {
            assert!(
                matches!(tensor.storage, Storage::MappedF32(..)),
                "{container} {}",
                tensor.name
            );
        }
    }
    // One space more in the header: valid, and no value is aligned any more.
    let mut bytes = fs::read(fixture("model/model.safetensors")).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    bytes.insert(8 + header as usize, b' ');
    bytes[..8].copy_from_slice(&(header + 1).to_le_bytes());
    let dir = super::folder_with("model.safetensors", &bytes);
    let moved = checkpoint::open(dir.path()).unwrap();
    assert!(
        moved
            .tensors
            .iter()
            .all(|t| matches!(t.storage, Storage::F32(_)))
    );
    assert_eq!(
        moved.hash(),
        checkpoint::open(&fixture("model")).unwrap().hash()
    );
}

#[test]
fn double_precision_becomes_single() {
    let mut folder = Folder::new();
    for (_, dtype, _, bytes) in &mut folder.tensors {
        *dtype = safetensors::Dtype::F64;
        let (values, _) = bytes.as_chunks::<4>();
        *bytes = values
            .iter()
            .flat_map(|&v| f64::from(f32::from_le_bytes(v)).to_le_bytes())
            .collect();
    }
    let hash = checkpoint::open(&fixture("model")).unwrap().hash();
    assert_eq!(folder.open().unwrap().hash(), hash);
}

#[test]
fn fairseq_settings_become_the_configuration() {
    let expected = checkpoint::open(&fixture("model")).unwrap().config;
    for container in ["fairseq", "fairseq-cfg"] {
        let mut config = checkpoint::open(&fixture(container)).unwrap().config;
        assert_eq!(
            (config.dropout, config.attention_dropout),
            (0.1, 0.1),
            "{container}"
        );
        (config.dropout, config.attention_dropout) = (0.0, 0.0);
        assert_eq!(config, expected, "{container}");
    }
}

#[test]
fn the_embedding_may_have_any_of_its_names_and_several_copies() {
    let hash = checkpoint::open(&fixture("model")).unwrap().hash();
    let names = [
        "model.encoder.embed_tokens.weight",
        "model.decoder.embed_tokens.weight",
        "lm_head.weight",
        "shared.weight",
        "decoder.output_projection.weight",
    ];
    for name in names {
        let mut folder = Folder::new();
        if name != "shared.weight" {
            folder.copy("model.shared.weight", name);
            assert_eq!(folder.open().unwrap().hash(), hash, "{name}");
            folder.tensors.pop();
        }
        folder.tensor("model.shared.weight").0 = name.to_owned();
        assert_eq!(folder.open().unwrap().hash(), hash, "{name}");
    }
}

#[test]
fn the_rows_of_the_embedding_are_the_vocabulary() {
    let mut folder = Folder::new();
    folder.config["vocab_size"] = json!(300);
    assert_eq!(folder.open().unwrap().config.vocab_size, 200);
    let (_, _, shape, bytes) = folder.tensor("model.shared.weight");
    *shape = vec![2, 16];
    bytes.truncate(2 * 16 * 4);
    assert!(
        message(folder.open()).contains(
            "`eos_token_id` should be below the number of rows of the embedding, 2, got 2"
        )
    );
}

#[test]
fn layerdrop_and_lists_of_one_id_are_accepted() {
    let mut folder = Folder::new();
    folder.config["encoder_layerdrop"] = json!(0.05);
    folder.config["eos_token_id"] = json!([2]);
    folder.config["something_else"] = json!({"a": 1});
    assert_eq!(
        folder.open().unwrap().config,
        checkpoint::open(&fixture("model")).unwrap().config
    );
}

#[test]
fn a_written_model_is_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/folder");
    for container in ["model", "model-bf16", "pickle-legacy", "fairseq"] {
        let model = checkpoint::open(&fixture(container)).unwrap();
        checkpoint::write(&path, &model.config, &model.tensors).unwrap();
        let again = checkpoint::open(&path).unwrap();
        assert_eq!(model.config, again.config, "{container}");
        assert_eq!(model.hash(), again.hash(), "{container}");
        let types = |c: &checkpoint::Checkpoint| {
            c.tensors
                .iter()
                .map(|t| t.storage.dtype())
                .collect::<Vec<_>>()
        };
        assert_eq!(types(&model), types(&again), "{container}");
    }
    let mut files: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(
        files,
        ["config.json", "generation_config.json", "model.safetensors"]
    );
}

#[test]
fn mixed_types_are_written_as_they_are() {
    let mut model = checkpoint::open(&fixture("model")).unwrap();
    let bias = model
        .tensors
        .iter_mut()
        .find(|t| t.name == "encoder.layers.0.fc1.bias")
        .unwrap();
    bias.storage = Storage::Bf16(
        bias.storage
            .to_f32()
            .into_iter()
            .map(bf16::from_f32)
            .collect(),
    );
    let dir = tempfile::tempdir().unwrap();
    checkpoint::write(dir.path(), &model.config, &model.tensors).unwrap();
    let again = checkpoint::open(dir.path()).unwrap();
    assert_eq!(BaseHash::of(&model.tensors), again.hash());
    assert_eq!(
        again
            .tensors
            .iter()
            .filter(|t| t.storage.dtype() == DType::Bf16)
            .count(),
        1
    );
}

#[test]
fn a_model_that_is_not_whole_is_not_written() {
    let model = checkpoint::open(&fixture("model")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let write = |tensors: &[_]| {
        let path = dir.path().join("new");
        let error = checkpoint::write(&path, &model.config, tensors)
            .unwrap_err()
            .to_string();
        assert!(!path.exists(), "{error}");
        error
    };
    assert!(
        write(&model.tensors[1..]).contains("tensor `shared.weight` of shape [200, 16] is missing")
    );
    let mut tensors = model.tensors.clone();
    tensors.push(tensors[1].clone());
    assert!(write(&tensors).contains("is there twice"));
    tensors.last_mut().unwrap().name = "other".to_owned();
    assert!(write(&tensors).contains("unexpected tensor `other`"));
    tensors.pop();
    tensors[0].shape = vec![16, 200];
    assert!(write(&tensors).contains("`shared.weight` should have shape [200, 16], got [16, 200]"));
    tensors[0].shape = vec![200, 17];
    assert!(write(&tensors).contains("`shared.weight` should have shape [200, 17], got [3200]"));
}
