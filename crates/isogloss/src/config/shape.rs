use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, value};
use crate::graph::{MAX_POSITIONS, ModelConfig};

/// Most values of a row, and most layers of a side: far beyond what can be trained here, and small enough to count with.
const MAX_WIDTH: usize = 1 << 16;
const MAX_LAYERS: usize = 1 << 10;

/// `[vocabulary]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VocabularyConfig {
    /// Pieces, without the language tags. Default 16000.
    pub size: usize,
    /// Most lines of a language that it is trained on. Default 60000.
    pub lines: usize,
    /// Share of the characters of the text that get a piece of their own, 0.9 to 1. Default 0.9998.
    pub character_coverage: f64,
}

impl Default for VocabularyConfig {
    fn default() -> Self {
        VocabularyConfig {
            size: 16_000,
            lines: 60_000,
            character_coverage: 0.9998,
        }
    }
}

/// `[shape]`: hyper-parameters of a model that is trained from scratch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShapeConfig {
    /// `D`. Default 256.
    pub d_model: usize,
    /// Default 6.
    pub encoder_layers: usize,
    /// Default 3.
    pub decoder_layers: usize,
    /// Heads of every attention. Default 4.
    pub attention_heads: usize,
    /// `F`. Default 1024.
    pub ffn_dim: usize,
    /// Longest sentence in tokens, at most 16384. Default 512.
    pub max_position_embeddings: usize,
}

impl Default for ShapeConfig {
    fn default() -> Self {
        ShapeConfig {
            d_model: 256,
            encoder_layers: 6,
            decoder_layers: 3,
            attention_heads: 4,
            ffn_dim: 1024,
            max_position_embeddings: 512,
        }
    }
}

impl ShapeConfig {
    /// Checks ranges that types don't.
    ///
    /// # Errors
    /// Names the key, what it may be and what it is.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let counts = [
            ("shape.d_model", self.d_model, MAX_WIDTH),
            ("shape.encoder_layers", self.encoder_layers, MAX_LAYERS),
            ("shape.decoder_layers", self.decoder_layers, MAX_LAYERS),
            ("shape.attention_heads", self.attention_heads, MAX_WIDTH),
            ("shape.ffn_dim", self.ffn_dim, MAX_WIDTH),
            (
                "shape.max_position_embeddings",
                self.max_position_embeddings,
                MAX_POSITIONS,
            ),
        ];
        for (key, count, most) in counts {
            if count == 0 {
                return value(key, "is 0; it must be at least 1".to_owned());
            }
            if count > most {
                return value(key, format!("is {count}; it must be at most {most}"));
            }
        }
        if !self.d_model.is_multiple_of(2 * self.attention_heads) {
            let (d, heads) = (self.d_model, self.attention_heads);
            return value(
                "shape.d_model",
                format!("is {d}; it must be a multiple of twice the {heads} attention heads"),
            );
        }
        Ok(())
    }

    /// The model's configuration, for a vocabulary of `vocab_size` rows.
    #[must_use]
    pub fn model(&self, vocab_size: usize, dropout: f32, attention_dropout: f32) -> ModelConfig {
        ModelConfig {
            d_model: self.d_model,
            encoder_layers: self.encoder_layers,
            decoder_layers: self.decoder_layers,
            encoder_attention_heads: self.attention_heads,
            decoder_attention_heads: self.attention_heads,
            encoder_ffn_dim: self.ffn_dim,
            decoder_ffn_dim: self.ffn_dim,
            vocab_size,
            max_position_embeddings: self.max_position_embeddings,
            scale_embedding: true,
            dropout,
            attention_dropout,
            activation_dropout: 0.0,
            init_std: 0.02,
            bos_token_id: 0,
            pad_token_id: 1,
            eos_token_id: 2,
            decoder_start_token_id: 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_without_sense_are_named() {
        let wide = ShapeConfig {
            attention_heads: usize::MAX / 2,
            ..ShapeConfig::default()
        };
        let deep = ShapeConfig {
            decoder_layers: 5000,
            ..ShapeConfig::default()
        };
        for (shape, key) in [
            (wide, "shape.attention_heads"),
            (deep, "shape.decoder_layers"),
        ] {
            let error = shape.validate().unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("at most"), "{error}");
        }
        assert!(ShapeConfig::default().validate().is_ok());
    }
}
