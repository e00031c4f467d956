use std::fmt;

use serde::{Deserialize, Serialize};

/// Half of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stack {
    /// Reads the source.
    Encoder,
    /// Writes the target.
    Decoder,
}

/// A linear map of a layer that an update can be added to. The output projection of attention is never adapted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Projection {
    /// Query of self-attention.
    Q,
    /// Key of self-attention.
    K,
    /// Value of self-attention.
    V,
    /// Query of cross-attention (decoder only).
    CrossQ,
    /// Key of cross-attention, computed from the encoder's output (decoder only).
    CrossK,
    /// Value of cross-attention, computed from the encoder's output (decoder only).
    CrossV,
    /// First map of the feed-forward block.
    Fc1,
    /// Second map of the feed-forward block.
    Fc2,
}

impl Projection {
    /// All, in the order of the graph.
    pub const ALL: [Projection; 8] = [
        Projection::Q,
        Projection::K,
        Projection::V,
        Projection::CrossQ,
        Projection::CrossK,
        Projection::CrossV,
        Projection::Fc1,
        Projection::Fc2,
    ];

    /// Whether only decoder layers have it.
    #[must_use]
    pub fn is_cross(self) -> bool {
        matches!(
            self,
            Projection::CrossQ | Projection::CrossK | Projection::CrossV
        )
    }

    /// Name of the linear map within its layer, as in checkpoints.
    #[must_use]
    pub fn module(self) -> &'static str {
        match self {
            Projection::Q => "self_attn.q_proj",
            Projection::K => "self_attn.k_proj",
            Projection::V => "self_attn.v_proj",
            Projection::CrossQ => "encoder_attn.q_proj",
            Projection::CrossK => "encoder_attn.k_proj",
            Projection::CrossV => "encoder_attn.v_proj",
            Projection::Fc1 => "fc1",
            Projection::Fc2 => "fc2",
        }
    }
}

/// A place in the model that an update can be added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// Encoder or decoder.
    pub stack: Stack,
    /// Layer of the stack, from 0.
    pub layer: usize,
    /// The linear map.
    pub projection: Projection,
}

/// The name of the base's linear map, such as `encoder.layers.0.fc1`.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stack = match self.stack {
            Stack::Encoder => "encoder",
            Stack::Decoder => "decoder",
        };
        write!(
            f,
            "{stack}.layers.{}.{}",
            self.layer,
            self.projection.module()
        )
    }
}

/// Every site of a model with so many layers, encoder first, in the order of the graph.
#[must_use]
pub fn all_sites(encoder_layers: usize, decoder_layers: usize) -> Vec<Site> {
    let stacks = [
        (Stack::Encoder, encoder_layers),
        (Stack::Decoder, decoder_layers),
    ];
    let mut sites = Vec::new();
    for (stack, layers) in stacks {
        for layer in 0..layers {
            for projection in Projection::ALL {
                if stack == Stack::Decoder || !projection.is_cross() {
                    sites.push(Site {
                        stack,
                        layer,
                        projection,
                    });
                }
            }
        }
    }
    sites
}

/// A name that is no site.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{name}` is not a site; expected a name such as `encoder.layers.0.fc1` or `decoder.layers.2.encoder_attn.q_proj`"
)]
pub struct SiteError {
    name: String,
}

impl std::str::FromStr for Site {
    type Err = SiteError;

    fn from_str(name: &str) -> Result<Self, SiteError> {
        let parse = || {
            let (stack, rest) = name.split_once(".layers.")?;
            let (layer, module) = rest.split_once('.')?;
            let stack = match stack {
                "encoder" => Stack::Encoder,
                "decoder" => Stack::Decoder,
                _ => return None,
            };
            let projection = Projection::ALL.into_iter().find(|p| p.module() == module)?;
            if stack == Stack::Encoder && projection.is_cross() {
                return None;
            }
            Some(Site {
                stack,
                layer: layer.parse().ok()?,
                projection,
            })
        };
        parse().ok_or_else(|| SiteError {
            name: name.to_owned(),
        })
    }
}

/// A site in files, by the name of its linear map.
pub(crate) mod as_name {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Site;

    pub fn serialize<S: Serializer>(site: &Site, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(site)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Site, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}
