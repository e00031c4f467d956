//! What a score was computed with, as sacreBLEU writes it.

use std::fmt;

/// The release of sacreBLEU whose numbers and signatures are matched.
pub const SACREBLEU_VERSION: &str = "2.6.0";

/// Everything that a reader needs to compute the same score again: number of references, case, tokenizer, smoothing, ...
///
/// `Display` writes the long form (`nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0`), [`Signature::short`]
/// the short one (`#:1|c:mixed|e:no|tok:13a|s:exp|v:2.6.0`). Keys, their order and the values are sacreBLEU's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Field {
    long: &'static str,
    short: &'static str,
    value: String,
}

impl Signature {
    pub(super) fn new(references: usize) -> Self {
        Self { fields: Vec::new() }.with("nrefs", "#", references.to_string())
    }

    pub(super) fn with(
        mut self,
        long: &'static str,
        short: &'static str,
        value: impl Into<String>,
    ) -> Self {
        self.fields.push(Field {
            long,
            short,
            value: value.into(),
        });
        self
    }

    /// With what was resampled (`bs` or `ar`), how often, and the seed: after the number of references, as in sacreBLEU.
    pub(super) fn resampled(mut self, kind: &'static str, resamples: u32, seed: u64) -> Self {
        let field = |long, short, value| Field { long, short, value };
        let fields = [
            field(kind, kind, resamples.to_string()),
            field("seed", "rs", seed.to_string()),
        ];
        let after = self.fields.len().min(1);
        self.fields.splice(after..after, fields);
        self
    }

    /// The short form.
    #[must_use]
    pub fn short(&self) -> String {
        let mut out = String::new();
        for field in &self.fields {
            out += &format!("{}:{}|", field.short, field.value);
        }
        out + "v:" + SACREBLEU_VERSION
    }

    /// The value of a key in its long form, such as `tok`; the version is under `version`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        if key == "version" {
            return Some(SACREBLEU_VERSION);
        }
        self.fields
            .iter()
            .find(|field| field.long == key)
            .map(|field| field.value.as_str())
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for field in &self.fields {
            write!(f, "{}:{}|", field.long, field.value)?;
        }
        write!(f, "version:{SACREBLEU_VERSION}")
    }
}

pub(super) fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

pub(super) fn case(lowercase: bool) -> &'static str {
    if lowercase { "lc" } else { "mixed" }
}
