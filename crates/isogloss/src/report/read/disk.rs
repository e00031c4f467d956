use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::report::ReportError;
use crate::report::data::Piece;

/// Bytes of a file, or of all files below a folder.
fn bytes(path: &Path) -> Result<u64, std::io::Error> {
    let meta = std::fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    let mut sum = 0;
    for entry in std::fs::read_dir(path)? {
        sum += bytes(&entry?.path())?;
    }
    Ok(sum)
}

/// What lies in a run's folder: `adapters` or `model` first, then what only training needs.
pub(super) fn pieces(dir: &Path) -> Result<Vec<Piece>, ReportError> {
    let mut pieces = Vec::new();
    for (name, needed) in [("adapters", true), ("model", true), ("checkpoints", false)] {
        let path = dir.join(name);
        match bytes(&path) {
            Ok(bytes) => pieces.push(Piece {
                name: name.to_owned(),
                bytes,
                needed,
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(ReportError::Read { path, source }),
        }
    }
    // A folder that training only began is no result.
    pieces.retain(|piece| piece.bytes > 0);
    Ok(pieces)
}

/// What is read of the state that training left.
#[derive(Debug, Deserialize)]
pub(super) struct LastState {
    pub seconds: f64,
    pub total_tokens: u64,
}

/// The header of a safetensors file; none where there is no such file, or another kind of file.
pub(super) fn header(path: &Path) -> Option<Value> {
    let mut file = std::fs::File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    if length > file.metadata().ok()?.len() {
        return None;
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).ok()?;
    serde_json::from_slice(&header).ok()
}

/// The state of the last checkpoint, which stands in its metadata.
pub(super) fn last_state(path: &Path) -> Option<LastState> {
    let header = header(path)?;
    let state = header.get("__metadata__")?.get("state")?.as_str()?;
    let state: Value = serde_json::from_str(state).ok()?;
    LastState::deserialize(state.get(0)?).ok()
}
