//! An NLLB folder that has only transformers' `tokenizer.json`: the SentencePiece model is put together again from it.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::TokenizeError;
use super::config::{Config, MAX_ID};
use super::open::{find_marks, nllb_tags, parse_json, put};
use super::sentencepiece::{
    Algorithm, ModelProto, NormalizerSpec, Piece, PieceKind, SentencePiece,
};
use super::tokenizer::{Family, Parts, Token};

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Value,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: String,
    vocab: Value,
    #[serde(default)]
    merges: Vec<Value>,
}

const MARKS: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];

pub(super) fn open(dir: &Path) -> Result<Parts, TokenizeError> {
    let path = dir.join("tokenizer.json");
    let file: File = parse_json(&path)?;
    let bad = |reason: String| TokenizeError::Format {
        path: path.clone(),
        line: None,
        reason,
    };
    let mut proto = ModelProto {
        pieces: scored_pieces(&file.model).map_err(&bad)?,
        algorithm: match file.model.kind.as_str() {
            "BPE" => Algorithm::Bpe,
            "Unigram" => Algorithm::Unigram,
            other => {
                return Err(bad(format!(
                    "a {other} model; BPE and Unigram are read, or sentencepiece.bpe.model"
                )));
            }
        },
        ..ModelProto::default()
    };
    proto.normalizer = NormalizerSpec {
        precompiled_charsmap: charsmap(&file.normalizer).map_err(&bad)?,
        ..NormalizerSpec::default()
    };
    let mut tokens: Vec<Option<Token>> = Vec::new();
    for (piece, id) in proto.pieces.iter().zip(0u32..) {
        let is_mark = matches!(piece.kind, PieceKind::Control | PieceKind::Unknown);
        tokens.push(Some(if is_mark {
            Token::Special(piece.text.clone())
        } else {
            Token::Piece(id)
        }));
    }
    let config = Config::read(dir)?;
    let mut tags = Vec::new();
    for Added { id, content } in file
        .added_tokens
        .iter()
        .filter(|a| !MARKS.contains(&a.content.as_str()))
    {
        if u64::from(*id) >= MAX_ID {
            return Err(bad(format!("the added token `{content}` has id {id}")));
        }
        put(&mut tokens, *id, Token::Special(content.clone()));
        if !content.starts_with('<') {
            tags.push((content.clone(), *id));
        }
    }
    if tags.is_empty() {
        tags = nllb_tags(&config, &mut tokens)?;
    }
    let marks = find_marks(&path, |name| {
        proto
            .pieces
            .iter()
            .position(|piece| piece.text == name)
            .map(|id| id as u32)
    })?;
    let pieces = SentencePiece::from_proto(proto)
        .map_err(|source| TokenizeError::SentencePiece { path, source })?;
    let tag_at_end = config.flag("legacy_behaviour");
    Ok(Parts {
        family: Family::Nllb,
        pieces,
        tokens,
        marks,
        tags,
        tag_at_end,
    })
}

/// The vocabulary in the order of ids. A BPE piece is scored by the first merge that makes it, as SentencePiece does.
fn scored_pieces(model: &Model) -> Result<Vec<Piece>, String> {
    let kind = |text: &str| match text {
        "<unk>" => PieceKind::Unknown,
        _ if MARKS.contains(&text) => PieceKind::Control,
        _ => PieceKind::Normal,
    };
    if let Some(list) = model.vocab.as_array() {
        let entry = |entry: &Value| {
            let text = entry.get(0)?.as_str()?.to_owned();
            let score = entry.get(1)?.as_f64()? as f32;
            Some(Piece {
                kind: kind(&text),
                text,
                score,
            })
        };
        return list
            .iter()
            .map(entry)
            .collect::<Option<_>>()
            .ok_or_else(|| "the vocabulary is no list of [piece, score]".into());
    }
    let Some(map) = model.vocab.as_object() else {
        return Err("the vocabulary is neither a list nor a map".into());
    };
    let mut pieces: Vec<Option<Piece>> = vec![None; map.len()];
    for (text, id) in map {
        let slot = id
            .as_u64()
            .and_then(|id| pieces.get_mut(usize::try_from(id).ok()?));
        let slot = slot
            .ok_or_else(|| format!("`{text}` has id {id}, but there are {} entries", map.len()))?;
        // Below every merge: characters have none.
        let score = -(model.merges.len() as f32) - 1.0;
        *slot = Some(Piece {
            kind: kind(text),
            text: text.clone(),
            score,
        });
    }
    let mut pieces: Vec<Piece> = pieces
        .into_iter()
        .collect::<Option<_>>()
        .ok_or("two entries share an id")?;
    for (rank, merge) in model.merges.iter().enumerate().rev() {
        let merged = match merge {
            Value::String(pair) => pair.split_once(' ').map(|(a, b)| format!("{a}{b}")),
            pair => pair
                .get(0)
                .and_then(Value::as_str)
                .zip(pair.get(1).and_then(Value::as_str))
                .map(|(a, b)| format!("{a}{b}")),
        };
        let merged = merged.ok_or_else(|| format!("merge {rank} is no pair"))?;
        let id = map
            .get(&merged)
            .and_then(Value::as_u64)
            .ok_or_else(|| format!("merge {rank} makes `{merged}`, which is no piece"))?;
        pieces[id as usize].score = -(rank as f32);
    }
    Ok(pieces)
}

/// The compiled rules inside a `Precompiled` normaliser, alone or in a sequence.
fn charsmap(normalizer: &Value) -> Result<Vec<u8>, String> {
    let all = normalizer.get("normalizers").and_then(Value::as_array);
    let mut parts = all.into_iter().flatten().chain(std::iter::once(normalizer));
    let Some(text) = parts.find_map(|part| part.get("precompiled_charsmap")?.as_str()) else {
        return Ok(Vec::new());
    };
    decode_base64(text).ok_or_else(|| "precompiled_charsmap is no base64".into())
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}
