//! Writing the tokenizer of a model pre-trained here, as a folder in NLLB's layout that transformers loads too.

use std::path::Path;

use serde_json::{Value, json};

use super::sentencepiece::{Algorithm, ModelProto, PieceKind};
use super::{TokenizeError, Tokenizer};
use crate::files;
use crate::language::Language;

/// Writes `sentencepiece.bpe.model`, `tokenizer_config.json`, `special_tokens_map.json` and `tokenizer.json` for a trained
/// vocabulary with one tag a language, in this order, then opens the folder.
///
/// `NllbTokenizer` of transformers 5 gives the same ids, but for text that the two treat differently: marks and tags in the
/// text, spaces at its ends, byte pieces (which it lacks), and letters with combining marks that NFKC changes.
///
/// # Errors
/// [`TokenizeError`] if the model is broken or a file cannot be written.
pub fn write_folder(
    dir: &Path,
    model: &[u8],
    languages: &[Language],
) -> Result<Tokenizer, TokenizeError> {
    let model_path = dir.join("sentencepiece.bpe.model");
    let proto = ModelProto::parse(model).map_err(|source| TokenizeError::SentencePiece {
        path: model_path.clone(),
        source,
    })?;
    files::create_dir(dir)?;
    let codes: Vec<&str> = languages.iter().map(Language::code).collect();
    let vocab = nllb_vocab(&proto);
    files::write_json(&dir.join("tokenizer_config.json"), &config(&vocab, &codes))?;
    files::write_json(
        &dir.join("special_tokens_map.json"),
        &special_tokens_map(&codes),
    )?;
    if proto.algorithm == Algorithm::Bpe {
        files::write_json(
            &dir.join("tokenizer.json"),
            &tokenizer_json(&proto, &vocab, &codes),
        )?;
    }
    // Last, since a folder counts as a tokenizer once it is there.
    write(&model_path, model)?;
    Tokenizer::open(dir)
}

/// Pieces in the order of the model's ids.
fn nllb_vocab(proto: &ModelProto) -> Vec<&str> {
    let mut vocab = vec!["<s>", "<pad>", "</s>", "<unk>"];
    let rest = proto.pieces.iter().map(|piece| piece.text.as_str());
    vocab.extend(rest.filter(|text| !["<s>", "<pad>", "</s>", "<unk>"].contains(text)));
    vocab
}

fn special_tokens_map(codes: &[&str]) -> Value {
    json!({
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "mask_token": "<mask>",
        "additional_special_tokens": codes,
    })
}

/// Every token outside the pieces, with its id: marks, tags, mask.
fn added<'a>(vocab: &[&str], codes: &[&'a str]) -> Vec<(usize, &'a str)> {
    let marks = ["<s>", "<pad>", "</s>", "<unk>"].into_iter().enumerate();
    let tags = codes.iter().copied().chain(["<mask>"]);
    marks
        .chain(tags.enumerate().map(|(i, tag)| (vocab.len() + i, tag)))
        .collect()
}

fn added_token(content: &str) -> serde_json::Map<String, Value> {
    let mut token = serde_json::Map::new();
    token.insert("content".into(), content.into());
    token.insert("lstrip".into(), (content == "<mask>").into());
    token.insert("normalized".into(), (content == "<mask>").into());
    token.insert("rstrip".into(), false.into());
    token.insert("single_word".into(), false.into());
    token.insert("special".into(), true.into());
    token
}

fn config(vocab: &[&str], codes: &[&str]) -> Value {
    let decoder: serde_json::Map<String, Value> = added(vocab, codes)
        .into_iter()
        .map(|(id, content)| (id.to_string(), Value::Object(added_token(content))))
        .collect();
    json!({
        "tokenizer_class": "NllbTokenizer",
        "legacy_behaviour": false,
        "clean_up_tokenization_spaces": false,
        "model_max_length": 1024,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "mask_token": "<mask>",
        "src_lang": codes.first(),
        "tgt_lang": codes.get(1),
        "extra_special_tokens": codes,
        "additional_special_tokens": codes,
        "added_tokens_decoder": decoder,
    })
}

fn tokenizer_json(proto: &ModelProto, vocab: &[&str], codes: &[&str]) -> Value {
    let added: Vec<Value> = added(vocab, codes)
        .into_iter()
        .map(|(id, content)| {
            let mut token = serde_json::Map::new();
            token.insert("id".into(), id.into());
            token.extend(added_token(content));
            Value::Object(token)
        })
        .collect();
    let ids: serde_json::Map<String, Value> = vocab
        .iter()
        .enumerate()
        .map(|(id, text)| ((*text).to_owned(), id.into()))
        .collect();
    let metaspace =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    let charsmap = &proto.normalizer.precompiled_charsmap;
    let collapse = json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "});
    let normalizer = if charsmap.is_empty() {
        collapse
    } else {
        let rules = json!({"type": "Precompiled", "precompiled_charsmap": encode_base64(charsmap)});
        json!({"type": "Sequence", "normalizers": [rules, collapse]})
    };
    let tag = codes.first().copied().unwrap_or("</s>");
    let tag_id = codes.first().map_or(2, |_| vocab.len());
    let special = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let sequence = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": metaspace,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special(tag), sequence("A"), special("</s>")],
            "pair": [special(tag), sequence("A"), sequence("B"), special("</s>")],
            "special_tokens": {
                tag: {"id": tag, "ids": [tag_id], "tokens": [tag]},
                "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]},
            },
        },
        "decoder": metaspace,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": "<unk>",
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": true,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": ids,
            "merges": merges(proto),
        },
    })
}

/// SentencePiece merges any two neighbours that make a piece, the best piece first: so each way to cut a piece in two pieces
/// is a merge, in the order of the pieces' scores.
fn merges(proto: &ModelProto) -> Vec<Value> {
    let mut normal: Vec<(usize, &str, f32)> = proto
        .pieces
        .iter()
        .enumerate()
        .filter(|(_, piece)| piece.kind == PieceKind::Normal)
        .map(|(id, piece)| (id, piece.text.as_str(), piece.score))
        .collect();
    normal.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    let ids: std::collections::HashMap<&str, usize> =
        normal.iter().map(|(id, text, _)| (*text, *id)).collect();
    let mut merges = Vec::new();
    for (_, text, _) in &normal {
        let mut ways: Vec<(usize, usize, &str, &str)> = text
            .char_indices()
            .skip(1)
            .filter_map(|(at, _)| {
                let (left, right) = text.split_at(at);
                Some((*ids.get(left)?, *ids.get(right)?, left, right))
            })
            .collect();
        ways.sort_unstable();
        merges.extend(
            ways.into_iter()
                .map(|(_, _, left, right)| json!([left, right])),
        );
    }
    merges
}

fn encode_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
            out.push(if i > chunk.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    out
}

/// Beside, synced, then renamed: a reader sees the old file or the new one.
fn write(path: &Path, bytes: &[u8]) -> Result<(), TokenizeError> {
    Ok(files::write_atomic(path, |w| w.write_all(bytes))?)
}

/// Files that a tokenizer may consist of, in any family's folder.
const FILES: [&str; 11] = [
    "sentencepiece.bpe.model",
    "spm.128k.model",
    "sentencepiece.model",
    "spm.model",
    "vocab.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "dict.txt",
    "language_pairs.txt",
];

/// Copies a tokenizer's files from one model folder to another, byte by byte.
///
/// # Errors
/// [`TokenizeError`] if a file cannot be read or written.
pub fn copy_files(from: &Path, to: &Path) -> Result<(), TokenizeError> {
    for name in FILES {
        let path = from.join(name);
        if path.exists() {
            let bytes =
                std::fs::read(&path).map_err(|source| TokenizeError::Read { path, source })?;
            write(&to.join(name), &bytes)?;
        }
    }
    Ok(())
}
