//! Matrices in bytes: made, written, read again.

use std::fs;
use std::path::Path;

use isogloss::checkpoint::{
    BaseHash, Checkpoint, QuantizeError, QuantizeOptions, Quantized, open, quantize,
};
use isogloss::model::{DType, Storage};
use isogloss_kernels::matmul::quantize_rows;
use isogloss_kernels::{Mat, PackedWeight};
use safetensors::Dtype;
use tempfile::TempDir;

use super::{Folder, fixture, message};

fn made(from: &Path, to: &Path, options: QuantizeOptions) -> Result<Quantized, QuantizeError> {
    quantize(from, to, options, &mut |_, _| ())
}

/// A copy of the fixture's model.
fn copy() -> (TempDir, Checkpoint) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("copy");
    made(&fixture("model"), &to, QuantizeOptions::default()).unwrap();
    let checkpoint = open(&to).unwrap();
    (dir, checkpoint)
}

#[test]
fn a_copy_has_the_bytes_that_decoding_multiplies() {
    let original = open(&fixture("model")).unwrap();
    let (_dir, copy) = copy();
    assert!(copy.is_quantized() && !original.is_quantized());
    assert_eq!(copy.hash(), original.hash());
    assert_ne!(copy.hash(), BaseHash::of(&copy.tensors));
    assert_eq!(copy.config, original.config);
    let mut quantized = 0;
    for (copy, original) in copy.tensors.iter().zip(&original.tensors) {
        assert_eq!((&copy.name, &copy.shape), (&original.name, &original.shape));
        let values = original.storage.to_f32();
        let [rows, cols] = original.shape[..] else {
            assert_eq!(copy.storage.to_f32(), values, "{}", copy.name);
            continue;
        };
        if !PackedWeight::quantizes(rows, cols) {
            assert_eq!(copy.storage.to_f32(), values, "{}", copy.name);
            continue;
        }
        quantized += 1;
        let (mut bytes, mut scales) = (vec![0; rows * cols], vec![0.0; rows]);
        quantize_rows(Mat::new(&values, rows, cols), &mut bytes, &mut scales);
        assert!(matches!(copy.storage, Storage::MappedInt8(..)));
        assert_eq!(copy.storage.as_int8(), Some((&bytes[..], &scales[..])));
        let last = rows * cols - 1;
        let expected = f32::from(bytes[last]) * scales[rows - 1];
        assert_eq!(copy.storage.get(last), Some(expected));
        assert_eq!(copy.storage.to_f32()[last], expected);
        assert_eq!(copy.storage.get(last + 1), None);
    }
    assert!(quantized > 10);
}

/// What is said before is what is there after, and a dry run leaves nothing.
#[test]
fn the_plan_holds() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("a/copy");
    let dry = QuantizeOptions {
        dry_run: true,
        ..QuantizeOptions::default()
    };
    let plan = made(&fixture("model"), &to, dry).unwrap();
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
    let mut told = 0;
    let mut observe = |done, of: &Quantized| {
        assert!(told < done && done <= of.quantized_parameters);
        told = done;
    };
    let result = quantize(
        &fixture("model"),
        &to,
        QuantizeOptions::default(),
        &mut observe,
    );
    assert_eq!(result.unwrap(), plan);
    assert_eq!(told, plan.quantized_parameters);
    let copy = open(&to).unwrap();
    let sizes = copy.tensors.iter().map(|t| t.storage.size());
    assert_eq!(sizes.sum::<usize>(), plan.bytes_after);
    assert_eq!(plan.parameters, copy.config.parameters());
    assert_eq!(plan.bytes_before, 4 * plan.parameters);
    let file = fs::metadata(to.join("model.safetensors")).unwrap().len() as usize;
    assert!(file > plan.bytes_after && file < plan.bytes_before);
    // Nothing is left beside it.
    assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
}

/// Transformers would take the bytes for the values; it refuses methods that it doesn't know.
#[test]
fn the_configuration_says_what_it_is() {
    let (dir, copy) = copy();
    let text = fs::read(dir.path().join("copy/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let told = &config["quantization_config"];
    assert_eq!(told["quant_method"], "isogloss_int8");
    assert_eq!(told["base"], copy.hash().to_string());
}

#[test]
fn a_model_in_bytes_is_written_as_it_is() {
    let (dir, copy) = copy();
    let again = dir.path().join("again");
    isogloss::checkpoint::write(&again, &copy.config, &copy.tensors).unwrap();
    let again = open(&again).unwrap();
    for (a, b) in again.tensors.iter().zip(&copy.tensors) {
        assert_eq!(a.storage.as_int8(), b.storage.as_int8());
        assert_eq!(a.storage.dtype(), b.storage.dtype());
    }
    // Nobody said of what it is a copy, so it stands for itself.
    assert_eq!(again.hash(), BaseHash::of(&copy.tensors));
}

#[test]
fn places_that_are_taken_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("models/model");
    fs::create_dir_all(&from).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(fixture("model").join(name), from.join(name)).unwrap();
    }
    let force = QuantizeOptions {
        force: true,
        ..QuantizeOptions::default()
    };
    for to in [from.clone(), from.join("../../models"), from.join("..")] {
        let error = made(&from, &to, force).unwrap_err();
        assert!(matches!(error, QuantizeError::SamePlace { .. }), "{error}");
    }
    let to = dir.path().join("copy");
    // An empty folder is as good as none.
    fs::create_dir(&to).unwrap();
    made(&from, &to, QuantizeOptions::default()).unwrap();
    let again = |options| made(&from, &to, options);
    let error = again(QuantizeOptions::default()).unwrap_err();
    assert!(matches!(error, QuantizeError::Exists { .. }), "{error}");
    fs::write(to.join("dict.txt"), "of another").unwrap();
    again(force).unwrap();
    assert!(!to.join("dict.txt").exists());
    let error = made(&to, &dir.path().join("new"), force).unwrap_err();
    assert!(matches!(error, QuantizeError::Already { .. }), "{error}");

    let other = dir.path().join("letters");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("mum.txt"), "dear").unwrap();
    for options in [force, QuantizeOptions::default()] {
        assert!(made(&from, &other, options).is_err());
    }
    assert_eq!(fs::read(other.join("mum.txt")).unwrap(), b"dear");
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["copy", "letters", "models"]);
}

/// A folder with `fc1` of the first layer in bytes.
fn spoilt(spoil: impl FnOnce(&mut Folder)) -> String {
    const NAME: &str = "model.encoder.layers.0.fc1.weight";
    let mut folder = Folder::new();
    let tensor = folder.tensor(NAME);
    let (rows, cols) = (tensor.2[0], tensor.2[1]);
    (tensor.1, tensor.3) = (Dtype::I8, vec![3; rows * cols]);
    let scales = vec![0.5f32; rows];
    let scales = scales.iter().flat_map(|x| x.to_le_bytes()).collect();
    let scale = format!("{NAME}_scale");
    folder.tensors.push((scale, Dtype::F32, vec![rows], scales));
    spoil(&mut folder);
    match folder.open() {
        Ok(model) => {
            let tensors = model.tensors.iter();
            let bytes = tensors.filter(|t| t.storage.dtype() == DType::Int8);
            let values = bytes.map(|t| t.storage.to_f32()).collect::<Vec<_>>();
            assert!(values.len() == 1 && values[0].iter().all(|&x| x == 1.5));
            String::new()
        }
        error => message(error),
    }
}

#[test]
fn damaged_factors_are_errors() {
    let scale = "model.encoder.layers.0.fc1.weight_scale";
    assert_eq!(spoilt(|_| ()), "");
    type Case<'a> = (&'a dyn Fn(&mut Folder), &'a str);
    let cases: [Case<'_>; 5] = [
        (
            &|folder| folder.tensors.retain(|t| t.0 != scale),
            "weight_scale` of shape [32] is missing",
        ),
        (
            &|folder| folder.tensor(scale).2 = vec![16, 2],
            "weight_scale` should have shape [32], got [16, 2]",
        ),
        (
            &|folder| folder.tensor(scale).3[4..8].copy_from_slice(&f32::NAN.to_le_bytes()),
            "weight_scale` should be finite, got NaN at index 1",
        ),
        (
            &|folder| folder.copy(scale, "model.encoder.layers.0.fc2.weight_scale"),
            "fc2.weight_scale",
        ),
        (
            &|folder| {
                let bias = folder.tensor("model.encoder.layers.0.fc1.bias");
                (bias.1, bias.3) = (Dtype::I8, vec![0; 32]);
            },
            "fc1.bias` should be F32, BF16, F16 or F64",
        ),
    ];
    for (spoil, part) in cases {
        let error = spoilt(spoil);
        assert!(error.contains(part), "{part}: {error}");
    }
}
