use serde::{Deserialize, Serialize};

use crate::graph::{Projection, Site, Stack};

/// Hyper-parameters of a model of the M2M-100 family, as in the `config.json` of a Hugging Face folder
/// (`model_type: m2m_100`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// `D`: width of the residual stream.
    pub d_model: usize,
    /// Encoder layers.
    pub encoder_layers: usize,
    /// Decoder layers.
    pub decoder_layers: usize,
    /// Heads of an encoder layer.
    pub encoder_attention_heads: usize,
    /// Heads of a decoder layer.
    pub decoder_attention_heads: usize,
    /// `F` of the encoder.
    pub encoder_ffn_dim: usize,
    /// `F` of the decoder.
    pub decoder_ffn_dim: usize,
    /// `V`: rows of the embedding.
    pub vocab_size: usize,
    /// Longest sequence that positions exist for, at most [`MAX_POSITIONS`].
    pub max_position_embeddings: usize,
    /// Multiply embeddings by `sqrt(D)`.
    pub scale_embedding: bool,
    /// Dropout of embeddings and of the outputs of attention and feed-forward blocks.
    pub dropout: f32,
    /// Dropout of attention weights.
    pub attention_dropout: f32,
    /// Dropout after the activation.
    pub activation_dropout: f32,
    /// Standard deviation of initial weights.
    pub init_std: f32,
    /// `<s>`.
    pub bos_token_id: u32,
    /// `<pad>`; positions count from `pad_token_id + 1`.
    pub pad_token_id: u32,
    /// `</s>`.
    pub eos_token_id: u32,
    /// What the decoder's input starts with.
    pub decoder_start_token_id: u32,
}

/// Epsilon of every layer norm of the family.
pub const LAYER_NORM_EPS: f32 = 1e-5;

/// The most positions that a model may have: 16 times those of the published models. Positions are computed, so no file holds a
/// tensor that a damaged number would contradict before a table of that many rows is made.
pub const MAX_POSITIONS: usize = 1 << 14;

impl ModelConfig {
    /// Width of one head of the encoder.
    ///
    /// # Panics
    /// If there are no heads.
    #[must_use]
    pub fn encoder_head_dim(&self) -> usize {
        self.d_model / self.encoder_attention_heads
    }

    /// Width of one head of the decoder.
    ///
    /// # Panics
    /// If there are no heads.
    #[must_use]
    pub fn decoder_head_dim(&self) -> usize {
        self.d_model / self.decoder_attention_heads
    }

    /// Whether training drops anything.
    #[must_use]
    pub fn drops(&self) -> bool {
        let rates = [
            self.dropout,
            self.attention_dropout,
            self.activation_dropout,
        ];
        rates.iter().any(|&rate| rate > 0.0)
    }

    /// Number of weights, the tied embedding counted once.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let count = |(_, shape): &(String, Vec<usize>)| shape.iter().product::<usize>();
        self.tensor_shapes().iter().map(count).sum()
    }

    /// Name and shape of every tensor that a model of this configuration consists of, in the order of the graph, without
    /// the prefix `model.` (`shared.weight` is the tied embedding and head).
    #[must_use]
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (d, mut all) = (self.d_model, Vec::new());
        all.push(("shared.weight".to_owned(), vec![self.vocab_size, d]));
        let stacks = [
            ("encoder", self.encoder_layers, self.encoder_ffn_dim),
            ("decoder", self.decoder_layers, self.decoder_ffn_dim),
        ];
        for (stack, layers, ffn) in stacks {
            for layer in 0..layers {
                let at = format!("{stack}.layers.{layer}");
                let attentions: &[&str] = match stack {
                    "encoder" => &["self_attn"],
                    _ => &["self_attn", "encoder_attn"],
                };
                for attention in attentions {
                    for p in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                        all.push((format!("{at}.{attention}.{p}.weight"), vec![d, d]));
                        all.push((format!("{at}.{attention}.{p}.bias"), vec![d]));
                    }
                    all.push((format!("{at}.{attention}_layer_norm.weight"), vec![d]));
                    all.push((format!("{at}.{attention}_layer_norm.bias"), vec![d]));
                }
                all.push((format!("{at}.fc1.weight"), vec![ffn, d]));
                all.push((format!("{at}.fc1.bias"), vec![ffn]));
                all.push((format!("{at}.fc2.weight"), vec![d, ffn]));
                all.push((format!("{at}.fc2.bias"), vec![d]));
                all.push((format!("{at}.final_layer_norm.weight"), vec![d]));
                all.push((format!("{at}.final_layer_norm.bias"), vec![d]));
            }
            all.push((format!("{stack}.layer_norm.weight"), vec![d]));
            all.push((format!("{stack}.layer_norm.bias"), vec![d]));
        }
        all
    }

    /// Layers of a stack.
    #[must_use]
    pub fn layers(&self, stack: Stack) -> usize {
        match stack {
            Stack::Encoder => self.encoder_layers,
            Stack::Decoder => self.decoder_layers,
        }
    }

    /// `(out, in)` of the linear map at a site.
    #[must_use]
    pub fn site_shape(&self, site: Site) -> (usize, usize) {
        let ffn = match site.stack {
            Stack::Encoder => self.encoder_ffn_dim,
            Stack::Decoder => self.decoder_ffn_dim,
        };
        match site.projection {
            Projection::Fc1 => (ffn, self.d_model),
            Projection::Fc2 => (self.d_model, ffn),
            _ => (self.d_model, self.d_model),
        }
    }
}

#[cfg(test)]
impl ModelConfig {
    /// The shape of M2M-100 418M and NLLB-200 distilled 600M.
    pub(crate) fn published(vocab_size: usize) -> Self {
        ModelConfig {
            d_model: 1024,
            encoder_layers: 12,
            decoder_layers: 12,
            encoder_attention_heads: 16,
            decoder_attention_heads: 16,
            encoder_ffn_dim: 4096,
            decoder_ffn_dim: 4096,
            vocab_size,
            max_position_embeddings: 1024,
            scale_embedding: true,
            dropout: 0.1,
            attention_dropout: 0.1,
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

    /// M2M-100 418M and NLLB-200 distilled 600M, as transformers counts them.
    #[test]
    fn counts_the_parameters_of_published_models() {
        assert_eq!(ModelConfig::published(128_112).parameters(), 483_905_536);
        assert_eq!(ModelConfig::published(256_206).parameters(), 615_073_792);
    }
}
