//! Reading the tokenizer files of each model family.

use std::collections::HashMap;
use std::path::Path;

use super::TokenizeError;
use super::codes::{M2M_100, NLLB_200, WMT_21};
use super::config::Config;
use super::sentencepiece::{ModelProto, PieceKind, SentencePiece};
use super::tokenizer::{Family, Marks, Parts, Token};

/// Names that the SentencePiece model goes by.
const MODEL_FILES: [&str; 4] = [
    "sentencepiece.bpe.model",
    "spm.128k.model",
    "sentencepiece.model",
    "spm.model",
];

pub(super) fn open(dir: &Path) -> Result<Parts, TokenizeError> {
    let has = |name: &str| dir.join(name).is_file();
    let model = MODEL_FILES
        .iter()
        .find(|name| has(name))
        .map(|name| dir.join(name));
    let needs_model = |why: &str| TokenizeError::Missing {
        dir: dir.to_owned(),
        what: format!("{}, which {why} is cut with", MODEL_FILES[0]),
    };
    if has("dict.txt") {
        let model = model.ok_or_else(|| needs_model("text for dict.txt"))?;
        fairseq(dir, &load_model(&model)?)
    } else if has("vocab.json") {
        let model = model.ok_or_else(|| needs_model("text for vocab.json"))?;
        m2m100(dir, &load_model(&model)?)
    } else if let Some(model) = model {
        nllb(dir, &load_model(&model)?)
    } else if has("tokenizer.json") {
        super::tokenizer_json::open(dir)
    } else {
        Err(TokenizeError::Missing {
            dir: dir.to_owned(),
            what: format!(
                "a tokenizer: no {} and no tokenizer.json",
                MODEL_FILES.join(", no ")
            ),
        })
    }
}

fn load_model(path: &Path) -> Result<SentencePiece, TokenizeError> {
    let wrap = |source| TokenizeError::SentencePiece {
        path: path.to_owned(),
        source,
    };
    SentencePiece::from_proto(ModelProto::parse(&read(path)?).map_err(wrap)?).map_err(wrap)
}

/// M2M-100: ids from `vocab.json`, then the tags in the order of the list of codes (transformers' `M2M100Tokenizer`).
fn m2m100(dir: &Path, pieces: &SentencePiece) -> Result<Parts, TokenizeError> {
    let path = dir.join("vocab.json");
    let vocab: HashMap<String, u64> = parse_json(&path)?;
    let config = Config::read(dir)?;
    let first_tag = vocab.len() as u32;
    let mut tokens = vec![None; vocab.len()];
    for (text, &id) in &vocab {
        let slot = usize::try_from(id).ok().and_then(|id| tokens.get_mut(id));
        let slot = slot.ok_or_else(|| TokenizeError::Format {
            path: path.clone(),
            line: None,
            reason: format!(
                "`{text}` has id {id}, but with {} entries ids go up to {}",
                vocab.len(),
                vocab.len() - 1
            ),
        })?;
        if let Some(other) = slot.replace(token(text, pieces)) {
            let other = describe(&other, pieces);
            return Err(TokenizeError::Format {
                path,
                line: None,
                reason: format!("`{text}` and `{other}` share id {id}"),
            });
        }
    }
    let marks = find_marks(&path, |name| vocab.get(name).map(|id| *id as u32))?;
    let codes: &[&str] = if config.text("language_codes") == Some("wmt21") {
        &WMT_21
    } else {
        &M2M_100
    };
    let mut tags = Vec::new();
    for (code, id) in codes.iter().zip(first_tag..) {
        add_tag(&mut tokens, &mut tags, code, format!("__{code}__"), id);
    }
    // Languages that a fine-tuned copy added.
    for (id, content) in config.added_tokens()? {
        if let Some(code) = tag_code(&content)
            && !tags.iter().any(|(known, _)| known == code)
        {
            add_tag(&mut tokens, &mut tags, code, content.clone(), id);
        }
    }
    let pieces = pieces.clone();
    Ok(Parts {
        family: Family::M2m100,
        pieces,
        tokens,
        marks,
        tags,
        tag_at_end: false,
    })
}

/// NLLB: `<s> <pad> </s> <unk>`, the other pieces in their order, the tags, `<mask>` (transformers' `NllbTokenizer`).
fn nllb(dir: &Path, pieces: &SentencePiece) -> Result<Parts, TokenizeError> {
    const NAMES: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];
    let mut tokens: Vec<Option<Token>> = NAMES
        .iter()
        .map(|n| Some(Token::Special((*n).to_owned())))
        .collect();
    for (piece, id) in pieces.pieces().iter().zip(0u32..) {
        if NAMES.contains(&piece.text.as_str()) {
            continue;
        }
        let is_mark = matches!(piece.kind, PieceKind::Control | PieceKind::Unknown);
        tokens.push(Some(if is_mark {
            Token::Special(piece.text.clone())
        } else {
            Token::Piece(id)
        }));
    }
    let config = Config::read(dir)?;
    let tags = nllb_tags(&config, &mut tokens)?;
    Ok(Parts {
        family: Family::Nllb,
        pieces: pieces.clone(),
        tokens,
        marks: Marks::FAIRSEQ,
        tags,
        tag_at_end: config.flag("legacy_behaviour"),
    })
}

/// The tags after the pieces: where `added_tokens_decoder` or `added_tokens.json` puts them, else in the order of the list
/// of additional tokens, else all of NLLB's.
pub(super) fn nllb_tags(
    config: &Config,
    tokens: &mut Vec<Option<Token>>,
) -> Result<Vec<(String, u32)>, TokenizeError> {
    let mut tags = Vec::new();
    let first = tokens.len() as u32;
    let added = config.added_tokens()?;
    for (id, content) in added
        .iter()
        .filter(|(id, content)| *id >= first && is_language(content))
    {
        add_tag(tokens, &mut tags, content, content.clone(), *id);
    }
    if tags.is_empty() {
        let listed = config.additional_tokens();
        let codes: Vec<String> = if listed.iter().any(|c| is_language(c)) {
            listed
        } else {
            NLLB_200.iter().map(|c| (*c).to_owned()).collect()
        };
        for code in codes.into_iter().filter(|c| is_language(c)) {
            let id = tokens.len() as u32;
            add_tag(tokens, &mut tags, &code, code.clone(), id);
        }
    }
    let mask = added
        .iter()
        .find(|(id, content)| *id >= first && content == "<mask>");
    let mask = mask.map_or(tokens.len() as u32, |(id, _)| *id);
    put(tokens, mask, Token::Special("<mask>".into()));
    Ok(tags)
}

/// Marks such as `<mask>` and `<unk>` stand in the same lists as the languages.
fn is_language(token: &str) -> bool {
    !token.starts_with('<')
}

/// fairseq: `<s> <pad> </s> <unk>`, the lines of `dict.txt`, then tags that are not among them, in the order of the list of
/// languages (`Dictionary` and `MultilingualDatasetManager`).
fn fairseq(dir: &Path, pieces: &SentencePiece) -> Result<Parts, TokenizeError> {
    let path = dir.join("dict.txt");
    let text = read_text(&path)?;
    let mut tokens: Vec<Option<Token>> = Vec::new();
    let mut ids: HashMap<String, u32> = HashMap::new();
    for name in ["<s>", "<pad>", "</s>", "<unk>"] {
        ids.insert(name.into(), tokens.len() as u32);
        tokens.push(Some(Token::Special(name.into())));
    }
    let mut tags = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let bad = |reason: String| TokenizeError::Format {
            path: path.clone(),
            line: Some(number + 1),
            reason,
        };
        let line = line.trim_end();
        let (line, overwrites) = match line.strip_suffix(" #fairseq:overwrite") {
            Some(rest) => (rest, true),
            None => (line, false),
        };
        let Some((symbol, count)) = line.rsplit_once(' ') else {
            return Err(bad("expected a piece, a space and a count".into()));
        };
        if count.parse::<u64>().is_err() {
            return Err(bad(format!(
                "expected a count after `{symbol}`, got `{count}`"
            )));
        }
        if ids.contains_key(symbol) && !overwrites {
            return Err(bad(format!("`{symbol}` is there twice")));
        }
        let id = tokens.len() as u32;
        ids.insert(symbol.to_owned(), id);
        match tag_code(symbol) {
            Some(code) => add_tag(&mut tokens, &mut tags, code, symbol.to_owned(), id),
            None => tokens.push(Some(token(symbol, pieces))),
        }
    }
    for code in fairseq_languages(dir)? {
        if !tags.iter().any(|(known, _)| *known == code) {
            let id = tokens.len() as u32;
            add_tag(&mut tokens, &mut tags, &code, format!("__{code}__"), id);
        }
    }
    let pieces = pieces.clone();
    Ok(Parts {
        family: Family::Fairseq,
        pieces,
        tokens,
        marks: Marks::FAIRSEQ,
        tags,
        tag_at_end: false,
    })
}

/// `--langs` as a file (`langs.txt`, split at commas and white space), else the languages of `language_pairs.txt`, which
/// fairseq sorts, else none beyond the dictionary's.
fn fairseq_languages(dir: &Path) -> Result<Vec<String>, TokenizeError> {
    let words = |text: &str| -> Vec<String> {
        let separators = |c: char| c == ',' || c.is_whitespace();
        text.split(separators)
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect()
    };
    for name in ["langs.txt", "lang_dict.txt"] {
        let path = dir.join(name);
        if path.is_file() {
            return Ok(words(&read_text(&path)?));
        }
    }
    let path = dir.join("language_pairs.txt");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let mut languages = Vec::new();
    for pair in words(&read_text(&path)?) {
        let Some((source, target)) = pair.split_once('-') else {
            let reason = format!("expected pairs such as `en-fr`, got `{pair}`");
            return Err(TokenizeError::Format {
                path,
                line: None,
                reason,
            });
        };
        languages.extend([source.to_owned(), target.to_owned()]);
    }
    languages.sort_unstable();
    languages.dedup();
    Ok(languages)
}

/// What a dictionary entry is: a piece, a mark, or a text of its own.
fn token(text: &str, pieces: &SentencePiece) -> Token {
    let piece = pieces
        .piece_to_id(text)
        .filter(|id| *id != pieces.unknown());
    match piece {
        _ if text.starts_with('<') && matches!(text, "<s>" | "<pad>" | "</s>" | "<unk>") => {
            Token::Special(text.into())
        }
        Some(id) if pieces.pieces()[id as usize].kind != PieceKind::Control => Token::Piece(id),
        _ if text.starts_with("madeupword") => Token::Special(text.into()),
        _ => Token::Text(text.into()),
    }
}

fn describe<'a>(token: &'a Token, pieces: &'a SentencePiece) -> &'a str {
    match token {
        Token::Piece(id) => pieces
            .pieces()
            .get(*id as usize)
            .map_or("", |p| p.text.as_str()),
        Token::Text(text) | Token::Special(text) => text,
    }
}

/// `xx` of `__xx__`.
fn tag_code(token: &str) -> Option<&str> {
    token
        .strip_prefix("__")?
        .strip_suffix("__")
        .filter(|code| !code.is_empty())
}

pub(super) fn put(tokens: &mut Vec<Option<Token>>, id: u32, token: Token) {
    let at = id as usize;
    if tokens.len() <= at {
        tokens.resize(at + 1, None);
    }
    tokens[at] = Some(token);
}

fn add_tag(
    tokens: &mut Vec<Option<Token>>,
    tags: &mut Vec<(String, u32)>,
    code: &str,
    text: String,
    id: u32,
) {
    put(tokens, id, Token::Special(text));
    tags.push((code.to_owned(), id));
}

pub(super) fn find_marks(
    path: &Path,
    id: impl Fn(&str) -> Option<u32>,
) -> Result<Marks, TokenizeError> {
    let get = |name: &str| {
        id(name).ok_or_else(|| TokenizeError::Format {
            path: path.to_owned(),
            line: None,
            reason: format!("there is no `{name}`"),
        })
    };
    Ok(Marks {
        bos: get("<s>")?,
        pad: get("<pad>")?,
        eos: get("</s>")?,
        unk: get("<unk>")?,
    })
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TokenizeError> {
    std::fs::read(path).map_err(|source| TokenizeError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_text(path: &Path) -> Result<String, TokenizeError> {
    String::from_utf8(read(path)?).map_err(|e| TokenizeError::Format {
        path: path.to_owned(),
        line: None,
        reason: format!("not UTF-8: {e}"),
    })
}

pub(super) fn parse_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, TokenizeError> {
    serde_json::from_slice(&read(path)?).map_err(|source| TokenizeError::Json {
        path: path.to_owned(),
        source,
    })
}
