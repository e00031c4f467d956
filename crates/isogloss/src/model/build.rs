use std::collections::HashMap;

use isogloss_kernels::{AttentionShape, Real};

use crate::graph::{MAX_POSITIONS, ModelConfig, Projection, Site, Stack};
use crate::model::attention::AttentionBlock;
use crate::model::context::DropoutPlace;
use crate::model::decoder::{Decoder, DecoderLayer};
use crate::model::encoder::{Encoder, EncoderLayer};
use crate::model::feed_forward::FeedForward;
use crate::model::linear::Linear;
use crate::model::norm::LayerNorm;
use crate::model::tensor::Tensor;
use crate::model::weight::{Vector, Weight};
use crate::model::{Model, positions};
use crate::params::ParamStore;

/// Why tensors don't make a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A number that no model can have.
    #[error("configuration `{field}` is {got}; expected {expected}")]
    Config {
        /// Its name.
        field: &'static str,
        /// Its value.
        got: usize,
        /// What it may be.
        expected: String,
    },
    /// A tensor of the configuration is not there.
    #[error("tensor `{name}` is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor `{name}`: expected shape {expected:?}, got {got:?}")]
    Shape {
        /// Its name.
        name: String,
        /// What the configuration says.
        expected: Vec<usize>,
        /// What it has.
        got: Vec<usize>,
    },
    /// A tensor doesn't hold as many values as its shape says.
    #[error("tensor `{name}` of shape {shape:?} holds {got} values")]
    Values {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many values there are.
        got: usize,
    },
}

/// What the layers rely on; checkpoints are checked when they are read, with their paths.
fn check(config: &ModelConfig) -> Result<(), ModelError> {
    let heads = [
        ("encoder_attention_heads", config.encoder_attention_heads),
        ("decoder_attention_heads", config.decoder_attention_heads),
    ];
    let wrong = |field, got: usize, expected: &str| {
        Err(ModelError::Config {
            field,
            got,
            expected: expected.to_owned(),
        })
    };
    if config.d_model < 4 {
        return wrong("d_model", config.d_model, "at least 4");
    }
    for (field, heads) in heads {
        if heads == 0 || !config.d_model.is_multiple_of(heads) {
            return wrong(field, heads, &format!("a divisor of {}", config.d_model));
        }
    }
    if config.max_position_embeddings > MAX_POSITIONS {
        let positions = config.max_position_embeddings;
        let expected = format!("at most {MAX_POSITIONS}");
        return wrong("max_position_embeddings", positions, &expected);
    }
    if config.pad_token_id as usize >= config.vocab_size {
        let pad = config.pad_token_id as usize;
        return wrong("pad_token_id", pad, &format!("below {}", config.vocab_size));
    }
    Ok(())
}

/// Places of dropout are numbered layer by layer, so that they stay what they are when code moves.
const PLACES_PER_LAYER: u64 = 8;
const DECODER_PLACES: u64 = 1 << 32;

pub(super) fn embedding_place(stack: Stack) -> DropoutPlace {
    match stack {
        Stack::Encoder => DropoutPlace(0),
        Stack::Decoder => DropoutPlace(DECODER_PLACES),
    }
}

fn layer_place(stack: Stack, layer: usize, within: u64) -> DropoutPlace {
    DropoutPlace(embedding_place(stack).0 + (layer as u64 + 1) * PLACES_PER_LAYER + within)
}

/// Takes tensors out of a map, frozen or into a store.
struct Builder<'a, R> {
    config: &'a ModelConfig,
    tensors: HashMap<String, Tensor>,
    store: Option<&'a mut ParamStore<R>>,
}

impl<R: Real> Builder<'_, R> {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
        let tensor = self
            .tensors
            .remove(name)
            .ok_or_else(|| ModelError::Missing {
                name: name.to_owned(),
            })?;
        if tensor.shape != shape {
            return Err(ModelError::Shape {
                name: tensor.name,
                expected: shape.to_vec(),
                got: tensor.shape,
            });
        }
        let count = shape.iter().try_fold(1, |n: usize, &d| n.checked_mul(d));
        let scales = tensor.storage.as_int8().map(|(_, scales)| scales.len());
        if count != Some(tensor.storage.len()) || scales.is_some_and(|n| n != shape[0]) {
            return Err(ModelError::Values {
                name: tensor.name,
                shape: tensor.shape,
                got: tensor.storage.len(),
            });
        }
        Ok(tensor)
    }

    fn values(tensor: &Tensor) -> Vec<R> {
        let values = tensor.storage.to_f32().into_iter().map(R::of).collect();
        tensor.storage.release();
        values
    }

    fn weight(&mut self, name: &str, rows: usize, cols: usize) -> Result<Weight<R>, ModelError> {
        let tensor = self.take(name, &[rows, cols])?;
        Ok(match &mut self.store {
            None => Weight::frozen(rows, cols, tensor.storage),
            Some(store) => {
                let id = store.push(name, &tensor.shape, &Self::values(&tensor));
                Weight::trainable(rows, cols, id)
            }
        })
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Vector<R>, ModelError> {
        let tensor = self.take(name, &[len])?;
        let values = Self::values(&tensor);
        Ok(match &mut self.store {
            None => Vector::Frozen(values),
            Some(store) => Vector::Trainable(store.push(name, &tensor.shape, &values)),
        })
    }

    fn norm(&mut self, name: &str) -> Result<LayerNorm<R>, ModelError> {
        let d = self.config.d_model;
        Ok(LayerNorm {
            gamma: self.vector(&format!("{name}.weight"), d)?,
            beta: self.vector(&format!("{name}.bias"), d)?,
        })
    }

    fn linear(
        &mut self,
        name: &str,
        (outputs, inputs): (usize, usize),
        site: Option<Site>,
    ) -> Result<Linear<R>, ModelError> {
        Ok(Linear {
            weight: self.weight(&format!("{name}.weight"), outputs, inputs)?,
            bias: self.vector(&format!("{name}.bias"), outputs)?,
            site,
        })
    }

    fn attention(
        &mut self,
        stack: Stack,
        layer: usize,
        cross: bool,
    ) -> Result<AttentionBlock<R>, ModelError> {
        use Projection::{CrossK, CrossQ, CrossV, K, Q, V};
        let d = self.config.d_model;
        let heads = match stack {
            Stack::Encoder => self.config.encoder_attention_heads,
            Stack::Decoder => self.config.decoder_attention_heads,
        };
        let ([q, k, v], module, within) = match cross {
            false => ([Q, K, V], "self_attn", 0),
            true => ([CrossQ, CrossK, CrossV], "encoder_attn", 2),
        };
        let at = format!("{}.{module}", layer_name(stack, layer));
        let mut site = |projection: Projection| {
            let site = Site {
                stack,
                layer,
                projection,
            };
            self.linear(&site.to_string(), (d, d), Some(site))
        };
        Ok(AttentionBlock {
            q: site(q)?,
            k: site(k)?,
            v: site(v)?,
            out: self.linear(&format!("{at}.out_proj"), (d, d), None)?,
            norm: self.norm(&format!("{at}_layer_norm"))?,
            shape: AttentionShape {
                heads,
                head_dim: d / heads,
                scale: ((d / heads) as f32).powf(-0.5),
                causal: stack == Stack::Decoder && !cross,
            },
            dropout: self.config.dropout,
            attention_dropout: self.config.attention_dropout,
            place: layer_place(stack, layer, within),
        })
    }

    fn feed_forward(&mut self, stack: Stack, layer: usize) -> Result<FeedForward<R>, ModelError> {
        let d = self.config.d_model;
        let f = match stack {
            Stack::Encoder => self.config.encoder_ffn_dim,
            Stack::Decoder => self.config.decoder_ffn_dim,
        };
        let site = |projection| Site {
            stack,
            layer,
            projection,
        };
        let at = layer_name(stack, layer);
        Ok(FeedForward {
            norm: self.norm(&format!("{at}.final_layer_norm"))?,
            fc1: self.linear(&format!("{at}.fc1"), (f, d), Some(site(Projection::Fc1)))?,
            fc2: self.linear(&format!("{at}.fc2"), (d, f), Some(site(Projection::Fc2)))?,
            dropout: self.config.dropout,
            activation_dropout: self.config.activation_dropout,
            place: layer_place(stack, layer, 4),
        })
    }
}

fn layer_name(stack: Stack, layer: usize) -> String {
    match stack {
        Stack::Encoder => format!("encoder.layers.{layer}"),
        Stack::Decoder => format!("decoder.layers.{layer}"),
    }
}

impl<R: Real> Model<R> {
    /// A model from its tensors, see [`ModelConfig::tensor_shapes`]. Without a `store` the base is frozen where it lies; with
    /// one, every tensor becomes a parameter of a new group `base`.
    ///
    /// # Errors
    /// If the configuration is no model's, or if a tensor is missing, of another shape, or without the values of its shape.
    pub fn new(
        config: &ModelConfig,
        tensors: Vec<Tensor>,
        mut store: Option<&mut ParamStore<R>>,
    ) -> Result<Self, ModelError> {
        check(config)?;
        if let Some(store) = &mut store {
            store.begin_group("base");
        }
        let mut builder = Builder {
            config,
            tensors: tensors.into_iter().map(|t| (t.name.clone(), t)).collect(),
            store,
        };
        let embedding = builder.weight("shared.weight", config.vocab_size, config.d_model)?;
        let encoder_layers = (0..config.encoder_layers)
            .map(|layer| {
                Ok(EncoderLayer {
                    attention: builder.attention(Stack::Encoder, layer, false)?,
                    feed_forward: builder.feed_forward(Stack::Encoder, layer)?,
                })
            })
            .collect::<Result<_, ModelError>>()?;
        let decoder_layers = (0..config.decoder_layers)
            .map(|layer| {
                Ok(DecoderLayer {
                    attention: builder.attention(Stack::Decoder, layer, false)?,
                    cross: builder.attention(Stack::Decoder, layer, true)?,
                    feed_forward: builder.feed_forward(Stack::Decoder, layer)?,
                })
            })
            .collect::<Result<_, ModelError>>()?;
        Ok(Model {
            embedding,
            positions: positions::table(config),
            encoder: Encoder {
                layers: encoder_layers,
                norm: builder.norm("encoder.layer_norm")?,
            },
            decoder: Decoder {
                layers: decoder_layers,
                norm: builder.norm("decoder.layer_norm")?,
            },
            config: config.clone(),
        })
    }
}
