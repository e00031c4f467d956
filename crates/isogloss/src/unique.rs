//! Tables whose keys have several spellings, such as `de` and `deu_Latn`: whoever names one twice is told so.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Reads a table; two keys that mean the same are an error.
pub(crate) fn deserialize<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + Display,
    V: Deserialize<'de>,
{
    deserializer.deserialize_map(Table(PhantomData))
}

struct Table<K, V>(PhantomData<(K, V)>);

impl<'de, K, V> Visitor<'de> for Table<K, V>
where
    K: Deserialize<'de> + Ord + Display,
    V: Deserialize<'de>,
{
    type Value = BTreeMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut table = BTreeMap::new();
        while let Some((key, value)) = access.next_entry::<K, V>()? {
            if table.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "{key} stands here twice, under two names"
                )));
            }
            table.insert(key, value);
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use crate::adapter::AdapterConfig;

    #[test]
    fn a_language_under_two_names_is_refused() {
        let read = |text: &str| toml::from_str::<AdapterConfig>(text);
        let once = read("language_ranks = { deu_Latn = 4, fr = 2 }").unwrap();
        assert_eq!(once.language_ranks.len(), 2);
        let twice = read("language_ranks = { deu_Latn = 4, de = 7 }").unwrap_err();
        assert!(
            twice.to_string().contains("deu_Latn stands here twice"),
            "{twice}"
        );
        let twice =
            read("sides = { \"encoder.layers.0\" = \"source\", \"encoder.layers.00\" = \"none\" }");
        assert!(
            twice
                .unwrap_err()
                .to_string()
                .contains("encoder.layers.0 stands here twice")
        );
    }
}
