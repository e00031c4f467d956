//! The tokenizer of spBLEU from the file of its model.

use super::{EvaluateError, Tokenizer, sentencepiece_name};
use crate::tokenize::sentencepiece::SentencePiece;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::Path;

impl Tokenizer {
    /// spBLEU's tokenizer with the SentencePiece model in a file; its name comes from the file's hash, see
    /// [`sentencepiece_name`]. Cuts lines as sacreBLEU's `TokenizerSPM` does.
    ///
    /// # Errors
    /// If the file cannot be read or is no SentencePiece model.
    pub fn open_sentencepiece(path: &Path) -> Result<Self, EvaluateError> {
        let failed = |reason: String| EvaluateError::SentencePiece {
            path: path.to_owned(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|e| failed(format!("cannot read it: {e}")))?;
        let model = SentencePiece::from_bytes(&bytes)
            .map_err(|e| failed(format!("no usable SentencePiece model: {e}")))?;
        let mut hash = String::with_capacity(64);
        for byte in Sha256::digest(&bytes) {
            // Writing to a string cannot fail.
            let _ = write!(hash, "{byte:02x}");
        }
        Ok(Self::sentencepiece(
            sentencepiece_name(&hash),
            move |line| model.encode_as_pieces(line).join(" "),
        ))
    }
}
