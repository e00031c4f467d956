//! `isogloss evaluate`: many directions of parallel text, translated and scored.

mod show;

use self::show::{Shown, table};
use super::compute::{DecodingPrecisionArg, backend};
use super::decoding::{AdapterArgs, failure, hint};
use crate::failure::{Failure, Outcome};
use crate::output;
use anyhow::anyhow;
use clap::ValueEnum;
use isogloss::corpus::{Aligned, Corpus, DataConfig, DirectionFilter, OneOrMany, Rows, TsvRows};
use isogloss::decode::{DecodeOptions, LongLines, MaxLength, TextOptions};
use isogloss::evaluate::{
    Bleu, Classes, Evaluation, EvaluationError, Metric, NamedMetric, ScoresFile, Tokenizer,
};
use isogloss::files;
use isogloss::language::{Direction, Language, LanguageError};
use isogloss_kernels::Cpu;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  isogloss evaluate --model m2m100_418M --data flores200/devtest --languages eng_Latn,deu_Latn,oci_Latn --out scores.json
  isogloss evaluate --model base --adapters runs/a/adapters --data examples/factory --split test --directions eng_Latn-deu_Latn --out scores.json
  isogloss evaluate --system copy --data flores200/devtest --languages eng_Latn,deu_Latn --out copy.json

The folder holds aligned files, LANGUAGE.txt (also .txt.gz, .txt.zst), or LANGUAGE.tsv with the columns id, text and, for --split, split.
bleu is with the tokenizer 13a for every language; where words are not set apart by spaces, spbleu and chrf++ say more.";

/// Translate and score every direction of parallel text
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Folder of the model: weights and tokenizer
    #[arg(long, value_name = "DIR", required_unless_present = "system")]
    model: Option<PathBuf>,
    /// Folder of adapters that were trained on this model; the base alone without
    #[arg(long, value_name = "DIR")]
    adapters: Option<PathBuf>,
    /// What translates; copy takes the source for the translation, to see what doing nothing scores
    #[arg(long, value_name = "WHAT", default_value = "model")]
    system: SystemArg,
    /// Folder with the parallel text, a file a language
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Languages, joined by commas; by default those of --directions
    #[arg(long, value_name = "LANGUAGE", value_delimiter = ',')]
    languages: Vec<Language>,
    /// Directions, joined by commas, such as eng_Latn-deu_Latn; or all: from every language to every other
    #[arg(long, value_name = "DIRECTION", value_delimiter = ',', default_value = "all", value_parser = direction)]
    directions: Vec<DirectionArg>,
    /// Rows of the files, such as 1-100 or 1-50,101-
    #[arg(long, value_name = "ROWS")]
    rows: Option<Rows>,
    /// Of .tsv files, the rows with this in the column split
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Metrics, joined by commas: bleu, spbleu, chrf, chrf+, chrf++, ter; by default chrf++ and bleu, and spbleu with --spm
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    metric: Vec<String>,
    /// SentencePiece model for spbleu
    #[arg(long, value_name = "FILE")]
    spm: Option<PathBuf>,
    /// A class of languages, such as `low=oci_Latn,ast_Latn`: means by classes of source and target are added
    #[arg(long, value_name = "NAME=LANGUAGES", value_parser = class)]
    class: Vec<(String, Vec<Language>)>,
    /// Hypotheses that are followed at a time; 1 is greedy search
    #[arg(long, value_name = "N", default_value_t = 5)]
    beam: usize,
    /// The most pieces of a translation, its end counted; by default twice the source and 10
    #[arg(long, value_name = "N")]
    max_length: Option<usize>,
    /// What matrix products are computed from; int8 is fastest, bf16 is faster than f32 where the processor knows it
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "f32",
        env = "ISOGLOSS_PRECISION"
    )]
    precision: DecodingPrecisionArg,
    /// Source tokens translated together; more are faster and take more memory [default: 512, and 256 for each of more than two threads]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch_tokens: Option<u32>,
    /// Threads; 0 is as many as the machine offers
    #[arg(long, value_name = "N", default_value_t = 0, env = "ISOGLOSS_THREADS")]
    threads: usize,
    #[command(flatten)]
    served: AdapterArgs,
    /// Write the translations here, a file a direction: SOURCE-TARGET.txt
    #[arg(long, value_name = "DIR")]
    hypotheses: Option<PathBuf>,
    /// Where to write the scores, as JSON
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SystemArg {
    Model,
    Copy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum DirectionArg {
    All,
    One(Direction),
}

fn direction(text: &str) -> Result<DirectionArg, String> {
    match text.trim() {
        "all" => Ok(DirectionArg::All),
        text => text
            .parse()
            .map(DirectionArg::One)
            .map_err(|e: LanguageError| e.to_string()),
    }
}

fn class(text: &str) -> Result<(String, Vec<Language>), String> {
    let (name, languages) = text
        .split_once('=')
        .ok_or("expected NAME=LANGUAGE,LANGUAGE,...")?;
    let languages = languages.split(',').map(|code| {
        code.trim()
            .parse()
            .map_err(|e: LanguageError| e.to_string())
    });
    Ok((name.trim().to_owned(), languages.collect::<Result<_, _>>()?))
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    let decoding = args.decode_options();
    decoding.validate().map_err(failure)?;
    check_classes(&args.class)?;
    let directions = directions(args)?;
    let metrics = metrics(args)?;
    let backend = backend(args.threads, args.precision)?;
    let wanted = DirectionFilter::Only(directions.iter().cloned().collect());
    let data = data(args, &directions)?;
    let text = Corpus::load(&[data], &args.data, &wanted).map_err(Failure::input)?;
    let evaluation = Evaluation::new(&text, directions, metrics).map_err(wrong)?;
    // What cannot be written should show before hours of translating.
    files::prepare(&args.out).map_err(Failure::input)?;
    if let Some(dir) = &args.hypotheses {
        files::create_dir(dir).map_err(Failure::input)?;
    }

    let (hash, translations) = match args.system {
        SystemArg::Copy => (None, evaluation.copies()),
        SystemArg::Model => {
            let (hash, found) = translate(args, quiet, &backend, &evaluation, &decoding)?;
            (Some(hash), found)
        }
    };
    if let Some(dir) = &args.hypotheses {
        write_hypotheses(dir, evaluation.directions(), &translations)?;
    }
    let scores = backend
        .install(|| evaluation.score(&translations))
        .map_err(wrong)?;
    let file = ScoresFile {
        model_hash: hash,
        adapters: args.adapters.clone(),
        options: options(args),
        ..ScoresFile::new(scores, &args.class)
    };
    file.write(&args.out).map_err(Failure::internal)?;
    if args.json {
        let text = serde_json::to_string_pretty(&file).map_err(Failure::internal)?;
        return output::print(&(text + "\n"));
    }
    output::print(&table(&file))
}

/// The model's hash, and its translations of every direction.
fn translate(
    args: &Args,
    quiet: bool,
    backend: &Cpu,
    evaluation: &Evaluation<'_>,
    decoding: &DecodeOptions,
) -> Outcome<(String, Vec<Vec<String>>)> {
    let Some(model) = &args.model else {
        return Err(Failure::input(anyhow!("name the model with --model DIR")));
    };
    let adapters = args.adapters.as_deref();
    let loaded = args.served.load_with_hash(model, adapters, backend)?;
    let translator = loaded
        .translator(backend, args.batch_tokens.map(|n| n as usize))
        .map_err(failure)?;
    let options = TextOptions {
        long_lines: LongLines::Split,
        missing: args.served.missing.into(),
    };
    args.served
        .tell_vocabularies(&translator, &loaded, evaluation.directions())?;
    let mut shown = Shown::start(quiet);
    let found = evaluation.translate(&translator, options, decoding, &mut |p| shown.update(p));
    shown.finish();
    let hash = loaded.hash.map(|hash| hash.to_string());
    Ok((hash.unwrap_or_default(), found.map_err(wrong)?))
}

impl Args {
    fn decode_options(&self) -> DecodeOptions {
        DecodeOptions {
            beam: self.beam,
            max_length: self
                .max_length
                .map_or(MaxLength::default(), MaxLength::Pieces),
            ..DecodeOptions::default()
        }
    }
}

/// The directions asked for, in their order.
fn directions(args: &Args) -> Outcome<Vec<Direction>> {
    let usage = |text: String| Err(Failure::input(anyhow!(text)));
    if !args.directions.contains(&DirectionArg::All) {
        let listed = args.directions.iter().filter_map(|d| match d {
            DirectionArg::One(direction) => Some(direction.clone()),
            DirectionArg::All => None,
        });
        let listed: Vec<Direction> = listed.collect();
        let among = |l| args.languages.is_empty() || args.languages.contains(l);
        let outside = listed
            .iter()
            .find(|d| !(among(&d.source) && among(&d.target)));
        return match outside {
            Some(direction) => usage(format!("{direction} is not among the --languages")),
            None => Ok(listed),
        };
    }
    if args.directions.len() > 1 {
        return usage("--directions is either `all` or a list".into());
    }
    if args.languages.len() < 2 {
        return usage("all directions are asked for, of fewer than two --languages".into());
    }
    let from = |source: &Language| {
        let others = args.languages.iter().filter(move |l| *l != source);
        let pairs = others.map(|target| Direction::new(source.clone(), target.clone()));
        pairs.collect::<Vec<_>>()
    };
    Ok(args.languages.iter().flat_map(from).collect())
}

/// A language in two classes would count twice.
fn check_classes(classes: &Classes) -> Outcome {
    let mut seen = Vec::new();
    for (_, languages) in classes {
        for language in languages {
            if seen.contains(&language) {
                let error = anyhow!("{language} stands in the classes twice");
                return Err(Failure::input(error));
            }
            seen.push(language);
        }
    }
    Ok(())
}

fn metrics(args: &Args) -> Outcome<Vec<NamedMetric>> {
    let mut names: Vec<String> = args
        .metric
        .iter()
        .map(|name| name.trim().to_lowercase())
        .collect();
    if names.is_empty() {
        names = vec!["chrf++".into(), "bleu".into()];
        if args.spm.is_some() {
            names.push("spbleu".into());
        }
    }
    let of_name = |name: String| {
        let metric = match (name.as_str(), &args.spm) {
            ("spbleu", Some(path)) => {
                let tokenizer = Tokenizer::open_sentencepiece(path).map_err(Failure::input)?;
                Metric::Bleu(Bleu {
                    tokenizer,
                    ..Bleu::default()
                })
            }
            ("spbleu", None) => {
                let error = Metric::parse(&name).err();
                let error = error.map_or_else(|| anyhow!("spbleu needs a model"), Into::into);
                return Err(Failure::input(error).hint("name it with --spm FILE"));
            }
            _ => Metric::parse(&name).map_err(Failure::input)?,
        };
        Ok(NamedMetric { name, metric })
    };
    names.into_iter().map(of_name).collect()
}

/// How the folder's files are read, by the first kind of which there is one for a language.
fn data(args: &Args, directions: &[Direction]) -> Outcome<DataConfig> {
    let mut languages: Vec<Language> = directions
        .iter()
        .flat_map(|d| [d.source.clone(), d.target.clone()])
        .collect();
    languages.sort();
    languages.dedup();
    let folder = std::fs::read_dir(&args.data)
        .map_err(|e| Failure::input(anyhow!("cannot open {}: {e}", args.data.display())))?;
    let names: Vec<String> = folder
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let has = |ending: &str| {
        let mut stems = names.iter().filter_map(|name| name.strip_suffix(ending));
        stems.any(|stem| stem.parse().is_ok_and(|l| languages.contains(&l)))
    };
    let kinds: &[&str] = match args.split {
        None => &[".txt", ".txt.gz", ".txt.zst", ".tsv"],
        Some(_) => &[".tsv"],
    };
    let Some(kind) = kinds.iter().find(|kind| has(kind)) else {
        return Err(Failure::input(anyhow!(
            "{} has no file of any of the languages: expected such as {}{}",
            args.data.display(),
            languages[0],
            kinds.join(" or ")
        )));
    };
    let path = format!("{{lang}}{kind}");
    let (rows, languages) = (args.rows.clone(), Some(languages));
    Ok(match *kind {
        ".tsv" => DataConfig::TsvRows(TsvRows {
            path,
            key: "id".into(),
            text: "text".into(),
            filter: args
                .split
                .iter()
                .map(|split| ("split".to_owned(), OneOrMany::One(split.clone())))
                .collect(),
            rows,
            languages,
        }),
        _ => DataConfig::Aligned(Aligned {
            path: Some(path),
            files: BTreeMap::new(),
            rows,
            languages,
        }),
    })
}

/// What the scores depend on besides model and adapters.
fn options(args: &Args) -> BTreeMap<String, serde_json::Value> {
    let name = |value: Option<clap::builder::PossibleValue>| value.map(|v| v.get_name().to_owned());
    let mut options = vec![
        ("system", name(args.system.to_possible_value()).into()),
        ("data", args.data.display().to_string().into()),
        ("rows", args.rows.as_ref().map(ToString::to_string).into()),
        ("split", args.split.clone().into()),
    ];
    if args.system == SystemArg::Model {
        let missing = args.served.missing.to_possible_value();
        let vocabulary = args.served.vocabulary.to_possible_value();
        options.extend([
            ("beam", args.beam.into()),
            ("max_length", args.max_length.into()),
            ("precision", name(args.precision.to_possible_value()).into()),
            ("missing", name(missing).into()),
            ("vocabulary", name(vocabulary).into()),
        ]);
    }
    options
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn write_hypotheses(dir: &Path, directions: &[Direction], texts: &[Vec<String>]) -> Outcome {
    for (direction, lines) in directions.iter().zip(texts) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        files::write_atomic(&dir.join(format!("{direction}.txt")), |w| {
            w.write_all(text.as_bytes())
        })
        .map_err(Failure::internal)?;
    }
    Ok(())
}

fn wrong(error: EvaluationError) -> Failure {
    let hint = match &error {
        EvaluationError::Decode(error) => hint(error),
        _ => None,
    };
    let failure = Failure::input(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
