use crate::decode::DecodeError;
use crate::graph::ModelConfig;

/// The widest beam; a wider one is a slip of the finger, and would ask for memory that no machine has.
const MAX_BEAM: usize = 1024;

/// The most pieces that a translation may have. Pieces are counted after the language tag, `</s>` included: the `max_length`
/// of transformers, which counts the start token and the tag as well, is 2 more. Either way at most one less than the
/// model has positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxLength {
    /// `factor * source + extra`, rounded up, where `source` are the source's tokens with its language tag and `</s>`.
    Relative {
        /// Pieces for each token of the source, 0 or more.
        factor: f32,
        /// Further pieces.
        extra: usize,
    },
    /// The same for every sentence.
    Pieces(usize),
}

impl Default for MaxLength {
    /// Twice the source and 10.
    fn default() -> Self {
        MaxLength::Relative {
            factor: 2.0,
            extra: 10,
        }
    }
}

impl MaxLength {
    /// The limit for a source of `source` tokens, at least 1.
    #[must_use]
    pub fn pieces(self, source: usize, config: &ModelConfig) -> usize {
        let asked = match self {
            MaxLength::Relative { factor, extra } => {
                // Saturates; what no model has positions for is cut below.
                ((f64::from(factor) * source as f64).ceil() as usize).saturating_add(extra)
            }
            MaxLength::Pieces(pieces) => pieces,
        };
        // To predict the last piece, the decoder reads the start token, the tag and all pieces before.
        let longest = config.max_position_embeddings.saturating_sub(1);
        asked.min(longest).max(1)
    }
}

/// How translations are searched for.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeOptions {
    /// Hypotheses that are followed at a time, 1 or more; 1 is greedy search, which takes the likeliest piece until `</s>`.
    /// Default 5.
    pub beam: usize,
    /// Exponent of the length in the score: a hypothesis' score is the sum of the log-probabilities (nats) of its pieces, divided
    /// by the number of tokens after the start token (language tag and `</s>` included) to this power. 0 leaves the sum, larger
    /// values favour longer translations. Default 1.
    pub length_penalty: f32,
    /// The most pieces of a translation. A hypothesis that is cut off there lacks `</s>`. Default: twice the source and 10.
    pub max_length: MaxLength,
    /// Hypotheses returned for a sentence, best first, from 1 to `beam`. Default 1.
    pub n_best: usize,
    /// The least pieces of a translation, counted as `max_length` is; `</s>` is ruled out before. Where it exceeds the most that
    /// a sentence may have (a relative `max_length` of a short source, or the model's positions), the most wins: the translation
    /// is cut off there and lacks `</s>`. More than a fixed `max_length` is an error. Default 0: no minimum.
    pub min_length: usize,
    /// Rules out a piece that would repeat a run of this many tokens of the same hypothesis, as `no_repeat_ngram_size` in
    /// transformers; helps with models that loop. Default 0: off.
    pub no_repeat_ngram: usize,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        DecodeOptions {
            beam: 5,
            length_penalty: 1.0,
            max_length: MaxLength::default(),
            n_best: 1,
            min_length: 0,
            no_repeat_ngram: 0,
        }
    }
}

impl DecodeOptions {
    /// Greedy search, everything else as by default.
    #[must_use]
    pub fn greedy() -> Self {
        DecodeOptions {
            beam: 1,
            ..DecodeOptions::default()
        }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// If one is out of range, naming it.
    pub fn validate(&self) -> Result<(), DecodeError> {
        let wrong = |option, got: &dyn ToString, expected: &str| {
            Err(DecodeError::Option {
                option,
                got: got.to_string(),
                expected: expected.to_owned(),
            })
        };
        if !(1..=MAX_BEAM).contains(&self.beam) {
            let expected = format!("it must be from 1 to {MAX_BEAM}");
            return wrong("beam", &self.beam, &expected);
        }
        if self.n_best == 0 || self.n_best > self.beam {
            let expected = format!("it must be from 1 to the beam, {}", self.beam);
            return wrong("n-best", &self.n_best, &expected);
        }
        if !self.length_penalty.is_finite() {
            return wrong("length penalty", &self.length_penalty, "it must be finite");
        }
        match self.max_length {
            MaxLength::Pieces(pieces) if pieces == 0 || pieces < self.min_length => {
                let expected = format!("it must be {} or more", self.min_length.max(1));
                wrong("max length", &pieces, &expected)
            }
            MaxLength::Relative { factor, .. } if !(factor.is_finite() && factor >= 0.0) => {
                wrong("factor of the max length", &factor, "it must be 0 or more")
            }
            _ => Ok(()),
        }
    }
}
