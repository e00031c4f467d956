//! One JSON object a line.

use std::path::Path;

use serde_json::{Map, Value};

use super::{check_rows, taken};
use crate::corpus::store::Builder;
use crate::corpus::{CorpusError, Jsonl, Lines};
use crate::language::Language;

pub(super) fn read(config: &Jsonl, base: &Path, builder: &mut Builder) -> Result<(), CorpusError> {
    let path = base.join(&config.path);
    let mut lines = Lines::open(&path)?;
    let mut number = 0;
    while let Some(line) = lines.next_line()? {
        number += 1;
        if !taken(config.rows.as_ref(), number) {
            continue;
        }
        let failed = |message| CorpusError::Json {
            path: path.clone(),
            line: number,
            message,
        };
        let object: Map<String, Value> =
            serde_json::from_str(line).map_err(|e| failed(e.to_string()))?;
        let texts = match object.get(&config.translation) {
            Some(Value::Object(translation)) => translations(translation),
            Some(_) => Err(format!(
                "`{}` is no object language -> text",
                config.translation
            )),
            None => flat(config, &object),
        }
        .map_err(failed)?;
        let only = config.languages.as_deref();
        let mut row = Vec::with_capacity(texts.len());
        for (i, (language, text)) in texts.iter().enumerate() {
            if texts[..i].iter().any(|(before, _)| before == language) {
                return Err(failed(format!("two texts in {language}")));
            }
            if text.contains('\0') {
                return Err(CorpusError::Nul { path, line: number });
            }
            if builder.wants(language, only) {
                row.push((builder.language(language), builder.text(text)?));
            }
        }
        builder.row(&row);
    }
    check_rows(config.rows.as_ref(), &path, number)
}

/// Languages and texts of an object language -> text; `null` is a missing translation.
fn translations(object: &Map<String, Value>) -> Result<Vec<(Language, &str)>, String> {
    let mut texts = Vec::with_capacity(object.len());
    for (code, value) in object {
        let language: Language = code.parse().map_err(|e| format!("{e}"))?;
        match value {
            Value::String(text) => texts.push((language, text.as_str())),
            Value::Null => {}
            _ => return Err(format!("the text of `{code}` is no string")),
        }
    }
    Ok(texts)
}

fn flat<'a>(
    config: &Jsonl,
    object: &'a Map<String, Value>,
) -> Result<Vec<(Language, &'a str)>, String> {
    let string = |field: &str| match object.get(field) {
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(format!("`{field}` is no string")),
        None => Ok(None),
    };
    let needed = |field: &str| {
        let missing = || format!("neither `{}` nor `{field}` is there", config.translation);
        string(field)?.ok_or_else(missing)
    };
    let language = |field: &str, fallback: Option<&Language>| match (string(field)?, fallback) {
        (Some(code), _) => code.parse::<Language>().map_err(|e| e.to_string()),
        (None, Some(language)) => Ok(language.clone()),
        (None, None) => Err(format!(
            "no `{field}`, and the data section has no `direction`"
        )),
    };
    let (source, target) = (needed(&config.source)?, needed(&config.target)?);
    let direction = config.direction.as_ref();
    Ok(vec![
        (
            language(&config.source_lang, direction.map(|d| &d.source))?,
            source,
        ),
        (
            language(&config.target_lang, direction.map(|d| &d.target))?,
            target,
        ),
    ])
}
