//! The JSON files beside a vocabulary: which languages there are and where their tags stand.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::TokenizeError;
use super::open::parse_json;

/// The largest id that a file may give: a bound on memory, far above any vocabulary.
pub(super) const MAX_ID: u64 = 1 << 24;

/// The JSON files beside a vocabulary, as far as they are there.
pub(super) struct Config {
    path: PathBuf,
    tokenizer: Value,
    special_tokens: Value,
    added: Value,
}

impl Config {
    pub(super) fn read(dir: &Path) -> Result<Self, TokenizeError> {
        let optional = |name: &str| {
            let path = dir.join(name);
            if path.is_file() {
                parse_json(&path)
            } else {
                Ok(Value::Null)
            }
        };
        Ok(Config {
            path: dir.join("tokenizer_config.json"),
            tokenizer: optional("tokenizer_config.json")?,
            special_tokens: optional("special_tokens_map.json")?,
            added: optional("added_tokens.json")?,
        })
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.tokenizer.get(key)?.as_str()
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.tokenizer
            .get(key)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// The list under either of its names, in either file.
    pub(super) fn additional_tokens(&self) -> Vec<String> {
        let names = ["extra_special_tokens", "additional_special_tokens"];
        let lists = [&self.tokenizer, &self.special_tokens]
            .into_iter()
            .flat_map(|file| names.map(|name| file.get(name)));
        let found = lists
            .flatten()
            .filter_map(Value::as_array)
            .find(|list| !list.is_empty());
        found.into_iter().flatten().filter_map(token_text).collect()
    }

    /// Tokens with ids of their own, ascending.
    pub(super) fn added_tokens(&self) -> Result<Vec<(u32, String)>, TokenizeError> {
        let mut found = Vec::new();
        let decoder = self
            .tokenizer
            .get("added_tokens_decoder")
            .and_then(Value::as_object);
        for (id, token) in decoder.into_iter().flatten() {
            found.push((id.parse::<u64>().ok(), token_text(token)));
        }
        for (content, id) in self.added.as_object().into_iter().flatten() {
            found.push((id.as_u64(), Some(content.clone())));
        }
        let mut tokens = Vec::new();
        for entry in found {
            match entry {
                (Some(id), Some(content)) if id < MAX_ID => tokens.push((id as u32, content)),
                (id, content) => {
                    return Err(TokenizeError::Format {
                        path: self.path.clone(),
                        line: None,
                        reason: format!("an added token has id {id:?} and content {content:?}"),
                    });
                }
            }
        }
        tokens.sort_unstable();
        tokens.dedup();
        Ok(tokens)
    }
}

/// A token is a string, or an object that holds one.
fn token_text(token: &Value) -> Option<String> {
    token
        .as_str()
        .or_else(|| token.get("content")?.as_str())
        .map(str::to_owned)
}
