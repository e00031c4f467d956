//! `isogloss pretrain`: a base from scratch.

use super::training::{self, RunArgs};
use crate::failure::Outcome;
use crate::output;
use isogloss::config::PretrainConfig;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  isogloss pretrain models/mini/pretrain.toml --dry-run
  isogloss pretrain models/mini/pretrain.toml --precision bf16
  isogloss pretrain models/mini/pretrain.toml --export /tmp/so-far

Stop with Ctrl-C, go on with the same command. The base is written to the run's folder `model`, an ordinary Hugging Face
folder, SentencePiece vocabulary included.";

/// Train a base from scratch on parallel text, its vocabulary included
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// Write the best state so far as a model folder, and train nothing; works while the run goes on elsewhere
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    export: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    let (mut config, dir) = args.run.read::<PretrainConfig>()?;
    config.compute = args.run.compute(config.compute);
    if let Some(to) = &args.export {
        isogloss::train::export(&config, &dir, to).map_err(training::train_failure)?;
        return output::print(&format!("{}\n", to.display()));
    }
    if args.run.dry_run {
        let checked = config.check_folder(&dir);
        let estimate = checked.and_then(|()| config.estimate(&dir));
        let estimate = estimate.map_err(training::train_failure)?;
        return args.run.print_estimate(&estimate, config.compute);
    }
    let mut progress = args.run.progress(quiet)?;
    let done = isogloss::train::pretrain(&config, &dir, &mut progress);
    drop(progress);
    let done = done.map_err(training::train_failure)?;
    let (trained, estimate) = (&done.trained, &done.estimate);
    training::finish(
        &args.run,
        config.compute,
        trained,
        &done.model,
        estimate,
        Default::default(),
    )
}
