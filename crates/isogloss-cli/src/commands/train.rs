//! `isogloss train`: adapts a base.

use super::training::{self, RunArgs};
use crate::failure::Outcome;
use crate::progress::Progress;
use isogloss::config::TrainConfig;

const AFTER_HELP: &str = "\
Examples:
  isogloss train examples/factory/lslo.toml --dry-run
  isogloss train examples/factory/lslo.toml
  isogloss translate --model models/mini --adapters runs/factory/lslo/adapters --from deu_Latn --to eng_Latn < in.txt

Stop with Ctrl-C, go on with the same command.";

/// Adapt a base to languages or a domain: language-specific LoRA, shared LoRA or full fine-tuning
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    let (mut config, dir) = args.run.read::<TrainConfig>()?;
    config.compute = args.run.compute(config.compute);
    if args.run.dry_run {
        let estimate = config.estimate(&dir).map_err(training::train_failure)?;
        return args.run.print_estimate(&estimate, config.compute);
    }
    let mut progress = Progress::start(quiet);
    let done = isogloss::train::adapt(&config, &dir, &mut progress);
    drop(progress);
    let done = done.map_err(training::train_failure)?;
    training::finish(&args.run, &done.trained, &done.result, &done.estimate)
}
