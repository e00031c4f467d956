//! `isogloss translate`: lines of text through a model and its adapters.

mod interactive;
mod served;

use super::compute::{DecodingPrecisionArg, backend};
use super::decoding::{AdapterArgs, SearchArgs, failure};
use crate::failure::{Failure, Outcome};
use crate::{input, output};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use isogloss::decode::{DecodeOptions, Line, LongLines, TextOptions, TextTranslator, Translation};
use isogloss::files;
use isogloss::language::{Direction, Language};
use isogloss_kernels::Cpu;
use serde::Serialize;
use served::Served;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  isogloss translate --model m2m100_418M --from eng_Latn --to deu_Latn < in.txt > out.txt
  isogloss translate --model base --adapters runs/a/adapters --from oci_Latn --to fra_Latn --n-best 3 --json < in.txt
  isogloss translate --model base --adapters runs/a/adapters --rollout rollout.toml --from oci_Latn --to fra_Latn < in.txt

A line in is a line out, a blank line stays blank. With --n-best above 1 the output is a table: line, score, translation.
--json writes an object a line: line, hypotheses (text, score, ended; with --ids also ids).
On a terminal, without --input, each line is translated when it is entered; `:help` there lists commands such as `:to fra_Latn`.";

/// Lines that are translated, and written, at a time.
const LINES_AT_ONCE: usize = 2000;

/// Translate text, a sentence a line
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Folder of the model: weights and tokenizer
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Folder of adapters that were trained on this model; the base alone without
    #[arg(long, value_name = "DIR")]
    adapters: Option<PathBuf>,
    /// Let a rollout plan decide whether the adapters or the base alone translate, see `isogloss rollout plan`; of a direction on trial
    /// each line decides, always alike
    #[arg(long, value_name = "FILE", requires = "adapters")]
    rollout: Option<PathBuf>,
    /// Language of the text, such as `eng_Latn`
    #[arg(long, value_name = "LANGUAGE")]
    from: Language,
    /// Language of the translation
    #[arg(long, value_name = "LANGUAGE")]
    to: Language,
    #[command(flatten)]
    search: SearchArgs,
    /// Translations of each line, best first; at most the beam
    #[arg(long, value_name = "N", default_value_t = 1)]
    n_best: usize,
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
    /// Lines with more tokens than the model has positions
    #[arg(long, value_name = "WHAT", default_value = "split")]
    long_lines: LongLinesArg,
    #[command(flatten)]
    served: AdapterArgs,
    /// Write the ids of the pieces instead of text
    #[arg(long)]
    ids: bool,
    /// Write JSON, an object a line
    #[arg(long)]
    json: bool,
    /// Translate each line of stdin as soon as it is there, and obey commands (`:help`); the default where stdin is a terminal. From a
    /// program, a line that starts with `::` is text that starts with `:`
    #[arg(long, conflicts_with_all = ["input", "output"])]
    interactive: bool,
    /// Text to translate; `-` is stdin
    #[arg(long, value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// Where to write, all at once at the end, instead of stdout
    #[arg(long, visible_alias = "out", value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LongLinesArg {
    /// Split at the ends of sentences, else between words
    Split,
    /// Stop with the numbers of the lines
    Refuse,
}

/// One line in JSON.
#[derive(Serialize)]
struct Row<'a> {
    /// Counted from 1.
    line: usize,
    hypotheses: Vec<Hypothesis<'a>>,
}

#[derive(Serialize)]
struct Hypothesis<'a> {
    text: &'a str,
    score: f64,
    ended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<&'a [u32]>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    if let Some(path) = &args.output {
        files::prepare(path).map_err(Failure::input)?;
    }
    let options = args.decode_options();
    options.validate().map_err(failure)?;
    let interactive = interactive::wanted(args);
    let stdin = args.input == Path::new("-");
    // Before the model, which takes longer to load; but stdin may not end for long.
    let mut lines = match stdin {
        true => Vec::new(),
        false => input::lines(&args.input)?,
    };
    let backend = backend(args.threads, args.precision)?;
    let served = Served::open(args)?;
    let loaded = args
        .served
        .load(&args.model, args.adapters.as_deref(), &backend)?;
    served.check(args, &loaded)?;
    let translator = loaded
        .translator(&backend, args.batch_tokens.map(|n| n as usize))
        .map_err(failure)?;
    if interactive {
        return interactive::run(args, &served, &loaded, &translator, &options);
    }
    let directions = [Direction::new(args.from.clone(), args.to.clone())];
    // Whether there is such a direction shows without text, too, and before stdin ends.
    let blank = [("", &directions[0])];
    let found = served.prepare(&translator, &blank, args.text_options());
    found.map_err(failure)?;
    if stdin {
        lines = input::lines(&args.input)?;
    }
    let lines = lines.iter().map(|l| (l.as_str(), &directions[0]));
    let lines: Vec<(&str, &Direction)> = lines.collect();
    let lines = served
        .prepare(&translator, &lines, args.text_options())
        .map_err(failure)?;
    if !lines.is_empty() && served.may_adapt(&directions[0]) {
        args.served
            .tell_vocabularies(&translator, &loaded, &directions)?;
    }
    translate(args, &translator, &lines, &options)
}

/// Translates and writes some lines at a time.
fn translate(
    args: &Args,
    translator: &TextTranslator<'_, Cpu>,
    lines: &[Line],
    options: &DecodeOptions,
) -> Outcome {
    let bar = progress_bar(lines.iter().map(Line::tokens).sum());
    let (mut done, mut whole) = (0, String::new());
    for (chunk, first) in lines
        .chunks(LINES_AT_ONCE)
        .zip((1..).step_by(LINES_AT_ONCE))
    {
        let found = translator
            .translate_lines(chunk, options, &mut |progress| {
                bar.set_position(done + progress.tokens as u64);
            })
            .map_err(|e| failure(e.renumbered(|line| line + first - 1)))?;
        done += chunk.iter().map(Line::tokens).sum::<usize>() as u64;
        let text = render(args, first, &found)?;
        match args.output {
            Some(_) => whole += &text,
            None => bar.suspend(|| output::print(&text))?,
        }
    }
    bar.finish_and_clear();
    let cut = lines.iter().filter(|line| line.parts() > 1).count();
    if cut > 0 {
        tracing::info!("{cut} lines were too long for the model and were split");
    }
    match &args.output {
        Some(path) => {
            files::write_atomic(path, |w| w.write_all(whole.as_bytes())).map_err(Failure::internal)
        }
        None => Ok(()),
    }
}

impl Args {
    fn decode_options(&self) -> DecodeOptions {
        DecodeOptions {
            n_best: self.n_best,
            ..self.search.options()
        }
    }

    fn text_options(&self) -> TextOptions {
        TextOptions {
            long_lines: match self.long_lines {
                LongLinesArg::Split => LongLines::Split,
                LongLinesArg::Refuse => LongLines::Refuse,
            },
            missing: self.served.missing.into(),
        }
    }
}

fn render(args: &Args, first: usize, found: &[Vec<Translation>]) -> Outcome<String> {
    let mut text = String::new();
    for (line, translations) in (first..).zip(found) {
        if args.json {
            let row = Row {
                line,
                hypotheses: translations
                    .iter()
                    .map(|t| Hypothesis {
                        text: &t.text,
                        score: t.score,
                        ended: t.ended,
                        ids: args.ids.then_some(&t.ids),
                    })
                    .collect(),
            };
            text += &serde_json::to_string(&row).map_err(Failure::internal)?;
            text.push('\n');
        } else if args.n_best == 1 {
            text += &translations
                .first()
                .map_or(String::new(), |t| shown(args, t));
            text.push('\n');
        } else if translations.is_empty() {
            text += &format!("{line}\t\t\n");
        } else {
            for t in translations {
                text += &format!("{line}\t{:.4}\t{}\n", t.score, shown(args, t));
            }
        }
    }
    Ok(text)
}

fn shown(args: &Args, translation: &Translation) -> String {
    match args.ids {
        true => {
            let ids: Vec<String> = translation.ids.iter().map(ToString::to_string).collect();
            ids.join(" ")
        }
        // A piece may stand for a line feed or a tab, and the output would fall out of step with the input.
        false => translation.text.replace(['\n', '\r', '\t'], " "),
    }
}

/// On a terminal only.
fn progress_bar(tokens: usize) -> ProgressBar {
    let bar = ProgressBar::new(tokens as u64);
    let template = "translating {wide_bar} {percent}% {elapsed} elapsed, {eta} left";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
