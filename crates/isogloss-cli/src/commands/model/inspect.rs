//! `isogloss model inspect`: what a model folder holds, and whether its parts belong together.

use super::megabytes;
use crate::failure::{Failure, Outcome};
use crate::output;
use isogloss::checkpoint::{self, Checkpoint};
use isogloss::decode::Vocabularies;
use isogloss::language::Language;
use isogloss::model::{DType, ModelConfig, Tensor};
use isogloss::tokenize::{Family, Tokenizer};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  isogloss model inspect models/mini
  isogloss model inspect m2m100_418M --json

Reads every weight. Ends with code 1 if the tokenizer and the weights don't belong together.";

/// Show what a model folder holds, and check that its tokenizer and its weights belong together
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Folder of the model
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Sentences that come back from the tokenizer as they were, where it has their letters.
const SENTENCES: [&str; 5] = [
    "The rain fell on the old harbour.",
    "Wir zählten 7 Reiher, dann 12 – und \"keinen\" mehr!",
    "Где находится библиотека?",
    "今日は天気がいいです。",
    "Ο καιρός είναι καλός σήμερα (21,5 °C).",
];

/// What is printed with `--json`.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a Path,
    /// By which adapters know it.
    hash: String,
    config: &'a ModelConfig,
    /// Parameters by part, in the model's order.
    parameters: serde_json::Map<String, Value>,
    total_parameters: usize,
    weights: Weights,
    tokenizer: TokenizerReport,
    languages: &'a [Language],
    /// Pieces of each language's output vocabulary, if the folder holds any.
    output_vocabularies: BTreeMap<Language, usize>,
    /// What is wrong; nothing if all is well.
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Weights {
    /// How many parameters are stored in each type.
    types: BTreeMap<&'static str, usize>,
    /// Bytes of the weights as they are read; half and double precision become `f32`.
    bytes: usize,
    /// Bytes of the folder's files.
    bytes_on_disk: u64,
    /// Whether it is a copy that `model quantize` made; the hash is the original's then.
    quantized: bool,
}

#[derive(Serialize)]
struct TokenizerReport {
    family: &'static str,
    pieces: usize,
    vocabulary: usize,
    embedding_rows: usize,
    /// Sentences that came back, and those that hold letters which it doesn't know.
    returned: usize,
    unknown: usize,
}

pub(super) fn run(args: &Args) -> Outcome {
    let checkpoint = checkpoint::open(&args.model).map_err(Failure::input)?;
    let tokenizer = Tokenizer::open(&args.model).map_err(Failure::input)?;
    let vocabularies = Vocabularies::load(&args.model, &tokenizer);
    let mut problems = Vec::new();
    let checked = check_tokenizer(&tokenizer, &checkpoint, &mut problems);
    let vocabularies = vocabularies.unwrap_or_else(|error| {
        problems.push(error.to_string());
        Vocabularies::default()
    });
    let tensors = &checkpoint.tensors;
    let report = Report {
        model: &args.model,
        hash: checkpoint.hash().to_string(),
        config: &checkpoint.config,
        parameters: by_part(tensors),
        total_parameters: tensors.iter().map(|t| t.storage.len()).sum(),
        weights: weights(&args.model, &checkpoint),
        tokenizer: checked,
        languages: tokenizer.languages(),
        output_vocabularies: vocabularies
            .by_language
            .iter()
            .map(|(language, vocabulary)| (language.clone(), vocabulary.ids().len()))
            .collect(),
        problems,
    };
    match args.json {
        true => output::json(&report),
        false => output::print(&shown(&report)),
    }?;
    match &report.problems[..] {
        [] => Ok(()),
        problems => Err(Failure::check(format!(
            "{}: {}",
            args.model.display(),
            problems.join("; ")
        ))),
    }
}

/// The parts of a model, and what the names of their tensors begin with; norms lie in both stacks.
const PARTS: [(&str, &str); 3] = [
    ("embedding", "shared."),
    ("encoder", "encoder."),
    ("decoder", "decoder."),
];

fn by_part(tensors: &[Tensor]) -> serde_json::Map<String, Value> {
    let is_norm = |tensor: &Tensor| tensor.name.contains("layer_norm");
    let count = |wanted: &dyn Fn(&Tensor) -> bool| -> usize {
        let found = tensors.iter().filter(|tensor| wanted(tensor));
        found.map(|tensor| tensor.storage.len()).sum()
    };
    let part = |(name, start): (&'static str, &str)| {
        let within = |t: &Tensor| t.name.starts_with(start) && !is_norm(t);
        (name, count(&within))
    };
    let parts = PARTS.into_iter().map(part);
    parts
        .chain([("norms", count(&is_norm))])
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect()
}

fn weights(folder: &Path, checkpoint: &Checkpoint) -> Weights {
    let files = folder.read_dir().into_iter().flatten();
    let sizes = files.filter_map(|file| file.ok()?.metadata().ok());
    let bytes_on_disk = sizes.filter(Metadata::is_file).map(|m| m.len()).sum();
    let mut types = BTreeMap::new();
    for tensor in &checkpoint.tensors {
        let name = match tensor.storage.dtype() {
            DType::F32 => "f32",
            DType::Bf16 => "bf16",
            DType::Int8 => "int8",
        };
        *types.entry(name).or_default() += tensor.storage.len();
    }
    Weights {
        types,
        bytes_on_disk,
        bytes: checkpoint.tensors.iter().map(|t| t.storage.size()).sum(),
        quantized: checkpoint.is_quantized(),
    }
}

fn check_tokenizer(
    tokenizer: &Tokenizer,
    checkpoint: &Checkpoint,
    problems: &mut Vec<String>,
) -> TokenizerReport {
    let config = &checkpoint.config;
    if let Err(error) = tokenizer.check_rows(config.vocab_size) {
        problems.push(error.to_string());
    }
    let marks = [
        ("pad_token_id", tokenizer.pad(), config.pad_token_id),
        ("eos_token_id", tokenizer.eos(), config.eos_token_id),
        ("bos_token_id", tokenizer.bos(), config.bos_token_id),
    ];
    for (field, has, said) in marks {
        if has != said {
            problems.push(format!(
                "`{field}` of config.json is {said}, the tokenizer's mark is {has}"
            ));
        }
    }
    check_tags(tokenizer, config.vocab_size, problems);
    let (mut returned, mut unknown) = (0, 0);
    for sentence in SENTENCES {
        if tokenizer.has_unk(sentence) {
            unknown += 1;
            continue;
        }
        let text = tokenizer.decode(&tokenizer.encode(sentence));
        match text == sentence {
            true => returned += 1,
            // Normalisation may change a sentence, but only once.
            false if tokenizer.decode(&tokenizer.encode(&text)) == text => returned += 1,
            false => problems.push(format!(
                "the tokenizer turns `{sentence}` into `{text}`, and that into something else again"
            )),
        }
    }
    TokenizerReport {
        family: match tokenizer.family() {
            Family::M2m100 => "M2M-100",
            Family::Nllb => "NLLB",
            Family::Fairseq => "fairseq",
            _ => "other",
        },
        pieces: tokenizer.sentencepiece().len(),
        vocabulary: tokenizer.vocab_size(),
        embedding_rows: config.vocab_size,
        returned,
        unknown,
    }
}

/// Every language has a tag of its own, with a row in the embedding.
fn check_tags(tokenizer: &Tokenizer, rows: usize, problems: &mut Vec<String>) {
    if tokenizer.languages().is_empty() {
        problems.push("the tokenizer has no language tags".to_owned());
    }
    let mut seen = BTreeSet::new();
    for language in tokenizer.languages() {
        match tokenizer.language_id(language) {
            Ok(id) if id as usize >= rows => {
                problems.push(format!(
                    "the tag of {language}, {id}, has no row in the embedding"
                ));
            }
            Ok(id) if !seen.insert(id) => {
                problems.push(format!(
                    "the tag of {language}, {id}, is another language's as well"
                ));
            }
            Ok(_) => {}
            Err(error) => problems.push(error.to_string()),
        }
    }
}

fn shown(report: &Report<'_>) -> String {
    let (c, weights, tokenizer) = (report.config, &report.weights, &report.tokenizer);
    let mut text = format!(
        "model         {}\nhash          {}{}\n",
        report.model.display(),
        report.hash,
        if weights.quantized {
            ", of the original"
        } else {
            ""
        },
    );
    let mut line = |name: &str, what: &str| {
        let _ = writeln!(text, "{name:<14}{what}");
    };
    line(
        "architecture",
        &format!(
            "{} + {} layers, width {}, {} + {} heads, feed-forward {} + {}, {} positions",
            c.encoder_layers,
            c.decoder_layers,
            c.d_model,
            c.encoder_attention_heads,
            c.decoder_attention_heads,
            c.encoder_ffn_dim,
            c.decoder_ffn_dim,
            c.max_position_embeddings,
        ),
    );
    let parts: Vec<String> = report
        .parameters
        .iter()
        .map(|(part, count)| format!("{part} {count}"))
        .collect();
    line(
        "parameters",
        &format!("{}: {}", report.total_parameters, parts.join(", ")),
    );
    let types: Vec<String> = weights
        .types
        .iter()
        .map(|(name, count)| match weights.types.len() {
            1 => (*name).to_owned(),
            _ => format!("{name} {count}"),
        })
        .collect();
    line(
        "weights",
        &format!(
            "{}, {}; {} on disk with all files",
            megabytes(weights.bytes as f64),
            types.join(", "),
            megabytes(weights.bytes_on_disk as f64)
        ),
    );
    line(
        "tokenizer",
        &format!(
            "{}, {} pieces; ids up to {}, {} rows in the embedding",
            tokenizer.family,
            tokenizer.pieces,
            tokenizer.vocabulary.saturating_sub(1),
            tokenizer.embedding_rows,
        ),
    );
    let codes: Vec<&str> = report.languages.iter().map(Language::code).collect();
    line(
        "languages",
        &format!("{}: {}", codes.len(), codes.join(" ")),
    );
    for (language, pieces) in &report.output_vocabularies {
        line("vocabulary", &format!("{language} {pieces} pieces"));
    }
    let unknown = match tokenizer.unknown {
        0 => String::new(),
        n => format!(", {n} hold letters that it doesn't know"),
    };
    let verdict = match report.problems.len() {
        0 => "tokenizer and weights belong together".to_owned(),
        n => format!("{n} problems, see below"),
    };
    line(
        "check",
        &format!(
            "{verdict}; {} of {} test sentences come back{unknown}",
            tokenizer.returned,
            SENTENCES.len(),
        ),
    );
    text
}
