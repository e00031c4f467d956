use crate::graph::Place;
use crate::language::Language;

/// Why an adapter configuration doesn't fit a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// No language gets an update: training would do nothing.
    #[error("no language has an update: every rank is 0; give at least one a rank of 1 or more")]
    NothingToTrain,
    /// Ranks that nothing would read.
    #[error(
        "`ranks` and `language_ranks` don't apply to the one update that all languages share; use `rank`"
    )]
    RanksOfShared,
    /// No site is named.
    #[error(
        "`sites` names no projection that this model has; use \"all\", \"fc\" or a list of q, k, v, cross_q, cross_k, cross_v, fc1, fc2"
    )]
    NoSites,
    /// A rank that a matrix can't have.
    #[error(
        "rank {rank} of `{name}` exceeds the smaller side ({limit}) of the update at {site}; lower the rank"
    )]
    RankTooLarge {
        /// Language, or `shared`.
        name: String,
        /// The rank given.
        rank: usize,
        /// Largest rank that isn't wasted.
        limit: usize,
        /// Where.
        site: String,
    },
    /// A slice outside the matrix.
    #[error(
        "slice {start}..{end} lies outside {site}, which has {inputs} inputs and {outputs} outputs"
    )]
    Slice {
        /// First column.
        start: usize,
        /// End of the slice.
        end: usize,
        /// Where.
        site: String,
        /// Inputs of the site.
        inputs: usize,
        /// Outputs of the site.
        outputs: usize,
    },
    /// A rank is given for a language that takes no part.
    #[error("`language_ranks` names {language}, which is not among the languages of this run")]
    ForeignLanguage {
        /// The language.
        language: Language,
    },
    /// The layer that sides change at doesn't exist.
    #[error(
        "`encoder_target_from` is {layer}, but the encoder has {layers} layers; use 0 to {layers}"
    )]
    EncoderTargetFrom {
        /// What was given.
        layer: usize,
        /// Layers of the encoder.
        layers: usize,
    },
    /// `sides` names a place that the model doesn't have.
    #[error(
        "`sides` names {place}, but the model has {layers} {stack} layers; layers are counted from 0"
    )]
    ForeignPlace {
        /// What was named.
        place: Place,
        /// Its stack.
        stack: &'static str,
        /// Layers of that stack.
        layers: usize,
    },
    /// Sides of the encoder are given twice.
    #[error(
        "`sides` names {place}, and `encoder_target_from` says what the encoder's sides are; use one of the two"
    )]
    TwoSides {
        /// A place of the encoder that `sides` names.
        place: Place,
    },
    /// `alpha` must be positive.
    #[error("`alpha` is {alpha}; it must be a positive number")]
    Alpha {
        /// What was given.
        alpha: f32,
    },
}
