use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Half of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stack {
    /// Reads the source.
    Encoder,
    /// Writes the target.
    Decoder,
}

impl Stack {
    /// `encoder` or `decoder`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stack::Encoder => "encoder",
            Stack::Decoder => "decoder",
        }
    }

    fn of(name: &str) -> Option<Self> {
        let both = [Stack::Encoder, Stack::Decoder];
        both.into_iter().find(|stack| stack.name() == name)
    }
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

    /// Its name in configurations, such as `cross_q`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Projection::Q => "q",
            Projection::K => "k",
            Projection::V => "v",
            Projection::CrossQ => "cross_q",
            Projection::CrossK => "cross_k",
            Projection::CrossV => "cross_v",
            Projection::Fc1 => "fc1",
            Projection::Fc2 => "fc2",
        }
    }

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
        write!(
            f,
            "{}.layers.{}.{}",
            self.stack.name(),
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
            let stack = Stack::of(stack)?;
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

/// In files, a site is the name of its linear map.
impl Serialize for Site {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Site {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

/// A layer of a stack, such as `encoder.layers.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layer {
    /// Encoder or decoder.
    pub stack: Stack,
    /// Its number, from 0.
    pub layer: usize,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.layers.{}", self.stack.name(), self.layer)
    }
}

/// All sites of a layer, or one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Every site of the layer that has none of its own.
    Layer(Layer),
    /// One site.
    Site(Site),
}

impl Place {
    /// The layer, or that of the site.
    #[must_use]
    pub fn layer(self) -> Layer {
        match self {
            Place::Layer(layer) => layer,
            Place::Site(site) => site.into(),
        }
    }
}

impl From<Site> for Layer {
    fn from(site: Site) -> Self {
        Layer {
            stack: site.stack,
            layer: site.layer,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Layer(layer) => layer.fmt(f),
            Place::Site(site) => site.fmt(f),
        }
    }
}

impl std::str::FromStr for Place {
    type Err = SiteError;

    fn from_str(name: &str) -> Result<Self, SiteError> {
        let layer = || {
            let (stack, layer) = name.split_once(".layers.")?;
            let (stack, layer) = (Stack::of(stack)?, layer.parse().ok()?);
            Some(Place::Layer(Layer { stack, layer }))
        };
        match layer() {
            Some(place) => Ok(place),
            None => name.parse().map(Place::Site),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}
