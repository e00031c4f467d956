use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files;
use crate::optim::Adam;
use crate::params::ParamStore;
use crate::train::TrainError;

/// Where a run stands. With the values and the optimiser's moments it is all that resuming needs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrainState {
    /// Updates done.
    pub update: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// Samples of the epoch used.
    pub cursor: usize,
    /// Target tokens trained on.
    pub total_tokens: u64,
    /// Best validation so far, as a score of which more is better.
    pub best: Option<f64>,
    /// Negative log-likelihood of the best validation.
    pub best_nll: Option<f64>,
    /// Validations since the best.
    pub since_best: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Whether the run is over.
    pub finished: bool,
}

/// What a saved state must agree with: names and shapes of all parameters.
fn layout(store: &ParamStore<f32>) -> String {
    let mut hash = Sha256::new();
    for param in store.params() {
        hash.update(format!("{} {:?}\n", param.name, param.shape));
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn write(path: &Path, arrays: &[(&str, &[f32])], state: &str, layout: &str) -> Result<(), TrainError> {
    let views = arrays.iter().map(|&(name, values)| {
        let view = TensorView::new(Dtype::F32, vec![values.len()], bytemuck::cast_slice(values));
        view.map(|view| (name, view))
    });
    let metadata: HashMap<String, String> = [("state", state), ("layout", layout)]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    let bytes = views
        .collect::<Result<Vec<_>, _>>()
        .and_then(|views| safetensors::serialize(views, Some(metadata)))
        .map_err(|e| damaged(path, e.to_string()))?;
    files::write_atomic(path, |w| w.write_all(&bytes))?;
    Ok(())
}

fn damaged(path: &Path, reason: String) -> TrainError {
    TrainError::State {
        path: path.to_owned(),
        reason,
    }
}

/// Saves everything that resuming needs.
pub(super) fn save(
    path: &Path,
    state: &TrainState,
    store: &ParamStore<f32>,
    adam: &Adam<f32>,
) -> Result<(), TrainError> {
    let (first, second, steps) = adam.state();
    let state = serde_json::to_string(&(state, steps)).map_err(|e| damaged(path, e.to_string()))?;
    let arrays = [("values", store.values()), ("first", first), ("second", second)];
    write(path, &arrays, &state, &layout(store))
}

/// Saves values alone.
pub(super) fn save_values(path: &Path, store: &ParamStore<f32>) -> Result<(), TrainError> {
    write(path, &[("values", store.values())], "", &layout(store))
}

struct Saved {
    arrays: HashMap<String, Vec<f32>>,
    state: String,
}

fn read(path: &Path, store: &ParamStore<f32>) -> Result<Saved, TrainError> {
    let bytes = std::fs::read(path).map_err(|e| TrainError::Read {
        path: path.to_owned(),
        reason: e.to_string(),
    })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(path, e.to_string()))?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(path, e.to_string()))?;
    let metadata = metadata.metadata().clone().unwrap_or_default();
    if metadata.get("layout") != Some(&layout(store)) {
        return Err(damaged(path, "its parameters are not those of this run".to_owned()));
    }
    let mut arrays = HashMap::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 || view.shape() != [store.values().len()] {
            return Err(damaged(path, format!("array `{name}` has another size")));
        }
        let values = view.data().as_chunks::<4>().0.iter();
        arrays.insert(name.to_owned(), values.map(|b| f32::from_le_bytes(*b)).collect());
    }
    Ok(Saved {
        arrays,
        state: metadata.get("state").cloned().unwrap_or_default(),
    })
}

/// Restores what [`save`] wrote.
pub(super) fn load(
    path: &Path,
    store: &mut ParamStore<f32>,
    adam: &mut Adam<f32>,
) -> Result<TrainState, TrainError> {
    let saved = read(path, store)?;
    let (state, steps): (TrainState, Vec<u64>) =
        serde_json::from_str(&saved.state).map_err(|e| damaged(path, e.to_string()))?;
    let [values, first, second] = ["values", "first", "second"].map(|name| saved.arrays.get(name));
    let (Some(values), Some(first), Some(second)) = (values, first, second) else {
        return Err(damaged(path, "an array is missing".to_owned()));
    };
    if steps.len() != store.groups().len() {
        return Err(damaged(path, format!("it has {} groups of parameters", steps.len())));
    }
    store.values_mut().copy_from_slice(values);
    adam.restore(first, second, &steps);
    Ok(state)
}

/// Restores what [`save_values`] wrote.
pub(super) fn load_values(path: &Path, store: &mut ParamStore<f32>) -> Result<(), TrainError> {
    let saved = read(path, store)?;
    let values = saved.arrays.get("values");
    let values = values.ok_or_else(|| damaged(path, "array `values` is missing".to_owned()))?;
    store.values_mut().copy_from_slice(values);
    Ok(())
}
