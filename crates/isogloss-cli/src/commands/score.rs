//! `isogloss score`: translations against references.

mod paired;

use crate::failure::{Failure, Outcome};
use crate::{input, output};
use isogloss::evaluate::{
    Bleu, Confidence, EvaluateError, Metric, PairedTest, SACREBLEU_SEED, Score, Smoothing,
    Tokenizer,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  isogloss score --hypotheses system.txt --references reference.txt
  isogloss score --hypotheses system.txt --references ref.a --references ref.b --metric bleu,chrf++,ter --json
  isogloss score --hypotheses system.txt --references reference.txt --metric spbleu --spm flores200_sacrebleu_tokenizer_spm.model
  cat system.txt | isogloss score --hypotheses - --references reference.txt --metric chrf++ --sentence
  isogloss score --hypotheses system.txt --references reference.txt --metric chrf++ --confidence
  isogloss score --hypotheses old.txt --hypotheses new.txt --references reference.txt --metric bleu,chrf++ --paired-ar

Numbers and signatures are those of sacreBLEU 2.6, p and confidence intervals included: draws are NumPy's for the same seed. A paired
test tests each system against the first; for many directions at once, corrected for their number, see `isogloss evaluate --against`.";

/// Score translations: BLEU, spBLEU, chrF, chrF++ and TER, as sacreBLEU does
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Translations, a sentence a line; `-` is stdin. More than one file for the systems of a paired test, the baseline first
    #[arg(long, value_name = "FILE", required = true)]
    hypotheses: Vec<PathBuf>,
    /// Reference translations, parallel to the hypotheses; more than one file for several references
    #[arg(long, value_name = "FILE", required = true)]
    references: Vec<PathBuf>,
    /// Metrics, joined by commas: bleu, spbleu, chrf, chrf+, chrf++, ter
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "bleu"
    )]
    metric: Vec<String>,
    /// SentencePiece model for spbleu
    #[arg(long, value_name = "FILE")]
    spm: Option<PathBuf>,
    /// Tokenizer of bleu: 13a, intl, char, zh, none, spm (with --spm)
    #[arg(long, value_name = "NAME", default_value = "13a")]
    tokenize: String,
    /// Smoothing of BLEU: exp, floor, add-k, none
    #[arg(long, value_name = "NAME", default_value = "exp")]
    smooth: String,
    /// Value of the smoothing; by default 0.1 for floor, 1 for add-k
    #[arg(long, value_name = "NUMBER")]
    smooth_value: Option<f64>,
    /// Ignore case in BLEU and chrF (TER does so by default)
    #[arg(long)]
    lowercase: bool,
    /// Count white space as characters in chrF
    #[arg(long)]
    chrf_whitespace: bool,
    /// Respect case in TER
    #[arg(long)]
    ter_case_sensitive: bool,
    /// Set punctuation apart in TER
    #[arg(long)]
    ter_normalized: bool,
    /// Drop punctuation in TER
    #[arg(long)]
    ter_no_punct: bool,
    /// Let the two flags above know East Asian text
    #[arg(long)]
    ter_asian_support: bool,
    /// Score every sentence instead of the whole; BLEU then leaves out orders without n-grams
    #[arg(long)]
    sentence: bool,
    /// Add the mean and half the width of the 95% interval of resampled scores
    #[arg(long, conflicts_with = "sentence")]
    confidence: bool,
    /// Test each system against the first by paired bootstrap resampling
    #[arg(long, conflicts_with_all = ["sentence", "confidence", "paired_ar"])]
    paired_bs: bool,
    /// Test each system against the first by approximate randomisation
    #[arg(long, conflicts_with_all = ["sentence", "confidence"])]
    paired_ar: bool,
    /// Resamples; by default 1000, and 10000 for --paired-ar
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    resamples: Option<u32>,
    /// Seed of resamples
    #[arg(long, value_name = "N", default_value_t = SACREBLEU_SEED)]
    seed: u64,
    /// Print JSON, with unrounded scores
    #[arg(long)]
    json: bool,
    /// Print short signatures
    #[arg(long, conflicts_with = "json")]
    short: bool,
    /// Decimals of scores in text
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=17))]
    width: u8,
}

/// A metric under the name by which it was asked for.
type Named = (String, Metric);

#[derive(Serialize)]
struct Row<'a> {
    /// As asked for: tells spbleu from bleu.
    metric: &'a str,
    /// As sacreBLEU writes it.
    name: &'a str,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<Confidence>,
    signature: String,
}

#[derive(Serialize)]
struct Sentence<'a> {
    /// Counted from 1.
    line: usize,
    scores: Vec<Row<'a>>,
}

impl<'a> Row<'a> {
    fn new(metric: &'a str, score: &'a Score) -> Self {
        Self {
            metric,
            name: score.name(),
            score: score.value(),
            confidence: score.confidence(),
            signature: score.signature().to_string(),
        }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let stdin = Path::new("-");
    if args
        .references
        .iter()
        .chain(&args.hypotheses)
        .filter(|path| *path == stdin)
        .count()
        > 1
    {
        return Err(Failure::input(anyhow::anyhow!(
            "`-` is given more than once, but there is one stdin only"
        )));
    }
    let metrics = metrics(args)?;
    let read = |paths: &[PathBuf]| -> Outcome<Vec<Vec<String>>> {
        paths.iter().map(|path| input::lines(path)).collect()
    };
    let (systems, references) = (read(&args.hypotheses)?, read(&args.references)?);
    for (path, hypotheses) in args.hypotheses.iter().zip(&systems) {
        check_parallel(args, path, hypotheses, &references)?;
    }
    match (args.paired(), &systems[..]) {
        (Some(test), [_, _, ..]) => paired::run(args, test, &metrics, &systems, &references),
        (Some(_), _) => {
            let error = anyhow::anyhow!("a paired test needs at least two systems");
            Err(Failure::input(error).hint("give --hypotheses more than once, the baseline first"))
        }
        (None, [hypotheses]) if args.sentence => sentences(args, &metrics, hypotheses, &references),
        (None, [hypotheses]) => corpus(args, &metrics, hypotheses, &references),
        (None, _) => {
            let error = anyhow::anyhow!("more than one system is given, but no paired test");
            Err(Failure::input(error)
                .hint("add --paired-ar or --paired-bs, or score one at a time"))
        }
    }
}

impl Args {
    fn paired(&self) -> Option<PairedTest> {
        match (self.paired_bs, self.paired_ar) {
            (true, _) => Some(PairedTest::Bootstrap),
            (_, true) => Some(PairedTest::Randomisation),
            _ => None,
        }
    }
}

fn corpus(
    args: &Args,
    metrics: &[Named],
    hypotheses: &[String],
    references: &[Vec<String>],
) -> Outcome {
    let scores = metrics
        .iter()
        .map(|(name, metric)| {
            let score = match args.confidence {
                false => metric.corpus_score(hypotheses, references),
                true => {
                    let resamples = PairedTest::Bootstrap.default_resamples();
                    let resamples = args.resamples.unwrap_or(resamples);
                    metric
                        .corpus_score_with_confidence(hypotheses, references, resamples, args.seed)
                }
            };
            Ok((name, score.map_err(Failure::input)?))
        })
        .collect::<Outcome<Vec<_>>>()?;
    if args.json {
        let scores: Vec<_> = scores
            .iter()
            .map(|(name, score)| Row::new(name, score))
            .collect();
        return output::json(&serde_json::json!({ "scores": scores }));
    }
    output::print(
        &scores
            .iter()
            .map(|(_, score)| line(args, score))
            .collect::<String>(),
    )
}

fn sentences(
    args: &Args,
    metrics: &[Named],
    hypotheses: &[String],
    references: &[Vec<String>],
) -> Outcome {
    let mut text = String::new();
    let mut list = Vec::new();
    let scores = metrics.iter().map(|(name, metric)| {
        let metric = metric.clone().for_sentences();
        let statistics = metric
            .corpus_statistics(hypotheses, references)
            .map_err(Failure::input)?;
        let scores = statistics
            .iter()
            .map(|line| metric.score_from(line, references.len()));
        Ok((
            name.as_str(),
            scores
                .collect::<Result<Vec<_>, _>>()
                .map_err(Failure::internal)?,
        ))
    });
    let scores = scores.collect::<Outcome<Vec<_>>>()?;
    for index in 0..hypotheses.len() {
        let of_line = scores.iter().map(|(name, scores)| (*name, &scores[index]));
        if args.json {
            list.push(Sentence {
                line: index + 1,
                scores: of_line.map(|(name, score)| Row::new(name, score)).collect(),
            });
        } else {
            text.extend(of_line.map(|(_, score)| line(args, score)));
        }
    }
    if args.json {
        output::json(&serde_json::json!({ "sentences": list }))
    } else {
        output::print(&text)
    }
}

fn line(args: &Args, score: &Score) -> String {
    score.line(args.width.into(), args.short) + "\n"
}

/// The library counts streams; here they are files, and files have names.
fn check_parallel(
    args: &Args,
    system: &Path,
    hypotheses: &[String],
    references: &[Vec<String>],
) -> Outcome {
    let wrong = args
        .references
        .iter()
        .zip(references)
        .find(|(_, lines)| lines.len() != hypotheses.len());
    let Some((path, lines)) = wrong else {
        return Ok(());
    };
    let (references, system) = (input::name(path), input::name(system));
    let counts = (lines.len(), hypotheses.len());
    let error = anyhow::anyhow!(
        "{references} has {} lines, {system} has {}: they must be parallel",
        counts.0,
        counts.1
    );
    let hint = "a sentence a line, an empty line where a translation is missing";
    Err(Failure::input(error).hint(hint))
}

fn metrics(args: &Args) -> Outcome<Vec<Named>> {
    let smoothing = Smoothing::parse(&args.smooth, args.smooth_value).map_err(Failure::input)?;
    let bleu = |tokenizer| Bleu {
        tokenizer,
        smoothing,
        lowercase: args.lowercase,
        effective_order: false,
    };
    let mut metrics = Vec::new();
    for asked in args.metric.iter().map(|name| name.trim().to_lowercase()) {
        let metric = if asked == "spbleu" {
            Metric::Bleu(bleu(sentencepiece(args, &asked)?))
        } else {
            match Metric::parse(&asked).map_err(Failure::input)? {
                Metric::Bleu(_) => Metric::Bleu(bleu(tokenizer(args)?)),
                Metric::Chrf(mut chrf) => {
                    chrf.lowercase = args.lowercase;
                    chrf.whitespace = args.chrf_whitespace;
                    Metric::Chrf(chrf)
                }
                Metric::Ter(mut ter) => {
                    ter.case_sensitive = args.ter_case_sensitive;
                    ter.normalized = args.ter_normalized;
                    ter.no_punctuation = args.ter_no_punct;
                    ter.asian_support = args.ter_asian_support;
                    Metric::Ter(ter)
                }
                other => other,
            }
        };
        metrics.push((asked, metric));
    }
    Ok(metrics)
}

fn tokenizer(args: &Args) -> Outcome<Tokenizer> {
    match Tokenizer::parse(&args.tokenize) {
        Err(EvaluateError::NeedsSentencePiece { name }) => sentencepiece(args, &name),
        other => other.map_err(Failure::input),
    }
}

/// The tokenizer of the model that `--spm` names.
fn sentencepiece(args: &Args, asked: &str) -> Outcome<Tokenizer> {
    match &args.spm {
        Some(path) => Tokenizer::open_sentencepiece(path).map_err(Failure::input),
        None => {
            let error = EvaluateError::NeedsSentencePiece { name: asked.into() };
            Err(Failure::input(error).hint("name it with --spm FILE"))
        }
    }
}
