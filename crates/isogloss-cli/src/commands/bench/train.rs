//! `isogloss bench train`.

use super::{Common, counter, print};
use crate::commands::compute::{PrecisionArg, backend};
use crate::failure::{Failure, Outcome};
use crate::input;
use clap::ValueEnum;
use isogloss::bench::{self, BenchSites, TrainBench};
use isogloss::checkpoint;
use isogloss::language::{Direction, Language};
use isogloss::tokenize::Tokenizer;
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SitesArg {
    /// Both maps of every feed-forward block
    Fc,
    /// Every site of LSLo
    All,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
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
    /// Sentences of a step; a repetition is a pass over the whole text, a step each. Default: all are one step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    batch: Option<u16>,
    /// Order the pairs by length in characters before they are cut into batches. Nothing is padded here, so it changes little; it
    /// makes the same batches as for a program that pads
    #[arg(long, requires = "batch")]
    sort: bool,
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

pub(super) fn run(args: &Args, quiet: bool) -> Outcome {
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
        batch: args.batch.map(usize::from),
        sort: args.sort,
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
