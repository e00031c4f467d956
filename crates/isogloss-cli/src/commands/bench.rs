//! `isogloss bench`: how fast this machine does this work, and how fast it could.

use super::compute::{DecodingPrecisionArg, PrecisionArg, backend};
use crate::failure::{Failure, Outcome};
use crate::{input, output};
use clap::{Subcommand, ValueEnum};
use indicatif::ProgressBar;
use isogloss::bench::{self, BenchSites, DecodeBench, Repeat, Report, TrainBench};
use isogloss::checkpoint;
use isogloss::decode::Loaded;
use isogloss::language::{Direction, Language};
use isogloss::tokenize::Tokenizer;
use isogloss_kernels::{Cpu, KernelPath, Precision};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  isogloss bench kernels
  isogloss bench train --model m2m100_418M --source in.en --target in.de --from en --to de
  isogloss bench decode --model m2m100_418M --source in.en --from en --to de --beam 5 --json

Close other programs first. Times are medians; the ceiling is what a large matrix product reaches in the same run.";

/// Measure speed: matrix products, training steps, decoding
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Large matrix products on every kernel path of this machine
    Kernels(Kernels),
    /// A training step, Adam included; the text is one batch, the same at each step
    Train(Train),
    /// Translation, encoder included; loading and tokenizing not
    Decode(Decode),
}

/// What all benchmarks have in common.
#[derive(Debug, clap::Args)]
struct Common {
    /// Repetitions that count
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// Repetitions before, which don't
    #[arg(long, value_name = "N", default_value_t = 2)]
    warm_up: u16,
    /// Threads; 0 is as many as the machine offers
    #[arg(long, value_name = "N", default_value_t = 0, env = "ISOGLOSS_THREADS")]
    threads: usize,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

impl Common {
    fn repeat(&self) -> Repeat {
        Repeat {
            warm_up: usize::from(self.warm_up),
            count: usize::from(self.repeat),
        }
    }
}

#[derive(Debug, clap::Args)]
struct Kernels {
    /// Threads; 0 is as many as the machine offers
    #[arg(long, value_name = "N", default_value_t = 0, env = "ISOGLOSS_THREADS")]
    threads: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SitesArg {
    /// Both maps of every feed-forward block
    Fc,
    /// Every site of LSLo
    All,
}

#[derive(Debug, clap::Args)]
struct Train {
    /// Folder of the model: weights and tokenizer
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Sources, a sentence a line
    #[arg(long, value_name = "FILE")]
    source: PathBuf,
    /// Their translations
    #[arg(long, value_name = "FILE")]
    target: PathBuf,
    /// Language of the sources
    #[arg(long, value_name = "LANGUAGE")]
    from: Language,
    /// Language of the translations
    #[arg(long, value_name = "LANGUAGE")]
    to: Language,
    /// Linear maps with an update
    #[arg(long, value_name = "SITES", default_value = "fc")]
    sites: SitesArg,
    /// Rank of the updates
    #[arg(long, value_name = "R", default_value_t = 8)]
    rank: usize,
    /// Train every weight instead of updates
    #[arg(long, conflicts_with_all = ["sites", "rank", "languages", "bank"])]
    full: bool,
    /// Spread the sentences over so many languages, each with its own update
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    languages: u16,
    /// Updates in memory, if more than the batch uses
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    bank: u16,
    /// What matrix products are computed from
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "bf16",
        env = "ISOGLOSS_PRECISION"
    )]
    precision: PrecisionArg,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Decode {
    /// Folder of the model: weights and tokenizer
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Folder of adapters that were trained on this model
    #[arg(long, value_name = "DIR")]
    adapters: Option<PathBuf>,
    /// Sources, a sentence a line
    #[arg(long, value_name = "FILE")]
    source: PathBuf,
    /// Language of the sources
    #[arg(long, value_name = "LANGUAGE")]
    from: Language,
    /// Language of the translations
    #[arg(long, value_name = "LANGUAGE")]
    to: Language,
    /// Hypotheses that are followed at a time; 1 is greedy search
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1024))]
    beam: u16,
    /// Sentences translated together
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Cut sources to so many tokens, tag and end counted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(3..))]
    source_limit: Option<u16>,
    /// Pieces of every translation; its end is ruled out before
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    exact_length: u16,
    /// What matrix products are computed from
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "int8",
        env = "ISOGLOSS_DECODING_PRECISION"
    )]
    precision: DecodingPrecisionArg,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    match &args.what {
        What::Kernels(args) => kernels(args),
        What::Train(args) => train(args, quiet),
        What::Decode(args) => decode(args, quiet),
    }
}

/// One path in one precision.
#[derive(Debug, Serialize)]
struct Ceiling {
    kernel_path: String,
    precision: &'static str,
    threads: usize,
    gflops: f64,
}

fn kernels(args: &Kernels) -> Outcome {
    let mut found = Vec::new();
    for path in KernelPath::available() {
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            let cpu = Cpu::with_path(args.threads, path).map_err(Failure::input)?;
            let cpu = cpu.with_precision(precision);
            found.push(Ceiling {
                kernel_path: path.to_string(),
                precision: precision.name(),
                threads: cpu.threads(),
                gflops: bench::ceiling(&cpu),
            });
        }
    }
    if args.json {
        let text = serde_json::to_string(&found).map_err(Failure::internal)?;
        return output::print(&(text + "\n"));
    }
    let mut text = String::from("Products of 2,048 x 2,048 matrices, GFLOP/s\n");
    for row in found {
        let Ceiling {
            kernel_path,
            precision,
            threads,
            gflops,
        } = row;
        let _ = writeln!(
            text,
            "{kernel_path:12} {precision:5} {threads:3} threads {gflops:9.1}"
        );
    }
    output::print(&text)
}

fn train(args: &Train, quiet: bool) -> Outcome {
    let (sources, targets) = (input::lines(&args.source)?, input::lines(&args.target)?);
    if sources.len() != targets.len() || sources.is_empty() {
        let (s, t) = (args.source.display(), args.target.display());
        let message = format!(
            "{s} has {} lines, {t} has {}; they must have as many, and at least one",
            sources.len(),
            targets.len()
        );
        return Err(Failure::input(anyhow::Error::msg(message)));
    }
    let pairs: Vec<(&str, &str)> = sources
        .iter()
        .map(String::as_str)
        .zip(targets.iter().map(String::as_str))
        .collect();
    let tokenizer = Tokenizer::open(&args.model).map_err(Failure::input)?;
    let checkpoint = checkpoint::open(&args.model).map_err(Failure::input)?;
    let cpu = backend(args.common.threads, args.precision)?;
    let bench = TrainBench {
        direction: Direction::new(args.from.clone(), args.to.clone()),
        sites: match args.sites {
            SitesArg::Fc => BenchSites::Fc,
            SitesArg::All => BenchSites::All,
        },
        rank: args.rank,
        full: args.full,
        languages: usize::from(args.languages),
        bank: usize::from(args.bank),
        repeat: args.common.repeat(),
    };
    let report = bench::train(
        &cpu,
        checkpoint,
        &tokenizer,
        &pairs,
        &bench,
        &mut counter(quiet),
    );
    print(&report.map_err(Failure::input)?, args.common.json)
}

fn decode(args: &Decode, quiet: bool) -> Outcome {
    let lines = input::lines(&args.source)?;
    let lines: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| !line.trim().is_empty())
        .collect();
    if lines.is_empty() {
        let message = format!("{} holds no text", args.source.display());
        return Err(Failure::input(anyhow::Error::msg(message)));
    }
    let loaded = Loaded::open(&args.model, args.adapters.as_deref()).map_err(Failure::input)?;
    let cpu = backend(args.common.threads, args.precision)?;
    let loaded = loaded.packed(&cpu);
    let bench = DecodeBench {
        direction: Direction::new(args.from.clone(), args.to.clone()),
        beam: usize::from(args.beam),
        batch: usize::from(args.batch),
        source_limit: args.source_limit.map(usize::from),
        exact_length: usize::from(args.exact_length),
        repeat: args.common.repeat(),
    };
    let report = bench::decode(&cpu, &loaded, &lines, &bench, &mut counter(quiet));
    print(&report.map_err(super::decoding::failure)?, args.common.json)
}

/// A bar on a terminal. It is drawn between repetitions, never within one.
fn counter(quiet: bool) -> impl FnMut(usize, usize) {
    let bar = match quiet {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(0),
    };
    move |done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
        if done == of {
            bar.finish_and_clear();
        }
    }
}

fn print(report: &Report, json: bool) -> Outcome {
    if json {
        let text = serde_json::to_string(report).map_err(Failure::internal)?;
        return output::print(&(text + "\n"));
    }
    let r = report;
    let share = 100.0 * r.gflops / r.ceiling_gflops;
    let memory = r.peak_rss_bytes as f64 / 1e6;
    let text = format!(
        "target tokens a second  {:10.1}\n\
         seconds, median         {:10.4}  ({:.4} to {:.4}, {} repetitions)\n\
         text                    {:10}  sentences, {} source and {} target tokens\n\
         GFLOP/s                 {:10.1}  {share:.0}% of a large product's {:.1}\n\
         memory at its peak      {memory:10.0}  MB\n\
         machine                 {}, {} threads, {}\n",
        r.target_tokens_per_s,
        r.median_s,
        r.min_s,
        r.max_s,
        r.repetitions,
        r.sentences,
        r.source_tokens,
        r.target_tokens,
        r.gflops,
        r.ceiling_gflops,
        r.kernel_path,
        r.threads,
        r.precision,
    );
    output::print(&text)
}
