//! Languages, directions and their resource classes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A language, by its FLORES-200 code (`deu_Latn`) wherever it has one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(Arc<str>);

impl Language {
    /// The code, such as `deu_Latn`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no language code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LanguageError {
    /// Neither a known code nor formed like one.
    #[error("unknown language `{code}`")]
    Unknown {
        /// What was given.
        code: String,
    },
}

impl FromStr for Language {
    type Err = LanguageError;
    fn from_str(code: &str) -> Result<Self, LanguageError> {
        Ok(Language(code.into()))
    }
}

/// A translation direction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Direction {
    /// Language of the input.
    pub source: Language,
    /// Language of the output.
    pub target: Language,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.source, self.target)
    }
}

/// Which language of a direction selects an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LanguageSide {
    /// The language of the input.
    Source,
    /// The language of the output.
    Target,
}
