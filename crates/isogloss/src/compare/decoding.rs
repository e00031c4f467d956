use serde::{Deserialize, Serialize};

use crate::compare::CompareError;
use crate::config::{ComputePrecision, value};
use crate::decode::DecodeOptions;
use crate::evaluate::{MadeWith, searched_by};

/// `[decoding]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodingConfig {
    /// Hypotheses followed at a time; 1 is greedy search. Default 5.
    pub beam: usize,
    /// Exponent of the length in the score; above 1 favours longer translations. Default 1.
    #[serde(
        serialize_with = "crate::decimal::serialize",
        skip_serializing_if = "is_one"
    )]
    pub length_penalty: f32,
    /// Rules out a piece that would repeat a run of so many tokens. Default 0: off.
    #[serde(skip_serializing_if = "is_zero")]
    pub no_repeat_ngram: usize,
    /// What products are computed from: `"f32"` (default), `"bf16"` or `"int8"`.
    pub precision: DecodingPrecision,
    /// Source tokens translated together. Default: as many as are best.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_tokens: Option<usize>,
}

impl Default for DecodingConfig {
    fn default() -> Self {
        DecodingConfig {
            beam: 5,
            length_penalty: 1.0,
            no_repeat_ngram: 0,
            precision: DecodingPrecision::F32,
            batch_tokens: None,
        }
    }
}

fn is_one(value: &f32) -> bool {
    *value == 1.0
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

impl DecodingConfig {
    /// As options of a translator.
    #[must_use]
    pub fn options(&self) -> DecodeOptions {
        DecodeOptions {
            beam: self.beam,
            length_penalty: self.length_penalty,
            no_repeat_ngram: self.no_repeat_ngram,
            ..DecodeOptions::default()
        }
    }

    /// Checks ranges that types don't.
    ///
    /// # Errors
    /// Names what is out of range, and what it may be.
    pub(super) fn validate(&self) -> Result<(), CompareError> {
        if let Err(error) = self.options().validate() {
            value("decoding", format!("cannot be used: {error}"))?;
        }
        Ok(())
    }

    /// What translations are known by.
    pub(super) fn made_with(&self) -> MadeWith {
        let mut made = searched_by(&self.options());
        let precision = serde_json::to_value(self.precision).unwrap_or_default();
        made.insert("precision".to_owned(), precision);
        made
    }
}

/// Precision of products while translating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecodingPrecision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16 factors.
    Bf16,
    /// Weights and activations in 8 bits.
    Int8,
}

impl From<DecodingPrecision> for isogloss_kernels::Precision {
    fn from(precision: DecodingPrecision) -> Self {
        match precision {
            DecodingPrecision::F32 => ComputePrecision::F32.into(),
            DecodingPrecision::Bf16 => ComputePrecision::Bf16.into(),
            DecodingPrecision::Int8 => isogloss_kernels::Precision::Int8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> DecodingConfig {
        toml::from_str(text).unwrap()
    }

    const UNUSUAL: &str =
        "beam = 2\nlength_penalty = 0.6\nno_repeat_ngram = 4\nprecision = \"int8\"";

    #[test]
    fn translations_are_known_by_what_is_not_as_usual() {
        let of = |text: &str| serde_json::Value::from_iter(config(text).made_with());
        let usual = serde_json::json!({ "beam": 5, "precision": "f32" });
        assert_eq!(of(""), usual);
        assert_eq!(of("length_penalty = 1.0\nno_repeat_ngram = 0"), usual);
        assert_eq!(
            of(UNUSUAL).to_string(),
            r#"{"beam":2,"length_penalty":0.6,"no_repeat_ngram":4,"precision":"int8"}"#
        );
    }

    #[test]
    fn the_search_is_what_is_configured() {
        assert_eq!(config("").options(), DecodeOptions::default());
        let expected = DecodeOptions {
            beam: 2,
            length_penalty: 0.6,
            no_repeat_ngram: 4,
            ..DecodeOptions::default()
        };
        assert_eq!(config(UNUSUAL).options(), expected);
        let wrong = config("length_penalty = inf").validate().unwrap_err();
        assert!(wrong.to_string().contains("length penalty"), "{wrong}");
    }
}
