//! `isogloss evaluate`: many directions of parallel text, translated and scored.

mod against;
mod show;
mod systems;
mod text;

use self::against::against;
use self::show::table;
use self::systems::{copies, options, translate};
use self::text::{data, directions, metrics};
use super::compute::{DecodingPrecisionArg, backend};
use super::decoding::{AdapterArgs, SearchArgs, failure, hint};
use crate::failure::{Failure, Outcome};
use crate::output;
use anyhow::anyhow;
use clap::ValueEnum;
use isogloss::corpus::{Corpus, DirectionFilter, Rows, places_in_folder};
use isogloss::evaluate::{
    Classes, CompareOptions, Correction, Evaluation, EvaluationError, ScoresFile,
};
use isogloss::files;
use isogloss::language::{Direction, Language, LanguageError};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  isogloss evaluate --model m2m100_418M --data flores200/devtest --languages eng_Latn,deu_Latn,oci_Latn --out scores.json
  isogloss evaluate --model base --adapters runs/a/adapters --data examples/factory --split test --directions eng_Latn-deu_Latn --out scores.json
  isogloss evaluate --model base --adapters runs/a/adapters --against base --data devtest --languages eng_Latn,oci_Latn --out a.json
  isogloss evaluate --model base --adapters runs/b/adapters --against a.json --data devtest --languages eng_Latn,oci_Latn --out b.json
  isogloss evaluate --system copy --data flores200/devtest --languages eng_Latn,deu_Latn --out copy.json

The folder holds aligned files, LANGUAGE.txt (also .txt.gz, .txt.zst), or LANGUAGE.tsv with the columns id, text and, for --split, split.
bleu is with the tokenizer 13a for every language; where words are not set apart by spaces, spbleu and chrf++ say more.

Translations are kept in a folder beside the scores, as out.hypotheses for out.json. Stopped, the same command goes on with the directions
that are missing there. --against compares in the first metric: which directions are better or worse by more than chance, corrected for
their number, and which are not shown to lose less than the margin.";

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
    /// Languages, joined by commas; by default those of --directions, or those of which --data has a file
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
    #[command(flatten)]
    search: SearchArgs,
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
    /// Compare with another system: base (the model without adapters), copy, the scores.json of another evaluation, or a folder with
    /// translations SOURCE-TARGET.txt
    #[arg(long, value_name = "WHAT")]
    against: Option<String>,
    /// Resamples of the comparison
    #[arg(long, value_name = "N", default_value_t = 20_000, requires = "against", value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    resamples: u32,
    /// How p is corrected for the number of directions
    #[arg(
        long,
        value_name = "NAME",
        default_value = "max-t",
        requires = "against"
    )]
    correction: CorrectionArg,
    /// A change above this many points is no harm
    #[arg(
        long,
        value_name = "POINTS",
        default_value_t = -0.5,
        requires = "against",
        allow_negative_numbers = true
    )]
    margin: f64,
    /// Keep the translations here, a file a direction: SOURCE-TARGET.txt [default: beside --out, as out.hypotheses]
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

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CorrectionArg {
    /// By the largest change that chance brings to any direction
    MaxT,
    /// Holm's, which needs more resamples and finds less
    Holm,
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
    let decoding = args.search.options();
    decoding.validate().map_err(failure)?;
    check_classes(&args.class)?;
    let directions = directions(args)?;
    let metrics = metrics(args)?;
    let backend = backend(args.threads, args.precision)?;
    let wanted = DirectionFilter::Only(directions.iter().cloned().collect());
    let data = data(args, &directions)?;
    let text = Corpus::load(&[data], &args.data, &wanted).map_err(Failure::input)?;
    let text = text.without_blank();
    let evaluation = Evaluation::new(&text, directions, metrics).map_err(wrong)?;
    // What cannot be written or compared should show before hours of translating.
    files::prepare(&args.out).map_err(Failure::input)?;
    let languages = text.languages().into_iter();
    let of_text = languages.flat_map(|language| places_in_folder(&args.data, language));
    let other = args.against.as_ref().map(PathBuf::from);
    output::beside(&args.out, of_text.chain(other))?;
    let kept = args.kept()?;
    let against = against(args, &evaluation)?;

    let system = match args.system {
        SystemArg::Copy => copies(&kept, &evaluation)?,
        SystemArg::Model => {
            let adapters = args.adapters.as_deref();
            translate(args, adapters, &kept, quiet, &backend, &evaluation)?
        }
    };
    let comparison = match against {
        None => None,
        Some(against) => {
            let name = against.name(system.model_hash.as_deref());
            let base = against.translations(args, quiet, &backend, &evaluation)?;
            let options = args.compare_options();
            let compared = backend.install(|| {
                evaluation.compare(&name, &base, &system.translations, &args.class, &options)
            });
            Some(compared.map_err(wrong)?)
        }
    };
    let scores = backend
        .install(|| evaluation.score(&system.translations))
        .map_err(wrong)?;
    let file = ScoresFile {
        model_hash: system.model_hash,
        adapters: args.adapters.clone(),
        adapters_hash: system.adapters_hash,
        text_hash: Some(evaluation.text_hash()),
        hypotheses: Some(from_folder_of(&args.out, &kept)),
        options: options(args),
        comparison,
        ..ScoresFile::new(scores, &args.class)
    };
    file.write(&args.out).map_err(Failure::internal)?;
    if args.json {
        return output::json(&file);
    }
    output::print(&table(&file))
}

/// A path as seen from the folder of a file; a whole one if it doesn't lie in there.
fn from_folder_of(file: &Path, path: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    match path.strip_prefix(folder) {
        Ok(inside) if path.is_relative() || !folder.as_os_str().is_empty() => inside.to_owned(),
        _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

impl Args {
    /// Where translations are kept.
    fn kept(&self) -> Outcome<PathBuf> {
        let dir = match &self.hypotheses {
            Some(dir) => dir.clone(),
            None => ScoresFile::usual_hypotheses(&self.out),
        };
        if dir == self.out {
            let error = anyhow!("{} is to hold both scores and translations", dir.display());
            return Err(Failure::input(error).hint("name another file with --out"));
        }
        files::create_dir(&dir).map_err(Failure::input)?;
        Ok(dir)
    }

    fn compare_options(&self) -> CompareOptions {
        CompareOptions {
            resamples: self.resamples,
            margin: self.margin,
            correction: match self.correction {
                CorrectionArg::MaxT => Correction::MaxT,
                CorrectionArg::Holm => Correction::Holm,
            },
            ..CompareOptions::default()
        }
    }
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
