//! What an adapter remembers of its base.

use std::fmt;
use std::str::FromStr;

use half::bf16;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::Tensor;

/// SHA-256 over the names, shapes and values of a model's tensors, written as 64 hexadecimal digits.
///
/// Values count as `f32`, so that a model has one hash whether its files are safetensors or pickles, sharded or not,
/// bfloat16 or the same numbers widened. In detail, for every tensor in the order of names: the name, a zero byte, the
/// number of dimensions and each of them as little-endian `u64`, and the SHA-256 of each block of 4,194,304 values (the
/// last may be shorter) as little-endian `f32`; of all that, the SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct BaseHash([u8; 32]);

/// Why a text is no [`BaseHash`].
#[derive(Debug, thiserror::Error)]
#[error("the hash of a model should be 64 hexadecimal digits, got `{got}`")]
pub struct BaseHashError {
    /// What was given.
    pub got: String,
}

/// Values that one thread hashes in one go.
const BLOCK: usize = 1 << 22;

impl BaseHash {
    /// The hash of these tensors, in whatever order they are.
    #[must_use]
    pub fn of(tensors: &[Tensor]) -> BaseHash {
        let mut sorted: Vec<&Tensor> = tensors.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let blocks: Vec<(&Tensor, usize)> = sorted
            .iter()
            .flat_map(|t| (0..t.storage.len()).step_by(BLOCK).map(move |at| (*t, at)))
            .collect();
        let digests: Vec<[u8; 32]> = blocks.par_iter().map(|&(t, at)| block(t, at)).collect();
        let (mut all, mut digests) = (Sha256::new(), digests.into_iter());
        for tensor in sorted {
            all.update(tensor.name.as_bytes());
            all.update([0]);
            all.update((tensor.shape.len() as u64).to_le_bytes());
            for &size in &tensor.shape {
                all.update((size as u64).to_le_bytes());
            }
            for digest in digests.by_ref().take(tensor.storage.len().div_ceil(BLOCK)) {
                all.update(digest);
            }
        }
        BaseHash(all.finalize().into())
    }
}

fn block(tensor: &Tensor, at: usize) -> [u8; 32] {
    let mut hash = Sha256::new();
    let end = tensor.storage.len().min(at + BLOCK);
    if let Some(values) = tensor.storage.as_f32() {
        hash.update(bytemuck::cast_slice(&values[at..end]));
    } else if let Some(values) = tensor.storage.as_bf16() {
        let mut wide = [0f32; 4096];
        for part in values[at..end].chunks(wide.len()) {
            for (w, v) in wide.iter_mut().zip(part) {
                *w = bf16::to_f32(*v);
            }
            hash.update(bytemuck::cast_slice(&wide[..part.len()]));
        }
    } else {
        let values = tensor.storage.widened(at..end);
        hash.update(bytemuck::cast_slice(&values));
    }
    // A model may be larger than what it is worked with in: what was read once needn't stay.
    tensor.storage.release_part(at..end);
    hash.finalize().into()
}

impl fmt::Display for BaseHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BaseHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseHash({self})")
    }
}

impl From<BaseHash> for String {
    fn from(hash: BaseHash) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for BaseHash {
    type Error = BaseHashError;
    fn try_from(text: String) -> Result<BaseHash, BaseHashError> {
        text.parse()
    }
}

impl FromStr for BaseHash {
    type Err = BaseHashError;
    fn from_str(text: &str) -> Result<BaseHash, BaseHashError> {
        let wrong = || BaseHashError {
            got: text.to_owned(),
        };
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        for (n, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).map_err(|_| wrong())?;
        }
        Ok(BaseHash(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Storage;

    fn tensor(name: &str, storage: Storage) -> Tensor {
        Tensor {
            name: name.to_owned(),
            shape: vec![storage.len()],
            storage,
        }
    }

    #[test]
    fn follows_its_description() {
        let tensors = [
            tensor("b", Storage::F32(vec![1.5])),
            tensor("a", Storage::F32(vec![-2.0])),
        ];
        let mut all = Sha256::new();
        for (name, value) in [("a", -2.0f32), ("b", 1.5)] {
            all.update(name);
            all.update([0]);
            all.update(1u64.to_le_bytes());
            all.update(1u64.to_le_bytes());
            all.update(Sha256::digest(value.to_le_bytes()));
        }
        assert_eq!(BaseHash::of(&tensors).0, <[u8; 32]>::from(all.finalize()));
    }

    #[test]
    fn depends_on_values_and_not_on_their_storage() {
        let values: Vec<f32> = (0..BLOCK + 5000).map(|n| (n % 251) as f32).collect();
        let narrow = values.iter().map(|&v| bf16::from_f32(v)).collect();
        let wide = BaseHash::of(&[tensor("a", Storage::F32(values.clone()))]);
        assert_eq!(wide, BaseHash::of(&[tensor("a", Storage::Bf16(narrow))]));
        let mut other = values.clone();
        other[BLOCK + 4999] = 0.5;
        assert_ne!(wide, BaseHash::of(&[tensor("a", Storage::F32(other))]));
        assert_ne!(wide, BaseHash::of(&[tensor("b", Storage::F32(values))]));
    }

    #[test]
    fn is_written_and_read_as_hexadecimal() {
        let hash = BaseHash::of(&[]);
        // The SHA-256 of nothing.
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse::<BaseHash>().unwrap(), hash);
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<BaseHash>(&json).unwrap(), hash);
        let signed = format!("+{}", &text[1..]);
        for wrong in [
            "",
            "e3b0",
            &text.replace('e', "x"),
            &text.replace('e', "é"),
            &signed,
        ] {
            assert!(wrong.parse::<BaseHash>().is_err(), "{wrong}");
        }
    }
}
