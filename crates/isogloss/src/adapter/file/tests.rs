//! Sparse tensors: what is written is read, and what is no such tensor is refused by name.

use std::path::Path;

use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors};

use super::tensor::{self, Entry, Source, Storage, smallest};

const NAME: &str = "encoder.layers.0.fc1.lora_B.weight";

fn read(bytes: &[u8], shape: [usize; 2]) -> Result<Vec<f32>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let path = Path::new("deu_Latn.safetensors");
    let source = Source { path, file };
    source.read(NAME, shape).map_err(|e| e.to_string())
}

proptest! {
    /// Of any shape and share of zeros, exactly, and in the smaller form.
    #[test]
    fn sparse_tensors_come_back(rows in 1..70usize, cols in 1..20usize, share in 0.0..1.0f32, seed: u64) {
        let draw = |i: u64| ((seed ^ i.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % 997) as f32 / 997.0;
        let values: Vec<f32> = (0..(rows * cols) as u64)
            .map(|i| if draw(i) < share { 0.0 } else { 1.0 + draw(i + 1) })
            .collect();
        let written = |storage| {
            let entries = tensor::entries(NAME.to_owned(), [rows, cols], &values, storage);
            (entries.len(), tensor::serialize(&entries).unwrap())
        };
        let ((_, dense), (count, small)) = (written(Storage::Dense), written(Storage::Smallest));
        prop_assert_eq!(count == 2, smallest(NAME, [rows, cols], &values).sparse);
        prop_assert_eq!(&read(&dense, [rows, cols]).unwrap(), &values);
        prop_assert_eq!(&read(&small, [rows, cols]).unwrap(), &values);
        // Headers are filled up to whole words.
        prop_assert!(small.len() <= dense.len() + 16, "{} {}", small.len(), dense.len());
        prop_assert!(read(&dense, [rows, cols + 1]).is_err());
        let components = if rows > cols { [rows, cols + 1] } else { [rows + 1, cols + 1] };
        prop_assert!(read(&small, components).is_err());
    }
}

#[test]
fn damaged_sparse_tensors_are_refused_by_name() {
    let file = |values: &[f32], bitmap: Option<&[u8]>, shape| {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let entry = |suffix: &str, dtype, shape, bytes| {
            Entry::new(format!("{NAME}{suffix}"), dtype, shape, bytes)
        };
        let mut entries = vec![entry(".values", Dtype::F32, vec![values.len()], bytes)];
        let bits = bitmap.map(|b| entry(".bitmap", Dtype::U8, vec![2, b.len() / 2], b.to_vec()));
        entries.extend(bits);
        read(&tensor::serialize(&entries).unwrap(), shape)
    };
    // Two lines of three places.
    let places = [0b0000_0010, 0b0000_0101];
    let by_column = file(&[5.0, 6.0, 7.0], Some(&places), [3, 2]).unwrap();
    assert_eq!(by_column, [0.0, 6.0, 5.0, 0.0, 0.0, 7.0]);
    let by_row = file(&[5.0, 6.0, 7.0], Some(&places), [2, 3]).unwrap();
    assert_eq!(by_row, [0.0, 5.0, 0.0, 6.0, 0.0, 7.0]);
    let whole = &[5.0, 6.0, 7.0][..];
    for (values, bitmap, said) in [
        (
            &whole[..2],
            Some(&places[..]),
            "values`: expected F32 [3], got F32 [2]",
        ),
        (&[5.0, f32::NAN, 6.0], Some(&places), "NaN at index 1"),
        (whole, None, "bitmap`: expected U8 [2, 1], got nothing"),
        (
            whole,
            Some(&[2, 0, 5, 0]),
            "expected U8 [2, 1], got U8 [2, 2]",
        ),
        (
            whole,
            Some(&[2, 0b1001]),
            "expected bits of 3 places a line, got 1 behind them",
        ),
    ] {
        let error = file(values, bitmap, [3, 2]).unwrap_err();
        assert!(error.contains(said) && error.contains(NAME), "{error}");
    }
    // Sizes whose product overflows.
    let none = tensor::serialize(&[]).unwrap();
    assert!(
        read(&none, [usize::MAX, 2])
            .unwrap_err()
            .contains("got nothing")
    );
    let error = file(whole, Some(&places), [usize::MAX, 2]).unwrap_err();
    assert!(error.contains("expected U8 [2, "), "{error}");
}
