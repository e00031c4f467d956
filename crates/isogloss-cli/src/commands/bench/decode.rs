//! `isogloss bench decode`.

use super::{Common, counter, print};
use crate::commands::compute::{DecodingPrecisionArg, backend};
use crate::commands::decoding;
use crate::failure::{Failure, Outcome};
use crate::input;
use isogloss::bench::{self, BenchUpdates, DecodeBench, DecodeBenchError};
use isogloss::decode::Loaded;
use isogloss::language::{Direction, Language};
use std::path::PathBuf;

pub(super) const AFTER_HELP: &str = "\
With `--languages`, updates with random values act at every site of LSLo. Compare it with `--merged`, in turn: that runs without \
updates, as if those of one language had been folded into the weights. Folding changes the weights' values, not their number or \
precision, so its speed is that of the base alone; and such a model serves one language.

The memory's limit: each step of a sentence alone reads all weights of the decoder and the head, as they are packed for the \
precision, so it takes at least their bytes over the memory's bandwidth, which is measured in the same run: a streaming read of \
256 MiB with all threads. Compare it with what `--batch 1` reaches. Several sentences share a step, and weights that fit into a \
cache are read faster: both may exceed it.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of the model: weights and tokenizer
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Folder of adapters that were trained on this model
    #[arg(long, value_name = "DIR")]
    adapters: Option<PathBuf>,
    /// Random updates of so many languages, mixed: sentence i uses that of language i mod K on the source's and of the next one on the
    /// target's side
    #[arg(long, value_name = "K", conflicts_with = "adapters", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    languages: Option<u16>,
    /// Updates in memory, if more than the sentences use
    #[arg(long, value_name = "K", default_value_t = 1, requires = "languages", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    bank: u16,
    /// Rank of the random updates
    #[arg(long, value_name = "R", default_value_t = 8, requires = "languages")]
    rank: usize,
    /// Prune so many values in a hundred of the random updates' B by magnitude, and time them as they are and compacted in turn
    #[arg(long, value_name = "PERCENT", requires = "languages", value_parser = clap::value_parser!(u8).range(0..100))]
    pruned: Option<u8>,
    /// As if one language's updates were folded into the weights: the base alone (`--help` says why)
    #[arg(long, conflicts_with_all = ["languages", "adapters"])]
    merged: bool,
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
    /// Sentences translated together, if they are of the mean length; when some are done, others take their place. 1: each alone
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

pub(super) fn run(args: &Args, quiet: bool) -> Outcome {
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
    let updates = args.languages.map(|languages| BenchUpdates {
        languages: usize::from(languages),
        bank: usize::from(args.bank),
        rank: args.rank,
        pruned: args.pruned,
    });
    let bench = DecodeBench {
        direction: Direction::new(args.from.clone(), args.to.clone()),
        updates,
        beam: usize::from(args.beam),
        batch: usize::from(args.batch),
        source_limit: args.source_limit.map(usize::from),
        exact_length: usize::from(args.exact_length),
        repeat: args.common.repeat(),
    };
    let report = bench::decode(&cpu, &loaded, &lines, &bench, &mut counter(quiet));
    let report = report.map_err(|error| match error {
        DecodeBenchError::Decode(error) => decoding::failure(error),
        error => Failure::input(error),
    })?;
    print(&report, args.common.json)
}
