//! Settings of a model as they stand in its files, read one by one with errors that name them.

use std::path::Path;

use serde_json::{Map, Value};

use super::CheckpointError;
use crate::graph::MAX_POSITIONS;

/// The settings of one file.
pub(super) struct Fields<'a> {
    pub path: &'a Path,
    pub map: &'a Map<String, Value>,
}

type Found<T> = Result<T, CheckpointError>;

impl Fields<'_> {
    /// An error about a field.
    pub fn wrong(&self, field: &str, expected: impl Into<String>) -> CheckpointError {
        CheckpointError::Config {
            path: self.path.to_owned(),
            field: field.to_owned(),
            expected: expected.into(),
            got: match self.map.get(field) {
                Some(value) => value.to_string(),
                None => "nothing".to_owned(),
            },
        }
    }

    /// A field that is there and not null.
    fn get(&self, field: &str) -> Option<&Value> {
        self.map.get(field).filter(|v| !v.is_null())
    }

    /// A count of at least one.
    pub fn size(&self, field: &str) -> Found<usize> {
        let wrong = || self.wrong(field, "a whole number from 1 to 16777216");
        let size = self.get(field).and_then(Value::as_u64).ok_or_else(wrong)?;
        // The bound keeps a damaged number from asking for memory before any tensor was compared with it.
        let size = usize::try_from(size).map_err(|_| wrong())?;
        (1..=1 << 24)
            .contains(&size)
            .then_some(size)
            .ok_or_else(wrong)
    }

    /// A number of layers.
    pub fn layers(&self, field: &str) -> Found<usize> {
        let layers = self.size(field)?;
        let wrong = || self.wrong(field, "at most 1000 layers");
        (layers <= 1000).then_some(layers).ok_or_else(wrong)
    }

    /// The number of positions.
    pub fn positions_or(&self, field: &str, default: usize) -> Found<usize> {
        let positions = self.size_or(field, default)?;
        let wrong = || self.wrong(field, format!("at most {MAX_POSITIONS} positions"));
        (positions <= MAX_POSITIONS)
            .then_some(positions)
            .ok_or_else(wrong)
    }

    /// A count, or what it is by default.
    pub fn size_or(&self, field: &str, default: usize) -> Found<usize> {
        match self.get(field) {
            Some(_) => self.size(field),
            None => Ok(default),
        }
    }

    /// The id of a token, also as a list of one.
    pub fn id_or(&self, field: &str, default: u32) -> Found<u32> {
        let value = match self.get(field) {
            None => return Ok(default),
            Some(Value::Array(ids)) if ids.len() == 1 => &ids[0],
            Some(value) => value,
        };
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| self.wrong(field, "the id of one token"))
    }

    /// A truth value, or what it is by default.
    pub fn flag_or(&self, field: &str, default: bool) -> Found<bool> {
        match self.get(field) {
            None => Ok(default),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.wrong(field, "true or false")),
        }
    }

    /// A finite number of at least zero, or what it is by default.
    pub fn number_or(&self, field: &str, default: f32) -> Found<f32> {
        match self.get(field) {
            None => Ok(default),
            Some(value) => value
                .as_f64()
                .map(|v| v as f32)
                .filter(|v| v.is_finite() && *v >= 0.0)
                .ok_or_else(|| self.wrong(field, "a number of at least 0")),
        }
    }

    /// A probability below one, or what it is by default.
    pub fn dropout_or(&self, field: &str, default: f32) -> Found<f32> {
        let rate = self.number_or(field, default)?;
        let wrong = || self.wrong(field, "a rate of at least 0 and below 1");
        (rate < 1.0).then_some(rate).ok_or_else(wrong)
    }

    /// Refuses any other value than `expected`; a field that is not there has it.
    pub fn demand(&self, field: &str, expected: impl Into<Value>) -> Found<()> {
        let expected = expected.into();
        match self.get(field) {
            Some(value) if *value != expected => Err(self.wrong(field, expected.to_string())),
            _ => Ok(()),
        }
    }

    /// Refuses two fields that differ, where the family has one value.
    pub fn demand_equal(&self, field: &str, other: &str, value: usize) -> Found<()> {
        if self.size_or(other, value)? == value {
            return Ok(());
        }
        Err(self.wrong(other, format!("{value}, as `{field}`")))
    }

    /// Says that a rate at which layers were left out in pre-training has no effect here.
    pub fn layerdrop(&self, field: &str) -> Found<()> {
        let rate = self.dropout_or(field, 0.0)?;
        if rate > 0.0 {
            tracing::info!(path = %self.path.display(), "`{field}` is {rate}; it is treated as 0");
        }
        Ok(())
    }
}
